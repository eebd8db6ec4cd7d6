//! Who may call: switches and `auth_configs` <-> `securitySchemes` and what stands beside them (contract 2.2, 3.3).

use super::To;
use super::flows;
use super::schemes::{KINDS, Kind, Openapi};
use super::value::{move_pairs, put, take, text};
use document::pointer_join;
use serde_json::{Value, json};

const AUTHENTICATION: &str = "/x-tyk-api-gateway/server/authentication";
const SCHEMES: &str = "/x-tyk-api-gateway/server/authentication/securitySchemes";
const COMPONENTS: &str = "/components/securitySchemes";

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
    for kind in KINDS {
        if from.pointer(kind.switch) != Some(&Value::Bool(true)) {
            continue;
        }
        take(from, kind.switch);
        let name = kind.config;
        let at = match kind.openapi {
            Openapi::Unknown(key) => pointer_join(AUTHENTICATION, key),
            _ => pointer_join(SCHEMES, name),
        };
        put(out, &at, json!({"enabled": true}));
        let mut component = kind.component();
        if kind.has_places {
            places_to_oas(kind, from, out, &at, &mut component);
        }
        move_pairs(kind.pairs, To::Oas, (from, &as_it_is), (out, &|own| format!("{at}{own}")));
        if matches!(kind.openapi, Openapi::OAuth) {
            flows::to_oas(from, out, &at, &mut component);
        }
        if !matches!(kind.openapi, Openapi::Unknown(_)) {
            put(out, &pointer_join(COMPONENTS, name), component);
            required[name] = json!([]);
        }
    }
    if required.as_object().is_some_and(|named| !named.is_empty()) {
        out["security"] = json!([required]);
    }
}

fn places_to_oas(kind: &Kind, from: &mut Value, out: &mut Value, at: &str, component: &mut Value) {
    let config = format!("/auth_configs/{}", kind.config);
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
        let is_key = matches!(kind.openapi, Openapi::Key);
        if on == inverted {
            if place == "header" && !is_key {
                // Without a word it would be looked for there.
                put(out, &format!("{at}/{place}"), json!({"enabled": false}));
            }
        } else if is_key && component.get("in").is_none() {
            component["in"] = json!(place);
            component["name"] = json!(own);
        } else {
            put(out, &format!("{at}/{place}"), json!({"enabled": true, "name": own}));
        }
    }
}

pub(super) fn to_classic(from: &mut Value, out: &mut Value) {
    if from.pointer(&format!("{AUTHENTICATION}/enabled")) != Some(&Value::Bool(true)) {
        take(from, &format!("{AUTHENTICATION}/enabled"));
        out["use_keyless"] = true.into();
        return;
    }
    let schemes = from.pointer(SCHEMES).and_then(Value::as_object);
    let names: Vec<String> = schemes.map(|schemes| schemes.keys().cloned().collect()).unwrap_or_default();
    for name in names {
        let (at, component) = (pointer_join(SCHEMES, &name), pointer_join(COMPONENTS, &name));
        let Some(kind) = KINDS.iter().find(|kind| {
            let (declared, scheme) = (from.pointer(&component), from.pointer(&at));
            declared.zip(scheme).is_some_and(|(declared, scheme)| kind.fits(declared, scheme))
        }) else {
            continue;
        };
        if scheme_to_classic(kind, from, out, &at, &component) {
            take(from, &component);
        }
    }
    for kind in KINDS {
        if let Openapi::Unknown(key) = kind.openapi {
            scheme_to_classic(kind, from, out, &pointer_join(AUTHENTICATION, key), "");
        }
    }
    let certificates = format!("{AUTHENTICATION}/certificateAuth/enabled");
    if from.pointer(&certificates) == Some(&Value::Bool(true)) {
        // Classic has it as a property of keys.
        take(from, &certificates);
        put(out, "/use_standard_auth", true.into());
        put(out, "/auth_configs/authToken/use_certificate", true.into());
    }
    if let [only] = from["security"].as_array().map(Vec::as_slice).unwrap_or_default()
        && let Some(named) = only.as_object()
        && named.values().all(|scopes| scopes.as_array().is_some_and(Vec::is_empty))
    {
        take(from, "/security"); // all of them at once, as classic has it
    }
}

/// Whether it is one that counts: it is on, and the first of its kind.
fn scheme_to_classic(kind: &Kind, from: &mut Value, out: &mut Value, at: &str, component: &str) -> bool {
    let is_on = from.pointer(&format!("{at}/enabled")) == Some(&Value::Bool(true));
    if !is_on || out.pointer(kind.switch).is_some() {
        return false;
    }
    take(from, &format!("{at}/enabled"));
    put(out, kind.switch, true.into());
    if kind.has_places {
        places_to_classic(kind, from, out, at, component);
    }
    if matches!(kind.openapi, Openapi::OAuth) {
        flows::to_classic(from, out, at, component);
    }
    move_pairs(kind.pairs, To::Classic, (from, &|own| format!("{at}{own}")), (out, &as_it_is));
    true
}

fn places_to_classic(kind: &Kind, from: &mut Value, out: &mut Value, at: &str, component: &str) {
    let is_key = matches!(kind.openapi, Openapi::Key);
    let declared = from.pointer(component).filter(|_| is_key);
    let declared = declared.map(|known| (text(known, "/in").to_owned(), text(known, "/name").to_owned()));
    let config = format!("/auth_configs/{}", kind.config);
    for (switch, inverted, named, place) in PLACES {
        let unsaid = from.pointer(&format!("{at}/{place}")).is_none();
        let enabled = take(from, &format!("{at}/{place}/enabled")) == Some(Value::Bool(true));
        let own = take(from, &format!("{at}/{place}/name"));
        let declared = declared.as_ref().filter(|(known, _)| known == place);
        let own = declared.map(|(_, name)| json!(name)).or(own);
        // Without a word it is the Authorization header.
        let on = enabled || declared.is_some() || (place == "header" && !is_key && unsaid);
        put(out, &format!("{config}/{switch}"), Value::Bool(on != inverted));
        if on && let Some(own) = own {
            put(out, &format!("{config}/{named}"), own);
        }
    }
}
