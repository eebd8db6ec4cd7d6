//! Typed reading of linted configuration.

use std::borrow::Cow;
use std::time::Duration;

use bloblang::{Mapping, Template};
use document::{Fault, pointer_join};
use serde_json::Value as Json;

use crate::bloblangs;
use crate::build::BuildContext;
use crate::registry::{Default, Field, Kind};
use crate::units;

/// A value of a configuration with its place and what it should be.
///
/// The getters take the name of a field of an object, and give its default when it is not written. They check again
/// what lint has checked, so that building never panics and never guesses.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    value: &'a Json,
    kind: Kind,
    pointer: String,
}

const NULL: &Json = &Json::Null;

impl<'a> Node<'a> {
    /// The value at this JSON pointer.
    pub fn new(value: &'a Json, kind: Kind, pointer: impl Into<String>) -> Node<'a> {
        Node { value, kind, pointer: pointer.into() }
    }

    /// The value as written; null when it is not.
    pub fn value(&self) -> &'a Json {
        self.value
    }

    /// Where it stands, RFC 6901.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// A fault at this place.
    pub fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::error(self.pointer.clone(), message)
    }

    /// A fault at a field.
    pub fn field_fault(&self, name: &str, message: impl Into<String>) -> Fault {
        Fault::error(pointer_join(&self.pointer, name), message)
    }

    /// The value itself as text, for components whose configuration is bare text.
    ///
    /// # Errors
    /// When it is not text.
    pub fn as_text(&self) -> Result<Cow<'a, str>, Fault> {
        scalar_text(self.value).ok_or_else(|| self.fault("text is expected"))
    }

    fn field(&self, name: &str) -> Option<&'static Field> {
        match self.kind {
            Kind::Object(fields) => fields.iter().find(|field| field.name == name),
            _ => None,
        }
    }

    fn default_of(&self, name: &str) -> Default {
        self.field(name).map_or(Default::Absent, |field| field.default)
    }

    /// Whether the field is written.
    pub fn has(&self, name: &str) -> bool {
        self.value.get(name).is_some_and(|value| !value.is_null())
    }

    /// A field as a node of its own; its value is null when it is not written.
    pub fn get(&self, name: &str) -> Node<'a> {
        Node {
            value: self.value.get(name).unwrap_or(NULL),
            kind: self.field(name).map_or(Kind::Any, |field| field.kind),
            pointer: pointer_join(&self.pointer, name),
        }
    }

    /// The members of a list field.
    pub fn items(&self, name: &str) -> Vec<Node<'a>> {
        self.get(name).members()
    }

    /// The members, when this is a list.
    pub fn members(&self) -> Vec<Node<'a>> {
        let kind = match self.kind {
            Kind::List(kind) => *kind,
            _ => Kind::Any,
        };
        let items = self.value.as_array().map_or(&[][..], Vec::as_slice);
        (items.iter().enumerate())
            .map(|(index, value)| Node {
                value,
                kind,
                pointer: pointer_join(&self.pointer, &index.to_string()),
            })
            .collect()
    }

    /// A text field; empty when neither written nor defaulted.
    ///
    /// # Errors
    /// When it is not text, or missing although required.
    pub fn text(&self, name: &str) -> Result<Cow<'a, str>, Fault> {
        Ok(self.optional_text(name)?.unwrap_or(Cow::Borrowed("")))
    }

    /// A text field that may be absent.
    ///
    /// # Errors
    /// As [`Node::text`].
    pub fn optional_text(&self, name: &str) -> Result<Option<Cow<'a, str>>, Fault> {
        if self.has(name) {
            let text = self.value.get(name).and_then(scalar_text);
            return text.map(Some).ok_or_else(|| self.field_fault(name, format!("`{name}` must be text")));
        }
        match self.default_of(name) {
            Default::Text(text) => Ok(Some(Cow::Borrowed(text))),
            Default::Required => Err(self.field_fault(name, format!("`{name}` is required"))),
            _ => Ok(None),
        }
    }

    /// A boolean field; `false` when neither written nor defaulted.
    ///
    /// # Errors
    /// When it is not a boolean.
    pub fn boolean(&self, name: &str) -> Result<bool, Fault> {
        if self.has(name) {
            let value = self.value.get(name).and_then(Json::as_bool);
            return value.ok_or_else(|| self.field_fault(name, format!("`{name}` must be true or false")));
        }
        Ok(matches!(self.default_of(name), Default::Bool(true)))
    }

    /// A whole number; 0 when neither written nor defaulted.
    ///
    /// # Errors
    /// When it is not a whole number.
    pub fn integer(&self, name: &str) -> Result<i64, Fault> {
        if self.has(name) {
            let value = self.value.get(name).and_then(Json::as_i64);
            return value.ok_or_else(|| self.field_fault(name, format!("`{name}` must be a whole number")));
        }
        match self.default_of(name) {
            Default::Int(number) => Ok(number),
            _ => Ok(0),
        }
    }

    /// A whole number from 0 up.
    ///
    /// # Errors
    /// When it is not one.
    pub fn count(&self, name: &str) -> Result<usize, Fault> {
        usize::try_from(self.integer(name)?)
            .map_err(|_| self.field_fault(name, format!("`{name}` must not be negative")))
    }

    /// A number; 0 when neither written nor defaulted.
    ///
    /// # Errors
    /// When it is not a number.
    pub fn float(&self, name: &str) -> Result<f64, Fault> {
        if self.has(name) {
            let value = self.value.get(name).and_then(Json::as_f64);
            return value.ok_or_else(|| self.field_fault(name, format!("`{name}` must be a number")));
        }
        match self.default_of(name) {
            Default::Float(number) => Ok(number),
            _ => Ok(0.0),
        }
    }

    /// A duration; `None` when it is empty or absent.
    ///
    /// # Errors
    /// When it is not a Go duration.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>, Fault> {
        match self.optional_text(name)? {
            Some(text) if !text.is_empty() => {
                units::duration(&text).map(Some).map_err(|fault| self.field_fault(name, fault))
            }
            _ => Ok(None),
        }
    }

    /// A size in bytes; `None` when it is empty or absent.
    ///
    /// # Errors
    /// When it is not a size.
    pub fn size(&self, name: &str) -> Result<Option<u64>, Fault> {
        match self.optional_text(name)? {
            Some(text) if !text.is_empty() => {
                units::size(&text).map(Some).map_err(|fault| self.field_fault(name, fault))
            }
            _ => match self.default_of(name) {
                Default::Int(number) => Ok(u64::try_from(number).ok()),
                _ => Ok(None),
            },
        }
    }

    /// A list of texts.
    ///
    /// # Errors
    /// When a member is not text.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, Fault> {
        if self.has(name) {
            return self.items(name).iter().map(|item| item.as_text().map(Cow::into_owned)).collect();
        }
        match self.default_of(name) {
            Default::Texts(texts) => Ok(texts.iter().map(|&text| text.to_owned()).collect()),
            Default::Required => Err(self.field_fault(name, format!("`{name}` is required"))),
            _ => Ok(Vec::new()),
        }
    }

    /// A map from names to texts, in the order written.
    ///
    /// # Errors
    /// When a value is not text.
    pub fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, Fault> {
        let node = self.get(name);
        if let Some(members) = node.value.as_object() {
            return (members.iter())
                .map(|(key, value)| match scalar_text(value) {
                    Some(text) => Ok((key.clone(), text.into_owned())),
                    None => Err(node.field_fault(key, "text is expected")),
                })
                .collect();
        }
        match self.default_of(name) {
            Default::Pairs(pairs) => {
                Ok(pairs.iter().map(|&(key, text)| (key.to_owned(), text.to_owned())).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// An interpolated text.
    ///
    /// # Errors
    /// When it is missing or does not parse.
    pub fn template(&self, name: &str, context: &BuildContext<'_>) -> Result<Template, Fault> {
        let text = self.text(name)?;
        bloblangs::template(&context.settings.environment, &text, &pointer_join(&self.pointer, name))
            .map_err(bloblangs::first)
    }

    /// An interpolated text that may be absent or empty.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn optional_template(
        &self,
        name: &str,
        context: &BuildContext<'_>,
    ) -> Result<Option<Template>, Fault> {
        match self.optional_text(name)? {
            Some(text) if !text.is_empty() => self.template(name, context).map(Some),
            _ => Ok(None),
        }
    }

    /// A map of interpolated texts, in the order written.
    ///
    /// # Errors
    /// When one of them does not parse.
    pub fn templates(
        &self,
        name: &str,
        context: &BuildContext<'_>,
    ) -> Result<Vec<(String, Template)>, Fault> {
        let pointer = pointer_join(&self.pointer, name);
        (self.pairs(name)?.into_iter())
            .map(|(key, text)| {
                let pointer = pointer_join(&pointer, &key);
                bloblangs::template(&context.settings.environment, &text, &pointer)
                    .map(|template| (key, template))
                    .map_err(bloblangs::first)
            })
            .collect()
    }

    /// A mapping or query; `None` when it is empty or absent.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn mapping(&self, name: &str, context: &BuildContext<'_>) -> Result<Option<Mapping>, Fault> {
        match self.optional_text(name)? {
            Some(text) if !text.is_empty() => {
                bloblangs::mapping(&context.settings.environment, &text, &pointer_join(&self.pointer, name))
                    .map(Some)
                    .map_err(bloblangs::first)
            }
            _ => Ok(None),
        }
    }
}

/// Text as it is; numbers and booleans as their text.
pub(crate) fn scalar_text(value: &Json) -> Option<Cow<'_, str>> {
    match value {
        Json::String(text) => Some(Cow::Borrowed(text)),
        Json::Number(number) => Some(Cow::Owned(number.to_string())),
        Json::Bool(boolean) => Some(Cow::Owned(boolean.to_string())),
        _ => None,
    }
}
