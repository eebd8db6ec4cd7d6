//! A value as a document.

use super::super::LARGEST;
use crate::{Object, Value};

/// Writes an object as a document; several fields are put into an element `doc`, since a document has one root. Each level
/// begins a line, indented by `indent`, unless it is none.
///
/// # Errors
/// A name that no element can have, an array within an array, or a document of more than 256 MiB.
pub fn format(fields: &std::sync::Arc<Object>, indent: Option<&str>) -> Result<String, String> {
    let mut writer = Writer { indent, out: String::new() };
    match fields.sorted()[..] {
        [(name, value)] if !matches!(value, Value::Array(_)) => writer.element(name, value, 0)?,
        _ => writer.element("doc", &Value::Object(fields.clone()), 0)?,
    }
    Ok(writer.out)
}

struct Writer<'i> {
    indent: Option<&'i str>,
    out: String,
}

impl Writer<'_> {
    fn line(&mut self, level: usize) -> Result<(), String> {
        let Some(indent) = self.indent else { return self.fits(0) };
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        // Indents multiply: they are what makes a document larger than its value.
        self.fits(indent.len().saturating_mul(level))?;
        self.out.extend(std::iter::repeat_n(indent, level));
        Ok(())
    }

    fn fits(&self, more: usize) -> Result<(), String> {
        if self.out.len().saturating_add(more) <= LARGEST {
            return Ok(());
        }
        Err(format!("the document is larger than {LARGEST} bytes"))
    }

    fn element(&mut self, name: &str, value: &Value, level: usize) -> Result<(), String> {
        let valid = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') || !name.chars().all(valid) {
            return Err(format!("{name:?} is no name of an XML element"));
        }
        if let Value::Array(items) = value {
            for item in items.iter() {
                if let Value::Array(_) = item {
                    return Err(format!("element `{name}` holds an array within an array"));
                }
                self.element(name, item, level)?;
            }
            return Ok(());
        }
        self.line(level)?;
        self.out.push('<');
        self.out.push_str(name);
        let Value::Object(fields) = value else {
            let text = text_of(value);
            if text.is_empty() {
                self.out.push_str("/>");
            } else {
                self.out.push_str(&format!(">{}</{name}>", quick_xml::escape::escape(&*text)));
            }
            return Ok(());
        };
        let fields = fields.sorted();
        for (attribute, value) in &fields {
            if let Some(attribute) = attribute.strip_prefix('-') {
                self.out
                    .push_str(&format!(" {attribute}=\"{}\"", quick_xml::escape::escape(&*text_of(value))));
            }
        }
        let text = fields
            .iter()
            .find(|(name, _)| *name == "#text")
            .map(|(_, value)| text_of(value))
            .unwrap_or_default();
        let children: Vec<_> =
            fields.iter().filter(|(name, _)| !name.starts_with('-') && *name != "#text").collect();
        if children.is_empty() && text.is_empty() {
            self.out.push_str("/>");
            return Ok(());
        }
        self.out.push('>');
        self.out.push_str(&quick_xml::escape::escape(&*text));
        for (child, value) in &children {
            self.element(child, value, level + 1)?;
        }
        if !children.is_empty() {
            self.line(level)?;
        }
        self.out.push_str(&format!("</{name}>"));
        Ok(())
    }
}

fn text_of(value: &Value) -> String {
    if value.is_absent() { String::new() } else { value.to_text() }
}
