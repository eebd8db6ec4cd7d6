//! `server.authentication` with `components.securitySchemes` -> who may call (contract 3.3).

use super::classic::base_identity;
use super::requirements::{CERTIFICATES, groups};
use super::{
    Auth, Basic, Custom, ExternalOAuth, Guarded, HttpSignature, Jwt, OAuth, OpenId, SecurityScheme, Token,
};
use super::{ScopeCheck, TokenExchange, external_oauth, jwt, key_signature, oauth, token_exchange};
use crate::fields::{Field, LEFT_OPEN, acts, check, section};
use crate::section::Section;
use document::{Fault, nearest, pointer_join};
use serde_json::Value;

pub(super) const SOURCE: &[Field] = &[acts("enabled"), acts("name")];

/// `server.authentication.securitySchemes.<name>` of a scheme that OpenAPI calls `apiKey`.
pub(crate) const TOKEN: &[Field] = &[
    acts("enabled"),
    section("header", SOURCE),
    section("query", SOURCE),
    section("cookie", SOURCE),
    acts("enableClientCertificate"),
    section("signatureValidation", key_signature::OAS),
];

pub(crate) fn read(root: &Section<'_>, authentication: &Section<'_>, faults: &mut Vec<Fault>) -> Auth {
    let components = root.section("components", faults).section("securitySchemes", faults);
    references(root, &components, "security", faults);
    let schemes = authentication.section("securitySchemes", faults);
    if !authentication.flag("enabled", faults) {
        if root.get("security").and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
            faults.push(
                Fault::warning(root.at("security"), "`security` asks for credentials, yet the API is open")
                    .hint("set `x-tyk-api-gateway.server.authentication.enabled` to true"),
            );
        }
        return Auth::Keyless;
    }

    let mut named: Vec<(&str, SecurityScheme)> = Vec::new();
    let (mut verified_by_another, mut exchange, mut scopes) = (Vec::new(), None, None);
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
        if component.text("type", faults) == "oauth2"
            && token_exchange::SECTIONS.iter().any(|key| scheme.get(key).is_some())
        {
            known(token_exchange::OAS, &scheme, faults);
            let read = TokenExchange::oas(root, &scheme, name, faults).map(Box::new);
            only_once(&mut exchange, read, &scheme.at("tokenExchange"), faults);
            let read = ScopeCheck::oas(root, &scheme, name, faults).map(Box::new);
            only_once(&mut scopes, read, &scheme.at("scopeCheck"), faults);
            verified_by_another.push(name);
            continue;
        }
        if let Some(read) = read_scheme(&schemes, name, &scheme, &component, faults) {
            named.push((name, read));
        }
    }
    let oidc = authentication.section("oidc", faults);
    if oidc.flag("enabled", faults) {
        named.push(("oidc", SecurityScheme::OpenId(Box::new(OpenId::oas(&oidc, faults)))));
    }
    let hmac = authentication.section("hmac", faults);
    if hmac.flag("enabled", faults) {
        named.push(("hmac", SecurityScheme::Signature(HttpSignature::oas(&hmac, faults))));
    }
    let custom = authentication.section("custom", faults);
    let is_off = custom.section("config", faults).get("enabled") == Some(&Value::Bool(false));
    if custom.flag("enabled", faults) && !is_off {
        named.push(("custom", SecurityScheme::Custom(Custom::oas(root, &custom, faults))));
    }
    certificates(authentication, &mut named, faults);
    for name in verified_by_another {
        // It takes tokens and leaves it to another scheme to verify them, so it stands for that one.
        match token_exchange::verifier(&named).cloned() {
            Some(verifier) => named.push((name, verifier)),
            None => {
                let text = "nothing verifies the tokens that this scheme takes";
                let hint = "enable a scheme of `type: http`, `scheme: bearer` beside it";
                faults.push(Fault::error(schemes.at(name), text).hint(hint).on_key());
            }
        }
    }
    let mut groups = groups(root, authentication, &named, faults);
    groups.iter_mut().for_each(|group| {
        let mut seen: Vec<SecurityScheme> = Vec::new();
        group.retain(|scheme| {
            !seen.contains(scheme) && {
                seen.push(scheme.clone());
                true
            }
        });
    });
    if groups.is_empty() {
        // Contract 2.2: the auth token is what guards when nothing else is enabled.
        faults.push(
            Fault::warning(
                authentication.at("securitySchemes"),
                "no security scheme is enabled and asked for; a key is expected in the Authorization header",
            )
            .hint("enable one of `components.securitySchemes` here"),
        );
        groups.push(vec![SecurityScheme::Token(Token::default())]);
    }
    let base = base_identity(authentication, "baseIdentityProvider", faults);
    let mut guarded = Guarded::any_of(groups, base);
    (guarded.exchange, guarded.scopes) = (exchange, scopes);
    Auth::Guarded(guarded)
}

/// `certificateAuth`: the certificate of a TLS client stands for its key, and a key alone opens nothing. It is what
/// `enableClientCertificate` of a key is in older definitions, and classic ones have it there.
fn certificates(
    authentication: &Section<'_>,
    named: &mut Vec<(&str, SecurityScheme)>,
    faults: &mut Vec<Fault>,
) {
    if !authentication.section(CERTIFICATES, faults).flag("enabled", faults) {
        return;
    }
    let mut any = false;
    for (_, scheme) in named.iter_mut() {
        if let SecurityScheme::Token(token) = scheme {
            (token.certificate, any) = (true, true);
        }
    }
    if !any {
        let token = Token { certificate: true, ..Token::default() };
        named.push((CERTIFICATES, SecurityScheme::Token(token)));
    }
}

/// Takes what a scheme says, unless another one has said so before.
fn only_once<T>(known: &mut Option<T>, read: Option<T>, at: &str, faults: &mut Vec<Fault>) {
    if known.is_some() && read.is_some() {
        faults.push(Fault::error(at, "another scheme does this already, and one alone can").on_key());
    }
    *known = read.or(known.take());
}

/// A scheme by what OpenAPI calls it.
fn read_scheme(
    schemes: &Section<'_>,
    name: &str,
    scheme: &Section<'_>,
    component: &Section<'_>,
    faults: &mut Vec<Fault>,
) -> Option<SecurityScheme> {
    let kind = component.text("type", faults);
    let refused = match (kind, component.text("scheme", faults).to_ascii_lowercase().as_str()) {
        ("apiKey", _) => {
            known(TOKEN, scheme, faults);
            return Some(SecurityScheme::Token(Token::oas(scheme, component, faults)));
        }
        ("http", "basic") => {
            known(super::OAS_BASIC, scheme, faults);
            return Some(SecurityScheme::Basic(Basic::oas(scheme, faults)));
        }
        ("http", "bearer") => {
            known(jwt::OAS, scheme, faults);
            return Some(SecurityScheme::Jwt(Box::new(Jwt::oas(scheme, faults))));
        }
        ("oauth2", _) if scheme.get("providers").is_some() => {
            known(external_oauth::OAS, scheme, faults);
            return Some(SecurityScheme::ExternalOAuth(Box::new(ExternalOAuth::oas(scheme, faults))));
        }
        ("oauth2", _) => {
            known(oauth::OAS, scheme, faults);
            return Some(SecurityScheme::OAuth(Box::new(OAuth::oas(scheme, component, faults))));
        }
        ("openIdConnect", _) => "OpenID Connect is",
        _ => "this security scheme is",
    };
    faults.push(Fault::error(schemes.at(name), format!("{refused} {LEFT_OPEN}")).on_key());
    None
}

/// Tells the keys of a scheme that are unknown.
fn known(fields: &[Field], scheme: &Section<'_>, faults: &mut Vec<Fault>) {
    if let Some(object) = scheme.object {
        check(fields, object, &scheme.pointer, faults);
    }
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
