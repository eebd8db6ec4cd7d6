//! What a stream that is alone in its process says about its log (streams contract 5.14). Inside of a gate the gate's log
//! holds.

use std::path::PathBuf;

use document::Fault;
use serde_json::Value as Json;

use crate::node::Node;
use crate::registry::{Default, Field, Kind};

/// The fields of the section `logger`.
pub(crate) const LOGGER: &[Field] = &[
    Field::new(
        "level",
        Kind::Choice(&["OFF", "FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE", "ALL", "NONE"]),
        Default::Text("INFO"),
        "What is told: this level and what is worse. `FATAL` is `ERROR` here, `ALL` is `TRACE`, `NONE` is `OFF`.",
    ),
    Field::new(
        "format",
        Kind::Choice(&["json", "logfmt"]),
        Default::Text("logfmt"),
        "How lines are written.",
    ),
    Field::new("add_timestamp", Kind::Bool, Default::Bool(false), "Tell the time."),
    Field::new("level_name", Kind::Text, Default::Text("level"), "The name of the level."),
    Field::new("timestamp_name", Kind::Text, Default::Text("time"), "The name of the time."),
    Field::new("message_name", Kind::Text, Default::Text("msg"), "The name of the text."),
    Field::new(
        "static_fields",
        Kind::Map(&Kind::Text),
        Default::Pairs(&[("@service", "bento")]),
        "Fields of every line.",
    ),
    Field::object(
        "file",
        &[
            Field::new(
                "path",
                Kind::Text,
                Default::Text(""),
                "A file to write to in place of standard error.",
            ),
            Field::new(
                "rotate",
                Kind::Bool,
                Default::Bool(false),
                "Begin a new file at 100 MiB; the old one gets the time into its name.",
            ),
            Field::new(
                "rotate_max_age_days",
                Kind::Int,
                Default::Int(0),
                "Delete old files after so many days; 0: never.",
            ),
        ],
        "Write the log to a file.",
    ),
];

/// What the section `logger` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logger {
    /// The least bad that is told: `off`, `error`, `warn`, `info`, `debug` or `trace`.
    pub level: &'static str,
    /// Lines are JSON, not logfmt.
    pub json: bool,
    /// Lines have the time.
    pub timestamp: bool,
    /// The name of the level.
    pub level_name: String,
    /// The name of the time.
    pub timestamp_name: String,
    /// The name of the text.
    pub message_name: String,
    /// Fields of every line.
    pub static_fields: Vec<(String, String)>,
    /// Where lines go; none: standard error.
    pub file: Option<LogFile>,
}

/// A file that a log is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// The file.
    pub path: PathBuf,
    /// Whether a new one is begun when it is large.
    pub rotate: bool,
    /// How many days old ones are kept; none: for ever.
    pub days: Option<u64>,
}

impl Logger {
    /// Reads the section; null when it is not written.
    ///
    /// # Errors
    /// What of it cannot be used, with its place below `pointer`.
    pub fn read(section: &Json, pointer: &str) -> Result<Logger, Fault> {
        let node = Node::new(section, Kind::Object(LOGGER), pointer);
        let level = match &*node.text("level")?.to_ascii_uppercase() {
            "OFF" | "NONE" => "off",
            "FATAL" | "ERROR" => "error",
            "WARN" => "warn",
            "INFO" => "info",
            "DEBUG" => "debug",
            "TRACE" | "ALL" => "trace",
            other => return Err(node.field_fault("level", format!("`{other}` is no level"))),
        };
        let file = node.get("file");
        let path = file.text("path")?;
        let days = u64::try_from(file.integer("rotate_max_age_days")?)
            .map_err(|_| file.field_fault("rotate_max_age_days", "the days must not be negative"))?;
        let file = match path.is_empty() {
            true => None,
            false => Some(LogFile {
                path: PathBuf::from(&*path),
                rotate: file.boolean("rotate")?,
                days: (days > 0).then_some(days),
            }),
        };
        Ok(Logger {
            level,
            json: node.text("format")? == "json",
            timestamp: node.boolean("add_timestamp")?,
            level_name: node.text("level_name")?.into_owned(),
            timestamp_name: node.text("timestamp_name")?.into_owned(),
            message_name: node.text("message_name")?.into_owned(),
            static_fields: node.pairs("static_fields")?,
            file,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_written_has_a_default() {
        let default = Logger::read(&Json::Null, "/logger").unwrap();
        assert_eq!((default.level, default.json, default.timestamp), ("info", false, false));
        assert_eq!(
            [default.level_name, default.timestamp_name, default.message_name],
            ["level", "time", "msg"].map(str::to_owned)
        );
        assert_eq!(default.static_fields, [("@service".to_owned(), "bento".to_owned())]);
        assert_eq!(default.file, None);
        let file = json!({ "path": "/var/log/a.log", "rotate": true, "rotate_max_age_days": 3 });
        let written = json!({ "level": "ALL", "format": "json", "static_fields": {}, "file": file });
        let written = Logger::read(&written, "/logger").unwrap();
        assert_eq!((written.level, written.json, written.static_fields.len()), ("trace", true, 0));
        let file = LogFile { path: "/var/log/a.log".into(), rotate: true, days: Some(3) };
        assert_eq!(written.file, Some(file));
        for (wrong, place) in [
            (json!({ "level": "LOUD" }), "/logger/level"),
            (json!({ "file": { "rotate_max_age_days": -1 } }), "/logger/file/rotate_max_age_days"),
            (json!({ "add_timestamp": "x" }), "/logger/add_timestamp"),
        ] {
            assert_eq!(Logger::read(&wrong, "/logger").unwrap_err().pointer, place);
        }
    }
}
