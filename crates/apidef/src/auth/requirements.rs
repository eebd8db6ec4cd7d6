//! Which schemes of an OpenAPI definition have to be satisfied together, and which groups of them stand for each other
//! (contract 3.3 `securityProcessingMode`, 5.10).
//!
//! A requirement that cannot be satisfied admits nobody. None is made weaker by leaving out what it asks for.

use super::SecurityScheme;
use crate::section::{Section, kind};
use document::{Fault, nearest, pointer_join};
use serde_json::Value;

/// Schemes that OpenAPI does not know, and what they are called in requirements.
const PROPRIETARY: [&str; 4] = ["hmac", "oidc", "custom", CERTIFICATES];
/// Certificates of TLS clients in the place of keys.
pub(super) const CERTIFICATES: &str = "certificateAuth";

/// Schemes that are enabled, by name.
pub(super) type Named<'v> = [(&'v str, SecurityScheme)];

/// Schemes that one requirement asks for.
struct Requirement<'v> {
    names: Vec<&'v str>,
    at: String,
}

/// The groups of schemes of which one has to be satisfied whole; none where nothing that is enabled is asked for.
pub(super) fn groups(
    root: &Section<'_>,
    authentication: &Section<'_>,
    named: &Named<'_>,
    faults: &mut Vec<Fault>,
) -> Vec<Vec<SecurityScheme>> {
    let mut requirements = of_openapi(root);
    let more = of_extension(authentication, faults);
    if is_compliant(authentication, faults) {
        requirements.extend(more);
    } else {
        if let Some(first) = more.first() {
            let message = "these requirements count in the mode `compliant` alone";
            faults.push(
                Fault::warning(first.at.clone(), message)
                    .hint("set `securityProcessingMode` to `compliant`, or take them out"),
            );
        }
        if let Some(second) = requirements.get(1) {
            let message = "only the first requirement counts in the mode `legacy`";
            faults.push(
                Fault::warning(second.at.clone(), message)
                    .hint("set `x-tyk-api-gateway.server.authentication.securityProcessingMode` to `compliant` if each of them is to be enough"),
            );
        }
        requirements.truncate(1);
    }
    if requirements.is_empty() {
        let all: Vec<SecurityScheme> = named.iter().map(|(_, scheme)| scheme.clone()).collect();
        return if all.is_empty() { Vec::new() } else { vec![all] };
    }
    unused(authentication, named, &requirements, faults);
    let mut groups = Vec::new();
    for requirement in &requirements {
        groups.extend(group(requirement, &requirements, named, faults));
    }
    groups
}

/// `security`, whose references have been checked.
fn of_openapi<'v>(root: &Section<'v>) -> Vec<Requirement<'v>> {
    let items = root.get("security").and_then(Value::as_array).into_iter().flatten();
    let requirements = items.enumerate().filter_map(|(index, item)| {
        let names = item.as_object()?.keys().map(String::as_str).collect();
        Some(Requirement { names, at: pointer_join(&root.at("security"), &index.to_string()) })
    });
    requirements.collect()
}

/// `server.authentication.security`: lists of names.
fn of_extension<'v>(authentication: &Section<'v>, faults: &mut Vec<Fault>) -> Vec<Requirement<'v>> {
    let Some(whole) = authentication.get("security") else { return Vec::new() };
    let at = authentication.at("security");
    let Some(items) = whole.as_array() else {
        faults.push(Fault::error(at, format!("`security` must be an array of arrays, not {}", kind(whole))));
        return Vec::new();
    };
    let mut requirements = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = pointer_join(&at, &index.to_string());
        let names: Option<Vec<&str>> =
            item.as_array().and_then(|names| names.iter().map(Value::as_str).collect());
        match names {
            Some(names) => requirements.push(Requirement { names, at }),
            None => faults.push(Fault::error(at, "a requirement must be an array of names of schemes")),
        }
    }
    requirements
}

fn is_compliant(authentication: &Section<'_>, faults: &mut Vec<Fault>) -> bool {
    match authentication.text("securityProcessingMode", faults) {
        "" | "legacy" => false,
        "compliant" => true,
        mode => {
            faults.push(
                Fault::error(
                    authentication.at("securityProcessingMode"),
                    format!("unknown security processing mode `{mode}`"),
                )
                .hint("use `legacy` or `compliant`"),
            );
            false
        }
    }
}

/// The schemes of a requirement; `None` if it admits nobody.
fn group(
    requirement: &Requirement<'_>,
    all: &[Requirement<'_>],
    named: &Named<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Vec<SecurityScheme>> {
    if requirement.names.is_empty() {
        let message = "an empty requirement would let everybody in";
        faults.push(
            Fault::error(requirement.at.clone(), message)
                .hint("name a scheme, or disable `x-tyk-api-gateway.server.authentication`"),
        );
        return None;
    }
    let mut group = Vec::new();
    for name in &requirement.names {
        match named.iter().find(|(known, _)| known == name) {
            Some((_, scheme)) => group.push(scheme.clone()),
            None => {
                let message = format!("`{name}` is not enabled, so this requirement admits nobody");
                let fault = Fault::warning(requirement.at.clone(), message);
                let known = named.iter().map(|(known, _)| *known);
                faults.push(match nearest(name, known) {
                    Some(meant) => fault.hint(format!("did you mean `{meant}`?")),
                    None => fault.hint(
                        "enable it in `x-tyk-api-gateway.server.authentication`, or take the requirement out",
                    ),
                });
                return None;
            }
        }
    }
    // What OpenAPI cannot name guards beside the rest, unless some requirement names it.
    let beside = named.iter().filter(|(name, _)| {
        PROPRIETARY.contains(name) && !all.iter().any(|other| other.names.contains(name))
    });
    group.extend(beside.map(|(_, scheme)| scheme.clone()));
    Some(group)
}

/// Tells of schemes that are enabled and that nothing asks for.
fn unused(
    authentication: &Section<'_>,
    named: &Named<'_>,
    requirements: &[Requirement<'_>],
    faults: &mut Vec<Fault>,
) {
    let schemes = pointer_join(&authentication.pointer, "securitySchemes");
    let asked = |name: &str| requirements.iter().any(|known| known.names.contains(&name));
    for (name, scheme) in named {
        // One that only takes tokens stands for the one that verifies them.
        let stands_for = |(other, same): &(&str, SecurityScheme)| same == scheme && asked(other);
        if !PROPRIETARY.contains(name) && !named.iter().any(stands_for) {
            let message = format!("`{name}` is enabled, yet no requirement that counts asks for it");
            faults.push(Fault::warning(pointer_join(&schemes, name), message).on_key());
        }
    }
}
