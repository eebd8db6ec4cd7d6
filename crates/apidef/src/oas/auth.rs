//! `server.authentication` with `components.securitySchemes` -> who may call (contract 3.3).

use super::table;
use crate::fields::{LEFT_OPEN, check};
use crate::section::Section;
use crate::{Auth, TokenSources};
use document::{Fault, nearest, pointer_join};
use serde_json::Value;

pub(crate) fn read(root: &Section<'_>, authentication: &Section<'_>, faults: &mut Vec<Fault>) -> Auth {
    let components = root.section("components", faults).section("securitySchemes", faults);
    references(root, &components, "security", faults);
    let schemes = authentication.section("securitySchemes", faults);
    mode(authentication, faults);
    if !authentication.flag("enabled", faults) {
        if root.get("security").and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
            faults.push(
                Fault::warning(root.at("security"), "`security` asks for credentials, yet the API is open")
                    .hint("set `x-tyk-api-gateway.server.authentication.enabled` to true"),
            );
        }
        return Auth::Keyless;
    }

    let mut found: Option<(&str, TokenSources)> = None;
    for name in schemes.object.into_iter().flat_map(|object| object.keys()) {
        let scheme = schemes.section(name, faults);
        if !scheme.flag("enabled", faults) {
            continue;
        }
        let component = components.section(name, faults);
        if !component.exists() {
            faults.push(missing(&components, schemes.at(name), name));
            continue;
        }
        let kind = component.text("type", faults);
        if kind != "apiKey" {
            let what = match (kind, component.text("scheme", faults).to_ascii_lowercase().as_str()) {
                ("http", "basic") => "basic authentication is",
                ("http", "bearer") => "JWT authentication is",
                ("oauth2", _) => "OAuth 2 is",
                ("openIdConnect", _) => "OpenID Connect is",
                _ => "this security scheme is",
            };
            faults.push(Fault::error(schemes.at(name), format!("{what} {LEFT_OPEN}")).on_key());
            continue;
        }
        if let Some(object) = scheme.object {
            check(table::TOKEN, object, &scheme.pointer, faults);
        }
        let sources = sources(&scheme, &component, faults);
        match &found {
            None => found = Some((name, sources)),
            Some((first, _)) => {
                let message = format!("a second key beside `{first}` is {LEFT_OPEN}");
                faults.push(Fault::error(schemes.at(name), message).on_key());
            }
        }
    }
    match found {
        Some((_, sources)) => Auth::Token(sources),
        None => {
            // Contract 2.2: the auth token is what guards when nothing else is enabled.
            faults.push(
                Fault::warning(
                    authentication.at("securitySchemes"),
                    "no security scheme is enabled; a key is expected in the Authorization header",
                )
                .hint("enable one of `components.securitySchemes` here"),
            );
            Auth::Token(TokenSources { header: Some("authorization".into()), query: None, cookie: None })
        }
    }
}

/// Where OpenAPI says the key is, and where the extension adds to it.
fn sources(scheme: &Section<'_>, component: &Section<'_>, faults: &mut Vec<Fault>) -> TokenSources {
    let place = component.text("in", faults);
    let name = component.text("name", faults);
    if !matches!(place, "header" | "query" | "cookie") {
        faults.push(Fault::error(component.at("in"), "an apiKey is `in` a header, query or cookie"));
    }
    if name.is_empty() {
        faults.push(Fault::error(component.at("name"), "an apiKey needs a `name`"));
    }
    let mut source = |key: &str| -> Option<Box<str>> {
        let extra = scheme.section(key, faults);
        let (enabled, extra_name) = (extra.flag("enabled", faults), extra.text("name", faults));
        if place == key {
            Some(name.into())
        } else if enabled && extra_name.is_empty() {
            let message = format!("a key in a {key} needs the {key}'s `name`");
            faults.push(Fault::error(extra.at("name"), message));
            None
        } else {
            enabled.then(|| extra_name.into())
        }
    };
    let (header, query, cookie) = (source("header"), source("query"), source("cookie"));
    TokenSources { header: header.map(|name| name.to_ascii_lowercase().into()), query, cookie }
}

/// `security` must name schemes that exist (contract 3.1).
fn references(root: &Section<'_>, components: &Section<'_>, key: &str, faults: &mut Vec<Fault>) {
    let requirements = root.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (index, requirement) in requirements.iter().enumerate() {
        let at = pointer_join(&root.at(key), &index.to_string());
        for name in requirement.as_object().into_iter().flat_map(|object| object.keys()) {
            if !components.exists() {
                faults.push(Fault::error(at.clone(), "No components or security schemes present in OAS"));
                return;
            }
            if components.get(name).is_none() {
                faults.push(missing(components, pointer_join(&at, name), name));
            }
        }
    }
}

fn missing(components: &Section<'_>, at: String, name: &str) -> Fault {
    let message = format!("Missing required Security Scheme '{name}' in Components.SecuritySchemes");
    let fault = Fault::error(at, message).on_key();
    let known = components.object.into_iter().flat_map(|object| object.keys());
    match nearest(name, known.map(String::as_str)) {
        Some(meant) => fault.hint(format!("did you mean `{meant}`?")),
        None => fault,
    }
}

/// One key guards the same in either mode; the modes differ only in how several schemes combine.
fn mode(authentication: &Section<'_>, faults: &mut Vec<Fault>) {
    let mode = authentication.text("securityProcessingMode", faults);
    if !matches!(mode, "" | "legacy" | "compliant") {
        faults.push(
            Fault::error(
                authentication.at("securityProcessingMode"),
                format!("unknown security processing mode `{mode}`"),
            )
            .hint("use `legacy` or `compliant`"),
        );
    }
    if authentication.get("security").and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
        let message = format!("requirements in `authentication.security` are {LEFT_OPEN}");
        faults.push(Fault::error(authentication.at("security"), message).on_key());
    }
}
