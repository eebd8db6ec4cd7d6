//! The kinds of security schemes, and which of their keys mean the same in both formats (contract 2.2, 3.3).

use super::To;
use super::table::{How, Pair};
use super::value::{is_blank, text};
use How::{By, Each, Named, Not, Said, Same};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

/// What OpenAPI calls a kind.
#[derive(Debug, Clone, Copy)]
pub(super) enum Openapi {
    /// `apiKey`.
    Key,
    /// `http`, with this scheme.
    Http(&'static str),
    /// `oauth2`, tokens of the gate.
    OAuth,
    /// `oauth2`, tokens of others.
    External,
    /// Nothing: it stands in `server.authentication` under this key.
    Unknown(&'static str),
}

/// A kind of scheme.
#[derive(Debug)]
pub(super) struct Kind {
    /// What switches it on in a classic definition.
    pub(super) switch: &'static str,
    /// Its member of `auth_configs`.
    pub(super) config: &'static str,
    pub(super) openapi: Openapi,
    /// Definitions say where its credential is.
    pub(super) has_places: bool,
    /// Its own keys.
    pub(super) pairs: &'static [Pair],
}

impl Kind {
    /// What `components.securitySchemes` says of it.
    pub(super) fn component(&self) -> Value {
        match self.openapi {
            Openapi::Key => json!({"type": "apiKey"}),
            Openapi::Http(scheme) => json!({"type": "http", "scheme": scheme}),
            Openapi::OAuth | Openapi::External => json!({"type": "oauth2", "flows": {}}),
            Openapi::Unknown(_) => Value::Null,
        }
    }

    /// Whether a scheme of a document is one of this kind.
    pub(super) fn fits(&self, component: &Value, scheme: &Value) -> bool {
        let is = |kind: &str| text(component, "/type") == kind;
        match self.openapi {
            Openapi::Key => is("apiKey"),
            Openapi::Http(known) => is("http") && text(component, "/scheme").eq_ignore_ascii_case(known),
            Openapi::External => is("oauth2") && scheme.get("providers").is_some_and(|held| !is_blank(held)),
            // What takes tokens for others to verify has no counterpart.
            Openapi::OAuth => {
                let of_others = ["providers", "scopeCheck", "protectedResourceMetadata", "tokenExchange"];
                is("oauth2") && of_others.iter().all(|key| scheme.get(key).is_none_or(is_blank))
            }
            Openapi::Unknown(_) => false,
        }
    }
}

const SCOPES: How = Named("scope", "policyId");

pub(super) const KINDS: &[Kind] = &[
    Kind {
        switch: "/use_standard_auth",
        config: "authToken",
        openapi: Openapi::Key,
        has_places: true,
        pairs: &[
            Pair("/auth_configs/authToken/use_certificate", "/enableClientCertificate", Said),
            Pair("/auth_configs/authToken/validate_signature", "/signatureValidation/enabled", Said),
            Pair("/auth_configs/authToken/signature/algorithm", "/signatureValidation/algorithm", Said),
            Pair("/auth_configs/authToken/signature/header", "/signatureValidation/header", Said),
            Pair("/auth_configs/authToken/signature/use_param", "/signatureValidation/query/enabled", Said),
            Pair("/auth_configs/authToken/signature/param_name", "/signatureValidation/query/name", Said),
            Pair("/auth_configs/authToken/signature/secret", "/signatureValidation/secret", Said),
            Pair(
                "/auth_configs/authToken/signature/allowed_clock_skew",
                "/signatureValidation/allowedClockSkew",
                Said,
            ),
            Pair("/auth_configs/authToken/signature/error_code", "/signatureValidation/errorCode", Said),
            Pair(
                "/auth_configs/authToken/signature/error_message",
                "/signatureValidation/errorMessage",
                Said,
            ),
        ],
    },
    Kind {
        switch: "/use_basic_auth",
        config: "basic",
        openapi: Openapi::Http("basic"),
        has_places: true,
        pairs: &[
            Pair("/basic_auth/disable_caching", "/disableCaching", Same),
            Pair("/basic_auth/cache_ttl", "/cacheTTL", Same),
            Pair("/basic_auth/body_user_regexp", "/extractCredentialsFromBody/userRegexp", Same),
            Pair("/basic_auth/body_password_regexp", "/extractCredentialsFromBody/passwordRegexp", Same),
            Pair("/basic_auth/extract_from_body", "/extractCredentialsFromBody/enabled", Same),
        ],
    },
    Kind {
        switch: "/enable_jwt",
        config: "jwt",
        openapi: Openapi::Http("bearer"),
        has_places: true,
        pairs: &[
            Pair("/jwt_source", "/source", Same),
            Pair(
                "/jwt_jwks_uris",
                "/jwksURIs",
                Each(&[Pair("/url", "/url", Same), Pair("/cache_timeout", "/cacheTimeout", Said)]),
            ),
            Pair("/jwt_signing_method", "/signingMethod", Same),
            Pair("/jwt_identity_base_field", "/identityBaseField", Same),
            Pair("/jwt_client_base_field", "/clientBaseField", Same),
            Pair("/jwt_policy_field_name", "/policyFieldName", Same),
            Pair("/jwt_default_policies", "/defaultPolicies", Same),
            Pair("/jwt_issued_at_validation_skew", "/issuedAtValidationSkew", Same),
            Pair("/jwt_not_before_validation_skew", "/notBeforeValidationSkew", Same),
            Pair("/jwt_expires_at_validation_skew", "/expiresAtValidationSkew", Same),
            Pair("/jwt_skip_kid", "/skipKid", Same),
            Pair("/scopes/jwt/scope_claim_name", "/scopes/claimName", Said),
            Pair("/scopes/jwt/scope_to_policy", "/scopes/scopeToPolicyMapping", SCOPES),
            Pair("/idp_client_id_mapping_disabled", "/idpClientIdMappingDisabled", Same),
        ],
    },
    Kind {
        switch: "/use_oauth2",
        config: "oauth",
        openapi: Openapi::OAuth,
        has_places: true,
        pairs: &[
            Pair("/oauth_meta/allowed_authorize_types", "/allowedAuthorizeTypes", Said),
            Pair("/oauth_meta/auth_login_redirect", "/authLoginRedirect", Said),
            Pair("/notifications/shared_secret", "/notifications/sharedSecret", Said),
            Pair("/notifications/oauth_on_keychange_url", "/notifications/onKeyChangeUrl", Said),
        ],
    },
    Kind {
        switch: "/external_oauth/enabled",
        config: "externalOAuth",
        openapi: Openapi::External,
        has_places: true,
        pairs: &[Pair("/external_oauth/providers", "/providers", Each(PROVIDER))],
    },
    Kind {
        switch: "/enable_signature_checking",
        config: "hmac",
        openapi: Openapi::Unknown("hmac"),
        has_places: true,
        pairs: &[
            Pair("/hmac_allowed_clock_skew", "/allowedClockSkew", Said),
            Pair("/hmac_allowed_algorithms", "/allowedAlgorithms", Said),
        ],
    },
    Kind {
        switch: "/use_openid",
        config: "oidc",
        openapi: Openapi::Unknown("oidc"),
        has_places: true,
        pairs: &[
            Pair("/openid_options/segregate_by_client", "/segregateByClientId", Said),
            Pair(
                "/openid_options/providers",
                "/providers",
                Each(&[
                    Pair("/issuer", "/issuer", Same),
                    Pair("/client_ids", "/clientToPolicyMapping", By(clients)),
                ]),
            ),
            Pair("/scopes/oidc/scope_claim_name", "/scopes/claimName", Said),
            Pair("/scopes/oidc/scope_to_policy", "/scopes/scopeToPolicyMapping", SCOPES),
        ],
    },
    Kind {
        switch: "/custom_plugin_auth_enabled",
        config: "coprocess",
        openapi: Openapi::Unknown("custom"),
        has_places: false,
        pairs: &[
            Pair("/custom_middleware/auth_check/name", "/config/functionName", Said),
            Pair("/custom_middleware/auth_check/path", "/config/path", Said),
            Pair("/custom_middleware/auth_check/code", "/config/code", Said),
            Pair("/custom_middleware/auth_check/raw_body_only", "/config/rawBodyOnly", Said),
            Pair("/custom_middleware/auth_check/require_session", "/config/requireSession", Said),
            Pair("/custom_middleware/auth_check/disabled", "/config/enabled", Not),
            Pair("/custom_middleware/id_extractor/extract_from", "/config/idExtractor/source", Said),
            Pair("/custom_middleware/id_extractor/extract_with", "/config/idExtractor/with", Said),
            Pair(
                "/custom_middleware/id_extractor/extractor_config/header_name",
                "/config/idExtractor/config/headerName",
                Said,
            ),
            Pair(
                "/custom_middleware/id_extractor/extractor_config/param_name",
                "/config/idExtractor/config/formParamName",
                Said,
            ),
            Pair(
                "/custom_middleware/id_extractor/extractor_config/regex_expression",
                "/config/idExtractor/config/regexp",
                Said,
            ),
            Pair(
                "/custom_middleware/id_extractor/extractor_config/regex_match_index",
                "/config/idExtractor/config/regexpMatchIndex",
                Said,
            ),
            Pair(
                "/custom_middleware/id_extractor/extractor_config/xpath_expression",
                "/config/idExtractor/config/xPathExp",
                Said,
            ),
            Pair("/custom_middleware/id_extractor/disabled", "/config/idExtractor/enabled", Not),
        ],
    },
];

const PROVIDER: &[Pair] = &[
    Pair("/jwt/enabled", "/jwt/enabled", Said),
    Pair("/jwt/signing_method", "/jwt/signingMethod", Said),
    Pair("/jwt/source", "/jwt/source", Said),
    Pair("/jwt/issued_at_validation_skew", "/jwt/issuedAtValidationSkew", Said),
    Pair("/jwt/not_before_validation_skew", "/jwt/notBeforeValidationSkew", Said),
    Pair("/jwt/expires_at_validation_skew", "/jwt/expiresAtValidationSkew", Said),
    Pair("/jwt/identity_base_field", "/jwt/identityBaseField", Said),
    Pair("/introspection/enabled", "/introspection/enabled", Said),
    Pair("/introspection/url", "/introspection/url", Said),
    Pair("/introspection/client_id", "/introspection/clientId", Said),
    Pair("/introspection/client_secret", "/introspection/clientSecret", Said),
    Pair("/introspection/identity_base_field", "/introspection/identityBaseField", Said),
    Pair("/introspection/cache/enabled", "/introspection/cache/enabled", Said),
    Pair("/introspection/cache/timeout", "/introspection/cache/timeout", Said),
];

/// Policies by client: classic writes their ids in base64.
fn clients(given: &Value, to: To) -> Option<Value> {
    match to {
        To::Oas => {
            let clients = given.as_object()?.iter().map(|(id, policy)| {
                let id = String::from_utf8(BASE64.decode(id).ok()?).ok()?;
                Some(json!({"clientId": id, "policyId": policy}))
            });
            clients.collect()
        }
        To::Classic => {
            let mut clients = Map::new();
            for entry in given.as_array()? {
                clients.insert(BASE64.encode(text(entry, "/clientId")), entry.get("policyId")?.clone());
            }
            Some(Value::Object(clients))
        }
    }
}
