//! The JSON Schema of a stream's configuration, for editors: written from the field tables that lint and build use, so
//! that an editor marks what lint would refuse. What needs more than the shape (mappings, labels, durations) is left to
//! lint.

use document::pointer_join;
use serde_json::{Map, Value as Json, json};

use crate::registry::{Default, Field, Kind, Registry};
use crate::sort::Sort;
use crate::stream_fields::stream_fields;
use crate::templates::Templates;

/// What a variable that is expanded later looks like; it may stand for anything.
const VARIABLE: &str = r"\$\{[A-Za-z0-9_.]+(:|\})";

/// The schema (draft 7) of a stream's configuration made of the components of a registry and of templates.
pub fn schema(registry: &Registry, templates: &Templates) -> Json {
    let mut definitions = Map::new();
    for sort in Sort::ALL {
        let own = registry.names(sort);
        let mut members: Vec<(&str, &str)> =
            own.iter().map(|name| (*name, registry.summary(sort, name).unwrap_or_default())).collect();
        members.extend(templates.list(sort));
        definitions.insert(key(sort).to_owned(), component(sort, &members));
        for template in templates.of(sort) {
            let mut member = template.schema();
            describe(&mut member, template.summary());
            let name = format!("{}_{}", key(sort), template.name());
            definitions.insert(name, Json::Object(member));
        }
        for name in own {
            let config = registry.config(sort, name).unwrap_or(Kind::Any);
            let mut member = kind(config);
            describe(&mut member, registry.summary(sort, name).unwrap_or_default());
            definitions.insert(format!("{}_{name}", key(sort)), nullable(member, may_be_empty(config)));
        }
    }
    let mut whole = object(stream_fields(true));
    describe(
        &mut whole,
        "A stream: where batches of messages come from, what changes them, and where they go.",
    );
    whole.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
    whole.insert("title".to_owned(), json!("Stream configuration"));
    whole.insert("definitions".to_owned(), Json::Object(definitions));
    Json::Object(whole)
}

/// The name of the definition of any component of a sort.
fn key(sort: Sort) -> &'static str {
    match sort {
        Sort::Input => "input",
        Sort::Processor => "processor",
        Sort::Output => "output",
        Sort::Cache => "cache",
        Sort::RateLimit => "rate_limit",
        Sort::Buffer => "buffer",
        Sort::Scanner => "scanner",
        Sort::Metrics => "metrics",
        Sort::Tracer => "tracer",
    }
}

/// Any component of a sort, of these names and summaries.
fn component(sort: Sort, members: &[(&str, &str)]) -> Json {
    let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let mut properties = Map::new();
    properties.insert("label".to_owned(), json!({"type": ["string", "null"], "pattern": "^([a-z0-9][a-z0-9_]*)?$", "description": "A name for metrics and for others to refer to; unique in the configuration."}));
    properties.insert(
        "type".to_owned(),
        json!({"enum": names, "description": "Which component it is; its type key alone says it as well."}),
    );
    if matches!(sort, Sort::Input | Sort::Output) {
        let words = if sort == Sort::Input { "Run on what it reads." } else { "Run before it writes." };
        properties.insert(
            "processors".to_owned(),
            json!({"type": ["array", "null"], "items": reference(Sort::Processor), "description": words}),
        );
    }
    for (name, summary) in members {
        let mut member = Map::new();
        let at = pointer_join("#/definitions", &format!("{}_{name}", key(sort)));
        member.insert("$ref".to_owned(), json!(at));
        // Draft 7 looks at nothing beside a reference; editors show it.
        describe(&mut member, summary);
        properties.insert((*name).to_owned(), Json::Object(member));
    }
    let one: Vec<Json> = names.iter().map(|name| json!({"required": [name]})).collect();
    json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "anyOf": [{"required": ["type"]}, {"oneOf": one}],
    })
}

fn reference(sort: Sort) -> Json {
    json!({ "$ref": format!("#/definitions/{}", key(sort)) })
}

fn describe(schema: &mut Map<String, Json>, text: &str) {
    if !text.is_empty() {
        schema.insert("description".to_owned(), json!(text));
    }
}

/// What editors may show in another way. Validators look at none of it.
fn mark(schema: &mut Map<String, Json>, field: &Field) {
    if field.advanced {
        schema.insert("x-advanced".to_owned(), json!(true));
    }
    if field.deprecated.is_some() {
        schema.insert("deprecated".to_owned(), json!(true));
    }
}

/// Whether nothing at all may stand under a type key.
fn may_be_empty(config: Kind) -> bool {
    match config {
        Kind::Object(fields) => fields.iter().all(|field| field.default != Default::Required),
        _ => false,
    }
}

fn object(fields: &[Field]) -> Map<String, Json> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields {
        let is_required = field.default == Default::Required;
        if is_required {
            required.push(json!(field.name));
        }
        let mut member = kind(field.kind);
        let text = match field.kind {
            Kind::Ignored(why) => format!("{} Has no effect here: {why}.", field.doc),
            Kind::Refused(instead) => format!("{} Not supported: {instead}.", field.doc),
            _ => field.doc.to_owned(),
        };
        if let Some(default) = field.default.as_json() {
            member.insert("default".to_owned(), default);
        }
        let mut member = nullable(member, !is_required);
        if let Some(member) = member.as_object_mut() {
            describe(member, &text);
            mark(member, field);
        }
        properties.insert(field.name.to_owned(), member);
    }
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Json::Object(properties));
    schema.insert("additionalProperties".to_owned(), json!(false));
    if !required.is_empty() {
        schema.insert("required".to_owned(), Json::Array(required));
    }
    schema
}

/// The schema, or null where it may be left empty.
fn nullable(mut schema: Map<String, Json>, nullable: bool) -> Json {
    if !nullable || schema.keys().all(|key| key == "description" || key == "default") {
        return Json::Object(schema);
    }
    if let Some(Json::String(one)) = schema.get("type") {
        let both = json!([one, "null"]);
        schema.insert("type".to_owned(), both);
        return Json::Object(schema);
    }
    match schema.get_mut("type") {
        Some(Json::Array(types)) => types.push(json!("null")),
        _ => match schema.get_mut("anyOf") {
            Some(Json::Array(ways)) => ways.push(json!({"type": "null"})),
            _ => {
                let default = schema.remove("default");
                let mut both = Map::new();
                both.insert("anyOf".to_owned(), json!([schema, {"type": "null"}]));
                both.extend(default.map(|default| ("default".to_owned(), default)));
                schema = both;
            }
        },
    }
    Json::Object(schema)
}

/// The schema of what a field holds.
fn kind(kind: Kind) -> Map<String, Json> {
    let scalar = json!({"type": ["string", "number", "boolean"]});
    let or_variable =
        |name: &str| json!({"anyOf": [{"type": name}, {"type": "string", "pattern": VARIABLE}]});
    let schema = match kind {
        Kind::Bool => or_variable("boolean"),
        Kind::Int => or_variable("integer"),
        Kind::Float => or_variable("number"),
        Kind::Text | Kind::Template | Kind::Bloblang | Kind::Duration | Kind::Size => scalar,
        Kind::Choice(words) => {
            let mut all: Vec<Json> = words.iter().map(|word| json!(word)).collect();
            // A word that looks like a number may be written as one.
            all.extend(words.iter().filter_map(|word| {
                let value: Json = serde_json::from_str(word).ok()?;
                (value.is_number() || value.is_boolean()).then_some(value)
            }));
            json!({"anyOf": [{"enum": all}, {"type": "string", "pattern": VARIABLE}]})
        }
        Kind::List(kind) => json!({"type": "array", "items": self::kind(*kind)}),
        Kind::Map(kind) => json!({"type": "object", "additionalProperties": self::kind(*kind)}),
        Kind::Object(fields) => Json::Object(object(fields)),
        Kind::Input => reference(Sort::Input),
        Kind::Processor => reference(Sort::Processor),
        Kind::Output => reference(Sort::Output),
        Kind::Buffer => reference(Sort::Buffer),
        Kind::Scanner => reference(Sort::Scanner),
        Kind::Metrics => reference(Sort::Metrics),
        Kind::Tracer => reference(Sort::Tracer),
        Kind::Cache | Kind::RateLimit | Kind::Label(_) => json!({"type": "string"}),
        Kind::Resources(sort) => json!({
            "type": "array",
            "items": {"allOf": [reference(sort), {"required": ["label"]}]},
        }),
        Kind::Any | Kind::Ignored(_) => json!({}),
        Kind::Refused(_) => json!({"enum": ["", null, [], {}]}),
    };
    match schema {
        Json::Object(members) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_to_a_definition() {
        let schema = schema(&Registry::standard(), &Templates::default());
        fn walk(schema: &Json, value: &Json) {
            match value {
                Json::Object(members) => {
                    if let Some(Json::String(at)) = members.get("$ref") {
                        assert!(schema.pointer(at.strip_prefix('#').unwrap()).is_some(), "{at}");
                    }
                    members.values().for_each(|member| walk(schema, member));
                }
                Json::Array(items) => items.iter().for_each(|item| walk(schema, item)),
                _ => {}
            }
        }
        walk(&schema, &schema);
        let generate = &schema["definitions"]["input_generate"];
        assert_eq!(generate["required"], json!(["mapping"]), "{generate:#}");
        assert_eq!(generate["properties"]["mapping"]["type"], json!(["string", "number", "boolean"]));
        assert_eq!(schema["properties"]["input"]["anyOf"][0]["$ref"], "#/definitions/input");
    }
}
