//! What is recorded of an API's exchanges (contract 2.5, 3.3 and 11.1).

use crate::fields::{Field, acts, each};
use crate::plugins;
use crate::section::{Section, is_token};
use document::{Fault, pointer_join};
use serde_json::{Value, json};
use std::time::Duration;

/// `global.trafficLogs`.
pub(crate) const OAS: &[Field] =
    &[acts("enabled"), acts("tagHeaders"), acts("customRetentionPeriod"), each("plugins", plugins::OAS_LIST)];

/// What is recorded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recording {
    /// Nothing at all.
    pub off: bool,
    /// Requests and answers as they came, too.
    pub whole: bool,
    /// Fields of requests whose values become tags: `name-value`. Lower case.
    pub tag_headers: Box<[Box<str>]>,
    /// How long a record may be kept; `None` = as long as the store keeps any.
    pub kept: Option<Duration>,
    /// Traces tell each guard apart.
    pub detailed_traces: bool,
}

impl Recording {
    /// From a classic definition.
    pub(crate) fn classic(root: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        Self {
            off: root.flag("do_not_track", faults),
            whole: root.flag("enable_detailed_recording", faults),
            tag_headers: names(root, "tag_headers", faults),
            kept: root.seconds("expire_analytics_after", faults),
            detailed_traces: root.flag("detailed_tracing", faults),
        }
    }

    /// From `global.trafficLogs`, `server.detailedActivityLogs` and `server.detailedTracing`.
    pub(crate) fn oas(server: &Section<'_>, global: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let logs = global.section("trafficLogs", faults);
        Self {
            off: logs.exists() && !logs.flag("enabled", faults),
            whole: server.section("detailedActivityLogs", faults).flag("enabled", faults),
            tag_headers: names(&logs, "tagHeaders", faults),
            kept: logs.duration("customRetentionPeriod", faults),
            detailed_traces: server.section("detailedTracing", faults).flag("enabled", faults),
        }
    }

    pub(crate) fn write_classic(&self, definition: &mut Value) {
        definition["do_not_track"] = self.off.into();
        definition["enable_detailed_recording"] = self.whole.into();
        definition["detailed_tracing"] = self.detailed_traces.into();
        if !self.tag_headers.is_empty() {
            definition["tag_headers"] = json!(self.tag_headers);
        }
        if let Some(kept) = self.kept {
            definition["expire_analytics_after"] = kept.as_secs().max(1).into();
        }
    }
}

/// Names of header fields, as they are compared.
fn names(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Box<[Box<str>]> {
    let listed = holder.texts(key, faults);
    for (index, name) in listed.iter().enumerate() {
        if is_token(name) {
            continue;
        }
        let at = pointer_join(&holder.at(key), &index.to_string());
        faults.push(Fault::error(at, format!("`{name}` is no name of a header field")));
    }
    listed.iter().map(|name| name.to_ascii_lowercase().into()).collect()
}
