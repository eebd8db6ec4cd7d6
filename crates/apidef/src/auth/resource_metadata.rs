//! What a protected resource says of itself (RFC 9728; contract 3.3 `protectedResourceMetadata`).

use super::ScopeCheck;
use crate::fields::{Field, acts};
use crate::section::Section;
use document::Fault;
use serde_json::Value;

/// `server.authentication.protectedResourceMetadata`.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    acts("wellKnownPath"),
    acts("resource"),
    acts("authorizationServers"),
    acts("scopesSupported"),
];

/// `protectedResourceMetadata` of a scheme.
pub(super) const OAS_SCHEME: &[Field] = &[
    acts("enabled"),
    acts("wellKnownPath"),
    acts("resource"),
    acts("authorizationServers"),
    acts("autoDeriveScopes"),
];

/// Where it is when nothing is said.
const USUAL_PATH: &str = ".well-known/oauth-protected-resource";

/// Metadata of an API, told to everybody who asks.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceMetadata {
    /// Below the listen path, without a slash before it.
    pub path: Box<str>,
    /// The resource's identifier; empty: the address that was asked.
    pub resource: Box<str>,
    /// Who issues tokens for it.
    pub servers: Box<[Box<str>]>,
    /// Scopes that may be asked for.
    pub scopes: Box<[Box<str>]>,
}

impl ResourceMetadata {
    /// What the scheme says that takes tokens, else what is said of the whole API.
    pub(crate) fn oas(
        root: &Section<'_>,
        authentication: &Section<'_>,
        faults: &mut Vec<Fault>,
    ) -> Option<Box<Self>> {
        let schemes = authentication.section("securitySchemes", faults);
        let components = root.section("components", faults).section("securitySchemes", faults);
        let mut found: Option<Self> = None;
        for name in schemes.object.into_iter().flat_map(serde_json::Map::keys) {
            let (scheme, component) = (schemes.section(name, faults), components.section(name, faults));
            let is_on = authentication.flag("enabled", faults) && scheme.flag("enabled", faults);
            if !is_on || component.text("type", faults) != "oauth2" {
                continue;
            }
            let metadata = scheme.section("protectedResourceMetadata", faults);
            let Some(read) = Self::read(&metadata, faults) else { continue };
            if found.is_some() {
                let text = "another scheme says already where clients get tokens";
                faults.push(Fault::error(metadata.pointer.clone(), text).on_key());
            }
            let derived = metadata.get("autoDeriveScopes") != Some(&Value::Bool(false));
            let scopes = supported(root, &component, name, derived, faults);
            found = Some(Self { scopes, ..read });
        }
        let whole = authentication.section("protectedResourceMetadata", faults);
        let whole = Self::read(&whole, faults)
            .map(|read| Self { scopes: whole.texts("scopesSupported", faults), ..read });
        found.or(whole).map(Box::new)
    }

    /// All but the scopes.
    fn read(metadata: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        if !metadata.flag("enabled", faults) {
            return None;
        }
        let path = match metadata.text("wellKnownPath", faults).trim_matches('/') {
            "" => USUAL_PATH,
            path => path,
        };
        let odd = |part: &str| part.is_empty() || part == "." || part == "..";
        if path.split('/').any(odd) || path.contains(['?', '#']) || path.contains(char::is_control) {
            faults.push(
                Fault::error(
                    metadata.at("wellKnownPath"),
                    format!("`{path}` is no path that can be asked for"),
                )
                .hint(format!("leave it out for `{USUAL_PATH}`")),
            );
        }
        let resource = metadata.text("resource", faults);
        if !resource.is_empty() && !resource.contains("://") || resource.contains('#') {
            faults.push(Fault::error(
                metadata.at("resource"),
                "a resource is identified by an absolute address without a fragment",
            ));
        }
        let servers = metadata.texts("authorizationServers", faults);
        if servers.is_empty() {
            faults.push(
                Fault::warning(
                    metadata.at("authorizationServers"),
                    "clients are not told who issues tokens for this API",
                )
                .hint("name the issuers in `authorizationServers`"),
            );
        }
        Some(Self { path: path.into(), resource: resource.into(), servers, scopes: Box::default() })
    }
}

/// The scopes that the flows of a scheme know and, if these are to be told, those that requirements name.
fn supported(
    root: &Section<'_>,
    component: &Section<'_>,
    name: &str,
    derived: bool,
    faults: &mut Vec<Fault>,
) -> Box<[Box<str>]> {
    let flows = component.section("flows", faults);
    let of_flows = flows.object.into_iter().flatten().flat_map(|(_, flow)| {
        let scopes = flow.get("scopes").and_then(Value::as_object);
        scopes.into_iter().flat_map(|scopes| scopes.keys().map(String::as_str))
    });
    let named = if derived { ScopeCheck::named(root, name) } else { Vec::new() };
    let mut once: Vec<Box<str>> = Vec::new();
    for scope in of_flows.chain(named) {
        if !once.iter().any(|known| **known == *scope) {
            once.push(scope.into());
        }
    }
    once.into()
}
