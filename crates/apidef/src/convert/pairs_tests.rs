//! Every pair of keys is tried out: definitions that say something with each of them are the same API in the other format, and
//! say the same when they are back.

use super::table::{BEHIND, How, PAIRS, Pair, VERSION};
use super::{To, convert, errors, events, hooks, lists, schemes};
use crate::Definition;
use serde_json::{Value, json};

const ONLY: &str = "/version_data/versions/Default";

/// Keys that change nothing: they are kept, or another key says the same.
const KEPT: &[&str] = &["/id", "/CORS/debug", "/event_handlers/events/BreakerTripped/*/handler_meta/id"];

/// The classic pointers of pairs, with `*` for each member of what they are in.
fn pointers(pairs: &[Pair], base: &str, out: &mut Vec<String>) {
    for Pair(classic, _, how) in pairs {
        let at = format!("{base}{}", classic.replacen(VERSION, ONLY, 1));
        match how {
            How::Each(inner) => pointers(inner, &format!("{at}/*"), out),
            How::Only(inner) => pointers(inner, &at, out),
            _ => out.push(at),
        }
    }
}

fn all_pointers() -> Vec<String> {
    let mut out = Vec::new();
    pointers(PAIRS, "", &mut out);
    pointers(BEHIND, "", &mut out);
    for kind in schemes::KINDS {
        pointers(kind.pairs, "", &mut out);
    }
    for list in lists::LISTS {
        pointers(list.2, &format!("{ONLY}/extended_paths/{}/*", list.0), &mut out);
    }
    pointers(hooks::PLUGIN, &format!("{ONLY}/extended_paths/go_plugin/*"), &mut out);
    pointers(errors::RULE, "/error_overrides/*/*", &mut out);
    // Each kind of handler is told of an event of its own, below.
    for (kind, event) in events::KINDS.iter().zip(["QuotaExceeded", "AuthFailure", "BreakerTripped"]) {
        pointers(kind.2, &format!("/event_handlers/events/{event}/*/handler_meta"), &mut out);
    }
    out
}

/// The places that a pointer with `*` stands for.
fn places(holder: &Value, pointer: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for part in pointer.split('/').skip(1) {
        let below = |at: &String| -> Vec<String> {
            let Some(value) = holder.pointer(at) else { return Vec::new() };
            match (part, value) {
                ("*", Value::Array(items)) => (0..items.len()).map(|index| format!("{at}/{index}")).collect(),
                ("*", Value::Object(members)) => members.keys().map(|key| format!("{at}/{key}")).collect(),
                ("*", _) => Vec::new(),
                _ => vec![format!("{at}/{part}")],
            }
        };
        found = found.iter().flat_map(below).collect();
    }
    found.retain(|place| holder.pointer(place).is_some());
    found
}

fn without(definition: &Value, place: &str) -> Value {
    let mut rest = definition.clone();
    let (parent, key) = place.rsplit_once('/').unwrap();
    rest.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).unwrap();
    rest
}

/// Whether it would be another API without the key at this place.
fn counts(definition: &Value, place: &str) -> bool {
    let read = |value: &Value| Definition::parse_classic(&value.to_string()).map(|read| read.api);
    let Ok(whole) = read(definition) else { return false };
    read(&without(definition, place)).map_or(true, |rest| rest != whole)
}

fn open(more: Value) -> Value {
    let mut definition = json!({
        "api_id": "a", "name": "A", "active": true, "use_keyless": true,
        "proxy": {"listen_path": "/a/", "target_url": "http://u:81/x"},
        "version_data": {"not_versioned": true, "versions": {"Default": {"name": "Default", "use_extended_paths": true}}},
    });
    for (key, value) in more.as_object().unwrap() {
        match key.as_str() {
            "proxy" => {
                definition["proxy"].as_object_mut().unwrap().extend(value.as_object().unwrap().clone())
            }
            "@" => definition["version_data"]["versions"]["Default"]
                .as_object_mut()
                .unwrap()
                .extend(value.as_object().unwrap().clone()),
            _ => definition[key] = value.clone(),
        }
    }
    definition
}

fn guarded(more: Value) -> Value {
    let mut definition = open(more);
    definition["use_keyless"] = json!(false);
    definition
}

fn hooks_of(driver: &str) -> Value {
    let list = |name: &str| {
        json!([
            {"name": format!("{name}_a"), "path": "a.lua", "require_session": true, "raw_body_only": true},
            {"name": format!("{name}_b"), "code": "YQ=="},
            {"name": format!("{name}_c"), "path": "c.lua", "disabled": true},
        ])
    };
    json!({
        "driver": driver, "pre": list("pre"), "post_key_auth": list("auth"), "post": list("post"), "response": list("response"),
    })
}

fn discovery(more: Value) -> Value {
    let mut discovery = json!({
        "use_discovery_service": true, "query_endpoint": "http://d/x", "use_nested_query": true, "parent_data_path": "n",
        "data_path": "d", "port_data_path": "p", "target_path": "/t", "use_target_list": true, "endpoint_returns_list": true,
    });
    discovery.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    discovery
}

/// What happens on the way, all of it on.
fn on() -> Value {
    let mut middleware = hooks_of("lua");
    middleware["traffic_logs"] =
        json!({"name": "mask", "path": "mask.lua", "require_session": true, "raw_body_only": true});
    open(json!({
        "id": "5f", "org_id": "o", "expiration": "2031-02-03 04:05", "internal": true,
        "proxy": {
            "strip_listen_path": true, "disable_strip_slash": true, "preserve_host_header": true, "enable_load_balancing": true,
            "target_list": ["http://u:1", "http://u:2"], "check_host_against_uptime_tests": true,
            "transport": {"ssl_insecure_skip_verify": true, "ssl_ciphers": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
                "ssl_min_version": 771, "ssl_max_version": 772, "ssl_force_common_name_check": true, "proxy_url": "http://proxy:3128"},
        },
        "upstream_certificates": {"u.example": "id"}, "pinned_public_keys": {"u.example": "ab12,cd34"},
        "global_rate_limit": {"rate": 10.5, "per": 2, "smoothing": {"enabled": true, "threshold": 5, "trigger": 0.5, "step": 2, "delay": 3}},
        "protocol": "https", "listen_port": 9443, "use_mutual_tls_auth": true, "client_certificates": ["id"],
        "tags": ["eu"], "domain": "a.example", "certificates": ["id"], "enable_detailed_recording": true, "detailed_tracing": true,
        "enable_batch_request_support": true, "allowed_ips": ["10.0.0.0/8"], "blacklisted_ips": ["10.0.0.1"], "strip_auth_data": true,
        "session_lifetime": 3600, "session_lifetime_respects_key_expiration": true,
        "CORS": {"enable": true, "allowed_origins": ["https://x.example"], "allowed_methods": ["PUT"], "allowed_headers": ["X-A"],
            "exposed_headers": ["X-B"], "allow_credentials": true, "max_age": 9, "options_passthrough": true, "debug": true},
        "cache_options": {"enable_cache": true, "cache_timeout": 60, "cache_all_safe_requests": true, "cache_response_codes": [200, 404],
            "cache_by_headers": ["X-C"], "enable_upstream_cache_control": true, "cache_control_ttl_header": "X-TTL"},
        "@": {"global_headers": {"A": "1"}, "global_headers_remove": ["B"], "global_response_headers": {"C": "2"},
            "global_response_headers_remove": ["D"], "global_size_limit": 99, "ignore_endpoint_case": true,
            "global_enforce_timeout": "1m30s"},
        "custom_middleware": middleware, "enable_context_vars": true, "config_data": {"k": "v"},
        "tag_headers": ["X-Team"], "expire_analytics_after": 90, "disable_rate_limit": true, "disable_quota": true,
        "dont_set_quota_on_create": true,
    }))
}

/// The same, switched off where that is said by a key of its own.
fn off() -> Value {
    let mut definition = on();
    for switch in [
        "/upstream_certificates_disabled",
        "/certificate_pinning_disabled",
        "/tags_disabled",
        "/domain_disabled",
        "/ip_access_control_disabled",
        "/error_overrides_disabled",
        "/config_data_disabled",
        "/custom_middleware_bundle_disabled",
        "/do_not_track",
        "/global_rate_limit/disabled",
        "/custom_middleware/traffic_logs/disabled",
    ] {
        let (parent, key) = switch.rsplit_once('/').unwrap();
        definition.pointer_mut(parent).unwrap()[key] = json!(true);
    }
    for switch in [
        "global_headers_disabled",
        "global_response_headers_disabled",
        "global_size_limit_disabled",
        "global_enforce_timeout_disabled",
    ] {
        definition["version_data"]["versions"]["Default"][switch] = json!(true);
    }
    definition["custom_middleware_bundle"] = json!("b.zip");
    definition["error_overrides"] = json!({"403": [{"response": {"body": "no"}}]});
    definition
}

fn of_paths() -> Value {
    let at = |more: Value| {
        let mut entry = json!({"path": "/b", "method": "POST"});
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([entry])
    };
    let template = json!({"template_data":
        {"input_type": "xml", "template_mode": "blob", "enable_session": true, "template_source": "e3suYX19"}});
    open(json!({
        "cache_options": {"enable_cache": true, "cache_timeout": 9},
        "@": {"extended_paths": {
            "rate_limit": at(json!({"rate": 3, "per": 60, "smoothing": {"enabled": true, "threshold": 2, "trigger": 0.5, "step": 1, "delay": 3}})),
            "white_list": at(json!({"ignore_case": true})), "black_list": at(json!({"ignore_case": true})),
            "ignored": at(json!({"ignore_case": true})),
            "method_transforms": at(json!({"to_method": "PUT"})), "size_limits": at(json!({"size_limit": 9})),
            "transform_headers": at(json!({"add_headers": {"A": "1"}, "delete_headers": ["B"]})),
            "transform_response_headers": at(json!({"add_headers": {"A": "1"}, "delete_headers": ["B"]})),
            "hard_timeouts": [{"path": "/a/b", "method": "GET", "duration": "1.5s"}, {"path": "/b", "method": "POST", "timeout": 3}],
            "circuit_breakers": at(json!({"threshold_percent": 0.5, "samples": 4, "return_to_service_after": 9, "disable_half_open_state": true})),
            "url_rewrites": at(json!({"match_pattern": "b(.*)", "rewrite_to": "/c$1", "triggers": [
                {"on": "any", "options": {"query_val_matches": {"q": {"match_rx": "z", "reverse": false}}}, "rewrite_to": "/d"}]})),
            "transform": at(template.clone()), "transform_response": at(template),
            "mock_response": at(json!({"code": 418, "body": "tea", "headers": {"X-A": "b"}})),
            "virtual": at(json!({"response_function_name": "f", "function_source_type": "file", "function_source_uri": "v.js",
                "use_session": true, "proxy_on_error": true})),
            "advance_cache_config": at(json!({"timeout": 5, "cache_response_codes": [200], "cache_key_regex": "a+"})),
            "go_plugin": [
                {"path": "/b", "method": "POST", "func_name": "f", "plugin_path": "f.js"},
                {"path": "/e", "method": "POST", "func_name": "g", "plugin_path": "g.js", "disabled": true},
            ],
        }},
    }))
}

fn of_documents() -> Value {
    open(json!({
        "x-sluicegate": {"openapi": {"openapi": "3.0.3", "info": {"title": "A", "version": "1"}, "paths": {"/b": {"post": {
            "operationId": "b", "parameters": [{"name": "q", "in": "query", "required": true, "schema": {"type": "integer"}}],
            "responses": {"200": {"description": "OK"}}}}}}},
        "@": {"extended_paths": {"validate_request": [
            {"path": "/b", "method": "POST", "enabled": true, "error_response_code": 400}]}},
    }))
}

fn of_errors_and_events() -> Value {
    let handler = |name: &str, meta: Value| json!({"handler_name": name, "handler_meta": meta});
    open(json!({
        "error_overrides": {
            "403": [{"match": {"flag": "AKI", "message_pattern": "x"}, "response": {"status_code": 418, "headers": {"X-A": "1"}, "body": "{}"}}],
            "404": [{"response": {"template": "t"}}],
            "500": [{"match": {"body_field": "code", "body_value": "7"}, "response": {"message": "no"}}],
        },
        "event_handlers": {"events": {
            "QuotaExceeded": [
                handler("eh_log_handler", json!({"prefix": "p"})), handler("eh_log_handler", json!({"prefix": "q", "disabled": true}))],
            "AuthFailure": [
                handler("eh_web_hook_handler", json!({"id": "i", "name": "n", "method": "PUT", "target_path": "http://h/x",
                    "template_path": "t.json", "header_map": {"X-A": "b"}, "event_timeout": 90, "signing_secret": "s"})),
                handler("eh_web_hook_handler", json!({"method": "POST", "target_path": "http://h/y", "disabled": true}))],
            "BreakerTripped": [
                handler("eh_dynamic_handler", json!({"id": "i", "name": "f", "path": "f.js"})),
                handler("eh_dynamic_handler", json!({"name": "g", "path": "f.js", "disabled": true}))],
        }},
    }))
}

fn of_upstreams() -> Vec<Value> {
    let tests = json!([
        {"url": "http://h/x", "method": "POST", "headers": {"A": "b"}, "body": "cGluZw==", "timeout": 1_500_000_000},
        {"url": "tcp://h:6379", "commands": [{"name": "send", "message": "PING"}], "enable_proxy_protocol": true},
    ]);
    let signing = |more: Value| {
        let mut signing =
            json!({"is_enabled": true, "key_id": "k", "header_list": ["date"], "signature_header": "X-Sig"});
        signing.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"request_signing": signing})
    };
    let header = json!({"enabled": true, "name": "X-Up"});
    let oauth = |types: &str, key: &str, how: Value| json!({"upstream_auth": {"enabled": true, "oauth": {"enabled": true, "allowed_authorize_types": [types], key: how}}});
    vec![
        open(json!({
            "proxy": {"service_discovery": discovery(json!({"cache_timeout": 7}))},
            "uptime_tests": {"check_list": tests, "config": {"recheck_wait": 7, "expire_utime_after": 60,
                "service_discovery": discovery(json!({"cache_timeout": 8}))}},
        })),
        open(json!({
            "proxy": {"service_discovery": discovery(json!({"cache_disabled": true}))},
            "uptime_tests": {"check_list": tests, "config": {"service_discovery": discovery(json!({"cache_disabled": true}))}},
        })),
        open(json!({"uptime_tests": {"disabled": true, "check_list": tests}})),
        open(
            json!({"upstream_auth": {"enabled": true, "basic_auth": {"enabled": true, "username": "u", "password": "p", "header": header}}}),
        ),
        open(oauth(
            "clientCredentials",
            "client_credentials",
            json!({"client_id": "c", "client_secret": "s", "method": "client_secret_post", "token_url": "http://t/x", "scopes": ["a"],
                "extra_metadata": ["instance_url"], "header": header}),
        )),
        open(oauth(
            "password",
            "password",
            json!({"client_id": "c", "client_secret": "s", "method": "client_secret_post", "username": "u", "password": "p",
                "token_url": "http://t/x", "scopes": ["a"], "extra_metadata": ["instance_url"], "header": header}),
        )),
        open(signing(json!({"algorithm": "hmac-sha256", "secret": "s"}))),
        open(signing(json!({"algorithm": "rsa-sha256", "certificate_id": "id"}))),
        open(
            json!({"definition": {"enabled": true, "name": "v1", "default": "v1", "location": "url-param", "key": "version",
            "strip_versioning_data": true, "url_versioning_pattern": "v[0-9]+", "fallback_to_default": true, "versions": {"v2": "b"}}}),
        ),
        open(json!({"@": {"ignore_endpoint_case": true, "extended_paths": {
            "size_limits": [{"path": "/b", "method": "POST", "size_limit": 9}]}}})),
        open(json!({"custom_middleware_bundle": "b.zip", "custom_middleware": {"driver": "python"}})),
        open(
            json!({"custom_middleware": {"driver": "lua", "traffic_logs": {"name": "mask", "code": "YQ=="}}}),
        ),
    ]
}

fn of_callers() -> Vec<Value> {
    let scopes = json!({"scope_claim_name": "scp", "scope_to_policy": {"a": "p"}});
    let custom = |check: Value, extractor: Value| {
        guarded(json!({"custom_plugin_auth_enabled": true,
            "custom_middleware": {"driver": "python", "auth_check": check, "id_extractor": extractor}}))
    };
    let provider =
        |provider: Value| guarded(json!({"external_oauth": {"enabled": true, "providers": [provider]}}));
    vec![
        guarded(
            json!({"use_standard_auth": true, "enable_signature_checking": true, "base_identity_provided_by": "hmac_key",
            "hmac_allowed_clock_skew": 1000.5, "hmac_allowed_algorithms": ["hmac-sha256"]}),
        ),
        guarded(
            json!({"use_standard_auth": true, "auth_configs": {"authToken": {"use_certificate": true, "validate_signature": true,
            "signature": {"algorithm": "MasheryMD5", "header": "Sig", "use_param": true, "param_name": "sig", "secret": "s",
                "allowed_clock_skew": 2, "error_code": 403, "error_message": "no"}}}}),
        ),
        guarded(
            json!({"use_basic_auth": true, "basic_auth": {"disable_caching": true, "cache_ttl": 5, "extract_from_body": true,
            "body_user_regexp": "u=(.*)", "body_password_regexp": "p=(.*)"}}),
        ),
        guarded(json!({"use_basic_auth": true, "basic_auth": {"cache_ttl": 5}})),
        guarded(
            json!({"enable_jwt": true, "jwt_signing_method": "rsa", "jwt_source": "aHR0cHM6Ly9pL2tleXM=", "jwt_identity_base_field": "sub",
            "jwt_client_base_field": "cid", "jwt_policy_field_name": "pol", "jwt_default_policies": ["p"],
            "jwt_issued_at_validation_skew": 1, "jwt_not_before_validation_skew": 2, "jwt_expires_at_validation_skew": 3,
            "jwt_skip_kid": true, "scopes": {"jwt": scopes}, "idp_client_id_mapping_disabled": true}),
        ),
        guarded(
            json!({"enable_jwt": true, "jwt_signing_method": "rsa", "jwt_jwks_uris": [{"url": "https://i/keys", "cache_timeout": 60}]}),
        ),
        guarded(
            json!({"use_oauth2": true, "notifications": {"shared_secret": "s", "oauth_on_keychange_url": "http://n/x"},
            "oauth_meta": {"allowed_access_types": ["authorization_code"], "allowed_authorize_types": ["code"],
                "auth_login_redirect": "https://login.example/in"}}),
        ),
        guarded(
            json!({"use_openid": true, "scopes": {"oidc": scopes}, "openid_options": {"segregate_by_client": true,
            "providers": [{"issuer": "https://i.example", "client_ids": {"Y2xpZW50": "p"}}]}}),
        ),
        provider(
            json!({"jwt": {"enabled": true, "signing_method": "rsa", "source": "aHR0cHM6Ly9pL2tleXM=", "issued_at_validation_skew": 1,
            "not_before_validation_skew": 2, "expires_at_validation_skew": 3, "identity_base_field": "sub"}}),
        ),
        provider(
            json!({"introspection": {"enabled": true, "url": "http://i/x", "client_id": "c", "client_secret": "s",
            "identity_base_field": "sub", "cache": {"enabled": true, "timeout": 9}}}),
        ),
        custom(
            json!({"name": "who", "path": "who.py", "raw_body_only": true, "require_session": true}),
            json!({"extract_from": "header", "extract_with": "regex",
                "extractor_config": {"header_name": "X-Id", "regex_expression": "a(.)", "regex_match_index": 1}}),
        ),
        custom(
            json!({"name": "who", "code": "YQ=="}),
            json!({"extract_from": "form", "extract_with": "value", "extractor_config": {"param_name": "id"}}),
        ),
        custom(
            json!({"name": "who", "path": "who.py"}),
            json!({"extract_from": "body", "extract_with": "xpath", "extractor_config": {"xpath_expression": "//id"}}),
        ),
        custom(
            json!({"name": "who", "path": "who.py"}),
            json!({"disabled": true, "extract_from": "body", "extract_with": "xpath", "extractor_config": {"xpath_expression": "//id"}}),
        ),
        custom(json!({"name": "who", "path": "who.py", "disabled": true}), json!({})),
    ]
}

#[test]
fn every_pair_of_keys_says_the_same_there_and_back() {
    let mut all = vec![on(), off(), of_paths(), of_documents(), of_errors_and_events()];
    all.extend(of_upstreams());
    all.extend(of_callers());
    let pointers = all_pointers();
    assert!(pointers.len() > 200, "{}", pointers.len());

    let mut wrong = Vec::new();
    for given in &all {
        let there = match convert(&given.to_string(), None) {
            Ok(there) => there,
            Err(faults) => {
                wrong.push(format!("{faults:#?}\n{given}"));
                continue;
            }
        };
        assert_eq!(there.to, To::Oas, "{given}");
        let oas = there.definition.to_string();
        let read = Definition::parse_oas(&oas).unwrap_or_else(|faults| panic!("{faults:#?}\n{oas}"));
        let back = convert(&oas, None).unwrap_or_else(|faults| panic!("{faults:#?}\n{oas}"));
        let unknown = read.warnings.iter().filter(|fault| fault.message.starts_with("unknown key"));
        for fault in there.warnings.iter().chain(&back.warnings).chain(unknown) {
            wrong.push(format!("{fault:?}\n{given}\n{oas}"));
        }
        for place in pointers.iter().flat_map(|pointer| places(given, pointer)) {
            let (before, after) = (given.pointer(&place), back.definition.pointer(&place));
            if before != after {
                wrong.push(format!("{place}: {before:?} is {after:?}\n{oas}"));
            }
        }
    }
    for pointer in pointers.iter().filter(|pointer| !KEPT.contains(&pointer.as_str())) {
        let shows = |given: &&Value| places(given, pointer).iter().any(|place| counts(given, place));
        if !all.iter().any(|given| shows(&given)) {
            wrong.push(format!("{pointer}: no definition here would be another API without it"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
