//! What a protected resource says of itself (RFC 9728; contract 3.3 `protectedResourceMetadata`).

use crate::fields::{Field, acts};
use crate::section::Section;
use document::Fault;

/// `server.authentication.protectedResourceMetadata`.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    acts("wellKnownPath"),
    acts("resource"),
    acts("authorizationServers"),
    acts("scopesSupported"),
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
    pub(crate) fn oas(authentication: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Box<Self>> {
        let metadata = authentication.section("protectedResourceMetadata", faults);
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
        Some(Box::new(Self {
            path: path.into(),
            resource: resource.into(),
            servers,
            scopes: metadata.texts("scopesSupported", faults),
        }))
    }
}
