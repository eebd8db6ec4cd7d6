//! Classic definitions into OpenAPI definitions and back. What is written is read again, and only given out where it is
//! the same API in the one model of both.

mod auth;
mod behind;
mod beyond;
mod calls;
mod endpoints;
mod errors;
mod events;
mod flows;
mod hooks;
mod lists;
mod older;
#[cfg(test)]
mod pairs_tests;
mod rewrites;
mod schemas;
mod schemes;
mod settled;
mod sources;
mod table;
mod told;
mod value;
mod versions;

use crate::beyond::document_says;
use crate::oas::EXTENSION;
use crate::{Api, Definition, Source};
use document::{Document, Fault, Format, pointer_join};
use serde_json::{Value, json};
use settled::{Settled, settled};
use table::{PAIRS, VERSION};
use value::{is_blank, left, move_pairs, take};

/// The pointer of the gateway's part of an OpenAPI document.
const EXTENSION_AT: &str = "/x-tyk-api-gateway";

/// What a definition becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// OpenAPI with `x-tyk-api-gateway`.
    Oas,
    /// Tyk classic.
    Classic,
}

/// A definition in its other format.
#[derive(Debug)]
pub struct Converted {
    /// What it is now.
    pub to: To,
    /// Itself.
    pub definition: Value,
    /// Its versions by their names, where a classic definition serves them itself: each is a definition of its own.
    pub versions: Vec<(String, Value)>,
    /// What was left behind since the other format has no place for it, by its place in the text that was given.
    pub warnings: Vec<Fault>,
}

/// Converts a definition into a format, or else into that which it does not have.
///
/// # Errors
/// What is wrong with it, or what it would lose that counts.
pub fn convert(text: &str, to: Option<To>) -> Result<Converted, Vec<Fault>> {
    let definition = Definition::parse(text)?;
    let document = Document::parse(text, Format::Json).map_err(|fault| vec![fault])?;
    let to = to.unwrap_or(match definition.source {
        Source::Classic => To::Oas,
        Source::Oas => To::Classic,
    });
    let is_there = matches!((definition.source, to), (Source::Classic, To::Classic) | (Source::Oas, To::Oas));
    if is_there {
        let definition = document.value().clone();
        return Ok(Converted { to, definition, versions: Vec::new(), warnings: Vec::new() });
    }
    let (definition, versions, mut told) = match to {
        To::Oas if versions::serves_its_own(&definition.api) => several(&definition.api, document.value()),
        _ => {
            let (written, told) = one(document.value(), to);
            (written, Vec::new(), told)
        }
    };
    document.locate(&mut told);
    if told.iter().any(Fault::is_error) {
        return Err(told);
    }
    Ok(Converted { to, definition, versions, warnings: told })
}

/// A definition in the other format, and what is to be told of it. It holds where there is no error.
fn one(given: &Value, to: To) -> (Value, Vec<Fault>) {
    let (written, expected, mut told) = match to {
        To::Oas => {
            let mut given = given.clone();
            crate::classic::thin(&mut given);
            to_oas(&given)
        }
        To::Classic => {
            let shorter = to_classic(given, false);
            let read = Definition::parse(&given.to_string());
            match read {
                Ok(read) if document_says(&read.api, &shorter.0) => to_classic(given, true),
                _ => shorter,
            }
        }
    };
    let differing = match (Definition::parse(&written.to_string()), Definition::parse(&expected.to_string()))
    {
        (Ok(written), Ok(expected)) => {
            let [written, expected] = [written, expected].map(|one| settled(one.api));
            differences(&written, &expected)
        }
        (Err(faults), _) | (_, Err(faults)) => faults
            .iter()
            .filter(|fault| fault.is_error())
            .map(|fault| format!("at `{}`: {}", fault.pointer, fault.message))
            .collect(),
    };
    if !differing.is_empty() {
        let message = format!("this would be another API in the other format ({})", differing.join(", "));
        let hint = "see the warnings for what has no counterpart; take that out, or write it by hand";
        told.push(Fault::error("", message).hint(hint));
    }
    (written, told)
}

/// The base, its versions by their names, and what is to be told.
fn several(api: &Api, given: &Value) -> (Value, Vec<(String, Value)>, Vec<Fault>) {
    let all = match versions::split(given) {
        Ok(all) => all,
        Err(fault) => return (Value::Null, Vec::new(), vec![fault]),
    };
    let mut told = versions::told(given, &all);
    if !versions::is_same(api, &all) {
        let message = "its versions would be other APIs if each were one of its own";
        told.push(Fault::error(pointer_join("", "version_data"), message));
    }
    let mut written = Vec::new();
    for split in all {
        let (definition, faults) = one(&split.definition, To::Oas);
        let own = pointer_join("/version_data/versions", &split.version);
        for mut fault in faults {
            fault.pointer = fault.pointer.replacen(versions::ONLY, &own, 1);
            // What all of them have is told once.
            if !told.iter().any(|known| known.pointer == fault.pointer && known.message == fault.message) {
                told.push(fault);
            }
        }
        written.push((split.version, definition));
    }
    let base = if written.is_empty() { Value::Null } else { written.remove(0).1 };
    (base, written, told)
}

fn to_oas(given: &Value) -> (Value, Value, Vec<Fault>) {
    let (mut rest, mut told) = (given.clone(), Vec::new());
    let version = version_of(given);
    let text = |key: &str| given.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let title = text("name").or(text("api_id")).unwrap_or("API");
    let mut out = json!({
        "openapi": "3.0.3",
        "info": {"title": title, "version": "1.0.0"},
        "paths": {},
        EXTENSION: {"info": {}, "upstream": {"url": ""}, "server": {}},
    });
    older::classic(&mut rest, &version);
    let with_auth = beyond::begin(&mut rest, &mut out);
    let enabled = out.pointer("/x-tyk-api-gateway/server/authentication/enabled").cloned();
    if with_auth {
        // Nothing else guards than what the document says.
        take(&mut rest, "/use_standard_auth");
    }
    errors::convert(To::Oas, &mut rest, &mut out);
    events::to_oas(&mut rest, &mut out);
    move_pairs(
        PAIRS,
        To::Oas,
        (&mut rest, &|pointer| pointer.replacen(VERSION, &version, 1)),
        (&mut out, &|pointer| format!("/{EXTENSION}{pointer}")),
    );
    behind::to_oas(&mut rest, &mut out);
    if with_auth {
        out[EXTENSION]["server"]["authentication"]["enabled"] = enabled.unwrap_or(Value::Bool(false));
    } else {
        auth::to_oas(&mut rest, &mut out);
    }
    beyond::graph(To::Oas, &mut rest, &mut out);
    beyond::own(&mut rest, &mut out);
    if let Some(processors) = take(&mut rest, "/response_processors").filter(|all| !is_blank(all)) {
        out["x-sluicegate"]["response_processors"] = processors;
    }
    calls::to_oas(&mut rest, &mut out);
    let extended = format!("{version}/extended_paths");
    let mut expected = given.clone();
    if rest.pointer(&format!("{version}/use_extended_paths")) == Some(&Value::Bool(true)) {
        endpoints::to_oas(&mut rest, &extended, &mut out);
        hooks::to_oas(&mut rest, &extended, &mut out);
        let moved = schemas::to_oas(&mut rest, &extended, &mut out);
        beyond::lists_to_oas(&mut rest, &extended, &mut out);
        told.extend(told::to_oas(&mut expected, &extended, moved));
    }
    calls::out_of_operations(&mut out);
    for known in ["/version_data/not_versioned", "/version_data/default_version", "/is_oas"] {
        take(&mut rest, known);
    }
    for known in ["name", "use_extended_paths"] {
        take(&mut rest, &format!("{version}/{known}"));
    }
    // Whoever asks nobody who he is need not say so.
    if let Some(server) = out[EXTENSION]["server"].as_object_mut()
        && server.get("authentication") == Some(&json!({"enabled": false}))
    {
        server.remove("authentication");
    }
    let mut found = Vec::new();
    left(&rest, "", &mut found);
    told.extend(found.into_iter().map(|at| {
        Fault::warning(at, "this has no counterpart in OpenAPI definitions here, and is left out")
    }));
    (out, expected, told)
}

/// `with_auth`: who may call is said in the document, since the classic definition has no words for it.
fn to_classic(given: &Value, with_auth: bool) -> (Value, Value, Vec<Fault>) {
    let mut rest = given.clone();
    let version = "/version_data/versions/Default";
    let mut out = json!({
        "version_data": {"not_versioned": true, "versions": {"Default": {"name": "Default", "use_extended_paths": true}}},
    });
    older::oas(&mut rest, EXTENSION_AT);
    if calls::into_operations(&mut rest) {
        (out["json_rpc_version"], out["application_protocol"]) = ("2.0".into(), "mcp".into());
    }
    if !with_auth {
        auth::to_classic(&mut rest, &mut out);
    }
    errors::convert(To::Classic, &mut rest, &mut out);
    events::to_classic(&mut rest, &mut out);
    behind::to_classic(&mut rest, &mut out);
    move_pairs(
        PAIRS,
        To::Classic,
        (&mut rest, &|pointer| format!("/{EXTENSION}{pointer}")),
        (&mut out, &|pointer| pointer.replacen(VERSION, version, 1)),
    );
    if with_auth {
        take(&mut out, "/use_keyless");
        take(&mut out, "/base_identity_provided_by");
        take(&mut rest, "/x-tyk-api-gateway/server/authentication");
    }
    beyond::graph(To::Classic, &mut rest, &mut out);
    let extended = format!("{version}/extended_paths");
    let mut told = told::bodies(&schemas::to_classic(&mut rest, &extended, &mut out));
    endpoints::to_classic(given, &mut rest, &extended, &mut out);
    hooks::to_classic(&mut rest, &extended, &mut out);
    beyond::lists_to_classic(&mut rest, &extended, &mut out);
    if let Some(processors) = take(&mut rest, "/x-sluicegate/response_processors") {
        out["response_processors"] = processors;
    }
    beyond::own(&mut rest, &mut out);
    beyond::keep_document(given, &mut rest, &extended, with_auth, &mut out);
    let mut found = Vec::new();
    endpoints::left_of_document(&rest, &mut found);
    told.extend(
        found
            .into_iter()
            .map(|at| Fault::warning(at, "this has no counterpart in classic definitions, and is left out")),
    );
    (out, given.clone(), told)
}

/// The pointer of the only version; of several none.
fn version_of(given: &Value) -> String {
    let versions = given.pointer("/version_data/versions").and_then(Value::as_object);
    match versions.map(|versions| versions.keys().collect::<Vec<_>>()).as_deref() {
        Some([only]) => pointer_join("/version_data/versions", only),
        _ => "/version_data/versions/Default".to_owned(),
    }
}

/// Which parts of two APIs are not the same.
fn differences(written: &Settled, expected: &Settled) -> Vec<String> {
    let (w, e) = (&written.api, &expected.api);
    let parts = [
        ("authentication", w.auth == e.auth),
        ("protocol", w.mcp == e.mcp && w.tools == e.tools),
        ("versions", w.versioning == e.versioning && w.version == e.version),
        ("expiry", w.version_expires == e.version_expires && w.expires == e.expires),
        ("upstream", w.backend == e.backend),
        ("limits", w.limits == e.limits),
        ("addresses", w.addresses == e.addresses),
        ("CORS", w.cors == e.cors),
        ("paths", w.paths == e.paths),
        ("bodies", written.bodies == expected.bodies),
        ("cache", w.cache == e.cache),
        ("errors", w.errors == e.errors),
        ("GraphQL", w.graphql == e.graphql),
        ("transforms", w.transforms == e.transforms),
        ("plugins", w.plugins == e.plugins),
        ("events", w.events == e.events),
        ("records", w.recording == e.recording),
        ("metadata of the resource", w.resource_metadata == e.resource_metadata),
    ];
    let found: Vec<String> =
        parts.iter().filter(|(_, same)| !same).map(|(name, _)| format!("its {name}")).collect();
    if found.is_empty() && w != e { vec!["where it listens, or its identity".to_owned()] } else { found }
}
