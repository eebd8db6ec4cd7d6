//! Definitions, keys and policies as the tests need them; each is plain JSON to be changed further.

use serde_json::{Value, json};

/// A keyless classic API that listens on `/<id>/`, strips that, and sends to `target`.
pub fn keyless(id: &str, target: &str) -> Value {
    json!({
        "api_id": id,
        "org_id": "org",
        "name": id,
        "active": true,
        "use_keyless": true,
        "version_data": {"not_versioned": true, "versions": {"Default": {"name": "Default", "use_extended_paths": true}}},
        "proxy": {"listen_path": format!("/{id}/"), "target_url": target, "strip_listen_path": true},
    })
}

/// The same, guarded by an auth token in `Authorization`.
pub fn keyed(id: &str, target: &str) -> Value {
    let mut api = keyless(id, target);
    api["use_keyless"] = json!(false);
    api["use_standard_auth"] = json!(true);
    api["auth_configs"] = json!({"authToken": {"auth_header_name": "Authorization"}});
    api
}

/// An OAS definition: keyless, listens on `/<id>/`, strips that, and sends to `target`.
pub fn oas(id: &str, target: &str) -> Value {
    json!({
        "openapi": "3.0.3",
        "info": {"title": id, "version": "1"},
        "paths": {},
        "x-tyk-api-gateway": {
            "info": {"id": id, "orgId": "org", "name": id, "state": {"active": true}},
            "upstream": {"url": target},
            "server": {"listenPath": {"value": format!("/{id}/"), "strip": true}},
        },
    })
}

/// A session that may use these APIs.
pub fn session(apis: &[&str]) -> Value {
    let rights: serde_json::Map<String, Value> = apis
        .iter()
        .map(|api| ((*api).to_owned(), json!({"api_id": api, "api_name": api, "versions": ["Default"]})))
        .collect();
    json!({"org_id": "org", "access_rights": rights, "quota_max": -1})
}
