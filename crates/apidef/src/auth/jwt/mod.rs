//! JSON Web Tokens (contract 2.2, 3.3, 5.5): which keys sign them, what their claims must say, and whose session they are.

mod claims;
mod keys;
mod policies;

pub use self::claims::{ClaimCheck, ClaimChecks, ClaimRule, Skews};
pub use self::keys::{KeySetAddress, SecretBytes, SigningMethod, TokenKeys};
pub use self::policies::{ScopePolicies, TokenPolicies};

pub(super) use self::claims::skews;
pub(super) use self::keys::{address, keys};
pub(super) use self::policies::named;

use self::claims::custom;
use super::{SOURCE, Sources};
use crate::fields::{Field, acts, each, section};
use crate::section::Section;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use document::Fault;
use serde_json::{Value, json};

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
                        "url": set.url.written(),
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

pub(super) fn one(text: &str) -> Box<[Box<str>]> {
    some(text).into_iter().collect()
}

pub(super) fn some(text: &str) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into())
}

fn first(texts: &[Box<str>]) -> &str {
    texts.first().map_or("", |text| text)
}
