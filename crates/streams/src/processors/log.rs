//! Writes a log line per message.

use async_trait::async_trait;
use bloblang::{Mapping, Template};
use document::Fault;

use crate::build::BuildContext;
use crate::component::Processor;
use crate::message::{Batch, View};
use crate::node::Node;
use crate::registry::{Default, Field, Kind, ProcessorSpec};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "log",
    summary: "Writes a log line per message and passes it on.",
    config: Kind::Object(&[
        Field::new(
            "level",
            Kind::Choice(&["FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE", "ALL"]),
            Default::Text("INFO"),
            "Level of the line.",
        ),
        Field::new("message", Kind::Template, Default::Text(""), "Text of the line."),
        Field::optional("fields", Kind::Map(&Kind::Template), "Fields of the line."),
        Field::optional("fields_mapping", Kind::Bloblang, "A mapping whose result gives more fields."),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    Ok(Box::new(Log {
        level: node.text("level")?.into_owned(),
        text: node.template("message", context)?,
        fields: node.templates("fields", context)?,
        fields_mapping: node.mapping("fields_mapping", context)?,
        stream: context.stream.to_string(),
        path: context.probe.path.clone(),
    }))
}

struct Log {
    level: String,
    text: Template,
    fields: Vec<(String, Template)>,
    fields_mapping: Option<Mapping>,
    stream: String,
    path: String,
}

impl Log {
    fn line(&self, view: View<'_>, index: usize) -> Result<(String, String), bloblang::MapError> {
        let text = self.text.render(&view, index)?;
        let mut fields = serde_json::Map::new();
        for (key, template) in &self.fields {
            fields.insert(key.clone(), template.render(&view, index)?.into());
        }
        if let Some(mapping) = &self.fields_mapping
            && let serde_json::Value::Object(more) = mapping.query(&view, index)?.into()
        {
            fields.extend(more);
        }
        Ok((text, serde_json::Value::Object(fields).to_string()))
    }
}

#[async_trait]
impl Processor for Log {
    async fn process(&self, mut batch: Batch) -> Vec<Batch> {
        for index in 0..batch.len() {
            match self.line(View(&batch), index) {
                Ok((text, fields)) => {
                    let (stream, path) = (&self.stream, &self.path);
                    match self.level.as_str() {
                        "FATAL" | "ERROR" => tracing::error!(%stream, %path, %fields, "{text}"),
                        "WARN" => tracing::warn!(%stream, %path, %fields, "{text}"),
                        "DEBUG" => tracing::debug!(%stream, %path, %fields, "{text}"),
                        "TRACE" | "ALL" => tracing::trace!(%stream, %path, %fields, "{text}"),
                        _ => tracing::info!(%stream, %path, %fields, "{text}"),
                    }
                }
                Err(fault) => batch[index].set_error(fault.to_string()),
            }
        }
        vec![batch]
    }
}
