//! Definitions in their other format are the same API, or are not written at all.

use apidef::{Definition, To, convert};
use serde_json::{Value, json};

fn classic(parts: Value) -> Value {
    let mut definition = json!({
        "api_id": "a", "org_id": "o", "name": "A", "active": true, "use_keyless": true,
        "proxy": {"listen_path": "/a/", "strip_listen_path": true, "target_url": "http://u:81/x"},
        "version_data": {"not_versioned": true, "versions": {"Default": {"name": "Default", "use_extended_paths": true}}},
    });
    for (pointer, value) in parts.as_object().into_iter().flatten() {
        let mut at = &mut definition;
        for key in pointer.replace('@', "version_data/versions/Default").split('/') {
            at = &mut at[key];
        }
        *at = value.clone();
    }
    definition
}

#[test]
fn there_and_back_it_is_the_same_api_and_nothing_is_left_out() {
    for parts in [
        json!({}),
        json!({"use_keyless": false, "use_standard_auth": true, "strip_auth_data": true, "auth_configs": {"authToken":
            {"auth_header_name": "X-Key", "use_param": true, "param_name": "k", "use_cookie": true, "cookie_name": "c"}}}),
        json!({"use_keyless": false, "use_standard_auth": true, "auth_configs": {"authToken":
            {"disable_header": true, "use_param": true, "param_name": "k"}}}),
        json!({"use_keyless": false, "use_basic_auth": true, "basic_auth": {"cache_ttl": 5}}),
        json!({"use_keyless": false, "use_standard_auth": true, "use_basic_auth": true, "base_identity_provided_by": "auth_token",
            "auth_configs": {"authToken": {"auth_header_name": "X-Key"}}}),
        json!({"use_keyless": false, "enable_jwt": true, "jwt_signing_method": "hmac", "jwt_source": "c2VjcmV0",
            "jwt_identity_base_field": "sub", "jwt_policy_field_name": "pol", "jwt_default_policies": ["p"]}),
        json!({"proxy/enable_load_balancing": true, "proxy/target_list": ["http://u:1", "http://u:1", "http://u:2"]}),
        json!({"global_rate_limit": {"rate": 10.5, "per": 2}, "session_lifetime": 3600, "tags": ["eu"], "domain": "a.example"}),
        json!({"tags": ["eu"], "tags_disabled": true, "domain": "a.example", "domain_disabled": true, "do_not_track": true}),
        json!({"allowed_ips": ["10.0.0.0/8"], "disable_quota": true, "disable_rate_limit": true, "dont_set_quota_on_create": true}),
        json!({"tag_headers": ["X-Team"], "expire_analytics_after": 90, "enable_detailed_recording": true, "@/global_enforce_timeout": "1m30s"}),
        json!({"CORS": {"enable": true, "allowed_origins": ["https://x.example"], "max_age": 9, "allow_credentials": true}}),
        json!({"cache_options": {"enable_cache": true, "cache_timeout": 60, "cache_all_safe_requests": true}}),
        json!({"custom_middleware": {"driver": "lua",
            "pre": [{"name": "a", "path": "a.lua"}, {"name": "b", "path": "b.lua", "disabled": true}],
            "post": [{"name": "c", "code": "YQ==", "require_session": true, "raw_body_only": true}],
            "traffic_logs": {"name": "mask", "path": "mask.lua"}}, "config_data": {"k": "v"}}),
        json!({"custom_middleware": {"driver": "python"},
            "analytics_plugin": {"enable": true, "plugin_path": "mask.py", "func_name": "mask"}}),
        json!({"custom_middleware_bundle": "b.zip"}),
        json!({"@/global_headers": {"A": "1"}, "@/global_headers_remove": ["B"], "@/global_response_headers": {"C": "2"},
            "@/global_size_limit": 99}),
        json!({"@/extended_paths": {
            "rate_limit": [{"path": "/b", "method": "GET", "rate": 3, "per": 60}, {"path": "/a/b", "method": "PUT", "rate": 1, "per": 1}],
            "white_list": [{"path": "/users/{id}", "method": "GET"}, {"path": "/o/[a-z]+", "method": "POST", "ignore_case": true}],
            "black_list": [{"path": "/b", "method": "GET", "disabled": true}],
            "size_limits": [{"path": "/b", "method": "POST", "size_limit": 9}],
            "transform_headers": [{"path": "/b", "method": "GET", "add_headers": {"A": "1"}, "delete_headers": ["B"]}],
            "hard_timeouts": [{"path": "/b", "method": "GET", "timeout": 3}],
            "circuit_breakers": [{"path": "/b", "method": "GET", "threshold_percent": 0.5, "samples": 4, "return_to_service_after": 9}],
            "method_transforms": [{"path": "/b", "method": "GET", "to_method": "POST"}],
            "internal": [{"path": "/i", "method": "GET"}], "do_not_track_endpoints": [{"path": "/i", "method": "GET"}],
        }}),
    ] {
        let given = classic(parts);
        let model =
            Definition::parse(&given.to_string()).unwrap_or_else(|faults| panic!("{faults:?} {given}")).api;
        let there = convert(&given.to_string(), None).unwrap_or_else(|faults| panic!("{faults:#?}\n{given}"));
        let silent = there.warnings.iter().all(|warning| warning.message.starts_with("the order"));
        assert!(there.to == To::Oas && silent, "{:#?}\n{given}", there.warnings);
        let oas = there.definition.to_string();
        assert_eq!(Definition::parse_oas(&oas).unwrap().api.auth, model.auth);
        let back = convert(&oas, None).unwrap_or_else(|faults| panic!("{faults:#?}\n{oas}"));
        assert!(back.to == To::Classic && back.warnings.is_empty(), "{:#?}\n{oas}", back.warnings);
    }
}

#[test]
fn what_has_no_counterpart_is_told_with_its_place() {
    let text = classic(json!({"slug": "a", "json_rpc_version": ""})).to_string();
    let told: Vec<String> = convert(&text, None).unwrap().warnings.into_iter().map(|w| w.pointer).collect();
    assert_eq!(told, ["/slug"]);
}

#[test]
fn what_would_be_another_api_is_not_written() {
    for (parts, part) in [
        (json!({"use_keyless": false, "enable_signature_checking": true}), "authentication"),
        (
            json!({"@/extended_paths": {"url_rewrites": [{"path": "/b", "method": "GET", "match_pattern": "b", "rewrite_to": "/c"}]}}),
            "transforms",
        ),
    ] {
        let faults = convert(&classic(parts).to_string(), None).unwrap_err();
        assert!(faults.iter().any(|fault| fault.is_error() && fault.message.contains(part)), "{faults:#?}");
    }
}

#[test]
fn a_definition_that_has_the_format_already_stays_as_it_is() {
    let given = classic(json!({"slug": "a"}));
    let converted = convert(&given.to_string(), Some(To::Classic)).unwrap();
    assert_eq!((converted.definition, converted.warnings.len()), (given, 0));
}
