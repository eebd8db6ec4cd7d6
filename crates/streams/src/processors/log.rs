//! Writes a log line per message.

use async_trait::async_trait;
use bloblang::{Mapping, Template, Value};
use document::Fault;

use crate::build::BuildContext;
use crate::component::Processor;
use crate::message::{Batch, View};
use crate::node::Node;
use crate::registry::{Default, Field, Kind, ProcessorSpec};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "log",
    summary: "Writes a log line per message and passes it on as it was, also where the line cannot be made: that is logged instead.",
    config: Kind::Object(&[
        Field::new(
            "level",
            Kind::Choice(&["FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE", "ALL"]),
            Default::Text("INFO"),
            "Level of the line.",
        ),
        Field::new("message", Kind::Template, Default::Text(""), "Text of the line."),
        Field::optional("fields", Kind::Map(&Kind::Template), "Fields of the line."),
        Field::optional(
            "fields_mapping",
            Kind::Bloblang,
            "A mapping whose result, an object, gives more fields, ordered by their names.",
        ),
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
    /// The text and the fields, and what of them could not be made.
    fn line(&self, view: View<'_>, index: usize) -> (Option<String>, String, Vec<String>) {
        let mut faults = Vec::new();
        let mut fields = serde_json::Map::new();
        for (key, template) in &self.fields {
            match template.render(&view, index) {
                Ok(text) => drop(fields.insert(key.clone(), text.into())),
                Err(fault) => faults.push(format!("the field `{key}` failed: {fault}")),
            }
        }
        match self.fields_mapping.as_ref().map(|mapping| mapping.query(&view, index)) {
            Some(Ok(Value::Object(more))) => {
                fields.extend(
                    more.sorted().into_iter().map(|(key, value)| (key.to_string(), value.clone().into())),
                );
            }
            Some(Ok(other)) => {
                faults.push(format!("the fields mapping gave no object but {}", other.type_name()));
            }
            Some(Err(fault)) => faults.push(format!("the fields mapping failed: {fault}")),
            None => {}
        }
        let text = self.text.render(&view, index);
        let text = text.map_err(|fault| faults.push(format!("the message failed: {fault}"))).ok();
        (text, serde_json::Value::Object(fields).to_string(), faults)
    }
}

#[async_trait]
impl Processor for Log {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        let (stream, path) = (&self.stream, &self.path);
        for index in 0..batch.len() {
            let (text, fields, faults) = self.line(View(&batch), index);
            for fault in faults {
                tracing::error!(%stream, %path, "a log line is not whole: {fault}");
            }
            // A line without its text would say nothing.
            let Some(text) = text else { continue };
            match self.level.as_str() {
                "FATAL" | "ERROR" => tracing::error!(%stream, %path, %fields, "{text}"),
                "WARN" => tracing::warn!(%stream, %path, %fields, "{text}"),
                "DEBUG" => tracing::debug!(%stream, %path, %fields, "{text}"),
                "TRACE" | "ALL" => tracing::trace!(%stream, %path, %fields, "{text}"),
                _ => tracing::info!(%stream, %path, %fields, "{text}"),
            }
        }
        vec![batch]
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::json;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use crate::{Message, Processors, Registry, Settings};

    /// Keeps lines of this crate.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            if field.name() != "path" {
                self.0 += &format!(" {}={value:?}", field.name());
            }
        }
    }

    impl Subscriber for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            if event.metadata().target().ends_with("processors::log") {
                let mut line = Line(event.metadata().level().to_string());
                event.record(&mut line);
                self.0.lock().push(line.0);
            }
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[tokio::test]
    async fn lines_are_written_and_messages_stay_as_they_are() {
        let settings = Settings::new(Registry::standard());
        for (config, expected) in [
            (json!({ "message": "got ${! json(\"a\") }" }), vec![r#"INFO message=got 1 stream=s fields={}"#]),
            (
                json!({ "level": "WARN", "fields": { "z": "${! @k }" }, "fields_mapping": "root.y = this.a\nroot.b = [1]" }),
                vec![r#"WARN message= stream=s fields={"z":"v","b":[1],"y":1}"#],
            ),
            (
                json!({ "level": "ERROR", "message": "m", "fields_mapping": "root.x = throw(\"no\")" }),
                vec![
                    "ERROR message=a log line is not whole: the fields mapping failed",
                    "ERROR message=m stream=s fields={}",
                ],
            ),
            (
                json!({ "level": "DEBUG", "message": "m", "fields_mapping": "root = \"text\"" }),
                vec![
                    "ERROR message=a log line is not whole: the fields mapping gave no object but string",
                    "DEBUG message=m stream=s fields={}",
                ],
            ),
            (
                json!({ "level": "ALL", "message": "${! throw(\"no\") }" }),
                vec!["ERROR message=a log line is not whole: the message failed"],
            ),
        ] {
            let processors = Processors::of_stream("s", &json!([{ "log": config }]), &settings).unwrap();
            let lines = Lines::default();
            let guard = tracing::subscriber::set_default(lines.clone());
            let mut message = Message::new(r#"{"a":1}"#);
            message.set_meta("k", "v");
            let made = processors.run(vec![message]).await;
            drop(guard);
            assert_eq!((made[0][0].error(), &**made[0][0].bytes()), (None, &br#"{"a":1}"#[..]), "{config}");
            let lines = lines.0.lock();
            assert_eq!(lines.len(), expected.len(), "{config}: {lines:?}");
            for (line, expected) in lines.iter().zip(expected) {
                assert!(line.starts_with(expected), "{config}: {line}");
            }
        }
    }
}
