//! One document as a value.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use crate::formats::DEEPEST;
use crate::{Object, Text, Value};

/// Most tags and texts of a document: a tag takes four bytes of it, and some hundred of memory.
const MOST_PARTS: usize = 5_000_000;

/// Reads one document. Comments, instructions and document types are left out; entities other than XML's own five are
/// faults. With `cast`, texts that are numbers or truth values become them.
///
/// # Errors
/// What is wrong with it, that elements nest too deep, or that something follows it.
pub fn parse(document: &[u8], cast: bool) -> Result<Value, String> {
    let text = std::str::from_utf8(document).map_err(|_| "the text is not UTF-8")?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut open: Vec<Element> = Vec::new();
    let mut root: Option<(Text, Value)> = None;
    let mut seen = 0_usize;
    loop {
        seen += 1;
        if seen > MOST_PARTS {
            return Err(format!("it has more than {MOST_PARTS} elements and texts"));
        }
        let event = reader.read_event();
        match event.map_err(|fault| format!("at byte {}: {fault}", reader.error_position()))? {
            Event::Start(tag) => {
                if open.len() >= DEEPEST {
                    return Err(format!("elements nest deeper than {DEEPEST} levels"));
                }
                if root.is_some() {
                    return Err("a second document follows".to_owned());
                }
                open.push(Element::begin(&tag, cast)?);
            }
            Event::Empty(tag) => {
                if root.is_some() {
                    return Err("a second document follows".to_owned());
                }
                close(Element::begin(&tag, cast)?, &mut open, &mut root, cast);
            }
            Event::End(_) => {
                let Some(element) = open.pop() else {
                    return Err("an element ends that did not begin".to_owned());
                };
                close(element, &mut open, &mut root, cast);
            }
            Event::Text(text) => add_text(&mut open, &text.xml10_content())?,
            Event::CData(text) => add_text(&mut open, &text.xml10_content())?,
            Event::GeneralRef(entity) => {
                let character = match entity.resolve_char_ref().map_err(|fault| fault.to_string())? {
                    Some(character) => character.to_string(),
                    None => match &*entity {
                        "lt" => "<".to_owned(),
                        "gt" => ">".to_owned(),
                        "amp" => "&".to_owned(),
                        "apos" => "'".to_owned(),
                        "quot" => "\"".to_owned(),
                        other => return Err(format!("the entity `{other}` is not known")),
                    },
                };
                add_text(&mut open, &character)?;
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    if let Some(element) = open.last() {
        return Err(format!("the text ends within `{}`", element.name));
    }
    let (name, value) = root.ok_or("there is no element")?;
    let mut document = Object::new();
    document.insert(name, value);
    Ok(Value::object(document))
}

/// An element whose end has not come.
struct Element {
    name: Text,
    fields: Vec<(Text, Vec<Value>)>,
    places: HashMap<Text, usize>,
    text: String,
}

impl Element {
    fn begin(tag: &BytesStart<'_>, cast: bool) -> Result<Element, String> {
        let mut element = Element {
            name: local(tag.name().as_ref()),
            fields: Vec::new(),
            places: HashMap::new(),
            text: String::new(),
        };
        // As the original reads them: also without quotes (`id=99`), as HTML has them.
        for attribute in tag.html_attributes() {
            let attribute = attribute.map_err(|fault| fault.to_string())?;
            let value =
                attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|fault| fault.to_string())?;
            let name = format!("-{}", local(attribute.key.as_ref()));
            element.add(name.into(), scalar(&value, cast));
        }
        Ok(element)
    }

    fn add(&mut self, name: Text, value: Value) {
        let next = self.fields.len();
        let place = *self.places.entry(name.clone()).or_insert(next);
        if place == next {
            self.fields.push((name, vec![value]));
        } else {
            self.fields[place].1.push(value);
        }
    }

    fn into_value(mut self, cast: bool) -> Value {
        let text = self.text.trim();
        if self.fields.is_empty() {
            return scalar(text, cast);
        }
        if !text.is_empty() {
            let text = scalar(text, cast);
            self.add("#text".into(), text);
        }
        let mut made = Object::new();
        for (name, mut values) in self.fields {
            let value = match (values.len(), values.pop()) {
                (1, Some(only)) => only,
                (_, last) => {
                    values.extend(last);
                    Value::array(values)
                }
            };
            made.insert(name, value);
        }
        Value::object(made)
    }
}

fn close(element: Element, open: &mut [Element], root: &mut Option<(Text, Value)>, cast: bool) {
    let name = element.name.clone();
    let value = element.into_value(cast);
    match open.last_mut() {
        Some(parent) => parent.add(name, value),
        None => *root = Some((name, value)),
    }
}

fn add_text(open: &mut [Element], text: &str) -> Result<(), String> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err("there is text outside of the document".to_owned()),
    }
    Ok(())
}

fn local(name: &str) -> Text {
    Text::from(name.rsplit_once(':').map_or(name, |(_, local)| local))
}

fn scalar(text: &str, cast: bool) -> Value {
    if !cast {
        return Value::from(text);
    }
    match text {
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return Value::Int(number);
    }
    let looks_so = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    match text.parse::<f64>() {
        Ok(number) if looks_so && number.is_finite() => Value::Float(number),
        _ => Value::from(text),
    }
}
