//! Documents of XML as ids are looked up in them. What clients send is read within bounds; document types, and entities
//! beyond XML's own, are not read.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// Longest document, in bytes.
const LONGEST: usize = 1 << 20;
/// How deep elements may nest.
const DEEPEST: usize = 100;
/// Most elements, attributes and texts.
const MOST_PARTS: usize = 100_000;

/// A document. Elements are numbered in the order in which they begin.
#[derive(Debug)]
pub(crate) struct Document(Vec<Element>);

#[derive(Debug, Default)]
struct Element {
    name: String,
    parent: usize,
    attributes: Vec<(String, String)>,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Element(usize),
    Text(String),
}

impl Document {
    /// What the outermost element is in.
    pub(crate) const ROOT: usize = 0;

    /// Reads a document; `None` where it is none, or beyond the bounds.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        let mut document = Self(vec![Element::default()]);
        let (mut open, mut parts) = (vec![Self::ROOT], 0_usize);
        loop {
            let parent = *open.last()?;
            match reader.read_event().ok()? {
                Event::Start(tag) => {
                    if open.len() > DEEPEST {
                        return None;
                    }
                    open.push(document.begin(parent, &tag, &mut parts)?);
                }
                Event::Empty(tag) => {
                    document.begin(parent, &tag, &mut parts)?;
                }
                Event::End(_) => {
                    open.pop();
                }
                Event::Text(text) => document.add_text(parent, &text.xml10_content())?,
                Event::CData(text) => document.add_text(parent, &text.xml10_content())?,
                Event::GeneralRef(entity) => {
                    let character = match entity.resolve_char_ref().ok()? {
                        Some(character) => character,
                        None => match &*entity {
                            "lt" => '<',
                            "gt" => '>',
                            "amp" => '&',
                            "apos" => '\'',
                            "quot" => '"',
                            _ => return None,
                        },
                    };
                    document.add_text(parent, character.encode_utf8(&mut [0; 4]))?;
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
            parts += 1;
            if parts > MOST_PARTS {
                return None;
            }
        }
        (open.len() == 1).then_some(document)
    }

    fn begin(&mut self, parent: usize, tag: &BytesStart<'_>, parts: &mut usize) -> Option<usize> {
        let mut element = Element { name: tag.name().as_ref().to_owned(), parent, ..Element::default() };
        for attribute in tag.attributes() {
            let attribute = attribute.ok()?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
            element.attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
            *parts += 1;
        }
        let number = self.0.len();
        self.0.push(element);
        self.0.get_mut(parent)?.parts.push(Part::Element(number));
        Some(number)
    }

    /// Texts that follow each other are one.
    fn add_text(&mut self, parent: usize, text: &str) -> Option<()> {
        let parts = &mut self.0.get_mut(parent)?.parts;
        match parts.last_mut() {
            Some(Part::Text(before)) => before.push_str(text),
            _ => parts.push(Part::Text(text.to_owned())),
        }
        Some(())
    }

    pub(super) fn name(&self, element: usize) -> &str {
        self.0.get(element).map_or("", |element| &element.name)
    }

    pub(super) fn children(&self, element: usize) -> impl Iterator<Item = usize> {
        let parts = self.0.get(element).into_iter().flat_map(|element| &element.parts);
        parts.filter_map(|part| match part {
            Part::Element(child) => Some(*child),
            Part::Text(_) => None,
        })
    }

    /// The children of these elements, of each as many as `keep` leaves of them.
    pub(super) fn children_of(&self, elements: &[usize], keep: impl Fn(&mut Vec<usize>)) -> Vec<usize> {
        let mut found = Vec::new();
        for element in elements {
            let mut siblings: Vec<usize> = self.children(*element).collect();
            keep(&mut siblings);
            found.append(&mut siblings);
        }
        found.sort_unstable();
        found
    }

    /// These elements, and all that are below them.
    pub(super) fn below(&self, elements: &[usize]) -> Vec<usize> {
        let mut is_below = vec![false; self.0.len()];
        for element in elements {
            if let Some(is_below) = is_below.get_mut(*element) {
                *is_below = true;
            }
        }
        // Parents have lower numbers.
        for (number, element) in self.0.iter().enumerate() {
            is_below[number] |= is_below[element.parent];
        }
        (0..self.0.len()).filter(|number| is_below[*number]).collect()
    }

    pub(super) fn attribute(&self, element: usize, is_meant: impl Fn(&str) -> bool) -> Option<String> {
        let attributes = &self.0.get(element)?.attributes;
        attributes.iter().find(|(name, _)| is_meant(name)).map(|(_, value)| value.clone())
    }

    pub(super) fn first_text(&self, element: usize) -> Option<String> {
        self.0.get(element)?.parts.iter().find_map(|part| match part {
            Part::Text(text) => Some(text.clone()),
            Part::Element(_) => None,
        })
    }

    /// All text of an element, in its order.
    pub(super) fn content(&self, element: usize) -> String {
        let mut content = String::new();
        self.add_content(element, usize::MAX, &mut content);
        content
    }

    /// Whether this is all text of an element. No more of it is put together than this takes.
    pub(super) fn content_is(&self, element: usize, wanted: &str) -> bool {
        let mut content = String::new();
        self.add_content(element, wanted.len(), &mut content);
        content == wanted
    }

    /// Recurses no deeper than elements nest; adds texts until there is more than `most`.
    fn add_content(&self, element: usize, most: usize, content: &mut String) {
        for part in self.0.get(element).into_iter().flat_map(|element| &element.parts) {
            if content.len() > most {
                return;
            }
            match part {
                Part::Text(text) => content.push_str(text),
                Part::Element(child) => self.add_content(*child, most, content),
            }
        }
    }
}

/// A name without its prefix.
pub(super) fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_document_or_beyond_the_bounds_is_not_read() {
        let nested = |deep: usize| "<a>".repeat(deep) + &"</a>".repeat(deep);
        assert!(Document::read(&nested(DEEPEST)).is_some());
        for text in [
            "<a>".to_owned(),
            "<a></b>".to_owned(),
            "<a>&nobody;</a>".to_owned(),
            "<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>".to_owned(),
            nested(DEEPEST + 1),
            format!("<a>{}</a>", "<b/>".repeat(MOST_PARTS)),
            format!("<a>{}</a>", " ".repeat(LONGEST)),
        ] {
            assert!(Document::read(&text).is_none(), "{}", &text[..text.len().min(40)]);
        }
        let plain = Document::read("no element").unwrap();
        assert_eq!(plain.children(Document::ROOT).count(), 0);
    }
}
