//! Older and shorter ways to write the same in one format, put into the usual one (contract 2.2, 2.5, 3.3). The definition
//! stays the same API.

use super::value::{is_blank, put, take, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

/// Of a classic definition; `version` is the pointer of its version.
pub(super) fn classic(definition: &mut Value, version: &str) {
    key(definition);
    custom(definition);
    records(definition);
    tokens(definition);
    probes(definition);
    if take(definition, "/definition/strip_path") == Some(Value::Bool(true)) {
        put(definition, "/definition/strip_versioning_data", true.into());
    }
    let extended = format!("{version}/extended_paths");
    if let Some(lists) = definition.pointer_mut(&extended).and_then(Value::as_object_mut) {
        actions(lists);
        cached(lists);
        schemas(lists);
    }
}

/// `auth` beside `auth_configs`, and the key that guards where nothing else does.
fn key(definition: &mut Value) {
    let is_on = |pointer: &str| definition.pointer(pointer) == Some(&Value::Bool(true));
    let others = [
        "/use_keyless",
        "/use_standard_auth",
        "/use_basic_auth",
        "/enable_signature_checking",
        "/enable_jwt",
        "/external_oauth/enabled",
        "/use_oauth2",
        "/use_openid",
        "/custom_plugin_auth_enabled",
        "/use_go_plugin_auth",
        "/enable_coprocess_auth",
    ];
    if !others.into_iter().any(is_on) {
        put(definition, "/use_standard_auth", true.into());
    }
    if definition.pointer("/auth_configs/authToken").is_none_or(|config| !config.is_object())
        && let Some(older) = take(definition, "/auth").filter(Value::is_object)
    {
        put(definition, "/auth_configs/authToken", older);
    }
    let signature = "/auth_configs/authToken/signature";
    let of = |part: &str| format!("{signature}/{part}");
    if definition.pointer(&of("use_param")) == Some(&Value::Bool(true))
        && text(definition, &of("param_name")).is_empty()
    {
        let header = text(definition, &of("header")).to_owned();
        put(definition, &of("param_name"), header.into());
    }
}

/// The older names of authentication by plugins.
fn custom(definition: &mut Value) {
    for older in ["/use_go_plugin_auth", "/enable_coprocess_auth"] {
        if take(definition, older) == Some(Value::Bool(true)) {
            put(definition, "/custom_plugin_auth_enabled", true.into());
        }
    }
}

/// The plugin on records beside those of other hooks.
fn records(definition: &mut Value) {
    const NEWER: &str = "/custom_middleware/traffic_logs";
    if definition.pointer(NEWER).is_some_and(|newer| !is_blank(newer)) {
        return;
    }
    let Some(older) = definition.get_mut("analytics_plugin").filter(|older| !is_blank(older)) else { return };
    let is_on = take(older, "/enable") == Some(Value::Bool(true));
    let (name, path) = (take(older, "/func_name"), take(older, "/plugin_path"));
    put(definition, NEWER, json!({"name": name, "path": path, "disabled": !is_on}));
}

/// Policies of scopes beside `scopes`.
fn tokens(definition: &mut Value) {
    for (older, newer) in [
        ("/jwt_scope_claim_name", "/scopes/jwt/scope_claim_name"),
        ("/jwt_scope_to_policy_mapping", "/scopes/jwt/scope_to_policy"),
    ] {
        let moved = take(definition, older).filter(|moved| !is_blank(moved));
        if let Some(moved) = moved.filter(|_| definition.pointer(newer).is_none_or(is_blank)) {
            put(definition, newer, moved);
        }
    }
}

/// The protocol of a probe beside its address.
fn probes(definition: &mut Value) {
    let probes = definition.pointer_mut("/uptime_tests/check_list").and_then(Value::as_array_mut);
    for probe in probes.into_iter().flatten() {
        let Some(Value::String(protocol)) = take(probe, "/protocol") else { continue };
        let url = text(probe, "/url").to_owned();
        if !protocol.is_empty() && !url.contains("://") {
            put(probe, "/url", json!(format!("{protocol}://{url}")));
        }
    }
}

/// Entries that say for single methods what to do: one for each of them, and answers in their own list.
fn actions(lists: &mut Map<String, Value>) {
    let mut replies = Vec::new();
    for key in ["ignored", "black_list", "white_list"] {
        let Some(entries) = lists.get_mut(key).and_then(Value::as_array_mut) else { continue };
        let mut written = Vec::with_capacity(entries.len());
        for mut entry in std::mem::take(entries) {
            let actions = match take(&mut entry, "/method_actions") {
                Some(Value::Object(actions)) if !actions.is_empty() => actions,
                _ => {
                    written.push(entry);
                    continue;
                }
            };
            let method = text(&entry, "/method").to_uppercase();
            if !method.is_empty() {
                written.push(entry.clone());
            }
            for (named, action) in actions {
                let upper = named.to_uppercase();
                let mut one = entry.clone();
                put(&mut one, "/method", json!(upper));
                if text(&action, "/action") == "reply" {
                    let mut reply = one.clone();
                    for (from, to) in [("/code", "/code"), ("/data", "/body"), ("/headers", "/headers")] {
                        put(&mut reply, to, action.pointer(from).cloned().unwrap_or_default());
                    }
                    replies.push(reply);
                    written.push(one);
                } else if upper != method {
                    written.push(one);
                }
            }
        }
        *entries = written;
    }
    if !replies.is_empty() {
        match lists.entry("mock_response").or_insert_with(|| json!([])) {
            Value::Array(known) => known.extend(replies),
            other => *other = replies.into(),
        }
    }
}

/// What is kept of paths: for each method that changes nothing, where none is named.
fn cached(lists: &mut Map<String, Value>) {
    const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];
    let plain = lists.shift_remove("cache");
    let plain = plain.as_ref().and_then(Value::as_array).into_iter().flatten();
    let plain = plain.map(|path| json!({"path": path, "method": "SAFE_METHODS"}));
    let more = lists.shift_remove("advance_cache_config");
    let more = more.as_ref().and_then(Value::as_array).into_iter().flatten().cloned();
    let written: Vec<Value> = plain
        .chain(more)
        .flat_map(|entry| {
            if text(&entry, "/method") != "SAFE_METHODS" {
                return vec![entry];
            }
            let of_method = |method: &&str| {
                let mut one = entry.clone();
                put(&mut one, "/method", json!(method));
                one
            };
            SAFE.iter().map(of_method).collect()
        })
        .collect();
    if !written.is_empty() {
        lists.insert("advance_cache_config".to_owned(), written.into());
    }
}

/// Schemas as text in base64.
fn schemas(lists: &mut Map<String, Value>) {
    for entry in lists.get_mut("validate_json").and_then(Value::as_array_mut).into_iter().flatten() {
        if entry.get("schema").is_some_and(|schema| !is_blank(schema)) {
            take(entry, "/schema_b64");
            continue;
        }
        let schema = BASE64.decode(text(entry, "/schema_b64")).ok();
        let schema = schema.and_then(|text| serde_json::from_slice(&text).ok()).filter(Value::is_object);
        if let Some(schema) = schema {
            take(entry, "/schema_b64");
            put(entry, "/schema", schema);
        }
    }
}

/// Of an OpenAPI definition; `extension` is the pointer of the gateway's part.
pub(super) fn oas(definition: &mut Value, extension: &str) {
    let global = format!("{extension}/middleware/global");
    for list in ["prePlugin", "postAuthenticationPlugin", "postPlugin", "responsePlugin"] {
        let older = take(definition, &format!("{global}/{list}"));
        let newer = format!("{global}/{list}s");
        if let Some(plugins) = older.and_then(|older| older.get("plugins").cloned())
            && definition.pointer(&newer).is_none()
        {
            put(definition, &newer, plugins);
        }
    }
    for discovery in ["upstream/serviceDiscovery", "upstream/uptimeTests/serviceDiscovery"] {
        let at = format!("{extension}/{discovery}");
        let older = take(definition, &format!("{at}/cacheTimeout")).filter(|older| !is_blank(older));
        let timeout = format!("{at}/cache/timeout");
        if let Some(older) = older.filter(|_| definition.pointer(&timeout).is_none_or(is_blank)) {
            put(definition, &timeout, older);
        }
        on_where_unsaid(definition, &format!("{at}/cache"));
    }
    let authentication = format!("{extension}/server/authentication");
    on_where_unsaid(definition, &format!("{authentication}/custom/config"));
    let schemes = definition.pointer_mut(&format!("{authentication}/securitySchemes"));
    for scheme in schemes.and_then(Value::as_object_mut).into_iter().flat_map(|all| all.values_mut()) {
        for (list, one) in [
            ("/subjectClaims", "/identityBaseField"),
            ("/basePolicyClaims", "/policyFieldName"),
            ("/scopes/claims", "/scopes/claimName"),
        ] {
            // Of several claims classic knows only the first, which is not the same.
            let only = match scheme.pointer(list).and_then(Value::as_array).map(Vec::as_slice) {
                Some([only]) => only.clone(),
                _ => continue,
            };
            take(scheme, list);
            put(scheme, one, only);
        }
    }
}

/// These count unless they are switched off, while their classic counterpart is a switch that is off.
fn on_where_unsaid(definition: &mut Value, section: &str) {
    let Some(section) = definition.pointer_mut(section).and_then(Value::as_object_mut) else { return };
    section.entry("enabled").or_insert(Value::Bool(true));
}
