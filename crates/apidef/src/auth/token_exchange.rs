//! Tokens of callers are exchanged for others before requests go on (contract 3.3, 5.12; RFC 8693, RFC 7523): at whose
//! endpoint, as which client, for which audience.

use super::jwt::{address, some};
use super::{SOURCE, SecurityScheme, Sources, resource_metadata, scopes};
use crate::AtPath;
use crate::fields::{Field, acts, each, section};
use crate::mcp::{self, CallKind};
use crate::oas::{EXTENSION, Operation, ignores_case, operations};
use crate::section::Section;
use crate::{Secret, Target};
use document::{Fault, pointer_join};
use regex::Regex;
use serde_json::Value;
use std::time::Duration;

/// How tokens of callers are exchanged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenExchange {
    /// Where the token that is exchanged is looked for.
    pub sources: Sources,
    /// Who exchanges tokens.
    pub providers: Box<[ExchangeProvider]>,
    /// What operations want in the place of what a provider's tokens are for; all of them, if any wants something, so
    /// that none is taken for another.
    pub operations: Box<[Operation<Option<ExchangeTarget>>]>,
    /// Upper and lower case of their paths are the same.
    pub ignore_case: bool,
    /// What calls of MCP want instead, at their places.
    pub calls: Box<[AtPath<ExchangeTarget>]>,
}

/// What a new token is to be good for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExchangeTarget {
    /// For whom; empty: for whom the provider's tokens are.
    pub audience: Box<str>,
    /// For what.
    pub scopes: Box<[Box<str>]>,
}

/// Who exchanges the tokens of some issuers.
#[derive(Debug, Clone, PartialEq)]
pub struct ExchangeProvider {
    /// For the log.
    pub name: Box<str>,
    /// Whose tokens, by their exact names.
    pub issuers: Box<[Box<str>]>,
    /// Whose tokens, by regular expressions that are known to be good; looked at after all exact names.
    pub patterns: Box<[Box<str>]>,
    /// Token endpoint.
    pub endpoint: Target,
    /// By RFC 7523 and not by RFC 8693.
    pub bearer: bool,
    /// Who asks.
    pub client: Box<str>,
    /// Its secret.
    pub secret: Secret,
    /// In its place the private key of a certificate, by which it signs who it is (RFC 7523 section 2.2): an id, or a PEM
    /// file.
    pub certificate: Option<Box<str>>,
    /// The client's credentials are in the form, not in a header.
    pub in_form: bool,
    /// Whom the new token is for; may be empty.
    pub audience: Box<str>,
    /// What it may be used for.
    pub scopes: Box<[Box<str>]>,
    /// How long an exchange may take.
    pub timeout: Duration,
    /// More parameters of the request.
    pub more: Box<[(Box<str>, Box<str>)]>,
    /// How long new tokens are kept; `None`: each request has its own.
    pub keep: Option<KeepExchanged>,
}

/// How long exchanged tokens are kept: never as long as they live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepExchanged {
    /// For as long as the token that was exchanged lives, too.
    pub with_subject: bool,
    /// At most.
    pub most: Option<Duration>,
    /// Less by this.
    pub margin: Duration,
}

const PROVIDER: &[Field] = &[
    acts("name"),
    acts("issuers"),
    acts("tokenEndpoint"),
    acts("grantType"),
    section("clientAuth", &[acts("method"), acts("clientId"), acts("clientSecret"), acts("certId")]),
    section("defaultTarget", &[acts("audience"), acts("scopes")]),
    acts("timeout"),
    acts("customParams"),
    section(
        "cache",
        &[acts("enabled"), acts("mode"), acts("maxTimeout"), acts("timeout"), acts("safetyMargin")],
    ),
];

/// A scheme that OpenAPI calls `oauth2` and that has one of these sections.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    section("header", SOURCE),
    section("query", SOURCE),
    section("cookie", SOURCE),
    section("scopeCheck", scopes::OAS),
    section("protectedResourceMetadata", resource_metadata::OAS_SCHEME),
    section("tokenExchange", &[acts("enabled"), each("providers", PROVIDER)]),
];

/// `middleware.operations.*.exchange`.
pub(crate) const OAS_OPERATION: &[Field] = &[acts("enabled"), acts("audience"), acts("scopes")];

/// What tells such a scheme from one whose tokens the gate gives itself.
pub(super) const SECTIONS: [&str; 3] = ["scopeCheck", "protectedResourceMetadata", "tokenExchange"];

/// What may not be set by hand.
const RESERVED: [&str; 12] = [
    "grant_type",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "audience",
    "resource",
    "scope",
];
const RESERVED_BEARER: [&str; 6] =
    ["grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "assertion"];

/// The scheme that verifies the tokens which such a scheme takes: it does not do so itself.
pub(super) fn verifier<'n>(named: &'n [(&str, SecurityScheme)]) -> Option<&'n SecurityScheme> {
    let verifies = |scheme: &&SecurityScheme| {
        matches!(
            scheme,
            SecurityScheme::Jwt(_) | SecurityScheme::OpenId(_) | SecurityScheme::ExternalOAuth(_)
        )
    };
    named.iter().map(|(_, scheme)| scheme).find(verifies)
}

impl TokenExchange {
    /// `None`: the scheme exchanges nothing. `name`: what requirements call it.
    pub(super) fn oas(
        root: &Section<'_>,
        scheme: &Section<'_>,
        name: &str,
        faults: &mut Vec<Fault>,
    ) -> Option<Self> {
        let exchange = scheme.section("tokenExchange", faults);
        if !exchange.flag("enabled", faults) {
            return None;
        }
        let mut providers: Vec<ExchangeProvider> = Vec::new();
        let entries = exchange.get("providers").and_then(Value::as_array);
        for (index, entry) in entries.into_iter().flatten().enumerate() {
            let pointer = pointer_join(&exchange.at("providers"), &index.to_string());
            let section = Section { object: entry.as_object(), pointer };
            let Some(read) = provider(&section, faults) else { continue };
            if providers.iter().any(|known| known.name == read.name) {
                faults.push(Fault::error(
                    section.at("name"),
                    format!("the name `{}` is there twice", read.name),
                ));
            }
            let mut known = providers.iter().flat_map(|known| &known.issuers);
            if let Some(twice) = known.find(|issuer| read.issuers.contains(issuer)) {
                let text = format!("tokens of `{twice}` are exchanged by another provider already");
                faults.push(Fault::error(section.at("issuers"), text));
            }
            providers.push(read);
        }
        if providers.is_empty() {
            let text = "there is no provider, so no token could be exchanged";
            faults.push(Fault::error(exchange.at("providers"), text));
        }
        Some(Self {
            sources: Sources::oas_http(scheme, faults),
            providers: providers.into(),
            operations: targets(root, name, faults),
            calls: targets_of_calls(root, name, faults),
            ignore_case: ignores_case(root, faults),
        })
    }
}

/// What operations want instead.
fn targets(
    root: &Section<'_>,
    name: &str,
    faults: &mut Vec<Fault>,
) -> Box<[Operation<Option<ExchangeTarget>>]> {
    let middleware = root.section(EXTENSION, faults).section("middleware", faults);
    let middleware = middleware.section("operations", faults);
    let speaks = mcp::speaks(root, faults);
    let mut wanted: Vec<(&str, ExchangeTarget)> = Vec::new();
    for id in middleware.object.into_iter().flat_map(serde_json::Map::keys) {
        let exchange = middleware.section(id, faults).section("exchange", faults);
        if !exchange.flag("enabled", faults) {
            continue;
        }
        let found = operations(root).find(|operation| operation.id() == Some(id));
        if speaks && found.as_ref().is_none_or(|operation| operation.json_rpc_method().is_some()) {
            continue;
        }
        let Some(operation) = found else {
            let text =
                format!("no operation in `paths` has the id `{id}`, so no token would be exchanged for this");
            faults.push(Fault::error(exchange.pointer.clone(), text).on_key());
            continue;
        };
        let mut scopes = exchange.texts("scopes", faults);
        if scopes.is_empty() {
            // What the operation asks of its callers is what it needs.
            scopes = scopes::of_operation(&operation, name, faults);
        }
        let audience = some(exchange.text("audience", faults)).unwrap_or_default();
        wanted.push((id, ExchangeTarget { audience, scopes }));
    }
    if wanted.is_empty() {
        return Box::default();
    }
    let of = |id: Option<&str>| {
        wanted.iter().find(|(known, _)| Some(*known) == id).map(|(_, target)| target.clone())
    };
    operations(root).map(|operation| operation.with(of(operation.id()))).collect()
}

/// What calls of MCP want instead: methods, tools, resources and prompts.
fn targets_of_calls(
    root: &Section<'_>,
    name: &str,
    faults: &mut Vec<Fault>,
) -> Box<[AtPath<ExchangeTarget>]> {
    let middleware = root.section(EXTENSION, faults).section("middleware", faults);
    let mut all = Vec::new();
    if !mcp::speaks(root, faults) {
        return Box::default();
    }
    let mut add =
        |kind, called: &str, section: &Section<'_>, own: Box<[Box<str>]>, faults: &mut Vec<Fault>| {
            let exchange = section.section("exchange", faults);
            if !exchange.flag("enabled", faults) {
                return;
            }
            let scopes = exchange.texts("scopes", faults);
            let scopes = if scopes.is_empty() { own } else { scopes };
            let audience = some(exchange.text("audience", faults)).unwrap_or_default();
            let (method, path) = ("POST".into(), mcp::operation(kind, called).path.into());
            let (value, at) = (ExchangeTarget { audience, scopes }, exchange.pointer.into());
            all.push(AtPath { method, path, ignore_case: false, value, at });
        };
    let named = middleware.section("operations", faults);
    for id in named.object.into_iter().flat_map(serde_json::Map::keys) {
        let section = named.section(id, faults);
        match operations(root).find(|operation| operation.id() == Some(id)) {
            Some(operation) => {
                let Some(method) = operation.json_rpc_method() else { continue };
                let own = scopes::of_operation(&operation, name, faults);
                add(CallKind::Method, method, &section, own, faults);
            }
            None => match mcp::method_of(id, None) {
                Some(method) => add(CallKind::Method, method, &section, Box::default(), faults),
                None if section.section("exchange", faults).flag("enabled", faults) => {
                    let text = format!(
                        "no operation in `paths` has the id `{id}`, so no token would be exchanged for this"
                    );
                    faults.push(Fault::error(section.at("exchange"), text).on_key());
                }
                None => {}
            },
        }
    }
    for one in mcp::primitives(&middleware, faults) {
        let own = scopes::of_call(&one.section, name, faults);
        add(one.kind, one.name, &one.section, own, faults);
    }
    all.into()
}

fn provider(section: &Section<'_>, faults: &mut Vec<Fault>) -> Option<ExchangeProvider> {
    let name = section.text("name", faults);
    if name.is_empty() {
        faults.push(Fault::error(section.at("name"), "a provider needs a `name`"));
    }
    let (mut issuers, mut patterns) = (Vec::new(), Vec::new());
    for (index, issuer) in section.texts("issuers", faults).into_iter().enumerate() {
        let Some(pattern) = issuer.strip_prefix("regex:") else {
            issuers.push(issuer);
            continue;
        };
        match Regex::new(pattern) {
            Ok(_) => patterns.push(pattern.into()),
            Err(_) => {
                let at = pointer_join(&section.at("issuers"), &index.to_string());
                faults.push(Fault::error(at, format!("`{pattern}` is no regular expression")));
            }
        }
    }
    if issuers.is_empty() && patterns.is_empty() {
        faults.push(Fault::error(section.at("issuers"), "whose tokens does this provider exchange?"));
    }
    let bearer = match section.text("grantType", faults) {
        "" | "token-exchange" => false,
        "jwt-bearer" => true,
        other => {
            let fault = Fault::error(section.at("grantType"), format!("`{other}` exchanges nothing"));
            faults.push(fault.hint("use token-exchange or jwt-bearer"));
            false
        }
    };
    let auth = section.section("clientAuth", faults);
    let in_form = match auth.text("method", faults) {
        "" | "client_secret_basic" => false,
        "client_secret_post" | "private_key_jwt" => true,
        other => {
            let fault = Fault::error(auth.at("method"), format!("`{other}` is no way to authenticate"));
            faults.push(fault.hint("use client_secret_basic, client_secret_post or private_key_jwt"));
            false
        }
    };
    let client = auth.text("clientId", faults);
    if client.is_empty() {
        faults.push(Fault::error(auth.at("clientId"), "the gate needs a `clientId` to ask with"));
    }
    let signs = auth.text("method", faults) == "private_key_jwt";
    let certificate = some(auth.text("certId", faults));
    match (signs, &certificate) {
        (true, None) => {
            let fault = Fault::error(auth.at("certId"), "what does the gate sign with?");
            faults.push(fault.hint("name a certificate of the store that has a private key, or a PEM file"));
        }
        (false, Some(_)) => {
            let fault =
                Fault::warning(auth.at("certId"), "this counts with `private_key_jwt` alone").on_key();
            faults.push(fault.hint("set `method` to private_key_jwt, or take it out"));
        }
        _ => {}
    }
    let target = section.section("defaultTarget", faults);
    let cache = section.section("cache", faults);
    let keep = cache.flag("enabled", faults).then(|| keep(&cache, faults));
    let more = more(section, if bearer { &RESERVED_BEARER } else { &RESERVED }, faults);
    let endpoint = section.text("tokenEndpoint", faults);
    if endpoint.contains("$tyk_context") {
        let text =
            "variables in the address of an endpoint are not supported yet, so no token could be exchanged";
        faults.push(Fault::error(section.at("tokenEndpoint"), text));
        return None;
    }
    Some(ExchangeProvider {
        name: name.into(),
        issuers: issuers.into(),
        patterns: patterns.into(),
        endpoint: address(endpoint, section.at("tokenEndpoint"), faults)?,
        bearer,
        client: client.into(),
        secret: Secret(auth.text("clientSecret", faults).to_owned()),
        certificate: certificate.filter(|_| signs),
        in_form,
        audience: some(target.text("audience", faults)).unwrap_or_default(),
        scopes: target.texts("scopes", faults),
        timeout: section.duration("timeout", faults).unwrap_or(Duration::from_secs(15)),
        more,
        keep,
    })
}

fn keep(cache: &Section<'_>, faults: &mut Vec<Fault>) -> KeepExchanged {
    let (with_subject, most) = match cache.text("mode", faults) {
        "" | "derived" => (true, cache.duration("maxTimeout", faults)),
        "static" => {
            let most = cache.duration("timeout", faults);
            if most.is_none() {
                faults.push(Fault::error(cache.at("timeout"), "the mode `static` needs a `timeout`"));
            }
            (false, most)
        }
        other => {
            let fault = Fault::error(cache.at("mode"), format!("`{other}` is no way to keep tokens"));
            faults.push(fault.hint("use derived or static"));
            (true, None)
        }
    };
    let margin = cache.duration("safetyMargin", faults);
    let said = cache.get("safetyMargin").is_some();
    let margin = margin.unwrap_or(if said { Duration::ZERO } else { Duration::from_secs(30) });
    KeepExchanged { with_subject, most, margin }
}

fn more(section: &Section<'_>, reserved: &[&str], faults: &mut Vec<Fault>) -> Box<[(Box<str>, Box<str>)]> {
    let params = section.section("customParams", faults);
    let mut read = Vec::new();
    for name in params.object.into_iter().flat_map(|object| object.keys()) {
        let value = params.text(name, faults);
        if reserved.contains(&name.as_str()) {
            faults.push(Fault::error(params.at(name), format!("`{name}` is set by the gate itself")));
        } else {
            read.push((name.as_str().into(), value.into()));
        }
    }
    read.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(mut provider: Value, change: impl FnOnce(&mut Value)) -> (Option<TokenExchange>, Vec<Fault>) {
        change(&mut provider);
        let scheme = json!({"enabled": true, "tokenExchange": {"enabled": true, "providers": [provider]}});
        let mut faults = Vec::new();
        let section = Section::root(&scheme, &mut faults);
        let root = Section { object: None, pointer: String::new() };
        (TokenExchange::oas(&root, &section, "idp", &mut faults), faults)
    }

    fn good() -> Value {
        json!({
            "name": "idp", "issuers": ["https://idp.example", "regex:^https://[a-z]+\\.example$"],
            "tokenEndpoint": "https://idp.example/token",
            "clientAuth": {"clientId": "gate", "clientSecret": "hush"},
            "defaultTarget": {"audience": "orders", "scopes": ["read"]},
            "cache": {"enabled": true, "maxTimeout": "5m"},
        })
    }

    #[test]
    fn c3_3_row_9_a_provider_is_read() {
        let (exchange, faults) = read(good(), |_| {});
        assert!(faults.is_empty(), "{faults:?}");
        let provider = &exchange.unwrap().providers[0];
        assert_eq!((provider.issuers.len(), provider.patterns.len()), (1, 1));
        assert_eq!(provider.timeout, Duration::from_secs(15));
        let keep = provider.keep.unwrap();
        assert_eq!((keep.most, keep.margin), (Some(Duration::from_secs(300)), Duration::from_secs(30)));
        assert!(!format!("{provider:?}").contains("hush"));
    }

    #[test]
    fn what_could_not_exchange_is_refused_with_its_place() {
        type Case = (&'static str, fn(&mut Value));
        let cases: [Case; 12] = [
            ("name", |provider| provider["name"] = json!("")),
            ("issuers", |provider| provider["issuers"] = json!([])),
            ("issuers/0", |provider| provider["issuers"] = json!(["regex:("])),
            ("tokenEndpoint", |provider| provider["tokenEndpoint"] = json!("nowhere")),
            ("tokenEndpoint", |provider| {
                provider["tokenEndpoint"] = json!("https://a/$tyk_context.jwt_claims_tid");
            }),
            ("grantType", |provider| provider["grantType"] = json!("saml")),
            ("clientAuth/clientId", |provider| provider["clientAuth"]["clientId"] = json!("")),
            ("clientAuth/certId", |provider| provider["clientAuth"]["method"] = json!("private_key_jwt")),
            ("clientAuth/method", |provider| provider["clientAuth"]["method"] = json!("tls_client_auth")),
            ("cache/mode", |provider| provider["cache"]["mode"] = json!("ever")),
            ("cache/timeout", |provider| provider["cache"]["mode"] = json!("static")),
            ("customParams/subject_token", |provider| {
                provider["customParams"] = json!({"subject_token": "x"})
            }),
        ];
        for (place, change) in cases {
            let (_, faults) = read(good(), change);
            let at = format!("/tokenExchange/providers/0/{place}");
            assert!(faults.iter().any(|fault| fault.pointer == at), "{place}: {faults:?}");
        }
    }
}
