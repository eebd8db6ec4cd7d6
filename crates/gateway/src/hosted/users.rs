//! Which streams use a shared resource: by its label, in mappings, or by way of other shared resources.
//!
//! Who is taken for a user and is none is built anew for nothing; who is a user and is not taken for one goes on with what
//! was replaced. So what cannot be told from the text counts as a use.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::api::Kept;

/// What mappings do with caches; all these functions are called so.
const CACHE_FUNCTIONS: [&str; 4] = ["cache_get", "cache_set", "cache_add", "cache_delete"];

/// Whether a stream uses the shared resource of this label, also by way of others.
pub(super) fn uses(kept: &Kept, config: &Json, field: &str, label: &str) -> bool {
    if owns(config, field, label) {
        return false;
    }
    let resources = kept.resources.lock();
    let shared: Vec<_> = resources
        .iter()
        .filter(|((field, label), _)| !owns(config, field, label))
        .map(|((field, label), resource)| (*field, label.as_str(), &resource.config))
        .collect();
    let mut reached = BTreeSet::from([(field, label)]);
    loop {
        let more: Vec<_> = shared
            .iter()
            .filter(|(field, label, _)| !reached.contains(&(*field, *label)))
            .filter(|(_, _, config)| reached.iter().any(|(field, label)| mentions(config, field, label)))
            .map(|(field, label, _)| (*field, *label))
            .collect();
        if more.is_empty() {
            return reached.iter().any(|(field, label)| mentions(config, field, label));
        }
        reached.extend(more);
    }
}

/// Whether it has a resource of this label itself, which wins over the shared one.
fn owns(config: &Json, field: &str, label: &str) -> bool {
    config[field].as_array().is_some_and(|list| list.iter().any(|own| own["label"] == label))
}

/// Whether a text of the configuration names the resource.
fn mentions(value: &Json, field: &str, label: &str) -> bool {
    match value {
        Json::String(text) => {
            text == label || is_variable(text) || field == "cache_resources" && asks_cache(text, label)
        }
        Json::Array(items) => items.iter().any(|item| mentions(item, field, label)),
        Json::Object(members) => members.values().any(|value| mentions(value, field, label)),
        _ => false,
    }
}

/// Whether it is one variable, which may stand for any label.
fn is_variable(text: &str) -> bool {
    text.starts_with("${") && !text.starts_with("${!") && text.ends_with('}')
}

/// Whether a text that may be a mapping, or hold one, asks a cache that may be this one.
fn asks_cache(text: &str, label: &str) -> bool {
    // Mappings of files are not looked into.
    let elsewhere = |line: &str| line.starts_with("from ") || line.starts_with("import ");
    if text.lines().map(str::trim_start).any(elsewhere) {
        return true;
    }
    CACHE_FUNCTIONS.iter().flat_map(|name| text.match_indices(name)).any(|(at, name)| {
        let Some(arguments) = text[at + name.len()..].trim_start().strip_prefix('(') else { return false };
        match arguments.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"')) {
            // What is escaped may be anything, and what is computed, too.
            Some((named, after)) if !named.is_empty() && !named.contains('\\') => {
                named == label || !after.trim_start().starts_with([',', ')'])
            }
            _ => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::resources::add_resource;
    use super::*;

    #[test]
    fn users_are_found_wherever_they_name_it() {
        let kept = Kept::default();
        for (field, label, config) in [
            ("cache_resources", "low", json!({"label": "low", "memory": {}})),
            ("cache_resources", "other", json!({"label": "other", "memory": {}})),
            ("cache_resources", "levels", json!({"label": "levels", "multilevel": ["low", "other"]})),
            (
                "processor_resources",
                "asks",
                json!({"label": "asks", "mapping": "root = cache_get(\"levels\", \"k\")"}),
            ),
            (
                "input_resources",
                "nested",
                json!({"label": "nested", "generate": {}, "processors": [{"resource": "asks"}]}),
            ),
        ] {
            add_resource(&kept, field, label, config, false);
        }
        let mapping = |text: &str| json!({"pipeline": {"processors": [{"mapping": text}]}});
        for (config, expected) in [
            (json!({"pipeline": {"processors": [{"cache": {"resource": "low"}}]}}), true),
            (json!({"pipeline": {"processors": [{"cache": {"resource": "other"}}]}}), false),
            (json!({"pipeline": {"processors": [{"cache": {"resource": "levels"}}]}}), true),
            (json!({"pipeline": {"processors": [{"resource": "asks"}]}}), true),
            (json!({"input": {"resource": "nested"}}), true),
            (json!({"input": {"resource": "${WHICH}"}}), true),
            (json!({"output": {"cache": {"target": "low", "key": "${! json(\"id\") }"}}}), true),
            (mapping("root = cache_get(\"low\", \"k\")"), true),
            (mapping("root = cache_get( \"other\", \"low\")"), false),
            (mapping("root = cache_set(this.which, \"k\", \"v\")"), true),
            (mapping("root = cache_add(\"l\" + \"ow\", \"k\", \"v\")"), true),
            (mapping("root = cache_delete(key: \"k\", resource: \"low\")"), true),
            (mapping("root = \"low is not named\""), false),
            (mapping("from \"./asks.blobl\""), true),
            (json!({"output": {"reject": "${! cache_get(\"low\", \"k\") }"}}), true),
            // What it has itself is not the shared one, also for others that are shared.
            (
                json!({
                    "cache_resources": [{"label": "low", "noop": {}}],
                    "pipeline": {"processors": [{"cache": {"resource": "low"}}]},
                }),
                false,
            ),
            (
                json!({
                    "cache_resources": [{"label": "levels", "noop": {}}],
                    "pipeline": {"processors": [{"resource": "asks"}]},
                }),
                false,
            ),
        ] {
            assert_eq!(uses(&kept, &config, "cache_resources", "low"), expected, "{config}");
        }
    }
}
