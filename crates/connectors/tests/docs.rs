//! `docs/connectors.md` tells of every field what the field tables say.

#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, and may block"
)]

use std::fmt::Write as _;
use std::path::Path;

use streams::{Default, Field, Kind, Registry};

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "boolean".to_owned(),
        Kind::Int => "whole number".to_owned(),
        Kind::Float => "number".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Template => "text, interpolated".to_owned(),
        Kind::Bloblang => "Bloblang".to_owned(),
        Kind::Duration => "duration".to_owned(),
        Kind::Size => "size".to_owned(),
        Kind::Choice(words) => {
            format!("one of {}", words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "))
        }
        Kind::List(member) => format!("list of {}", self::kind(member)),
        Kind::Map(member) => format!("map to {}", self::kind(member)),
        Kind::Object(_) => "object".to_owned(),
        Kind::Input => "input".to_owned(),
        Kind::Processor => "processor".to_owned(),
        Kind::Output => "output".to_owned(),
        Kind::Buffer => "buffer".to_owned(),
        Kind::Scanner => "scanner".to_owned(),
        Kind::Metrics => "metrics exporter".to_owned(),
        Kind::Tracer => "tracer".to_owned(),
        Kind::Cache => "label of a cache".to_owned(),
        Kind::RateLimit => "label of a rate limit".to_owned(),
        Kind::Label(_) => "label of a shared component".to_owned(),
        Kind::Resources(_) => "list of labelled components".to_owned(),
        Kind::Any => "any".to_owned(),
        Kind::Ignored(_) => "no effect".to_owned(),
        Kind::Refused(_) => "refused".to_owned(),
    }
}

fn default(field: &Field) -> String {
    match field.default {
        Default::Required => "required".to_owned(),
        Default::Absent => String::new(),
        Default::Bool(value) => format!("`{value}`"),
        Default::Int(value) => format!("`{value}`"),
        Default::Float(value) => format!("`{value}`"),
        Default::Text(text) => format!("`\"{text}\"`"),
        Default::Texts(texts) => format!("`{texts:?}`"),
        Default::Pairs(pairs) => format!("`{pairs:?}`"),
    }
}

fn rows(page: &mut String, prefix: &str, fields: &[Field]) {
    for field in fields {
        let name = format!("{prefix}{}", field.name);
        let doc = match field.kind {
            Kind::Ignored(why) => format!("Accepted with a warning: {why}."),
            Kind::Refused(why) => format!("Not offered: {why}."),
            _ => field.doc.to_owned(),
        };
        let holds = kind(&field.kind);
        let mark = if field.advanced { ", advanced" } else { "" };
        writeln!(page, "| `{name}` | {holds}{mark} | {} | {doc} |", default(field)).expect("text");
        match &field.kind {
            Kind::Object(fields) => rows(page, &format!("{name}."), fields),
            Kind::List(Kind::Object(fields)) => rows(page, &format!("{name}[]."), fields),
            _ => {}
        }
    }
}

fn table(summary: &str, config: &Kind) -> String {
    // What is refused by its name has no fields.
    let Kind::Object(fields) = config else { return format!("{summary}\n") };
    let mut page = format!("{summary}\n\n| field | holds | default | |\n|---|---|---|---|\n");
    rows(&mut page, "", fields);
    page
}

/// Run with `UPDATE_DOCS=1` to write the tables anew.
#[test]
fn the_reference_is_what_the_tables_say() {
    let mut registry = <Registry as std::default::Default>::default();
    connectors::register(&mut registry);
    let inputs = registry.inputs.values().map(|spec| ("input", spec.name, table(spec.summary, &spec.config)));
    let outputs =
        registry.outputs.values().map(|spec| ("output", spec.name, table(spec.summary, &spec.config)));
    let processors =
        registry.processors.values().map(|spec| ("processor", spec.name, table(spec.summary, &spec.config)));

    let exporters =
        registry.metrics.values().map(|spec| ("exporter", spec.name, table(spec.summary, &spec.config)));
    let caches = registry.caches.values().map(|spec| ("cache", spec.name, table(spec.summary, &spec.config)));
    let limits = registry
        .rate_limits
        .values()
        .map(|spec| ("rate limit", spec.name, table(spec.summary, &spec.config)));
    let buffers =
        registry.buffers.values().map(|spec| ("buffer", spec.name, table(spec.summary, &spec.config)));
    let tracers =
        registry.tracers.values().map(|spec| ("tracer", spec.name, table(spec.summary, &spec.config)));

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/connectors.md");
    let page = std::fs::read_to_string(&path).expect("docs/connectors.md");
    let mut fresh = page.clone();
    let shared = caches.chain(limits).chain(buffers).chain(exporters).chain(tracers);
    for (side, name, table) in inputs.chain(outputs).chain(processors).chain(shared) {
        let (begin, end) = (format!("<!-- {side} {name} -->\n"), "<!-- end -->");
        let from =
            fresh.find(&begin).unwrap_or_else(|| panic!("docs/connectors.md has no `{}`", begin.trim()))
                + begin.len();
        let to = from + fresh[from..].find(end).expect("an end of the table");
        fresh.replace_range(from..to, &table);
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &fresh).expect("docs/connectors.md can be written");
    } else {
        assert!(
            page == fresh,
            "docs/connectors.md is stale; run `UPDATE_DOCS=1 cargo test -p connectors --test docs`"
        );
    }
}
