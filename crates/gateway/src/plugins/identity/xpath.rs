//! The part of XPath 1.0 that ids are looked up with: child and descendant steps (`/a/b`, `//b`, `*`), an attribute or a text
//! at their end (`@id`, `text()`), and conditions (`[2]`, `[@type='x']`, `[name='x']`, `[.='x']`). A name without a prefix
//! means it with any. Everything else is refused when the definition is loaded.

use super::xml::{Document, local};

/// Longest expression, in bytes.
const LONGEST: usize = 1024;
/// Most steps of one.
const MOST_STEPS: usize = 32;

/// What is looked up in documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct XPath {
    steps: Vec<Step>,
    found: Found,
}

/// From an element to some below it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    /// However far below.
    deep: bool,
    /// `None`: whatever its name.
    name: Option<String>,
    conditions: Vec<Condition>,
}

/// What becomes of the elements at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    /// All of their text.
    Content,
    Attribute {
        deep: bool,
        name: String,
    },
    Text {
        deep: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    /// Counted from 1, among those of one parent.
    Place(usize),
    Attribute(String, Option<String>),
    Child(String, Option<String>),
    Content(String),
}

impl XPath {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, with the column.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes"));
        }
        let mut reader = Reader { text, at: 0 };
        reader.path().map_err(|why| format!("column {}: {why}", text[..reader.at].chars().count() + 1))
    }

    /// The text of the first that a document has of it.
    pub(crate) fn find(&self, document: &Document) -> Option<String> {
        let mut elements = vec![Document::ROOT];
        for step in &self.steps {
            if step.deep {
                elements = document.below(&elements);
            }
            elements = document.children_of(&elements, |siblings| {
                siblings.retain(|element| step.has_name(document.name(*element)));
                for condition in &step.conditions {
                    condition.keep(document, siblings);
                }
            });
        }
        if matches!(self.found, Found::Attribute { deep: true, .. } | Found::Text { deep: true }) {
            elements = document.below(&elements);
        }
        let mut elements = elements.into_iter();
        match &self.found {
            Found::Content => elements.next().map(|element| document.content(element)),
            Found::Attribute { name, .. } => {
                elements.find_map(|element| document.attribute(element, |other| is_called(name, other)))
            }
            Found::Text { .. } => elements.find_map(|element| document.first_text(element)),
        }
    }
}

impl Step {
    fn has_name(&self, name: &str) -> bool {
        self.name.as_deref().is_none_or(|wanted| is_called(wanted, name))
    }
}

/// Whether a name is meant: one without a prefix means it with any.
fn is_called(wanted: &str, name: &str) -> bool {
    if wanted.contains(':') { wanted == name } else { wanted == local(name) }
}

impl Condition {
    fn keep(&self, document: &Document, elements: &mut Vec<usize>) {
        match self {
            Self::Place(place) => {
                let kept = elements.get(place - 1).copied();
                elements.clear();
                elements.extend(kept);
            }
            Self::Attribute(name, wanted) => elements.retain(|element| {
                let found = document.attribute(*element, |other| is_called(name, other));
                found.is_some_and(|found| wanted.as_deref().is_none_or(|wanted| wanted == found))
            }),
            Self::Child(name, wanted) => elements.retain(|element| {
                let mut children = document.children(*element).filter(|child| {
                    is_called(name, document.name(*child))
                        && wanted.as_deref().is_none_or(|wanted| document.content_is(*child, wanted))
                });
                children.next().is_some()
            }),
            Self::Content(wanted) => elements.retain(|element| document.content_is(*element, wanted)),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn path(&mut self) -> Result<XPath, String> {
        let mut steps = Vec::new();
        let mut deep = self.skip("//");
        if !deep {
            self.skip("/");
        }
        loop {
            if self.skip("@") {
                let name = self.name()?;
                return self.ended(steps, Found::Attribute { deep, name });
            }
            if self.skip("text()") {
                return self.ended(steps, Found::Text { deep });
            }
            if steps.len() == MOST_STEPS {
                return Err(format!("there are more than {MOST_STEPS} steps"));
            }
            let name = if self.skip("*") { None } else { Some(self.name()?) };
            let mut conditions = Vec::new();
            while self.skip("[") {
                conditions.push(self.condition()?);
            }
            steps.push(Step { deep, name, conditions });
            deep = self.skip("//");
            if !deep && !self.skip("/") {
                return self.ended(steps, Found::Content);
            }
        }
    }

    fn ended(&self, steps: Vec<Step>, found: Found) -> Result<XPath, String> {
        match self.rest() {
            "" => Ok(XPath { steps, found }),
            rest => Err(format!("`{}` is not understood here", head(rest))),
        }
    }

    fn condition(&mut self) -> Result<Condition, String> {
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let condition = if digits > 0 {
            let place = self.rest()[..digits].parse().ok().filter(|place| *place > 0);
            let place = place.ok_or("places are counted from 1")?;
            self.at += digits;
            Condition::Place(place)
        } else if self.skip("@") {
            Condition::Attribute(self.name()?, self.value()?)
        } else if self.skip(".") || self.skip("text()") {
            Condition::Content(self.value()?.ok_or("which text? Write `='…'`")?)
        } else {
            Condition::Child(self.name()?, self.value()?)
        };
        if self.skip("]") { Ok(condition) } else { Err("`]` is missing".to_owned()) }
    }

    /// What something is compared with, if it is.
    fn value(&mut self) -> Result<Option<String>, String> {
        self.blank();
        if !self.skip("=") {
            return Ok(None);
        }
        self.blank();
        let quote = self.rest().chars().next().filter(|quote| matches!(quote, '\'' | '"'));
        let quote = quote.ok_or("a text in quotes is missing")?;
        let inside = &self.rest()[1..];
        let end = inside.find(quote).ok_or("the quote has no end")?;
        let value = inside[..end].to_owned();
        self.at += end + 2;
        self.blank();
        Ok(Some(value))
    }

    fn name(&mut self) -> Result<String, String> {
        let rest = self.rest();
        let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        let end = rest.find(|c: char| !is_of_name(c)).unwrap_or(rest.len());
        let name = &rest[..end];
        let begins = name.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_');
        if !begins || name.contains("::") {
            return Err(format!("`{}` is no name; axes, `..` and functions are not there", head(rest)));
        }
        if rest[end..].starts_with('(') {
            return Err(format!("the function `{name}()` is not there"));
        }
        self.at += end;
        Ok(name.to_owned())
    }

    fn blank(&mut self) {
        self.at += self.rest().bytes().take_while(|byte| *byte == b' ').count();
    }

    fn skip(&mut self, text: &str) -> bool {
        let is_there = self.rest().starts_with(text);
        if is_there {
            self.at += text.len();
        }
        is_there
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }
}

/// The beginning of a text, for faults.
fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(20)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str = r#"<?xml version="1.0"?>
        <o:order xmlns:o="urn:o" id="7" o:kind="x">
          <customer type="old"><id>a1</id></customer>
          <customer type="new"><id>b&amp;2</id> and <id>c3</id></customer>
          <note><![CDATA[<x>]]></note>
        </o:order>"#;

    #[test]
    fn what_is_looked_up_is_the_first_there_is_of_it() {
        let document = Document::read(ORDER).unwrap();
        for (expression, expected) in [
            ("/order/customer/id", Some("a1")),
            ("order/customer/id", Some("a1")),
            ("/o:order/customer[2]/id", Some("b&2")),
            ("/order/customer[@type='new']/id[2]", Some("c3")),
            ("/order/customer[id='c3']/@type", Some("new")),
            ("//id", Some("a1")),
            ("//customer[2]//id[. = \"c3\"]", Some("c3")),
            ("//id[text()='b&2']", Some("b&2")),
            ("/*/@id", Some("7")),
            ("//@kind", Some("x")),
            ("//@o:kind", Some("x")),
            ("/order/customer[2]/text()", Some(" and ")),
            ("/order/customer[2]", Some("b&2 and c3")),
            ("//note", Some("<x>")),
            ("//customer[@type]/id", Some("a1")),
            ("//customer[absent]/id", None),
            ("/customer", None),
            ("/x:order", None),
            ("//id[3]", None),
        ] {
            let path = XPath::read(expression).unwrap_or_else(|why| panic!("{expression}: {why}"));
            assert_eq!(path.find(&document).as_deref(), expected, "{expression}");
        }
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_column() {
        for (expression, expected) in [
            ("", "column 1: "),
            ("/", "column 2: "),
            ("/a/..", "column 4: "),
            ("/a/child::b", "column 4: "),
            ("//a/count(b)", "column 5: the function `count()`"),
            ("/a[0]", "column 4: "),
            ("/a[b", "column 5: `]`"),
            ("/a[@b=c]", "column 7: "),
            ("/a[@b='c]", "column 7: "),
            ("/a/@b/c", "column 6: "),
            ("/a | /b", "column 3: "),
            ("/ü/ä[", "column 6: "),
        ] {
            let fault = XPath::read(expression).unwrap_err();
            assert!(fault.starts_with(expected), "{expression}: {fault}");
        }
        assert!(XPath::read(&"/a".repeat(MOST_STEPS)).is_ok());
        assert!(XPath::read(&"/a".repeat(MOST_STEPS + 1)).is_err());
    }
}
