//! The arguments of a tool: the parameters of its operation and the members of its body, side by side.

use super::shown::Shown;
use super::{Argument, Place, Style, ToolArgument, ToolBody};
use crate::oas::resolve;
use crate::section::{Section, is_token};
use document::Fault;
use serde_json::{Map, Value, json};

/// How deep the schemas may be nested that a body is put together of.
const DEEPEST: usize = 16;
/// How many schemas, and members in them, these may be.
const MOST: usize = 10_000;
/// Fields of heads that are no parameters (OpenAPI 3.0, "Parameter Object"), or not those of a caller.
const NO_PARAMETERS: [&str; 5] = ["accept", "content-type", "authorization", "host", "cookie"];

/// What a tool asks of its caller.
pub(super) struct Asked {
    pub(super) arguments: Vec<Argument>,
    pub(super) body: Option<ToolBody>,
    pub(super) schema: Value,
}

/// One argument on its way.
struct Made {
    argument: Argument,
    schema: Value,
    /// It has its name by an entry of the definition.
    named: bool,
}

/// What is asked for an operation. `named`: what the definition says of its arguments; `at`: where faults are that have no
/// place there.
///
/// # Errors
/// Two arguments have one name, or an entry is about none.
pub(super) fn asked(
    root: &Section<'_>,
    item: Option<&Map<String, Value>>,
    operation: &Map<String, Value>,
    named: &[ToolArgument],
    at: &str,
    told_as: &str,
) -> Result<Asked, Vec<Fault>> {
    let mut shown = Shown::new(root, "readOnly");
    let mut all: Vec<Made> = Vec::new();
    for parameter in parameters(root, item, operation) {
        all.extend(of_parameter(parameter, &mut shown));
    }
    // In the order in which they are told, whatever the order of the document.
    all.sort_by_key(|made| made.argument.place as u8);
    let body = operation.get("requestBody").and_then(|body| resolve(root, body));
    let body = body.and_then(Value::as_object).and_then(|body| of_body(root, body, &mut shown, &mut all));
    let mut faults = Vec::new();
    for entry in named {
        // Two may have one name, which an entry is there to tell apart: it is about the first of them.
        let found = all.iter_mut().find(|made| !made.named && *made.argument.source == *entry.of);
        let found = match found {
            Some(found) => found,
            None => {
                let text = format!("{told_as} has no parameter `{}`", entry.of);
                let known: Vec<&str> = all.iter().map(|made| &*made.argument.source).collect();
                let fault = Fault::error(format!("{}/param", entry.at.0), text);
                faults.push(match document::nearest(&entry.of, known.iter().copied()) {
                    Some(near) => fault.hint(format!("did you mean `{near}`?")),
                    None => fault,
                });
                continue;
            }
        };
        if let Some(name) = &entry.name {
            (found.argument.name, found.named) = (name.clone(), true);
        }
        if let Some(description) = &entry.description {
            describe(&mut found.schema, description);
        }
    }
    prefix(&mut all);
    for (index, made) in all.iter().enumerate() {
        let name = &made.argument.name;
        if all[..index].iter().any(|other| other.argument.name == *name) {
            let text = format!("duplicate exposed parameter name \"{name}\" of {told_as}");
            faults.push(Fault::error(at, text).hint(
                "give one of them another name: in `parameters` of an entry for this operation, `{\"param\": …, \"name\": …}`",
            ));
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let schema = schema_of(&all, body.as_ref(), shown.finish());
    let (body, arguments) = (body.map(|(body, _)| body), all.into_iter().map(|made| made.argument).collect());
    Ok(Asked { arguments, body, schema })
}

/// Where two parameters have one name, each is called by its place as well; members of bodies are not.
fn prefix(all: &mut [Made]) {
    let clashes: Vec<usize> = (0..all.len())
        .filter(|at| {
            let one = &all[*at];
            let others = all.iter().enumerate().filter(|(other, _)| other != at);
            let mut same = others.filter(|(_, other)| other.argument.name == one.argument.name).peekable();
            !one.named
                && same.peek().is_some()
                && same.all(|(_, other)| !other.argument.place.is_body())
                && !one.argument.place.is_body()
        })
        .collect();
    for at in clashes {
        let argument = &mut all[at].argument;
        argument.name = format!("{}_{}", argument.place.word(), argument.name).into();
    }
}

impl Place {
    /// What documents call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Member | Self::Body => "body",
        }
    }

    fn is_body(self) -> bool {
        matches!(self, Self::Member | Self::Body)
    }
}

/// The JSON schema of all arguments.
fn schema_of(all: &[Made], body: Option<&(ToolBody, Value)>, kept: Option<Value>) -> Value {
    let properties: Map<String, Value> =
        all.iter().map(|made| (made.argument.name.to_string(), made.schema.clone())).collect();
    let required: Vec<&str> =
        all.iter().filter(|made| made.argument.required).map(|made| &*made.argument.name).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema["additionalProperties"] = match body {
        Some((ToolBody { free: true, .. }, others)) => others.clone(),
        _ => false.into(),
    };
    if let Some(kept) = kept {
        schema["$defs"] = kept;
    }
    schema
}

fn describe(schema: &mut Value, description: &str) {
    if let Value::Object(members) = schema {
        members.insert("description".to_owned(), description.into());
    }
}

/// The parameters of an operation: those of its path, unless it has its own, and its own.
fn parameters<'v>(
    root: &Section<'v>,
    item: Option<&'v Map<String, Value>>,
    operation: &'v Map<String, Value>,
) -> Vec<&'v Map<String, Value>> {
    let mut all: Vec<&Map<String, Value>> = Vec::new();
    for holder in item.into_iter().chain([operation]) {
        let list = holder.get("parameters").and_then(Value::as_array);
        for parameter in list.into_iter().flatten() {
            let Some(parameter) = resolve(root, parameter).and_then(Value::as_object) else { continue };
            let same = |other: &&Map<String, Value>| {
                ["in", "name"].iter().all(|key| other.get(*key) == parameter.get(*key))
            };
            match all.iter().position(same) {
                Some(at) => all[at] = parameter,
                None => all.push(parameter),
            }
        }
    }
    all
}

fn of_parameter<'v>(parameter: &'v Map<String, Value>, shown: &mut Shown<'_, 'v>) -> Option<Made> {
    let text = |key: &str| parameter.get(key).and_then(Value::as_str);
    let flag = |key: &str| parameter.get(key).and_then(Value::as_bool);
    let name = text("name").filter(|name| !name.is_empty())?;
    let place = match text("in")? {
        "path" => Place::Path,
        "query" => Place::Query,
        "header" => Place::Header,
        "cookie" => Place::Cookie,
        _ => return None,
    };
    let unfit = match place {
        Place::Header => {
            !is_token(name)
                || crate::is_framing(name)
                || NO_PARAMETERS.iter().any(|other| other.eq_ignore_ascii_case(name))
        }
        Place::Cookie => !is_token(name),
        _ => false,
    };
    if unfit {
        return None;
    }
    let style = match (text("style"), place) {
        (Some("matrix"), Place::Path) => Style::Matrix,
        (Some("label"), Place::Path) => Style::Label,
        (Some("spaceDelimited"), Place::Query) => Style::Spaces,
        (Some("pipeDelimited"), Place::Query) => Style::Pipes,
        (Some("deepObject"), Place::Query) => Style::Deep,
        _ => Style::Plain,
    };
    let content = parameter.get("content").and_then(Value::as_object).and_then(|all| all.values().next());
    let (schema, style) = match content {
        Some(media) => (media.get("schema"), Style::Json),
        None => (parameter.get("schema"), style),
    };
    let explode = flag("explode")
        .unwrap_or(matches!((style, place), (Style::Plain, Place::Query | Place::Cookie) | (Style::Deep, _)));
    let mut made = schema.map_or_else(|| json!({}), |schema| shown.schema(schema));
    if let Some(description) = text("description").filter(|text| !text.is_empty()) {
        describe(&mut made, description);
    }
    let required = place == Place::Path || flag("required").unwrap_or_default();
    // Said of paths it is nothing of OpenAPI 3.0: that ids may hold slashes has to be said somehow.
    let reserved = place == Place::Path && flag("allowReserved").unwrap_or_default();
    let argument =
        Argument { name: name.into(), source: name.into(), place, required, style, explode, reserved };
    Some(Made { argument, schema: made, named: false })
}

/// What is sent as a body, and what is said of the members that nothing is said of. `None` where tools cannot have it.
fn of_body<'v>(
    root: &Section<'v>,
    body: &'v Map<String, Value>,
    shown: &mut Shown<'_, 'v>,
    all: &mut Vec<Made>,
) -> Option<(ToolBody, Value)> {
    let content = body.get("content").and_then(Value::as_object)?;
    let of = |wanted: fn(&str) -> bool| content.iter().find(|(kind, _)| wanted(&essence(kind)));
    let (kind, media, form) = match of(is_json) {
        Some((kind, media)) => (kind, media, false),
        None => {
            let (kind, media) = of(|kind| kind == FORM)?;
            (kind, media, true)
        }
    };
    let required = body.get("required") == Some(&Value::Bool(true));
    let kind: Box<str> = if kind.contains('*') { "application/json".into() } else { kind.as_str().into() };
    let anything = Value::Bool(true);
    let schema = media.get("schema");
    let members = schema.and_then(|schema| members(root, schema));
    let Some(members) = members else {
        if form {
            return None;
        }
        let mut made = schema.map_or_else(|| json!({}), |schema| shown.schema(schema));
        let description = body.get("description").and_then(Value::as_str).filter(|text| !text.is_empty());
        if let (Some(description), None) = (description, made.get("description")) {
            describe(&mut made, description);
        }
        let argument = Argument {
            name: "body".into(),
            source: "body".into(),
            place: Place::Body,
            required,
            style: Style::Json,
            explode: false,
            reserved: false,
        };
        all.push(Made { argument, schema: made, named: false });
        return Some((ToolBody { kind, form, required, free: false, left_out: Box::default() }, anything));
    };
    let mut left_out: Vec<Box<str>> = Vec::new();
    for (name, property) in &members.properties {
        if shown.goes_other_way(property) {
            left_out.push((*name).into());
            continue;
        }
        let argument = Argument {
            name: (*name).into(),
            source: (*name).into(),
            place: Place::Member,
            // Without a body there is nothing to ask for.
            required: required && members.required.contains(name),
            style: Style::Json,
            explode: true,
            reserved: false,
        };
        all.push(Made { argument, schema: shown.schema(property), named: false });
    }
    let others = members.others.map(|others| shown.schema(others));
    let free = others.is_some();
    Some((ToolBody { kind, form, required, free, left_out: left_out.into() }, others.unwrap_or(anything)))
}

const FORM: &str = "application/x-www-form-urlencoded";

/// A media type without its parameters, in lower case.
pub(super) fn essence(kind: &str) -> String {
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a media type is JSON, or anything.
pub(super) fn is_json(kind: &str) -> bool {
    matches!(kind, "application/json" | "application/*" | "*/*" | "text/json") || kind.ends_with("+json")
}

/// The members of an object, as a schema tells them.
pub(super) struct Members<'v> {
    pub(super) properties: Vec<(&'v str, &'v Value)>,
    pub(super) required: Vec<&'v str>,
    /// What others may be, where that is said.
    pub(super) others: Option<&'v Value>,
}

/// `None` where it is none, or not this alone.
pub(super) fn members<'v>(root: &Section<'v>, schema: &'v Value) -> Option<Members<'v>> {
    let mut found = Members { properties: Vec::new(), required: Vec::new(), others: None };
    let mut left = MOST;
    gather(root, schema, 0, &mut left, &mut found)?;
    (!found.properties.is_empty()).then_some(found)
}

/// `left`: what may still be looked at. One schema may be a part of many, each time with all that it is put together of.
fn gather<'v>(
    root: &Section<'v>,
    schema: &'v Value,
    depth: usize,
    left: &mut usize,
    found: &mut Members<'v>,
) -> Option<()> {
    if depth > DEEPEST {
        return None;
    }
    let schema = resolve(root, schema)?.as_object()?;
    let properties = schema.get("properties").and_then(Value::as_object);
    let required = schema.get("required").and_then(Value::as_array);
    let cost = 1 + properties.map_or(0, Map::len) + required.map_or(0, Vec::len);
    *left = left.checked_sub(cost)?;
    const OTHERS: [&str; 8] = [
        "oneOf",
        "anyOf",
        "not",
        "if",
        "patternProperties",
        "dependentRequired",
        "dependentSchemas",
        "unevaluatedProperties",
    ];
    if OTHERS.iter().any(|key| schema.contains_key(*key)) {
        return None;
    }
    match schema.get("type") {
        None => {}
        Some(Value::String(kind)) if kind == "object" => {}
        Some(Value::Array(kinds)) if kinds.iter().any(|kind| kind == "object") => {}
        Some(_) => return None,
    }
    for (name, property) in properties.into_iter().flatten() {
        match found.properties.iter().position(|(known, _)| known == name) {
            Some(at) => found.properties[at].1 = property,
            None => found.properties.push((name, property)),
        }
    }
    found.required.extend(required.into_iter().flatten().filter_map(Value::as_str));
    match schema.get("additionalProperties") {
        None | Some(Value::Bool(false)) => {}
        Some(others) => found.others = Some(others),
    }
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        gather(root, part, depth + 1, left, found)?;
    }
    Some(())
}
