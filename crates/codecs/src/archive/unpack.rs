//! The `unarchive` processor.

use bloblang::Value;
use bloblang::formats::csv::{self, Rules};
use bloblang::formats::{LARGEST, xml};
use bytes::Bytes;
use document::Fault;
use streams::scanners::json_split;
use streams::{BuildContext, Field, Kind, Message, Node, Processor, ProcessorSpec};

use super::zips;
use crate::each::{Split, Splitting};
use crate::tar;
use crate::values::set_json;

/// One payload becomes at most so many messages.
const MOST: usize = 1_000_000;

pub(crate) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "unarchive",
    summary: "Makes several messages of each; they have its metadata. When it fails, the message stays as it was, flagged. Archives that unpack to more than 256 MiB or a million messages are refused.",
    config: Kind::Object(&[Field::required(
        "format",
        Kind::Text,
        "`binary`, `csv`, `csv:x` with another delimiter, `json_array`, `json_documents`, `json_map`, `lines`, `tar`, `xml_documents_to_json`, `xml_documents_to_json:cast` or `zip`. Each value of the JSON formats is written as JSON, texts with their quotes. Files of `tar` and `zip` set the metadata `archive_filename`, fields of `json_map` set `archive_key`.",
    )]),
    build,
};

fn build(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let format = Format::read(&node.text("format")?).map_err(|fault| node.field_fault("format", fault))?;
    Ok(Box::new(Splitting(Unarchive { format })))
}

#[derive(Clone, Copy)]
pub(super) enum Format {
    Binary,
    Csv(Rules),
    JsonArray,
    JsonDocuments,
    JsonMap,
    Lines,
    Tar,
    Xml { cast: bool },
    Zip,
}

impl Format {
    pub(super) fn read(name: &str) -> Result<Format, String> {
        let csv = |delimiter| Format::Csv(Rules { delimiter, lazy_quotes: false });
        Ok(match name {
            "binary" => Format::Binary,
            "csv" => csv(','),
            "json_array" => Format::JsonArray,
            "json_documents" => Format::JsonDocuments,
            "json_map" => Format::JsonMap,
            "lines" => Format::Lines,
            "tar" => Format::Tar,
            "xml_documents_to_json" => Format::Xml { cast: false },
            "xml_documents_to_json:cast" => Format::Xml { cast: true },
            "zip" => Format::Zip,
            other => match other.strip_prefix("csv:") {
                Some(delimiter) => csv(Rules::delimiter(delimiter)?),
                None => {
                    return Err(format!(
                        "there is no archive format `{other}`; the formats are `binary`, `csv`, `csv:x`, `json_array`, `json_documents`, `json_map`, `lines`, `tar`, `xml_documents_to_json`, `xml_documents_to_json:cast`, `zip`"
                    ));
                }
            },
        })
    }
}

pub(super) struct Unarchive {
    pub(super) format: Format,
}

impl Split for Unarchive {
    fn split(&self, message: &Message) -> Result<Vec<Message>, String> {
        let mut parts = Parts { of: message, made: Vec::new() };
        self.unpack(message, &mut parts).map_err(|fault| format!("unarchive: {fault}"))?;
        Ok(parts.made)
    }
}

/// The messages made so far.
struct Parts<'m> {
    of: &'m Message,
    made: Vec<Message>,
}

impl Parts<'_> {
    fn add(&mut self, fill: impl FnOnce(&mut Message)) -> Result<(), String> {
        if self.made.len() >= MOST {
            return Err(format!("it holds more than {MOST} messages"));
        }
        let mut part = self.of.clone();
        fill(&mut part);
        self.made.push(part);
        Ok(())
    }

    fn bytes(&mut self, bytes: Bytes) -> Result<(), String> {
        self.add(|part| part.set_bytes(bytes))
    }

    fn value(&mut self, value: Value) -> Result<(), String> {
        self.add(|part| set_json(part, value))
    }

    fn file(&mut self, member: tar::Member) -> Result<(), String> {
        self.add(|part| {
            part.set_bytes(member.data);
            part.set_meta("archive_filename", member.name);
        })
    }
}

impl Unarchive {
    fn unpack(&self, message: &Message, parts: &mut Parts<'_>) -> Result<(), String> {
        let payload = message.bytes();
        match self.format {
            Format::Binary => binary(payload, parts),
            Format::Csv(rules) => csv(rules, payload, parts),
            Format::JsonArray => {
                let items = message.value()?.as_array().ok_or("the message is no JSON array")?;
                items.iter().try_for_each(|item| parts.value(item.clone()))
            }
            Format::JsonDocuments => json_split::split(payload)
                .into_iter()
                .try_for_each(|text| parts.value(Value::parse_json(text)?)),
            Format::JsonMap => {
                let fields = message.value()?.as_object().ok_or("the message is no JSON object")?;
                fields.iter().try_for_each(|(key, value)| {
                    parts.add(|part| {
                        set_json(part, value.clone());
                        part.set_meta("archive_key", key.as_str());
                    })
                })
            }
            Format::Lines => {
                payload.split(|byte| *byte == b'\n').try_for_each(|line| parts.bytes(payload.slice_ref(line)))
            }
            Format::Tar => {
                let mut reader = tar::Reader::new(LARGEST);
                reader.feed(payload);
                while let Some(member) = reader.next()? {
                    parts.file(member)?;
                }
                reader.finish()
            }
            Format::Xml { cast } => {
                xml::documents(payload).try_for_each(|document| parts.value(xml::parse(document?, cast)?))
            }
            Format::Zip => {
                zips::read(payload, LARGEST)?.into_iter().try_for_each(|member| parts.file(member))
            }
        }
    }
}

fn binary(payload: &Bytes, parts: &mut Parts<'_>) -> Result<(), String> {
    let cut = || "the bytes end too early".to_owned();
    let number = |from: &mut Bytes| {
        let (number, _) = from.split_first_chunk::<4>().ok_or_else(cut)?;
        let number = u32::from_be_bytes(*number) as usize;
        let _ = from.split_to(4);
        Ok::<_, String>(number)
    };
    let mut rest = payload.clone();
    for _ in 0..number(&mut rest)? {
        let size = number(&mut rest)?;
        if size > rest.len() {
            return Err(cut());
        }
        parts.bytes(rest.split_to(size))?;
    }
    Ok(())
}

fn csv(rules: Rules, payload: &[u8], parts: &mut Parts<'_>) -> Result<(), String> {
    let text = std::str::from_utf8(payload).map_err(|_| "the text is not UTF-8")?;
    let mut records = rules.records(text);
    let Some(names) = records.next().transpose()? else { return Ok(()) };
    let names = csv::names(names);
    records.try_for_each(|record| parts.value(csv::object(&names, record?)))
}
