//! `sluicegate stream list`: which components there are.

use std::fmt::Write;

use serde_json::{Map, Value as Json, json};
use streams::{Settings, Sort};

use super::cli::{ListForm, Listed};

const ALL: [(Listed, &str); 11] = [
    (Listed::Inputs, "inputs"),
    (Listed::Processors, "processors"),
    (Listed::Outputs, "outputs"),
    (Listed::Caches, "caches"),
    (Listed::RateLimits, "rate-limits"),
    (Listed::Buffers, "buffers"),
    (Listed::Scanners, "scanners"),
    (Listed::Metrics, "metrics"),
    (Listed::Tracers, "tracers"),
    (Listed::BloblangFunctions, "bloblang-functions"),
    (Listed::BloblangMethods, "bloblang-methods"),
];

/// The list of these sorts, of all when there are none, templates among them.
pub(super) fn list(kinds: &[Listed], form: ListForm, settings: &Settings) -> String {
    if form == ListForm::Jsonschema {
        return format!("{:#}\n", streams::schema(&settings.registry, &settings.templates));
    }
    let mut text = String::new();
    let mut object = Map::new();
    for (kind, title) in ALL.iter().filter(|(kind, _)| kinds.is_empty() || kinds.contains(kind)) {
        let members = members(*kind, settings);
        match form {
            ListForm::Json => {
                let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
                object.insert((*title).to_owned(), json!(names));
            }
            ListForm::JsonFull => {
                let all: Vec<Json> = (members.iter())
                    .map(|(name, summary)| json!({"name": name, "summary": summary}))
                    .collect();
                object.insert((*title).to_owned(), json!(all));
            }
            ListForm::Text | ListForm::Jsonschema => {
                let gap = if text.is_empty() { "" } else { "\n" };
                let mut heading = title.replace('-', " ");
                heading[..1].make_ascii_uppercase();
                let _ = writeln!(text, "{gap}{heading}:");
                for (name, _) in &members {
                    let _ = writeln!(text, "  - {name}");
                }
            }
        }
    }
    match form {
        ListForm::Text | ListForm::Jsonschema => text,
        ListForm::Json | ListForm::JsonFull => format!("{:#}\n", Json::Object(object)),
    }
}

/// Names and summaries.
fn members(kind: Listed, settings: &Settings) -> Vec<(String, String)> {
    let sort = match kind {
        Listed::Inputs => Sort::Input,
        Listed::Processors => Sort::Processor,
        Listed::Outputs => Sort::Output,
        Listed::Caches => Sort::Cache,
        Listed::RateLimits => Sort::RateLimit,
        Listed::Buffers => Sort::Buffer,
        Listed::Scanners => Sort::Scanner,
        Listed::Metrics => Sort::Metrics,
        Listed::Tracers => Sort::Tracer,
        Listed::BloblangFunctions => return entries(false),
        Listed::BloblangMethods => return entries(true),
    };
    let registry = &settings.registry;
    let own = registry.names(sort).into_iter();
    let own = own.map(|name| (name, registry.summary(sort, name).unwrap_or_default()));
    let mut all: Vec<(&str, &str)> = own.chain(settings.templates.list(sort)).collect();
    all.sort_unstable();
    all.into_iter().map(|(name, summary)| (name.to_owned(), summary.to_owned())).collect()
}

fn entries(methods: bool) -> Vec<(String, String)> {
    let entries = bloblang::catalogue().into_iter().filter(|entry| entry.is_method == methods);
    entries.map(|entry| (entry.name.to_owned(), entry.summary.to_owned())).collect()
}
