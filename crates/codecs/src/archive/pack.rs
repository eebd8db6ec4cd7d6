//! The `archive` processor.

use async_trait::async_trait;
use bloblang::Template;
use document::Fault;
use streams::{Batch, BuildContext, Default, Field, Kind, Message, Node, Processor, ProcessorSpec, View};

use super::zips;
use crate::tar;
use crate::values::array;

pub(crate) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "archive",
    summary: "Makes one message of all messages of a batch; it has the metadata of the first. When it fails, all of them are flagged and stay as they were.",
    config: Kind::Object(&[
        Field::required(
            "format",
            Kind::Choice(&["binary", "concatenate", "json_array", "lines", "tar", "zip"]),
            "`binary` is the number of messages and before each its length, as 32 bits, the highest first.",
        ),
        Field::new("path", Kind::Template, Default::Text(""), "The name of each file in a `tar` or `zip`."),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let format = match &*node.text("format")? {
        "binary" => Format::Binary,
        "concatenate" => Format::Concatenate,
        "json_array" => Format::JsonArray,
        "lines" => Format::Lines,
        "tar" => Format::Tar,
        _ => Format::Zip,
    };
    Ok(Box::new(Archive { format, path: node.template("path", context)? }))
}

#[derive(Clone, Copy)]
enum Format {
    Binary,
    Concatenate,
    JsonArray,
    Lines,
    Tar,
    Zip,
}

struct Archive {
    format: Format,
    path: Template,
}

impl Archive {
    fn archive(&self, batch: &[Message]) -> Result<Message, String> {
        let Some(mut archive) = batch.first().cloned() else { return Err("there is no message".to_owned()) };
        archive.clear_place();
        let payloads = || batch.iter().map(|message| message.bytes());
        match self.format {
            Format::Binary => {
                let mut out = Vec::new();
                let number = |size: usize| {
                    let size = u32::try_from(size).map_err(|_| "a message is too large".to_owned())?;
                    Ok::<_, String>(size.to_be_bytes())
                };
                out.extend_from_slice(&number(batch.len())?);
                for payload in payloads() {
                    out.extend_from_slice(&number(payload.len())?);
                    out.extend_from_slice(payload);
                }
                archive.set_bytes(out);
            }
            Format::Concatenate => archive.set_bytes(payloads().flatten().copied().collect::<Vec<u8>>()),
            Format::Lines => {
                let lines: Vec<&[u8]> = payloads().map(|payload| &payload[..]).collect();
                archive.set_bytes(lines.join(&b'\n'));
            }
            Format::JsonArray => {
                let mut values = Vec::with_capacity(batch.len());
                for (index, message) in batch.iter().enumerate() {
                    values
                        .push(message.value().map_err(|fault| format!("message {index}: {fault}"))?.clone());
                }
                archive.set_value(array(values));
            }
            Format::Tar => {
                let now = jiff::Timestamp::now().as_second();
                let mut writer = tar::Writer::default();
                for (name, payload) in self.names(batch)?.into_iter().zip(payloads()) {
                    writer.add(&name, u64::try_from(now).unwrap_or(0), payload);
                }
                archive.set_bytes(writer.finish());
            }
            Format::Zip => {
                let files = self.names(batch)?.into_iter().zip(payloads().map(|payload| &payload[..]));
                archive.set_bytes(zips::write(files, &jiff::Zoned::now())?);
            }
        }
        Ok(archive)
    }

    fn names(&self, batch: &[Message]) -> Result<Vec<String>, String> {
        let name = |index| self.path.render(&View(batch), index);
        (0..batch.len()).map(name).collect::<Result<_, _>>().map_err(|fault| format!("path: {fault}"))
    }
}

#[async_trait]
impl Processor for Archive {
    async fn process(&self, mut batch: Batch) -> Vec<Batch> {
        if batch.is_empty() {
            return Vec::new();
        }
        match self.archive(&batch) {
            Ok(archive) => vec![vec![archive]],
            Err(fault) => {
                let fault: std::sync::Arc<str> = format!("archive: {fault}").into();
                batch.iter_mut().for_each(|message| message.set_error(fault.clone()));
                vec![batch]
            }
        }
    }
}
