//! Expressions with `%{NAME}` to regular expressions.

use std::collections::BTreeMap;

use bloblang::Value;
use document::nearest;

/// Groups of patterns with a field are called by their number behind this.
pub(super) const PREFIX: &str = "grok_";
/// How deep patterns may stand in each other.
const DEEPEST: usize = 50;
/// Longest expression once all patterns are put in, in bytes.
const LONGEST: usize = 512 << 10;

/// Where what a group matches goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Capture {
    pub(super) field: String,
    pub(super) as_type: Type,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Int,
    Float,
}

impl Type {
    pub(super) fn value(self, text: &str) -> Value {
        let number = match self {
            Type::Text => None,
            Type::Int => text.parse::<i64>().ok().map(Value::from),
            Type::Float => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from),
        };
        number.unwrap_or_else(|| Value::from(text))
    }
}

/// Puts the patterns into an expression; gives the captures by the numbers of their groups.
pub(super) fn expand(
    text: &str,
    known: &BTreeMap<String, String>,
    all: bool,
) -> Result<(String, Vec<Capture>), String> {
    let mut expander = Expander { known, all, out: String::new(), captures: Vec::new(), within: Vec::new() };
    expander.add(text)?;
    Ok((expander.out, expander.captures))
}

struct Expander<'k> {
    known: &'k BTreeMap<String, String>,
    all: bool,
    out: String,
    captures: Vec<Capture>,
    within: Vec<String>,
}

impl Expander<'_> {
    fn add(&mut self, mut text: &str) -> Result<(), String> {
        while let Some(start) = text.find("%{") {
            self.push(&text[..start])?;
            let inner = &text[start + 2..];
            let Some(end) = inner.find('}') else {
                return Err("a `%{` has no `}`".to_owned());
            };
            self.pattern(&inner[..end])?;
            text = &inner[end + 1..];
        }
        self.push(text)
    }

    fn push(&mut self, text: &str) -> Result<(), String> {
        if self.out.len() + text.len() > LONGEST {
            return Err(format!("the expression is longer than {LONGEST} bytes with its patterns put in"));
        }
        self.out.push_str(text);
        Ok(())
    }

    /// `NAME`, `NAME:field` or `NAME:field:type`.
    fn pattern(&mut self, written: &str) -> Result<(), String> {
        let mut parts = written.splitn(3, ':');
        let name = parts.next().unwrap_or_default();
        let field = parts.next().unwrap_or_default();
        let as_type = match parts.next().unwrap_or("string") {
            "string" => Type::Text,
            "int" => Type::Int,
            "float" => Type::Float,
            other => {
                return Err(format!(
                    "`{other}` in `%{{{written}}}` is no type; write `int`, `float` or `string`"
                ));
            }
        };
        let Some(definition) = self.known.get(name).cloned() else {
            let near = nearest(name, self.known.keys().map(String::as_str));
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("there is no pattern `{name}`{near}"));
        };
        if self.within.iter().any(|outer| outer == name) || self.within.len() >= DEEPEST {
            return Err(format!("the pattern `{name}` stands in itself: {}", self.within.join(" -> ")));
        }
        let field = match field {
            "" if self.all => name,
            field => field,
        };
        if field.is_empty() {
            self.push("(?:")?;
        } else {
            let group = format!("(?P<{PREFIX}{}>", self.captures.len());
            self.captures.push(Capture { field: field.to_owned(), as_type });
            self.push(&group)?;
        }
        self.within.push(name.to_owned());
        self.add(&definition)?;
        self.within.pop();
        self.push(")")
    }
}
