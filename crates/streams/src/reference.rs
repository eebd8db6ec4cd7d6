//! The reference of components, from the same tables that lint and build use.

use std::fmt::Write;

use crate::registry::{Default, Field, Kind, Registry};
use crate::sort::Sort;
use crate::stream_fields::stream_fields;

/// Every component and field of a registry, as Markdown.
pub fn reference(registry: &Registry) -> String {
    let mut page = String::new();
    heading(&mut page, "A stream", "", Kind::Object(stream_fields(false)));
    for sort in Sort::ALL {
        let mut title = sort.as_str().to_owned();
        title[..1].make_ascii_uppercase();
        for name in registry.names(sort) {
            let (summary, config) = (registry.summary(sort, name), registry.config(sort, name));
            heading(
                &mut page,
                &format!("{title} `{name}`"),
                summary.unwrap_or_default(),
                config.unwrap_or(Kind::Any),
            );
        }
    }
    page
}

fn heading(page: &mut String, title: &str, summary: &str, config: Kind) {
    let _ = writeln!(page, "### {title}\n");
    if !summary.is_empty() {
        let _ = writeln!(page, "{summary}\n");
    }
    match config {
        Kind::Object([]) => {
            let _ = writeln!(page, "It has no fields: `{{}}`.\n");
        }
        Kind::Object(fields) => {
            let _ = writeln!(page, "| field | type | default | meaning |\n|---|---|---|---|");
            rows(page, "", fields);
            let _ = writeln!(page);
        }
        kind => {
            let _ = writeln!(page, "Under the type key stands {}.\n", type_text(kind));
        }
    }
}

fn rows(page: &mut String, prefix: &str, fields: &[Field]) {
    for field in fields {
        let name = format!("{prefix}{}", field.name);
        let doc = match field.kind {
            Kind::Ignored(why) => format!("{} Has no effect here: {why}.", field.doc),
            Kind::Refused(instead) => format!("{} Refused unless empty: {instead}.", field.doc),
            _ => field.doc.to_owned(),
        };
        let doc = match field.alone {
            Some(instead) => format!("{doc} Inside of a gate refused unless empty: {instead}."),
            None => doc,
        };
        let doc = match field.deprecated {
            Some(instead) => format!("{doc} Deprecated: {instead}."),
            None => doc,
        };
        let mark = if field.advanced { ", advanced" } else { "" };
        let cell = |text: &str| text.replace('|', "\\|");
        let _ = writeln!(
            page,
            "| `{name}` | {}{mark} | {} | {} |",
            cell(&type_text(field.kind)),
            default_text(field.default),
            cell(&doc)
        );
        if let Kind::Object(fields) = field.kind {
            rows(page, &format!("{name}."), fields);
        }
    }
}

fn type_text(kind: Kind) -> String {
    match kind {
        Kind::Bool => "boolean".to_owned(),
        Kind::Int => "whole number".to_owned(),
        Kind::Float => "number".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Template => "text with `${! }`".to_owned(),
        Kind::Bloblang => "Bloblang".to_owned(),
        Kind::Duration => "duration".to_owned(),
        Kind::Size => "size".to_owned(),
        Kind::Choice(words) => format!("one of `{}`", words.join("`, `")),
        Kind::List(kind) => format!("list of {}", type_text(*kind)),
        Kind::Map(kind) => format!("map of {}", type_text(*kind)),
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
        Kind::Label(sort) => format!("label of a shared {}", sort.as_str()),
        Kind::Resources(sort) => format!("list of labelled components: {}", sort.as_str()),
        Kind::Any | Kind::Ignored(_) | Kind::Refused(_) => "any".to_owned(),
    }
}

fn default_text(default: Default) -> String {
    match default {
        Default::Required => "required".to_owned(),
        Default::Absent => String::new(),
        Default::Bool(value) => format!("`{value}`"),
        Default::Int(value) => format!("`{value}`"),
        Default::Float(value) => format!("`{value}`"),
        Default::Text(text) => format!("`{text:?}`"),
        Default::Texts(texts) => format!("`{texts:?}`"),
        Default::Pairs(pairs) => {
            let pairs: Vec<String> = pairs.iter().map(|(key, text)| format!("{key}: {text}")).collect();
            format!("`{{{}}}`", pairs.join(", "))
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may read files")]
mod tests {
    use super::*;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/streams.md");
    const MARK: &str =
        "<!-- Written from the field tables by `UPDATE_DOCS=1 cargo test -p streams reference`. -->\n\n";

    #[test]
    fn the_reference_in_docs_is_current() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        let (words, written) =
            page.split_once(MARK).expect("docs/streams.md has the mark of its generated part");
        let current = reference(&Registry::standard());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(PAGE, format!("{words}{MARK}{}\n", current.trim_end())).unwrap();
            return;
        }
        assert!(
            written.trim_end() == current.trim_end(),
            "docs/streams.md is stale: run `UPDATE_DOCS=1 cargo test -p streams reference`"
        );
    }

    #[test]
    fn examples_in_docs_are_right() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        let settings = crate::Settings::new(Registry::standard());
        let mut count = 0;
        for example in page.split("```yaml\n").skip(1) {
            let text = example.split("```").next().unwrap();
            let (_, faults) = crate::check_text("example", text, document::Format::Yaml, &settings).unwrap();
            assert!(faults.is_empty(), "{text}\n{faults:#?}");
            count += 1;
        }
        assert!(count > 0);
    }

    #[test]
    fn every_field_is_described_once() {
        fn walk(path: &str, kind: Kind) {
            let Kind::Object(fields) = kind else { return };
            for (index, field) in fields.iter().enumerate() {
                assert!(field.doc.ends_with('.'), "{path}.{} is not described", field.name);
                assert!(
                    fields[..index].iter().all(|other| other.name != field.name),
                    "{path}.{}",
                    field.name
                );
                walk(&format!("{path}.{}", field.name), field.kind);
            }
        }
        let registry = Registry::standard();
        walk("stream", Kind::Object(stream_fields(false)));
        for sort in Sort::ALL {
            for name in registry.names(sort) {
                walk(name, registry.config(sort, name).unwrap());
                assert!(registry.summary(sort, name).unwrap().ends_with('.'), "{name}");
            }
        }
    }
}
