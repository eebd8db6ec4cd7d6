//! OAuth 2.0 tokens of others (contract 2.2, 3.3, 5.7): checked by their signature, or by asking who issued them.

use super::jwt::{Jwt, SigningMethod, TokenKeys, address, keys, skews, some};
use super::{SOURCE, Sources};
use crate::fields::{Field, acts, each, section};
use crate::section::Section;
use crate::{Secret, Target};
use base64::Engine as _;
use document::{Fault, pointer_join};
use serde_json::{Value, json};
use std::time::Duration;

/// Tokens of somebody else's server. Only the first provider counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExternalOAuth {
    /// Where they are looked for.
    pub sources: Sources,
    /// How they are checked; `None`: there is no provider, and nobody is let in.
    pub provider: Option<TokenCheck>,
}

/// How a token is checked.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenCheck {
    /// Not at all, so that nobody is let in.
    Unspecified,
    /// By its signature. Of the model the keys, the method, the skews and the identity count.
    Signature(Box<Jwt>),
    /// By asking its issuer (RFC 7662).
    Introspection(Introspection),
}

/// Where to ask about tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Introspection {
    /// Address.
    pub url: Target,
    /// Who asks.
    pub client: Box<str>,
    /// Its secret.
    pub secret: Secret,
    /// The claim that says who it is; `None`: `sub`.
    pub identity: Option<Box<str>>,
    /// Whether answers are kept.
    pub kept: bool,
    /// How long; `None`: until the token ends.
    pub keep: Option<Duration>,
}

const JWT: &[Field] = &[
    acts("enabled"),
    acts("signingMethod"),
    acts("source"),
    acts("issuedAtValidationSkew"),
    acts("notBeforeValidationSkew"),
    acts("expiresAtValidationSkew"),
    acts("identityBaseField"),
];
const INTROSPECTION: &[Field] = &[
    acts("enabled"),
    acts("url"),
    acts("clientId"),
    acts("clientSecret"),
    acts("identityBaseField"),
    section("cache", &[acts("enabled"), acts("timeout")]),
];

/// A scheme that OpenAPI calls `oauth2` and that has `providers`.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    section("header", SOURCE),
    section("query", SOURCE),
    section("cookie", SOURCE),
    each("providers", &[section("jwt", JWT), section("introspection", INTROSPECTION)]),
];

const CLASSIC_JWT: &[Field] = &[
    acts("enabled"),
    acts("signing_method"),
    acts("source"),
    acts("issued_at_validation_skew"),
    acts("not_before_validation_skew"),
    acts("expires_at_validation_skew"),
    acts("identity_base_field"),
];
const CLASSIC_INTROSPECTION: &[Field] = &[
    acts("enabled"),
    acts("url"),
    acts("client_id"),
    acts("client_secret"),
    acts("identity_base_field"),
    section("cache", &[acts("enabled"), acts("timeout")]),
];

/// `external_oauth`.
pub(crate) const CLASSIC: &[Field] = &[
    acts("enabled"),
    each("providers", &[section("jwt", CLASSIC_JWT), section("introspection", CLASSIC_INTROSPECTION)]),
];

/// What keys are called in a format.
struct Names {
    jwt: [&'static str; 3],
    skews: [&'static str; 3],
    introspection: [&'static str; 3],
}

const CLASSIC_NAMES: Names = Names {
    jwt: ["signing_method", "source", "identity_base_field"],
    skews: ["issued_at_validation_skew", "not_before_validation_skew", "expires_at_validation_skew"],
    introspection: ["client_id", "client_secret", "identity_base_field"],
};
const OAS_NAMES: Names = Names {
    jwt: ["signingMethod", "source", "identityBaseField"],
    skews: ["issuedAtValidationSkew", "notBeforeValidationSkew", "expiresAtValidationSkew"],
    introspection: ["clientId", "clientSecret", "identityBaseField"],
};

impl ExternalOAuth {
    pub(super) fn classic(root: &Section<'_>, configs: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let external = root.section("external_oauth", faults);
        Self {
            sources: Sources::classic(&configs.section("externalOAuth", faults), "externalOAuth", faults),
            provider: provider(&external, &CLASSIC_NAMES, faults),
        }
    }

    pub(super) fn oas(scheme: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        Self { sources: Sources::oas_http(scheme, faults), provider: provider(scheme, &OAS_NAMES, faults) }
    }

    pub(super) fn write_classic(&self, definition: &mut Value) {
        definition["auth_configs"]["externalOAuth"] = self.sources.write_classic();
        let providers = self.provider.iter().map(|provider| match provider {
            TokenCheck::Unspecified => json!({}),
            TokenCheck::Signature(jwt) => json!({"jwt": {
                "enabled": true,
                "signing_method": jwt.method.name(),
                "source": match &jwt.keys {
                    TokenKeys::OfSession => String::new(),
                    TokenKeys::Fixed(secret) => base64::engine::general_purpose::STANDARD.encode(secret.expose()),
                    TokenKeys::Sets(sets) => sets.first().map_or_else(String::new, |set| set.url.written()),
                },
                "issued_at_validation_skew": jwt.skews.issued_at.as_secs(),
                "not_before_validation_skew": jwt.skews.not_before.as_secs(),
                "expires_at_validation_skew": jwt.skews.expires_at.as_secs(),
                "identity_base_field": jwt.identity.first().map_or("", |claim| claim),
            }}),
            TokenCheck::Introspection(asked) => json!({"introspection": {
                "enabled": true,
                "url": asked.url.written(),
                "client_id": asked.client,
                "client_secret": asked.secret.0,
                "identity_base_field": asked.identity.as_deref().unwrap_or_default(),
                "cache": {"enabled": asked.kept, "timeout": asked.keep.map_or(0, |keep| keep.as_secs())},
            }}),
        });
        definition["external_oauth"] = json!({"enabled": true, "providers": providers.collect::<Value>()});
    }
}

fn provider(holder: &Section<'_>, names: &Names, faults: &mut Vec<Fault>) -> Option<TokenCheck> {
    let entries = holder.get("providers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if entries.len() > 1 {
        let at = pointer_join(&holder.at("providers"), "1");
        faults.push(Fault::warning(at, "only the first provider counts"));
    }
    let Some(first) = entries.first() else {
        faults.push(Fault::warning(holder.at("providers"), "there is no provider, so nobody is let in"));
        return None;
    };
    let first = Section { object: first.as_object(), pointer: pointer_join(&holder.at("providers"), "0") };
    let jwt = first.section("jwt", faults);
    if jwt.flag("enabled", faults) {
        let [method, source, identity] = names.jwt;
        let method = SigningMethod::read(&jwt, method, faults);
        let keys = keys(&jwt, (source, "", ""), method, faults);
        if keys == TokenKeys::OfSession {
            faults.push(Fault::error(
                jwt.at(source),
                "without a `source` there is no key to check tokens with",
            ));
        }
        return Some(TokenCheck::Signature(Box::new(Jwt {
            keys,
            method,
            skews: skews(&jwt, names.skews, faults),
            identity: super::jwt::one(jwt.text(identity, faults)),
            ..Jwt::default()
        })));
    }
    let asked = first.section("introspection", faults);
    if !asked.flag("enabled", faults) {
        faults.push(Fault::warning(
            first.pointer.clone(),
            "neither `jwt` nor `introspection` is enabled, so nobody is let in",
        ));
        return Some(TokenCheck::Unspecified);
    }
    let url = address(asked.text("url", faults), asked.at("url"), faults)?;
    let [client, secret, identity] = names.introspection;
    let cache = asked.section("cache", faults);
    Some(TokenCheck::Introspection(Introspection {
        url,
        client: asked.text(client, faults).into(),
        secret: Secret(asked.text(secret, faults).to_owned()),
        identity: some(asked.text(identity, faults)),
        kept: cache.flag("enabled", faults),
        keep: cache.seconds("timeout", faults),
    }))
}
