//! What tokens of the gate are given for: a list in classic definitions, flows in OpenAPI documents (contract 3.3).

use super::value::{put, take, text};
use serde_json::{Value, json};

const ACCESS: &str = "/oauth_meta/allowed_access_types";
/// What classic calls a grant, and OpenAPI its flow.
const FLOWS: &[(&str, &str)] = &[
    ("authorization_code", "authorizationCode"),
    ("password", "password"),
    ("client_credentials", "clientCredentials"),
];

/// Where an API gives tokens, below its listen path.
pub(super) fn to_oas(from: &mut Value, out: &mut Value, at: &str, component: &mut Value) {
    let listen = text(from, "/proxy/listen_path");
    let listen = match text(out, "/x-tyk-api-gateway/server/listenPath/value") {
        "" => listen,
        moved => moved,
    };
    let base = listen.trim_end_matches('/').to_owned();
    let Some(Value::Array(granted)) = take(from, ACCESS) else { return };
    for grant in &granted {
        if grant == "refresh_token" {
            put(out, &format!("{at}/refreshToken"), true.into());
        } else if let Some((grant, flow)) = FLOWS.iter().find(|(known, _)| grant == known) {
            let mut written = json!({"tokenUrl": format!("{base}/oauth/token/"), "scopes": {}});
            if *grant == "authorization_code" {
                written["authorizationUrl"] = json!(format!("{base}/oauth/authorize/"));
            }
            component["flows"][*flow] = written;
        }
    }
}

pub(super) fn to_classic(from: &mut Value, out: &mut Value, at: &str, component: &str) {
    let flows = from.pointer(component).and_then(|known| known.get("flows"));
    let has = |flow: &str| flows.is_some_and(|flows| flows.get(flow).is_some());
    let mut granted: Vec<&str> =
        FLOWS.iter().filter(|(_, flow)| has(flow)).map(|(grant, _)| *grant).collect();
    if take(from, &format!("{at}/refreshToken")) == Some(Value::Bool(true)) {
        granted.push("refresh_token");
    }
    put(out, ACCESS, json!(granted));
}
