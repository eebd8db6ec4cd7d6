//! Who may call: switches and `auth_configs` <-> `securitySchemes` (contract 2.2, 3.3).

use super::To;
use super::table::{How, Pair};
use super::value::{move_pairs, put, take};
use document::pointer_join;
use serde_json::{Value, json};

const SCHEMES: &str = "/x-tyk-api-gateway/server/authentication/securitySchemes";
const COMPONENTS: &str = "/components/securitySchemes";

/// A kind of scheme: its switch, its member of `auth_configs`, the scheme of OpenAPI, and its own keys.
struct Kind(&'static str, &'static str, (&'static str, &'static str), &'static [Pair]);

use How::Same;

const KINDS: &[Kind] = &[
    Kind(
        "/use_standard_auth",
        "authToken",
        ("apiKey", ""),
        &[Pair("/auth_configs/authToken/use_certificate", "/enableClientCertificate", Same)],
    ),
    Kind(
        "/use_basic_auth",
        "basic",
        ("http", "basic"),
        &[
            Pair("/basic_auth/disable_caching", "/disableCaching", Same),
            Pair("/basic_auth/cache_ttl", "/cacheTTL", Same),
            Pair("/basic_auth/body_user_regexp", "/extractCredentialsFromBody/userRegexp", Same),
            Pair("/basic_auth/body_password_regexp", "/extractCredentialsFromBody/passwordRegexp", Same),
            Pair("/basic_auth/extract_from_body", "/extractCredentialsFromBody/enabled", Same),
        ],
    ),
    Kind(
        "/enable_jwt",
        "jwt",
        ("http", "bearer"),
        &[
            Pair("/jwt_source", "/source", Same),
            Pair("/jwt_signing_method", "/signingMethod", Same),
            Pair("/jwt_identity_base_field", "/identityBaseField", Same),
            Pair("/jwt_client_base_field", "/clientBaseField", Same),
            Pair("/jwt_policy_field_name", "/policyFieldName", Same),
            Pair("/jwt_default_policies", "/defaultPolicies", Same),
            Pair("/jwt_issued_at_validation_skew", "/issuedAtValidationSkew", Same),
            Pair("/jwt_not_before_validation_skew", "/notBeforeValidationSkew", Same),
            Pair("/jwt_expires_at_validation_skew", "/expiresAtValidationSkew", Same),
            Pair("/jwt_skip_kid", "/skipKid", Same),
            Pair("/idp_client_id_mapping_disabled", "/idpClientIdMappingDisabled", Same),
        ],
    ),
];

/// Places of credentials: of classic the switch, whether it is inverted, and the name; the key of OpenAPI.
const PLACES: [(&str, bool, &str, &str); 3] = [
    ("disable_header", true, "auth_header_name", "header"),
    ("use_param", false, "param_name", "query"),
    ("use_cookie", false, "cookie_name", "cookie"),
];

fn as_it_is(pointer: &str) -> String {
    pointer.to_owned()
}

pub(super) fn to_oas(from: &mut Value, out: &mut Value) {
    let mut required = json!({});
    for Kind(switch, name, (kind, scheme), pairs) in KINDS {
        if from.pointer(switch) != Some(&Value::Bool(true)) {
            continue;
        }
        take(from, switch);
        let at = pointer_join(SCHEMES, name);
        put(out, &at, json!({"enabled": true}));
        let mut component = json!({"type": kind});
        if !scheme.is_empty() {
            component["scheme"] = json!(scheme);
        }
        let config = format!("/auth_configs/{name}");
        let header = match take(from, &format!("{config}/auth_header_name")) {
            Some(Value::String(written)) if !written.is_empty() => written,
            _ => "Authorization".to_owned(),
        };
        for (switch, inverted, named, place) in PLACES {
            let on = take(from, &format!("{config}/{switch}")) == Some(Value::Bool(true));
            let own = match take(from, &format!("{config}/{named}")) {
                Some(Value::String(written)) if !written.is_empty() => written,
                _ => header.clone(),
            };
            if on == inverted {
                continue;
            }
            if *kind == "apiKey" && component.get("in").is_none() {
                component["in"] = json!(place);
                component["name"] = json!(own);
            } else {
                put(out, &format!("{at}/{place}"), json!({"enabled": true, "name": own}));
            }
        }
        move_pairs(pairs, To::Oas, (from, &as_it_is), (out, &|own| format!("{at}{own}")));
        put(out, &pointer_join(COMPONENTS, name), component);
        required[*name] = json!([]);
    }
    if required.as_object().is_some_and(|named| !named.is_empty()) {
        out["security"] = json!([required]);
    }
}

pub(super) fn to_classic(from: &mut Value, out: &mut Value) {
    let authentication = "/x-tyk-api-gateway/server/authentication";
    if from.pointer(&format!("{authentication}/enabled")) != Some(&Value::Bool(true)) {
        take(from, &format!("{authentication}/enabled"));
        out["use_keyless"] = true.into();
        return;
    }
    let names: Vec<String> = from
        .pointer(SCHEMES)
        .and_then(Value::as_object)
        .map(|schemes| schemes.keys().cloned().collect())
        .unwrap_or_default();
    for name in names {
        let (at, component) = (pointer_join(SCHEMES, &name), pointer_join(COMPONENTS, &name));
        let text = |key: &str| {
            from.pointer(&component)
                .and_then(|known| known.get(key))
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (kind, scheme) = (text("type"), text("scheme").to_lowercase());
        let declared = (text("in"), text("name"));
        let fits = |known: &&Kind| known.2.0 == kind && (kind == "apiKey" || known.2.1 == scheme);
        let Some(Kind(switch, config, _, pairs)) = KINDS.iter().find(fits) else { continue };
        let is_on = from.pointer(&format!("{at}/enabled")) == Some(&Value::Bool(true));
        if !is_on || out.pointer(switch).is_some() {
            continue; // off, or a second of its kind
        }
        take(from, &format!("{at}/enabled"));
        put(out, switch, true.into());
        let config = format!("/auth_configs/{config}");
        let mut any = false;
        for (switch, inverted, named, place) in PLACES {
            let enabled = take(from, &format!("{at}/{place}/enabled")) == Some(Value::Bool(true));
            let own = take(from, &format!("{at}/{place}/name"));
            let own = if kind == "apiKey" && declared.0 == place { Some(json!(declared.1)) } else { own };
            let on = enabled || (kind == "apiKey" && declared.0 == place);
            any |= on;
            put(out, &format!("{config}/{switch}"), Value::Bool(on != inverted));
            if on && let Some(own) = own {
                put(out, &format!("{config}/{named}"), own);
            }
        }
        if !any {
            put(out, &format!("{config}/disable_header"), false.into()); // the Authorization header, without a word
        }
        move_pairs(pairs, To::Classic, (from, &|own| format!("{at}{own}")), (out, &as_it_is));
        take(from, &component);
    }
    if let [only] = from["security"].as_array().map(Vec::as_slice).unwrap_or_default()
        && let Some(named) = only.as_object()
        && named.values().all(|scopes| scopes.as_array().is_some_and(Vec::is_empty))
    {
        take(from, "/security"); // all of them at once, as classic has it
    }
}
