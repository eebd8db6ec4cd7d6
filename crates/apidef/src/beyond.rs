//! What one format has and the other has no place for (contract 2.5, 3.2). It stands in our extension, in the words of the
//! format that has it: `extended_paths` in OpenAPI definitions, `openapi` in classic ones.

use crate::at_path::{Methods, Operations, classic_for, entries, precedence};
use crate::auth::{ResourceMetadata, read_classic, read_oas};
use crate::classic::table::EXTENDED;
use crate::fields::{Field, acts, each, in_use, kept, section};
use crate::limits::{COMMON, OWN};
use crate::oas::table::{BEYOND, SCHEMES};
use crate::oas::{EXTENSION, STREAMING, streams};
use crate::paths::{mocks, refusal, validation};
use crate::section::Section;
use crate::tools;
use crate::transforms::CLASSIC_PROCESSORS;
use crate::{Api, AtPath, Auth, Backend, EndpointRate, Mock, Streams, ToolSource, Validation};
use document::{Fault, pointer_join};
use serde_json::{Map, Value, json};
use std::cmp::Ordering;

/// `x-sluicegate` of an OpenAPI definition.
pub(crate) const OAS: &[Field] = &[
    COMMON[0],
    COMMON[1],
    COMMON[2],
    COMMON[3],
    COMMON[4],
    COMMON[5],
    section(LISTS, EXTENDED),
    acts("event_handlers"),
    each("response_processors", CLASSIC_PROCESSORS),
];
/// `x-sluicegate` of a classic definition.
pub(crate) const CLASSIC: &[Field] =
    &[COMMON[0], COMMON[1], COMMON[2], COMMON[3], COMMON[4], COMMON[5], section(DOCUMENT, OPENAPI)];

// Whoever adds a field that both have adds it to both.
const _: () = assert!(COMMON.len() == 6);

/// Lists of a classic version, for what operations have no key for or paths that no operation can stand for.
pub(crate) const LISTS: &str = "extended_paths";
/// An OpenAPI document, for what classic definitions have no list for.
pub(crate) const DOCUMENT: &str = "openapi";
/// Requests that are held to it.
pub(crate) const REQUESTS: &str = "validate_request";

const OPENAPI: &[Field] = &[
    kept("openapi"),
    kept("info"),
    acts("paths"),
    acts("components"),
    acts("security"),
    acts(STREAMING),
    section(tools::EXTENSION, tools::FIELDS),
    section(
        EXTENSION,
        &[
            section("server", &[section("authentication", SCHEMES)]),
            section("middleware", &[each("operations", BEYOND)]),
        ],
    ),
];

/// `validate_request` of a classic version.
pub(crate) const CLASSIC_REQUEST: &[Field] =
    &[acts("path"), acts("method"), acts("disabled"), acts("enabled"), acts("error_response_code")];

/// What is added to a list comes behind those of the same path that name their method, where it names none.
pub(crate) fn add<T>(list: &mut Box<[AtPath<T>]>, more: Box<[AtPath<T>]>) {
    if more.is_empty() {
        return;
    }
    let mut all = std::mem::take(list).into_vec();
    all.extend(more);
    all.sort_by(|a, b| in_order((&a.path, &a.method), (&b.path, &b.method)));
    *list = all.into();
}

/// In which order OpenAPI definitions try paths, each with its method.
pub(crate) fn in_order(a: (&str, &str), b: (&str, &str)) -> Ordering {
    precedence(a.0).cmp(&precedence(b.0)).then_with(|| a.1.is_empty().cmp(&b.1.is_empty()))
}

/// Rates are looked for in the order of the definition.
pub(crate) fn add_rates(list: &mut Box<[EndpointRate]>, more: Vec<EndpointRate>) {
    if !more.is_empty() {
        *list = std::mem::take(list).into_iter().chain(more).collect();
    }
}

/// The document of a classic definition; `None` where there is none.
fn document<'v>(root: &Section<'v>, faults: &mut Vec<Fault>) -> Option<Section<'v>> {
    Some(root.section(OWN, faults).section(DOCUMENT, faults)).filter(Section::exists)
}

fn place() -> String {
    pointer_join(&pointer_join("", OWN), DOCUMENT)
}

/// Lets `read` read the document as if it stood alone; faults get the place that it has.
fn as_root<T>(
    document: &Value,
    faults: &mut Vec<Fault>,
    read: impl FnOnce(&Section<'_>, &mut Vec<Fault>) -> T,
) -> T {
    let mut found = Vec::new();
    let root = Section::root(document, &mut found);
    let read = read(&root, &mut found);
    faults.extend(found.into_iter().map(|mut fault| {
        fault.pointer.insert_str(0, &place());
        fault
    }));
    read
}

/// What a document says of the paths of a classic version: what is answered from it, and what is held to it.
pub(crate) fn of_paths(
    root: &Section<'_>,
    extended: Option<&Section<'_>>,
    ignore_case: bool,
    faults: &mut Vec<Fault>,
) -> (Box<[AtPath<Mock>]>, Option<Box<Validation>>) {
    let found = document(root, faults);
    let requests = extended.map(|extended| requests(extended, ignore_case, faults)).unwrap_or_default();
    let Some(found) = found else {
        if let Some(first) = requests.first() {
            let text = "requests are held to an OpenAPI document, which is not here; the API is refused so that it is not left open";
            let hint =
                "add the document as `x-sluicegate.openapi`, or use `validate_json` with a schema of its own";
            faults.push(Fault::error(&*first.at.0, text).hint(hint));
        }
        return (Box::default(), None);
    };
    let mut value = Value::Object(found.object.cloned().unwrap_or_default());
    let operations = Operations::of(&found);
    for request in &requests {
        let Some(id) = operations.id_of(&request.method, &request.path) else {
            let text = format!(
                "`{}` of the document in `x-sluicegate.openapi` has no operation for `{}`",
                request.path, request.method
            );
            faults.push(Fault::error(&*request.at.0, text));
            continue;
        };
        let middleware = &mut value[EXTENSION]["middleware"];
        middleware["operations"][id]["validateRequest"] =
            json!({"enabled": true, "errorResponseCode": request.value});
    }
    if ignore_case {
        value[EXTENSION]["middleware"]["global"] = json!({"ignoreCase": {"enabled": true}});
    }
    as_root(&value, faults, |root, faults| {
        let middleware = root.section(EXTENSION, faults).section("middleware", faults);
        (mocks(root, &middleware, faults), validation(root, &middleware, faults))
    })
}

/// The requests of a classic version that are held to the document, with the status of the refusal.
fn requests(extended: &Section<'_>, ignore_case: bool, faults: &mut Vec<Fault>) -> Box<[AtPath<u16>]> {
    // An entry that is neither on nor off is on.
    let off = |entry: &Section<'_>| entry.get("enabled").is_some_and(|on| !in_use(on));
    if !entries(extended, REQUESTS).any(|entry| !off(&entry)) {
        return Box::default();
    }
    classic_for(extended, REQUESTS, Methods::Guarded, ignore_case, faults, |entry, faults| {
        if off(entry) { None } else { refusal(entry, "error_response_code", faults) }
    })
}

/// What switches ways to authenticate on in classic definitions.
pub(crate) const SWITCHES: [&str; 10] = [
    "use_keyless",
    "use_standard_auth",
    "use_basic_auth",
    "enable_signature_checking",
    "enable_jwt",
    "use_oauth2",
    "use_openid",
    "custom_plugin_auth_enabled",
    "use_go_plugin_auth",
    "enable_coprocess_auth",
];

/// Who may call, where the document says it.
pub(crate) fn auth(
    root: &Section<'_>,
    faults: &mut Vec<Fault>,
) -> Option<(Auth, Option<Box<ResourceMetadata>>)> {
    let found = document(root, faults)?;
    let value = Value::Object(found.object.cloned().unwrap_or_default());
    value.get(EXTENSION)?.get("server")?.get("authentication").filter(|said| in_use(said))?;
    for switch in SWITCHES {
        if root.flag(switch, faults) {
            let text =
                format!("who may call is said in `x-sluicegate.openapi`, so `{switch}` cannot be on as well");
            faults.push(Fault::error(root.at(switch), text).on_key());
        }
    }
    Some(as_root(&value, faults, |root, faults| {
        let server = root.section(EXTENSION, faults).section("server", faults);
        let authentication = server.section("authentication", faults);
        (read_oas(root, &authentication, faults), ResourceMetadata::oas(root, &authentication, faults))
    }))
}

/// What the document has as streams.
pub(crate) fn streamed(root: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Streams> {
    let found = document(root, faults)?;
    let value = Value::Object(found.object.cloned().unwrap_or_default());
    let mut streams = as_root(&value, faults, streams)?;
    streams.pointer = format!("{}{}", place(), streams.pointer).into();
    Some(streams)
}

/// What the document says of tools that the API makes of another one. `url`: where the address of that stands.
pub(crate) fn tools(
    root: &Section<'_>,
    mcp: bool,
    backend: &Backend,
    url: String,
    faults: &mut Vec<Fault>,
) -> Option<Box<ToolSource>> {
    let found = document(root, faults);
    let value = Value::Object(found.and_then(|found| found.object.cloned()).unwrap_or_default());
    let mut made = Vec::new();
    let tools = as_root(&value, &mut made, |root, faults| {
        ToolSource::read(root, mcp, Some(backend), url.clone(), faults)
    });
    // The address stands outside of the document.
    let moved = format!("{}{url}", place());
    faults.extend(made.into_iter().map(|fault| match fault.pointer == moved {
        true => Fault { pointer: url.clone(), ..fault },
        false => fault,
    }));
    let mut tools = tools?;
    for entry in &mut tools.entries {
        entry.moved(&place());
    }
    Some(tools)
}

/// What operations say that classic versions have no list for.
pub(crate) const KEYS: [&str; 5] =
    ["mockResponse", "validateRequest", "validateResponse", "scopeCheck", "exchange"];

/// The part of an OpenAPI definition that a classic one has for what it has no words for: the document, and of the gateway's
/// part who may call, if that is `with_auth`, and what is said of operations.
pub(crate) fn part(given: &Value, with_auth: bool) -> Value {
    let mut part = json!({});
    for key in ["openapi", "info", "paths", "components", "security", STREAMING, tools::EXTENSION] {
        if let Some(said) = given.get(key) {
            part[key] = said.clone();
        }
    }
    let extension = &given[EXTENSION];
    if let Some(Value::Object(said)) = extension.pointer("/server/authentication").filter(|_| with_auth) {
        // What the classic definition says itself.
        let itself = ["stripAuthorizationData", "customKeyLifetime"];
        let said: Map<String, Value> = said
            .iter()
            .filter(|(key, _)| !itself.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        part[EXTENSION]["server"]["authentication"] = said.into();
    }
    for (id, said) in
        extension.pointer("/middleware/operations").and_then(Value::as_object).into_iter().flatten()
    {
        for key in KEYS.into_iter().filter(|key| *key != "validateRequest") {
            if let Some(value) = said.get(key) {
                part[EXTENSION]["middleware"]["operations"][id][key] = value.clone();
            }
        }
    }
    part
}

/// What the classic projection of an OpenAPI definition needs beside lists, so that it is the same API.
pub(crate) fn project(api: &Api, given: &Value, definition: &mut Value) {
    if let Some(asked) = requirements(given) {
        definition["security_requirements"] = asked;
    }
    let with_auth = document_says(api, definition);
    let streams = matches!(api.backend, Backend::Streams(_)) || given.get(tools::EXTENSION).is_some();
    let held = api.paths.validation.as_ref();
    if !with_auth && !streams && held.is_none() && api.paths.mocks.is_empty() {
        return;
    }
    definition[OWN][DOCUMENT] = part(given, with_auth);
    if with_auth && let Some(members) = definition.as_object_mut() {
        members.retain(|key, _| !SWITCHES.contains(&key.as_str()) && key != "auth_configs");
    }
    let requests = held.map(|held| &*held.guarded).unwrap_or_default();
    let version = &mut definition["version_data"]["versions"][""];
    crate::at_path::write_classic(requests, REQUESTS, version, |status, entry| {
        (entry["enabled"], entry["error_response_code"]) = (true.into(), (*status).into());
    });
}

/// The schemes of each requirement of a document, by name; `None` where it asks for none (contract 2.1).
fn requirements(given: &Value) -> Option<Value> {
    let asked = given.get("security")?.as_array().filter(|asked| !asked.is_empty())?;
    let names = |one: &Value| one.as_object().map(|one| one.keys().cloned().collect::<Value>());
    Some(asked.iter().filter_map(names).collect())
}

/// Whether who may call is said in ways that a classic definition, as it is written, has no words for.
pub(crate) fn document_says(api: &Api, definition: &Value) -> bool {
    let mut ignored = Vec::new();
    let written = Section::root(definition, &mut ignored);
    api.resource_metadata.is_some() || read_classic(&written, &mut ignored) != api.auth
}
