//! JSON Web Tokens (contract 2.2, 3.3, 5.5): which keys sign them, what their claims must say, and whose session they are.

use super::{SOURCE, Sources};
use crate::fields::{Field, acts, each, section};
use crate::section::{Section, kind};
use crate::{Scheme, Target};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use document::{Fault, pointer_join};
use serde_json::{Map, Value, json};
use std::fmt;
use std::time::Duration;

/// Tokens that carry their claims, signed by somebody else.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Jwt {
    /// Where they are looked for.
    pub sources: Sources,
    /// What their signatures are checked with.
    pub keys: TokenKeys,
    /// Which signatures are taken; any other is refused, whatever a token says.
    pub method: SigningMethod,
    /// The header's `kid` names no key of this gate.
    pub skip_kid: bool,
    /// How far the clocks of issuers may be off.
    pub skews: Skews,
    /// What claims must say.
    pub checks: ClaimChecks,
    /// Claims that say who it is, as dotted paths; the first that does counts, then `sub`.
    pub identity: Box<[Box<str>]>,
    /// Which policies its session has.
    pub policies: TokenPolicies,
}

/// What signatures are checked with.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum TokenKeys {
    /// The key of the gate that the token names holds the secret (`jwt_data`), and is the caller.
    #[default]
    OfSession,
    /// A shared secret, or a public key or certificate as PEM.
    Fixed(SecretBytes),
    /// Published sets of keys.
    Sets(Box<[KeySetAddress]>),
}

/// Where a set of keys is published.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySetAddress {
    /// Its address; `http` or `https`.
    pub url: Target,
    /// How long it is believed; `None`: as the configuration says.
    pub keep: Option<Duration>,
}

/// A secret that need not be text. Never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretBytes(Box<[u8]>);

/// Families of signatures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SigningMethod {
    /// HS256, HS384, HS512.
    #[default]
    Hmac,
    /// RS256 to RS512, PS256 to PS512.
    Rsa,
    /// ES256, ES384, ES512.
    Ecdsa,
    /// EdDSA with Ed25519.
    Eddsa,
}

/// How far clocks may be off, for each claim that holds a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skews {
    /// `iat`.
    pub issued_at: Duration,
    /// `nbf`.
    pub not_before: Duration,
    /// `exp`.
    pub expires_at: Duration,
}

/// What claims must say. Empty lists ask for nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClaimChecks {
    /// `iss` must be one of them.
    pub issuers: Box<[Box<str>]>,
    /// `aud` must hold one of them.
    pub audiences: Box<[Box<str>]>,
    /// `sub` must be one of them.
    pub subjects: Box<[Box<str>]>,
    /// `jti` must be there.
    pub id: bool,
    /// Other claims.
    pub custom: Box<[ClaimCheck]>,
}

/// What one claim must say.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimCheck {
    /// Dotted path.
    pub path: Box<str>,
    /// How it is checked.
    pub rule: ClaimRule,
    /// A claim that says otherwise is logged, and passes.
    pub non_blocking: bool,
}

/// How a claim is checked.
#[derive(Debug, Clone, PartialEq)]
pub enum ClaimRule {
    /// It must be there.
    Required,
    /// It must be one of these.
    Equals(Box<[Value]>),
    /// It must contain one of these: a list as an item, a text as a part.
    Contains(Box<[Value]>),
}

/// Which policies the session of a token has: those that a claim names, else those of a client's key, else the default
/// ones; and those that scopes stand for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenPolicies {
    /// Claims that name them, as dotted paths.
    pub claims: Box<[Box<str>]>,
    /// The claim that names a key of the gate, whose policy counts.
    pub client: Option<Box<str>>,
    /// Where neither says anything.
    pub defaults: Box<[Box<str>]>,
    /// Scopes.
    pub scopes: ScopePolicies,
    /// The claim that names an OAuth client is not looked at.
    pub no_client_mapping: bool,
}

/// What scopes stand for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScopePolicies {
    /// Claims that hold scopes, as dotted paths; none: `scope`.
    pub claims: Box<[Box<str>]>,
    /// Scope and policy.
    pub policies: Box<[(Box<str>, Box<str>)]>,
}

impl SecretBytes {
    /// What is secret.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for SecretBytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "\"***\"" })
    }
}

impl SigningMethod {
    const NAMES: [(&'static str, Self); 4] =
        [("hmac", Self::Hmac), ("rsa", Self::Rsa), ("ecdsa", Self::Ecdsa), ("eddsa", Self::Eddsa)];

    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, method)| *method == self).map_or("", |(name, _)| name)
    }

    /// Reads a name. What is none counts as `hmac`, as clients of the original expect.
    pub(super) fn read(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Self {
        let name = holder.text(key, faults);
        if let Some((_, method)) = Self::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return *method;
        }
        if !name.is_empty() {
            let known: Vec<_> = Self::NAMES.iter().map(|(name, _)| format!("`{name}`")).collect();
            faults.push(
                Fault::warning(
                    holder.at(key),
                    format!("the signing method `{name}` is unknown, so `hmac` counts and every other signature is refused"),
                )
                .hint(format!("use one of {}", known.join(", "))),
            );
        }
        Self::Hmac
    }
}

/// `server.authentication.securitySchemes.<name>` of a scheme that OpenAPI calls `http` with `bearer`.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    section("header", SOURCE),
    section("query", SOURCE),
    section("cookie", SOURCE),
    acts("source"),
    each("jwksURIs", &[acts("url"), acts("cacheTimeout")]),
    acts("signingMethod"),
    acts("identityBaseField"),
    acts("subjectClaims"),
    acts("skipKid"),
    acts("policyFieldName"),
    acts("basePolicyClaims"),
    acts("clientBaseField"),
    section(
        "scopes",
        &[
            acts("claimName"),
            acts("claims"),
            each("scopeToPolicyMapping", &[acts("scope"), acts("policyId")]),
        ],
    ),
    acts("defaultPolicies"),
    acts("issuedAtValidationSkew"),
    acts("notBeforeValidationSkew"),
    acts("expiresAtValidationSkew"),
    acts("allowedIssuers"),
    acts("allowedAudiences"),
    acts("allowedSubjects"),
    section("jtiValidation", &[acts("enabled")]),
    acts("idpClientIdMappingDisabled"),
    acts("customClaimValidation"),
];

impl Jwt {
    pub(super) fn classic(root: &Section<'_>, configs: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let method = SigningMethod::read(root, "jwt_signing_method", faults);
        let scopes = root.section("scopes", faults).section("jwt", faults);
        Self {
            sources: Sources::classic(&configs.section("jwt", faults), "jwt", faults),
            keys: keys(root, ("jwt_source", "jwt_jwks_uris", "cache_timeout"), method, faults),
            method,
            skip_kid: root.flag("jwt_skip_kid", faults),
            skews: skews(
                root,
                [
                    "jwt_issued_at_validation_skew",
                    "jwt_not_before_validation_skew",
                    "jwt_expires_at_validation_skew",
                ],
                faults,
            ),
            checks: ClaimChecks::default(),
            identity: one(root.text("jwt_identity_base_field", faults)),
            policies: TokenPolicies {
                claims: one(root.text("jwt_policy_field_name", faults)),
                client: some(root.text("jwt_client_base_field", faults)),
                defaults: root.texts("jwt_default_policies", faults),
                scopes: ScopePolicies::classic(
                    &scopes,
                    (root, "jwt_scope_claim_name", "jwt_scope_to_policy_mapping"),
                    faults,
                ),
                no_client_mapping: root.flag("idp_client_id_mapping_disabled", faults),
            },
        }
    }

    pub(super) fn oas(scheme: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let method = SigningMethod::read(scheme, "signingMethod", faults);
        let claims = |key: &str, older: &str, faults: &mut Vec<Fault>| {
            let older = scheme.text(older, faults);
            match scheme.texts(key, faults) {
                claims if claims.is_empty() => one(older),
                claims => claims,
            }
        };
        let identity = claims("subjectClaims", "identityBaseField", faults);
        let policy_claims = claims("basePolicyClaims", "policyFieldName", faults);
        Self {
            sources: Sources::oas_http(scheme, faults),
            keys: keys(scheme, ("source", "jwksURIs", "cacheTimeout"), method, faults),
            method,
            skip_kid: scheme.flag("skipKid", faults),
            skews: skews(
                scheme,
                ["issuedAtValidationSkew", "notBeforeValidationSkew", "expiresAtValidationSkew"],
                faults,
            ),
            checks: ClaimChecks {
                issuers: scheme.texts("allowedIssuers", faults),
                audiences: scheme.texts("allowedAudiences", faults),
                subjects: scheme.texts("allowedSubjects", faults),
                id: scheme.section("jtiValidation", faults).flag("enabled", faults),
                custom: custom(scheme, faults),
            },
            identity,
            policies: TokenPolicies {
                claims: policy_claims,
                client: some(scheme.text("clientBaseField", faults)),
                defaults: scheme.texts("defaultPolicies", faults),
                scopes: ScopePolicies::oas(&scheme.section("scopes", faults), faults),
                no_client_mapping: scheme.flag("idpClientIdMappingDisabled", faults),
            },
        }
    }

    /// What classic clients read of it. What claims must say has no place there.
    pub(super) fn write_classic(&self, definition: &mut Value) {
        definition["enable_jwt"] = true.into();
        definition["auth_configs"]["jwt"] = self.sources.write_classic();
        definition["jwt_signing_method"] = self.method.name().into();
        match &self.keys {
            TokenKeys::OfSession => {}
            TokenKeys::Fixed(secret) => definition["jwt_source"] = BASE64.encode(secret.expose()).into(),
            TokenKeys::Sets(sets) => {
                let sets = sets.iter().map(|set| {
                    json!({
                        "url": set.url.to_string(),
                        "cache_timeout": set.keep.map_or(0, |keep| keep.as_secs()),
                    })
                });
                definition["jwt_jwks_uris"] = sets.collect();
            }
        }
        definition["jwt_skip_kid"] = self.skip_kid.into();
        definition["jwt_issued_at_validation_skew"] = self.skews.issued_at.as_secs().into();
        definition["jwt_not_before_validation_skew"] = self.skews.not_before.as_secs().into();
        definition["jwt_expires_at_validation_skew"] = self.skews.expires_at.as_secs().into();
        definition["jwt_identity_base_field"] = first(&self.identity).into();
        definition["jwt_policy_field_name"] = first(&self.policies.claims).into();
        definition["jwt_client_base_field"] = self.policies.client.as_deref().unwrap_or_default().into();
        definition["jwt_default_policies"] = json!(self.policies.defaults);
        definition["scopes"]["jwt"] = self.policies.scopes.write_classic();
        definition["idp_client_id_mapping_disabled"] = self.policies.no_client_mapping.into();
    }
}

impl ScopePolicies {
    /// `scopes.<kind>`, with the older keys beside it.
    pub(super) fn classic(
        scopes: &Section<'_>,
        (older, older_claim, older_policies): (&Section<'_>, &str, &str),
        faults: &mut Vec<Fault>,
    ) -> Self {
        let claim = match scopes.text("scope_claim_name", faults) {
            "" => older.text(older_claim, faults),
            claim => claim,
        };
        let mut policies = named(&scopes.section("scope_to_policy", faults), faults);
        if policies.is_empty() {
            policies = named(&older.section(older_policies, faults), faults);
        }
        Self { claims: one(claim), policies }
    }

    pub(super) fn oas(scopes: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let older = scopes.text("claimName", faults);
        let claims = match scopes.texts("claims", faults) {
            claims if claims.is_empty() => one(older),
            claims => claims,
        };
        let entries = scopes.get("scopeToPolicyMapping").and_then(Value::as_array);
        if entries.is_none() && scopes.get("scopeToPolicyMapping").is_some() {
            let at = scopes.at("scopeToPolicyMapping");
            faults
                .push(Fault::error(at, "`scopeToPolicyMapping` must be an array of `scope` and `policyId`"));
        }
        let entries = entries.into_iter().flatten().enumerate().filter_map(|(index, entry)| {
            let pointer = pointer_join(&scopes.at("scopeToPolicyMapping"), &index.to_string());
            let entry = Section { object: entry.as_object(), pointer };
            let (scope, policy) = (entry.text("scope", faults), entry.text("policyId", faults));
            (!scope.is_empty() && !policy.is_empty()).then(|| (scope.into(), policy.into()))
        });
        let policies = entries.collect();
        Self { claims, policies }
    }

    pub(super) fn write_classic(&self) -> Value {
        let policies: Map<String, Value> =
            self.policies.iter().map(|(scope, policy)| (scope.to_string(), (&**policy).into())).collect();
        json!({"scope_claim_name": first(&self.claims), "scope_to_policy": policies})
    }
}

/// Where keys come from: several published sets, one, a fixed secret, or the session's own.
pub(super) fn keys(
    holder: &Section<'_>,
    (source, sets, timeout): (&str, &str, &str),
    method: SigningMethod,
    faults: &mut Vec<Fault>,
) -> TokenKeys {
    let listed = published(holder, sets, timeout, faults);
    let written = holder.text(source, faults).trim();
    if !listed.is_empty() {
        return TokenKeys::Sets(listed.into());
    }
    if written.is_empty() {
        return TokenKeys::OfSession;
    }
    let decoded = BASE64.decode(written.split_ascii_whitespace().collect::<String>()).ok();
    let decoded_text = decoded.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
    for text in [Some(written), decoded_text].into_iter().flatten() {
        if is_address(text) {
            let address = address(text.trim(), holder.at(source), faults);
            return TokenKeys::Sets(
                address.map(|url| KeySetAddress { url, keep: None }).into_iter().collect(),
            );
        }
    }
    let secret = if written.starts_with("-----BEGIN ") { None } else { decoded };
    let secret = secret.unwrap_or_else(|| written.as_bytes().to_vec());
    let is_public = secret.trim_ascii_start().starts_with(b"-----BEGIN ");
    if is_public != (method != SigningMethod::Hmac) {
        // Taking a public key for a shared secret would let anybody sign.
        let message = if is_public {
            "the source is a public key, and the signing method is `hmac`, which needs a shared secret"
        } else {
            "the source is no public key, which this signing method needs"
        };
        faults.push(Fault::error(holder.at(source), message).hint(
            "set the signing method to the kind of key, and write a public key as PEM, or as base64 of that",
        ));
    } else if secret.is_empty() {
        faults.push(Fault::error(holder.at(source), "the shared secret is empty"));
    }
    TokenKeys::Fixed(SecretBytes(secret.into()))
}

fn published(holder: &Section<'_>, key: &str, timeout: &str, faults: &mut Vec<Fault>) -> Vec<KeySetAddress> {
    let entries = match holder.get(key) {
        None => return Vec::new(),
        Some(Value::Array(entries)) => entries,
        Some(other) => {
            faults
                .push(Fault::error(holder.at(key), format!("`{key}` must be an array, not {}", kind(other))));
            return Vec::new();
        }
    };
    let mut sets = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let pointer = pointer_join(&holder.at(key), &index.to_string());
        let entry = Section { object: entry.as_object(), pointer };
        let url = entry.text("url", faults).trim();
        let keep = entry.seconds(timeout, faults);
        if url.is_empty() {
            faults.push(Fault::error(entry.at("url"), "a key set needs its `url`"));
        } else if let Some(url) = address(url, entry.at("url"), faults) {
            sets.push(KeySetAddress { url, keep });
        }
    }
    sets
}

fn is_address(text: &str) -> bool {
    let text = text.trim_start();
    ["http://", "https://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

/// An address that the gate fetches from.
pub(super) fn address(text: &str, at: String, faults: &mut Vec<Fault>) -> Option<Target> {
    let fault = |why: &str| Fault::error(at, format!("the address {why}"));
    match Target::parse(text) {
        Ok(target) if target.scheme != Scheme::H2c && is_address(text) => Some(target),
        Ok(_) => {
            faults.push(fault("must start with http:// or https://"));
            None
        }
        Err(why) => {
            faults.push(fault(why));
            None
        }
    }
}

fn custom(scheme: &Section<'_>, faults: &mut Vec<Fault>) -> Box<[ClaimCheck]> {
    let checks = scheme.section("customClaimValidation", faults);
    let mut read = Vec::new();
    for path in checks.object.into_iter().flat_map(|object| object.keys()) {
        let check = checks.section(path, faults);
        if let Some(object) = check.object {
            let fields = [acts("type"), acts("allowedValues"), acts("nonBlocking")];
            crate::fields::check(&fields, object, &check.pointer, faults);
        }
        let allowed: Box<[Value]> = match check.get("allowedValues") {
            None => Box::default(),
            Some(Value::Array(values)) => values.as_slice().into(),
            Some(other) => {
                let message = format!("`allowedValues` must be an array, not {}", kind(other));
                faults.push(Fault::error(check.at("allowedValues"), message));
                Box::default()
            }
        };
        let rule = match check.text("type", faults) {
            "required" => ClaimRule::Required,
            "exact_match" => ClaimRule::Equals(allowed),
            "contains" => ClaimRule::Contains(allowed),
            other => {
                // A check that cannot be understood would otherwise be none.
                faults.push(
                    Fault::error(check.at("type"), format!("`{other}` is no way to check a claim"))
                        .hint("use `required`, `exact_match` or `contains`"),
                );
                continue;
            }
        };
        read.push(ClaimCheck {
            path: path.as_str().into(),
            rule,
            non_blocking: check.flag("nonBlocking", faults),
        });
    }
    read.into()
}

/// A map of texts.
pub(super) fn named(map: &Section<'_>, faults: &mut Vec<Fault>) -> Box<[(Box<str>, Box<str>)]> {
    let keys = map.object.into_iter().flat_map(|object| object.keys());
    keys.map(|key| (key.as_str(), map.text(key, faults)))
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

/// The skews, by their keys in the order `iat`, `nbf`, `exp`.
pub(super) fn skews(holder: &Section<'_>, keys: [&str; 3], faults: &mut Vec<Fault>) -> Skews {
    let [issued_at, not_before, expires_at] = keys.map(|key| holder.seconds(key, faults).unwrap_or_default());
    Skews { issued_at, not_before, expires_at }
}

pub(super) fn one(text: &str) -> Box<[Box<str>]> {
    some(text).into_iter().collect()
}

pub(super) fn some(text: &str) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into())
}

fn first(texts: &[Box<str>]) -> &str {
    texts.first().map_or("", |text| text)
}
