//! One schema of a registry, ready to read and write bodies.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use bloblang::formats::json_schema::JsonSchema;
use prost_reflect::MessageDescriptor;
use streams::Message;

use super::frame;
use crate::avro::{Schema, Unions};
use crate::json_schema::told;
use crate::protobuf::{Form, Types};
use crate::values::set_json;

/// The file that holds a schema itself. Nobody imports it.
const ROOT: &str = "(schema).proto";
/// Of so many messages of a schema is tried which one a document is.
const MOST_TRIED: usize = 256;

/// What a schema is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Avro.
    Avro,
    /// Protocol Buffers.
    Protobuf,
    /// JSON Schema.
    Json,
}

impl Language {
    /// By the word of the registry's API (`schemaType`), where Avro need not be said.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn named(name: Option<&str>) -> Result<Language, String> {
        match name {
            None | Some("" | "AVRO") => Ok(Language::Avro),
            Some("PROTOBUF") => Ok(Language::Protobuf),
            Some("JSON") => Ok(Language::Json),
            Some(other) => Err(format!("schemas of the type `{other}` are not known")),
        }
    }
}

/// A schema that another refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// By this name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// How values look in JSON.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Unions of Avro.
    pub unions: Unions,
    /// Whether times of Avro become timestamps instead of numbers.
    pub logical: bool,
}

/// A schema that is ready.
pub struct Codec(Kind);

enum Kind {
    Avro(Box<Schema>),
    Protobuf { messages: Vec<(Vec<i32>, MessageDescriptor)>, last: AtomicUsize },
    Json(Box<JsonSchema>),
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kind::Avro(_) => "Avro",
            Kind::Protobuf { .. } => "Protobuf",
            Kind::Json(_) => "Json",
        })
    }
}

impl Codec {
    /// Reads a schema and those that it refers to, each of which may refer to those before it.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn new(language: Language, text: &str, references: &[Reference]) -> Result<Codec, String> {
        Ok(Codec(match language {
            Language::Avro => {
                let references: Vec<&str> =
                    references.iter().map(|reference| reference.text.as_str()).collect();
                Kind::Avro(Box::new(Schema::parse_with(text, &references)?))
            }
            Language::Protobuf => {
                let own = (ROOT.to_owned(), text.to_owned());
                let others = references.iter().map(|other| (other.name.clone(), other.text.clone()));
                let files: BTreeMap<String, String> = others.chain([own]).collect();
                let messages = Types::compile([ROOT], files)?.of_file(ROOT);
                if messages.is_empty() {
                    return Err("the schema defines no message".to_owned());
                }
                Kind::Protobuf { messages, last: AtomicUsize::new(0) }
            }
            Language::Json => {
                let others: Vec<(&str, &str)> =
                    references.iter().map(|other| (other.name.as_str(), other.text.as_str())).collect();
                Kind::Json(Box::new(JsonSchema::parse_with(text, &others)?))
            }
        }))
    }

    /// Makes the body of a message, at this place of its payload, the payload as JSON.
    ///
    /// # Errors
    /// Why the body is not of this schema; the message is then as it was.
    pub fn decode(&self, message: &mut Message, options: Options) -> Result<(), String> {
        let payload = message.bytes().clone();
        let (_, body) = frame::split(&payload)?;
        match &self.0 {
            Kind::Avro(schema) => {
                let (value, rest) = match options.logical {
                    true => schema.decode_logical(body, options.unions)?,
                    false => schema.decode(body, options.unions)?,
                };
                if !rest.is_empty() {
                    return Err(format!("{} bytes follow the datum", rest.len()));
                }
                set_json(message, value);
            }
            Kind::Protobuf { messages, .. } => {
                let (indices, body) = frame::indices(body)?;
                let (_, of) = messages
                    .iter()
                    .find(|(way, _)| *way == indices)
                    .ok_or_else(|| format!("the schema has no message {indices:?}"))?;
                message.set_bytes(Form::default().to_json(of, body)?);
            }
            Kind::Json(schema) => {
                let value = bloblang::Value::from_json(payload.slice(frame::HEAD..))?;
                told(&schema.check(&value))?;
                message.set_bytes(payload.slice(frame::HEAD..));
            }
        }
        Ok(())
    }

    /// Makes a message in JSON the body of this schema, with the frame of this id before it.
    ///
    /// # Errors
    /// Why the value is not of this schema; the message is then as it was.
    pub fn encode(&self, message: &mut Message, id: u32, unions: Unions) -> Result<(), String> {
        let mut out = Vec::new();
        frame::begin(id, &mut out);
        match &self.0 {
            Kind::Avro(schema) => schema.encode(message.value()?, unions, &mut out)?,
            Kind::Protobuf { messages, last } => protobuf(messages, last, message.bytes(), &mut out)?,
            Kind::Json(schema) => {
                told(&schema.check(message.value()?))?;
                out.extend_from_slice(message.bytes());
            }
        }
        message.set_bytes(out);
        Ok(())
    }
}

/// Takes the first message of a schema that a document is one of; the one that it was last time is tried first.
fn protobuf(
    messages: &[(Vec<i32>, MessageDescriptor)],
    last: &AtomicUsize,
    json: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let first = last.load(Ordering::Relaxed);
    let others = (0..messages.len().min(MOST_TRIED)).filter(|index| *index != first);
    let mut fault = None;
    for index in std::iter::once(first).chain(others) {
        let Some((way, of)) = messages.get(index) else { continue };
        match Form::default().from_json(of, json) {
            Ok(body) => {
                last.store(index, Ordering::Relaxed);
                frame::write_indices(way, out);
                out.extend_from_slice(&body);
                return Ok(());
            }
            Err(why) => fault = fault.or_else(|| Some(format!("{}: {why}", of.full_name()))),
        }
    }
    let fault = fault.unwrap_or_default();
    Err(if messages.len() > 1 { format!("no message of the schema fits; {fault}") } else { fault })
}
