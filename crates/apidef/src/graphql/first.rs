//! Sources as version 1 of graphs has them (contract 2.7, 10): one for each field, with where in its answer the value is. They
//! become sources of version 2, and are run and written as such.

use super::engine::{GraphEngine, GraphField, GraphSource, GraphSourceKind, TypeNames};
use crate::Fields;
use crate::at_path::entries;
use crate::fields::{Field, acts, each, section};
use crate::section::Section;
use document::Fault;

/// Where they are.
pub(super) const KEY: &str = "type_field_configurations";

/// `type_field_configurations`.
pub(super) const FIELDS: &[Field] = &[
    acts("type_name"),
    acts("field_name"),
    section("mapping", &[acts("disabled"), acts("path")]),
    section(
        "data_source",
        &[
            acts("kind"),
            section(
                "data_source_config",
                &[
                    acts("url"),
                    acts("method"),
                    acts("body"),
                    each("headers", &[acts("key"), acts("value")]),
                    acts("default_type_name"),
                    each("status_code_type_name_mappings", &[acts("status_code"), acts("type_name")]),
                ],
            ),
        ],
    ),
];

/// Whether sources are meant as the first version has them.
pub(super) fn is_meant(at: &Section<'_>, faults: &mut Vec<Fault>) -> bool {
    matches!(at.text("version", faults), "" | "1") && entries(at, KEY).next().is_some()
}

/// Of a later version nothing reads them: without others, every field would be null.
pub(super) fn refuse(at: &Section<'_>, engine: &Section<'_>, faults: &mut Vec<Fault>) {
    if entries(at, KEY).next().is_some() && entries(engine, "data_sources").next().is_none() {
        let text =
            "these are sources of version 1, and the graph is of a later one: all its fields would be null";
        let hint = "write `\"version\": \"1\"` in `graphql` of a classic definition, or the sources as \
            `engine.data_sources` and `engine.field_configs`";
        faults.push(Fault::error(at.at(KEY), text).hint(hint));
    }
}

/// The sources.
pub(super) fn read(at: &Section<'_>, faults: &mut Vec<Fault>) -> GraphEngine {
    let (mut sources, mut fields) = (Vec::new(), Vec::new());
    for entry in entries(at, KEY) {
        let (kind, field) = (entry.text("type_name", faults), entry.text("field_name", faults));
        let mapping = entry.section("mapping", faults);
        if mapping.exists() {
            let whole = mapping.flag("disabled", faults);
            let path = if whole { Box::default() } else { path(&mapping, faults) };
            fields.push(GraphField { kind: kind.into(), field: field.into(), whole, path });
        }
        let source = entry.section("data_source", faults);
        // A field without a source only says where in the answer around it its value is.
        if !source.text("kind", faults).is_empty() {
            sources.extend(of_field(&source, kind, field, faults));
        }
    }
    GraphEngine { sources: sources.into(), fields: fields.into(), headers: Box::default() }
}

fn of_field(at: &Section<'_>, kind: &str, field: &str, faults: &mut Vec<Fault>) -> Option<GraphSource> {
    let config = at.section("data_source_config", faults);
    let (asked, usual) = match at.text("kind", faults) {
        "HTTPJSONDataSource" | "TykRESTDataSource" => {
            let body = config.text("body", faults).into();
            (GraphSourceKind::Rest { query: Box::default(), body }, "GET")
        }
        "GraphQLDataSource" | "TykGraphQLDataSource" => (GraphSourceKind::Graph, "POST"),
        other => {
            let text = format!("there is no source of the kind `{other}` in version 1");
            faults.push(
                Fault::error(at.at("kind"), text).hint("use `HTTPJSONDataSource` or `GraphQLDataSource`"),
            );
            return None;
        }
    };
    let mut headers: Vec<(Box<str>, Box<str>)> = Vec::new();
    for entry in entries(&config, "headers") {
        let (name, value) = (entry.text("key", faults), entry.text("value", faults));
        super::check_name(name, &entry, faults);
        headers.push((name.into(), value.into()));
    }
    let headers: Fields = headers.into();
    let url = config.text("url", faults);
    if url.is_empty() {
        faults.push(Fault::error(config.at("url"), "`url` is missing: where is the source?"));
        return None;
    }
    let method = match config.text("method", faults) {
        "" => usual.to_owned(),
        method => method.to_uppercase(),
    };
    Some(GraphSource {
        at: at.pointer.as_str().into(),
        name: format!("{kind}.{field}").into(),
        roots: Box::new([(kind.into(), Box::new([field.into()]))]),
        url: url.into(),
        method: method.into(),
        headers,
        types: TypeNames::read(&config, faults),
        kind: asked,
        subscriptions: None,
    })
}

/// Names with dots between them, which a name has with a `\` before it. The language of paths can do more, which nothing here
/// could.
fn path(mapping: &Section<'_>, faults: &mut Vec<Fault>) -> Box<[Box<str>]> {
    let text = mapping.text("path", faults);
    if let Some(sign) = text.chars().find(|sign| "*?#|@!{}[]()\"".contains(*sign)) {
        let fault = Fault::error(mapping.at("path"), format!("a path cannot have `{sign}` in it"));
        faults.push(fault.hint("write names and numbers of items with dots between them: `data.items.0`"));
        return Box::default();
    }
    let (mut parts, mut part, mut escaped) = (Vec::new(), String::new(), false);
    for sign in text.chars() {
        match sign {
            _ if escaped => {
                part.push(sign);
                escaped = false;
            }
            '\\' => escaped = true,
            '.' => parts.push(std::mem::take(&mut part)),
            sign => part.push(sign),
        }
    }
    parts.push(part);
    parts.into_iter().filter(|part| !part.is_empty()).map(String::into_boxed_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(value: &Value) -> (GraphEngine, Vec<String>) {
        let mut faults = Vec::new();
        let root = Section::root(value, &mut faults);
        let read = read(&root, &mut faults);
        (read, faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn c2_7_row_2_sources_of_version_1_become_those_of_version_2() {
        let value = json!({"type_field_configurations": [
            {"type_name": "Query", "field_name": "pet", "mapping": {"disabled": true, "path": "ignored.then"},
                "data_source": {"kind": "HTTPJSONDataSource", "data_source_config": {
                    "url": "http://a/{{.arguments.id}}", "method": "put", "body": "{}",
                    "headers": [{"key": "X-A", "value": "{{.request.headers.X}}"}], "default_type_name": "Pet",
                    "status_code_type_name_mappings": [{"status_code": 404, "type_name": "Gone"}]}}},
            {"type_name": "Query", "field_name": "lands", "mapping": {"disabled": false, "path": "countries"},
                "data_source": {"kind": "GraphQLDataSource", "data_source_config": {"url": "http://g/"}}},
            {"type_name": "Pet", "field_name": "name", "mapping": {"disabled": false, "path": "a\\.b.0"}, "data_source": null},
        ]});
        let (first, faults) = of(&value);
        assert!(faults.is_empty(), "{faults:?}");
        // The same, in the words of version 2.
        let second = json!({
            "field_configs": [
                {"type_name": "Query", "field_name": "pet", "disable_default_mapping": true},
                {"type_name": "Query", "field_name": "lands", "path": ["countries"]},
                {"type_name": "Pet", "field_name": "name", "path": ["a.b", "0"]},
            ],
            "data_sources": [
                {"kind": "REST", "name": "Query.pet", "root_fields": [{"type": "Query", "fields": ["pet"]}], "config": {
                    "url": "http://a/{{.arguments.id}}", "method": "PUT", "body": "{}",
                    "headers": {"X-A": "{{.request.headers.X}}"}, "default_type_name": "Pet",
                    "status_code_type_name_mappings": [{"status_code": 404, "type_name": "Gone"}]}},
                {"kind": "GraphQL", "name": "Query.lands", "root_fields": [{"type": "Query", "fields": ["lands"]}],
                    "config": {"url": "http://g/"}},
            ],
        });
        let mut faults = Vec::new();
        let at = Section::root(&second, &mut faults);
        let mut second = GraphEngine::read(&at, &mut faults);
        for (index, source) in second.sources.iter_mut().enumerate() {
            source.at = format!("/type_field_configurations/{index}/data_source").into();
        }
        assert_eq!(first, second);
        // And so it is written.
        let written = first.write();
        let mut again = GraphEngine::read(&Section::root(&written, &mut faults), &mut faults);
        for (source, old) in again.sources.iter_mut().zip(&first.sources) {
            source.at = old.at.clone();
        }
        assert_eq!(again, first);
        assert!(faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn c2_7_what_version_1_cannot_mean_is_refused_at_its_place() {
        let with = |mapping: Value, source: Value| json!({"type_field_configurations": [{"type_name": "Query", "field_name": "a", "mapping": mapping, "data_source": source}]});
        let at = |rest: &str| format!("/type_field_configurations/0/{rest}");
        for (value, place) in [
            (with(json!({"path": "a.#.b"}), json!(null)), at("mapping/path")),
            (with(json!(null), json!({"kind": "Pigeon"})), at("data_source/kind")),
            (
                with(json!(null), json!({"kind": "HTTPJSONDataSource"})),
                at("data_source/data_source_config/url"),
            ),
        ] {
            assert_eq!(of(&value).1, [place], "{value}");
        }
    }
}
