//! Classic definitions into OpenAPI definitions and back. What is written is read again, and only given out where it is
//! the same API in the one model of both.

mod auth;
mod endpoints;
mod plugins;
mod shares;
mod table;
mod value;

use crate::oas::{EXTENSION, STREAMING};
use crate::{Api, Definition, Source};
use document::{Document, Fault, Format, pointer_join};
use serde_json::{Value, json};
use table::{PAIRS, VERSION};
use value::{is_blank, left, move_pairs, take};

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
        return Ok(Converted { to, definition: document.value().clone(), warnings: Vec::new() });
    }
    let (written, expected, mut told) = match to {
        To::Oas => to_oas(document.value()),
        To::Classic => to_classic(document.value()),
    };
    let differing = match (Definition::parse(&written.to_string()), Definition::parse(&expected.to_string()))
    {
        (Ok(written), Ok(expected)) => {
            let [written, expected] = [written, expected].map(|one| shares::settled(one.api));
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
    document.locate(&mut told);
    if told.iter().any(Fault::is_error) {
        return Err(told);
    }
    Ok(Converted { to, definition: written, warnings: told })
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
    move_pairs(
        PAIRS,
        To::Oas,
        (&mut rest, &|pointer| pointer.replacen(VERSION, &version, 1)),
        (&mut out, &|pointer| format!("/{EXTENSION}{pointer}")),
    );
    auth::to_oas(&mut rest, &mut out);
    plugins::to_oas(&mut rest, &mut out);
    if let Some(own) = take(&mut rest, "/x-sluicegate") {
        out["x-sluicegate"] = own;
    }
    let extended = format!("{version}/extended_paths");
    let mut expected = given.clone();
    if rest.pointer(&format!("{version}/use_extended_paths")) == Some(&Value::Bool(true)) {
        endpoints::to_oas(&mut rest, &extended, &mut out);
        told.extend(endpoints::sort(&mut expected, &extended).into_iter().map(|at| {
            Fault::warning(at, "the order of this list is lost: OpenAPI definitions try the paths with most segments first, then the longest")
        }));
    }
    for known in ["/version_data/not_versioned", "/version_data/default_version", "/is_oas"] {
        take(&mut rest, known);
    }
    for known in ["name", "use_extended_paths"] {
        take(&mut rest, &format!("{version}/{known}"));
    }
    let mut found = Vec::new();
    left(&rest, "", &mut found);
    told.extend(found.into_iter().map(|at| {
        Fault::warning(at, "this has no counterpart in OpenAPI definitions here, and is left out")
    }));
    (out, expected, told)
}

fn to_classic(given: &Value) -> (Value, Value, Vec<Fault>) {
    let mut rest = given.clone();
    let version = "/version_data/versions/Default";
    let mut out = json!({
        "version_data": {"not_versioned": true, "versions": {"Default": {"name": "Default", "use_extended_paths": true}}},
    });
    auth::to_classic(&mut rest, &mut out);
    move_pairs(
        PAIRS,
        To::Classic,
        (&mut rest, &|pointer| format!("/{EXTENSION}{pointer}")),
        (&mut out, &|pointer| pointer.replacen(VERSION, version, 1)),
    );
    plugins::to_classic(&mut rest, &mut out);
    if let Some(own) = take(&mut rest, "/x-sluicegate") {
        out["x-sluicegate"] = own;
    }
    endpoints::to_classic(&mut rest, &format!("{version}/extended_paths"), &mut out);
    let mut found = Vec::new();
    endpoints::left_of_document(&rest, &mut found);
    let mut told: Vec<Fault> = found
        .into_iter()
        .map(|at| Fault::warning(at, "this has no counterpart in classic definitions, and is left out"))
        .collect();
    if rest.get(STREAMING).is_some_and(|streams| !is_blank(streams)) {
        let at = pointer_join("", STREAMING);
        told.push(Fault::error(at, "classic definitions hold no streams: keep this definition as it is"));
    }
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
fn differences(written: &Api, expected: &Api) -> Vec<String> {
    if written == expected {
        return Vec::new();
    }
    let parts = [
        ("authentication", written.auth == expected.auth),
        ("versions", written.versioning == expected.versioning && written.version == expected.version),
        (
            "expiry",
            written.version_expires == expected.version_expires && written.expires == expected.expires,
        ),
        ("upstream", written.backend == expected.backend),
        ("limits", written.limits == expected.limits),
        ("addresses", written.addresses == expected.addresses),
        ("CORS", written.cors == expected.cors),
        ("paths", written.paths == expected.paths),
        ("cache", written.cache == expected.cache),
        ("errors", written.errors == expected.errors),
        ("GraphQL", written.graphql == expected.graphql),
        ("transforms", written.transforms == expected.transforms),
        ("plugins", written.plugins == expected.plugins),
        ("events", written.events == expected.events),
        ("records", written.recording == expected.recording),
        ("metadata of the resource", written.resource_metadata == expected.resource_metadata),
    ];
    let found: Vec<String> =
        parts.iter().filter(|(_, same)| !same).map(|(name, _)| format!("its {name}")).collect();
    if found.is_empty() { vec!["where it listens, or its identity".to_owned()] } else { found }
}
