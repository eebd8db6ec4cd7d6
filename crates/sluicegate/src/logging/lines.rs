//! Log lines in the form that the section `logger` of a stream asks for.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value as Json};
use streams::Logger;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes events as one line each.
pub(super) struct Lines(pub(super) Logger);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time =
            self.0.timestamp.then(|| jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        writeln!(writer, "{}", self.line(*event.metadata().level(), time, fields))
    }
}

impl Lines {
    fn line(&self, level: Level, time: Option<String>, fields: Fields) -> String {
        let settings = &self.0;
        let mut line = Map::new();
        if let Some(time) = time {
            line.insert(settings.timestamp_name.clone(), time.into());
        }
        line.insert(settings.level_name.clone(), level_name(level).into());
        line.insert(settings.message_name.clone(), fields.message.into());
        for (name, value) in &settings.static_fields {
            line.insert(name.clone(), value.as_str().into());
        }
        for (name, value) in fields.others {
            line.entry(name).or_insert(value);
        }
        if settings.json { Json::Object(line).to_string() } else { logfmt(&line) }
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn logfmt(line: &Map<String, Json>) -> String {
    let mut text = String::new();
    for (name, value) in line {
        if !text.is_empty() {
            text.push(' ');
        }
        // A name is one word, whatever somebody called a field.
        text.extend(
            name.chars()
                .map(|c| if c.is_whitespace() || c.is_control() || "=\"".contains(c) { '_' } else { c }),
        );
        text.push('=');
        let value = match value {
            Json::String(value) => value.clone(),
            other => other.to_string(),
        };
        let bare = |c: char| c.is_ascii_alphanumeric() || "-._/@^+:,".contains(c);
        if !value.is_empty() && value.chars().all(bare) {
            text.push_str(&value);
        } else {
            let _ = write!(text, "{value:?}");
        }
    }
    text
}

/// The fields of an event.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(String, Json)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Json) {
        match (field.name(), value) {
            ("message", Json::String(text)) => self.message = text,
            // The processor `log` gathers those that it was given in one.
            ("fields", Json::String(text)) => match serde_json::from_str(&text) {
                Ok(Json::Object(fields)) => self.others.extend(fields),
                _ => self.others.push(("fields".to_owned(), text.into())),
            },
            (name, value) => self.others.push((name.to_owned(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::json;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = Kept;

        fn make_writer(&'a self) -> Kept {
            self.clone()
        }
    }

    fn written(section: &Json) -> String {
        let logger = Logger::read(section, "/logger").unwrap();
        let kept = Kept::default();
        let subscriber =
            tracing_subscriber::fmt().event_format(Lines(logger)).with_writer(kept.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let fields = r#"{"id":7,"note":"a \"b\""}"#;
            tracing::warn!(path = "root.input", label = None::<&str>, count = 3u64, %fields, "it is {}", "odd\n");
        });
        String::from_utf8(Arc::try_unwrap(kept.0).unwrap().into_inner()).unwrap()
    }

    #[test]
    fn lines_are_written_as_they_are_asked_for() {
        for (section, expected) in [
            (
                json!({}),
                "level=warning msg=\"it is odd\\n\" @service=bento path=root.input count=3 id=7 note=\"a \\\"b\\\"\"\n",
            ),
            (
                json!({ "format": "json", "level_name": "severity", "message_name": "text", "static_fields": { "a": "b" } }),
                "{\"severity\":\"warning\",\"text\":\"it is odd\\n\",\"a\":\"b\",\"path\":\"root.input\",\"count\":3,\"id\":7,\"note\":\"a \\\"b\\\"\"}\n",
            ),
            // Nobody's field takes the place of what every line has.
            (
                json!({ "static_fields": { "path": "mine", "my field": "" } }),
                "level=warning msg=\"it is odd\\n\" path=mine my_field=\"\" count=3 id=7 note=\"a \\\"b\\\"\"\n",
            ),
        ] {
            assert_eq!(written(&section), expected);
        }
        let timed: Json = serde_json::from_str(&written(
            &json!({ "format": "json", "add_timestamp": true, "timestamp_name": "at" }),
        ))
        .unwrap();
        assert!(timed["at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{timed}");
    }
}
