//! Definitions in their other format are the same API, or are not written at all.

use apidef::{Definition, To, convert};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

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
fn c2_2_row_11_there_and_back_it_is_the_same_api_and_nothing_is_left_out() {
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
        json!({"@/extended_paths": {
            "url_rewrites": [{"path": "/b/{id}", "method": "GET", "match_pattern": "b/(.*)", "rewrite_to": "/c/$1", "triggers": [
                {"on": "any", "options": {
                    "header_matches": {"X-A": {"match_rx": "^1", "reverse": true}, "X-B": {"match_rx": "2", "reverse": false}},
                    "query_val_matches": {"q": {"match_rx": "z"}}, "payload_matches": {"match_rx": "body", "reverse": false},
                }, "rewrite_to": "/d"},
                {"on": "all", "options": {"session_meta_matches": {"m": {"match_rx": "x"}}, "path_part_matches": {"p": {"match_rx": "y"}},
                    "request_context_matches": {"c": {"match_rx": "w"}}, "payload_matches": {"match_rx": "", "reverse": false}},
                    "rewrite_to": "tyk://other/e"},
            ]}],
            "transform": [{"path": "/b", "method": "POST", "template_data":
                {"input_type": "xml", "template_mode": "blob", "enable_session": true, "template_source": "e3suYX19"}}],
            "transform_response": [{"path": "/b", "method": "POST", "template_data":
                {"input_type": "json", "template_mode": "file", "enable_session": true, "template_source": "t/a.tmpl"}}],
            "virtual": [
                {"path": "/v", "method": "GET", "response_function_name": "f", "function_source_type": "file", "function_source_uri": "v.js",
                    "use_session": true, "proxy_on_error": true},
                {"path": "/w", "method": "GET", "response_function_name": "g", "function_source_type": "blob", "function_source_uri": "dmFyIGc7"},
            ],
            "mock_response": [{"path": "/m", "method": "GET", "code": 418, "body": "tea", "headers": {"X-A": "b"}}],
            "advance_cache_config": [{"path": "/b", "method": "GET", "timeout": 5, "cache_response_codes": [200], "cache_key_regex": "a+"}],
            "track_endpoints": [{"path": "/t", "method": "GET"}],
        }, "cache_options": {"enable_cache": true, "cache_timeout": 9}}),
        json!({"custom_middleware": {"driver": "otto",
                "pre": [{"name": "a", "path": "a.js"}, {"name": "off", "path": "b.js", "disabled": true}],
                "post_key_auth": [{"name": "b", "code": "dmFyIGI7", "require_session": true}],
                "post": [{"name": "c", "path": "c.js", "raw_body_only": true}], "response": [{"name": "d", "path": "d.js"}]},
            "config_data": {"k": [1]}}),
        json!({"custom_middleware_bundle": "b.zip", "custom_middleware": {"driver": "python"}}),
        json!({"use_keyless": false, "custom_plugin_auth_enabled": true, "custom_middleware":
            {"driver": "python", "auth_check": {"name": "who", "path": "who.py", "raw_body_only": true, "require_session": true}}}),
        json!({"event_handlers": {"events": {
            "QuotaExceeded": [{"handler_name": "eh_log_handler", "handler_meta": {"prefix": "p"}}],
            "AuthFailure": [
                {"handler_name": "eh_web_hook_handler", "handler_meta": {"id": "i", "name": "n", "method": "POST", "target_path": "http://h/x",
                    "template_path": "t.json", "header_map": {"X-A": "b"}, "event_timeout": 90, "signing_secret": "s"}},
                {"handler_name": "eh_dynamic_handler", "handler_meta": {"name": "f", "path": "f.js"}},
                {"handler_name": "eh_log_handler", "handler_meta": {"prefix": "off", "disabled": true}},
            ],
        }}}),
        json!({"error_overrides": {
            "4xx": [{"response": {"status_code": 418, "message": "no"}}],
            "403": [{"match": {"flag": "AKI", "message_pattern": "x"}, "response": {"body": "{}", "headers": {"X-A": "1"}}}],
        }}),
        json!({"use_keyless": false, "enable_signature_checking": true, "hmac_allowed_clock_skew": 1000.5,
            "hmac_allowed_algorithms": ["hmac-sha256"], "auth_configs": {"hmac": {"disable_header": true, "use_cookie": true, "cookie_name": "s"}}}),
        json!({"use_keyless": false, "use_oauth2": true, "notifications": {"shared_secret": "s", "oauth_on_keychange_url": "http://n/x"},
            "oauth_meta": {"allowed_access_types": ["authorization_code", "client_credentials", "refresh_token"],
                "allowed_authorize_types": ["code"], "auth_login_redirect": "https://login.example/in"}}),
        json!({"use_keyless": false, "use_openid": true, "openid_options": {"segregate_by_client": true,
            "providers": [{"issuer": "https://i.example", "client_ids": {"Y2xpZW50": "p"}}]},
            "scopes": {"oidc": {"scope_claim_name": "scp", "scope_to_policy": {"a": "p"}}}}),
        json!({"use_keyless": false, "external_oauth": {"enabled": true, "providers": [{"introspection":
            {"enabled": true, "url": "http://i/x", "client_id": "c", "client_secret": "s", "cache": {"enabled": true, "timeout": 9}}}]}}),
        json!({"use_keyless": false, "enable_jwt": true, "jwt_signing_method": "rsa", "jwt_jwks_uris": [{"url": "https://i/keys", "cache_timeout": 60}],
            "jwt_scope_claim_name": "scope", "jwt_scope_to_policy_mapping": {"a": "p"},
            "auth_configs": {"jwt": {"disable_header": true, "use_param": true, "param_name": "t"}}}),
        json!({"use_keyless": false, "use_standard_auth": true, "auth_configs": {"authToken": {"validate_signature": true,
            "signature": {"algorithm": "MasherySHA256", "header": "Sig", "use_param": true, "secret": "s", "allowed_clock_skew": 2,
                "error_code": 403, "error_message": "no"}}}}),
        json!({"use_keyless": false, "auth": {"auth_header_name": "X-Old"}}),
        json!({"use_keyless": false, "use_standard_auth": true, "enable_signature_checking": true, "hmac_allowed_clock_skew": 1000,
            "base_identity_provided_by": "hmac_key"}),
        json!({"upstream_auth": {"enabled": true, "basic_auth": {"enabled": true, "username": "u", "password": "p",
            "header": {"enabled": true, "name": "X-Up"}}}}),
        json!({"upstream_auth": {"enabled": true, "oauth": {"enabled": true, "allowed_authorize_types": ["clientCredentials"],
            "client_credentials": {"client_id": "c", "client_secret": "s", "token_url": "http://t/x", "scopes": ["a"]}}}}),
        json!({"request_signing": {"is_enabled": true, "secret": "s", "key_id": "k", "algorithm": "hmac-sha256", "header_list": ["date"]}}),
        json!({"pinned_public_keys": {"u.example": "ab12, cd34"}, "upstream_certificates": {"u.example": "id"}}),
        json!({"proxy/service_discovery": {"use_discovery_service": true, "query_endpoint": "http://d/x", "data_path": "a", "cache_timeout": 7}}),
        json!({"proxy/service_discovery": {"use_discovery_service": true, "query_endpoint": "http://d/x", "data_path": "a", "cache_disabled": true}}),
        json!({"uptime_tests": {"check_list": [{"url": "h:6379", "protocol": "tcp", "timeout": 1_500_000_000,
            "commands": [{"name": "send", "message": "PING"}]}, {"url": "http://h/x", "method": "POST", "headers": {"A": "b"}}],
            "config": {"recheck_wait": 7}}}),
        json!({"@/extended_paths": {"white_list": [{"path": "/d", "method_actions": {
            "GET": {"action": "no_action"}, "POST": {"action": "reply", "code": 418, "data": "tea", "headers": {"x-a": "1"}}}}],
            "cache": ["/kept"]}, "cache_options": {"enable_cache": true, "cache_timeout": 9}}),
        json!({"@/extended_paths": {"black_list": [{"path": "/b", "method": "PUT"}, {"path": "/b", "method": "GET"}],
            "white_list": [{"path": "/b", "method": "GET"}, {"path": "/b", "method": "PUT"}]}}),
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
fn c3_3_certificates_in_the_place_of_keys_become_keys_with_certificates() {
    let oas = json!({
        "openapi": "3.0.3", "info": {"title": "a", "version": "1"}, "paths": {},
        "x-tyk-api-gateway": {
            "info": {"id": "a", "name": "a"}, "upstream": {"url": "http://u:81"},
            "server": {"listenPath": {"value": "/a/"}, "authentication": {"enabled": true, "certificateAuth": {"enabled": true}}},
        },
    });
    let converted = convert(&oas.to_string(), None).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(converted.definition["auth_configs"]["authToken"]["use_certificate"], true);
    assert!(converted.warnings.is_empty(), "{:#?}", converted.warnings);
}

#[test]
fn what_has_no_counterpart_is_told_with_its_place() {
    let text = classic(json!({"slug": "a", "json_rpc_version": ""})).to_string();
    let told: Vec<String> = convert(&text, None).unwrap().warnings.into_iter().map(|w| w.pointer).collect();
    assert_eq!(told, ["/slug"]);
}

#[test]
fn calls_of_mcp_are_paths_of_classic_definitions() {
    let on = json!({"enabled": true});
    let given = json!({
        "openapi": "3.0.3", "info": {"title": "a", "version": "1.0.0"}, "paths": {},
        "x-tyk-api-gateway": {
            "info": {"id": "a", "name": "a"}, "upstream": {"url": "http://u:81"},
            "server": {"listenPath": {"value": "/a/"}},
            "middleware": {
                "operations": {"tools/callPOST": {"rateLimit": {"enabled": true, "rate": 5, "per": "1m"}}},
                "mcpTools": {"get-weather": {"allow": on, "requestSizeLimit": {"enabled": true, "value": 7}}},
                "mcpResources": {"weather://stations/*": {"block": on}},
            },
        },
    });
    let there = convert(&given.to_string(), None).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let classic = &there.definition;
    assert_eq!(
        (&classic["application_protocol"], &classic["json_rpc_version"]),
        (&json!("mcp"), &json!("2.0"))
    );
    let lists = &classic["version_data"]["versions"]["Default"]["extended_paths"];
    assert_eq!(lists["white_list"][0]["path"], "/mcp-tool:get-weather");
    assert_eq!(lists["black_list"][0]["path"], "/mcp-resource:weather://stations/*");
    assert_eq!(lists["rate_limit"][0]["path"], "/json-rpc-method:tools/call");
    assert!(there.warnings.is_empty(), "{:#?}", there.warnings);
    let back =
        convert(&classic.to_string(), None).unwrap_or_else(|faults| panic!("{faults:#?}\n{classic:#}"));
    let middleware = &back.definition["x-tyk-api-gateway"]["middleware"];
    assert_eq!(middleware["mcpTools"]["get-weather"]["requestSizeLimit"]["value"], 7);
    assert_eq!(middleware["mcpResources"]["weather://stations/*"]["block"]["enabled"], true);
    assert_eq!(back.definition["paths"], json!({}));
    assert_eq!(back.definition["x-sluicegate"]["mcp"]["enabled"], true);
    // Ways of writing that say the same are told apart from others that do not.
    let both =
        [&given, &back.definition].map(|text| apidef::Definition::parse(&text.to_string()).unwrap().api);
    assert_eq!(both[0].paths, both[1].paths);
    assert_eq!(both[0].limits, both[1].limits);
    assert!(both[0].mcp && both[1].mcp);
}

#[test]
fn what_is_said_of_calls_has_its_place() {
    let mut text = json!({
        "openapi": "3.0.3", "info": {"title": "a", "version": "1.0.0"}, "paths": {},
        "x-tyk-api-gateway": {
            "info": {"id": "a", "name": "a"}, "upstream": {"url": "http://u:81"},
            "server": {"listenPath": {"value": "/a/"}},
            "middleware": {"mcpTools": {"a": {}}},
        },
    });
    for (said, pointer, is_error) in [
        (json!({"rateLimit": {"enabled": true, "rate": 1}}), "a/rateLimit", true),
        (json!({"requestSizeLimit": {"enabled": true, "value": "1"}}), "a/requestSizeLimit/value", true),
        (json!({"mockResponse": {"enabled": true, "code": 200}}), "a/mockResponse", false),
        (json!({"urlRewrite": {"enabled": true, "pattern": "x"}}), "a/urlRewrite", false),
        (json!({"alow": {"enabled": true}}), "a/alow", false),
        (json!({"block": {"enabled": true, "ignoreCase": true}}), "a/block/ignoreCase", false),
    ] {
        text["x-tyk-api-gateway"]["middleware"]["mcpTools"]["a"] = said;
        let faults = match apidef::Definition::parse(&text.to_string()) {
            Ok(definition) => definition.warnings,
            Err(faults) => faults,
        };
        let at = format!("/x-tyk-api-gateway/middleware/mcpTools/{pointer}");
        assert!(
            faults.iter().any(|fault| fault.pointer == at && fault.is_error() == is_error),
            "{at}: {faults:#?}"
        );
    }
    text["x-tyk-api-gateway"]["middleware"] =
        json!({"mcpTools": {"a": {}}, "operations": {"nowherePOST": {"allow": {"enabled": true}}}});
    assert!(apidef::Definition::parse(&text.to_string()).is_err(), "it stands for nothing");
}

/// What a classic definition becomes; what it becomes again from there; the places of warnings on both ways.
fn there_and_back(given: &Value) -> (Value, Value, Vec<String>) {
    let there = convert(&given.to_string(), None).unwrap_or_else(|faults| panic!("{faults:#?}\n{given:#}"));
    let back = convert(&there.definition.to_string(), None)
        .unwrap_or_else(|faults| panic!("{faults:#?}\n{:#}", there.definition));
    let warnings = there.warnings.into_iter().chain(back.warnings).map(|warning| warning.pointer).collect();
    (there.definition, back.definition, warnings)
}

#[test]
fn bodies_are_looked_at_by_the_same_schema_and_what_differs_is_told() {
    let schema = json!({"type": "object", "required": ["n"], "properties": {
        "n": {"type": "integer", "minimum": 1, "exclusiveMinimum": true}, "next": {"$ref": "#/definitions/more"},
    }, "definitions": {"more": {"type": "array", "items": {"type": "string"}}}});
    let given = classic(json!({"@/extended_paths": {"validate_json": [
        {"path": "/b/{id}", "method": "POST", "schema": schema, "error_response_code": 400},
    ]}}));
    let (there, back, warnings) = there_and_back(&given);
    assert_eq!(there["openapi"], "3.1.0");
    let body = &there["paths"]["/b/{id}"]["post"]["requestBody"];
    let held = &body["content"]["application/json"]["schema"];
    assert_eq!(held["properties"]["n"], json!({"type": "integer", "exclusiveMinimum": 1}));
    let reference = held["properties"]["next"]["$ref"].as_str().unwrap();
    assert!(reference.starts_with("#/paths/~1b~1%7Bid%7D/post/requestBody/content/"), "{reference}");
    let validation = Definition::parse(&there.to_string()).unwrap().api.paths.validation.clone().unwrap();
    assert_eq!((validation.guarded.len(), validation.guarded[0].value), (1, 400));
    assert_eq!(
        warnings,
        [
            "/version_data/versions/Default/extended_paths/validate_json",
            "/x-tyk-api-gateway/middleware/operations/b~1{id}POST/validateRequest",
        ]
    );
    let again = &back["version_data"]["versions"]["Default"]["extended_paths"]["validate_json"][0];
    assert_eq!((&again["path"], &again["error_response_code"]), (&json!("/b/{id}"), &json!(400)));
    assert_eq!(again["schema"]["properties"]["next"], json!({"$ref": "#/definitions/more"}));
}

#[test]
fn a_schema_that_would_let_more_in_stays_a_schema_of_the_path() {
    for schema in [
        json!({"type": "string", "format": "email"}),
        json!({"type": "array", "items": [{"type": "string"}]}),
        json!({"dependencies": {"a": ["b"]}}),
        json!({"properties": {"a": {"$ref": "http://elsewhere/x"}}}),
    ] {
        let entry = json!({"path": "/b", "method": "POST", "schema": schema});
        let given = classic(json!({"@/extended_paths": {"validate_json": [entry]}}));
        let (oas, back, warnings) = there_and_back(&given);
        let stays = json!({"validate_json": [entry]});
        assert_eq!(oas["x-sluicegate"]["extended_paths"], stays, "{schema}");
        assert_eq!(back["version_data"]["versions"]["Default"]["extended_paths"], stays, "{schema}");
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn what_is_a_little_different_is_told() {
    let template = json!({"path": "/b", "method": "POST", "template_data": {"template_mode": "blob", "template_source": "YQ=="}});
    let parts = json!({"use_keyless": false, "use_standard_auth": true, "@/extended_paths": {
        "transform": [template], "mock_response": [{"path": "/m", "method": "GET", "body": "x"}],
    }});
    let text = classic(parts).to_string();
    let converted = convert(&text, None).unwrap();
    let told: Vec<&str> = converted.warnings.iter().map(|warning| &*warning.pointer).collect();
    let list = |rest: &str| format!("/version_data/versions/Default/extended_paths/{rest}");
    assert_eq!(told, [list("transform/0/template_data"), list("mock_response")]);
    assert!(converted.warnings.iter().all(|warning| warning.place.is_some()));

    // The way back would open what is guarded now: the mock stays one of the document.
    let back = convert(&converted.definition.to_string(), None).unwrap().definition;
    let version = &back["version_data"]["versions"]["Default"];
    assert_eq!(version["extended_paths"].get("mock_response"), None);
    let kept = "/x-sluicegate/openapi/x-tyk-api-gateway/middleware/operations/mGET/mockResponse/body";
    assert_eq!(back.pointer(kept), Some(&json!("x")));
}

#[test]
fn what_one_format_has_no_words_for_is_kept_in_those_of_the_other() {
    let graph = |more: Value| {
        let mut graph =
            json!({"enabled": true, "execution_mode": "executionEngine", "schema": "type Query { a: Int }"});
        for (key, value) in more.as_object().unwrap() {
            graph[key] = value.clone();
        }
        json!({"graphql": graph, "proxy/target_url": ""})
    };
    let rest = json!({"kind": "REST", "name": "r", "root_fields": [{"type": "Query", "fields": ["a"]}],
        "config": {"url": "http://h/", "method": "GET"}});
    let first = json!({"type_name": "Query", "field_name": "a", "mapping": {"disabled": true},
        "data_source": {"kind": "HTTPJSONDataSource", "data_source_config": {"url": "http://h/"}}});
    let list = |key: &str, entry: Value| json!({"@/extended_paths": {key: [entry]}});
    for (parts, place) in [
        (
            json!({"graphql": {"enabled": true, "execution_mode": "proxyOnly", "schema": "type Query { a: Int }"},
                "x-sluicegate": {"graphql": {"limits": {"depth": 3}}}}),
            "/x-sluicegate/graphql/schema",
        ),
        (graph(json!({"version": "2", "engine": {"data_sources": [rest]}})), "/x-sluicegate/graphql/engine"),
        (
            graph(json!({"version": "1", "type_field_configurations": [first]})),
            "/x-sluicegate/graphql/engine",
        ),
        (
            list("transform_jq", json!({"path": "/b", "method": "GET", "filter": "."})),
            "/x-sluicegate/extended_paths/transform_jq/0",
        ),
        (
            list("transform_jq_response", json!({"path": "/b", "method": "GET", "filter": "."})),
            "/x-sluicegate/extended_paths/transform_jq_response/0",
        ),
        (
            list(
                "persist_graphql",
                json!({"path": "/b", "method": "GET", "operation": "{ a }", "variables": {"a": "$path.a"}}),
            ),
            "/x-sluicegate/extended_paths/persist_graphql/0",
        ),
        (list("black_list", json!({"path": "/b"})), "/x-sluicegate/extended_paths/black_list/0"),
        (
            list("black_list", json!({"path": "no/slash", "method": "GET"})),
            "/x-sluicegate/extended_paths/black_list/0",
        ),
        (
            list(
                "go_plugin",
                json!({"path": "/b", "method": "GET", "plugin_path": "p.js", "func_name": "p"}),
            ),
            "/x-tyk-api-gateway/middleware/operations/bGET/postPlugins/0",
        ),
        (
            json!({"event_handlers": {"events": {"HostUp": [{"handler_name": "cp_dynamic_handler", "handler_meta": {"name": "f"}}]}}}),
            "/x-sluicegate/event_handlers/events/HostUp/0",
        ),
        (
            json!({"response_processors": [{"name": "header_injector", "options": {"add_headers": {"A": "1"}}}]}),
            "/x-sluicegate/response_processors/0",
        ),
        (
            json!({"use_keyless": false, "use_standard_auth": true, "auth_configs": {"authToken": {"use_certificate": true}}}),
            "/x-tyk-api-gateway/server/authentication/securitySchemes/authToken/enableClientCertificate",
        ),
    ] {
        let given = classic(parts);
        let (oas, _, warnings) = there_and_back(&given);
        assert!(oas.pointer(place).is_some_and(|said| !said.is_null()), "{place}\n{oas:#}");
        assert!(warnings.is_empty(), "{warnings:?}\n{given:#}");
    }
}

#[test]
fn c3_5_what_only_a_document_can_say_stays_with_it() {
    let oas = |authentication: Value, operation: Value, more: Value| {
        let mut oas = json!({
            "openapi": "3.0.3", "info": {"title": "a", "version": "1"},
            "paths": {"/b/{id}": {"post": {"operationId": "b",
                "parameters": [{"name": "q", "in": "query", "required": true, "schema": {"type": "integer"}}],
                "responses": {"200": {"description": "OK", "content": {"application/json": {"example": {"a": 1}}}}}}}},
            "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"},
                "basic": {"type": "http", "scheme": "basic"}}},
            "x-tyk-api-gateway": {
                "info": {"id": "a", "name": "a"}, "upstream": {"url": "http://u:81"},
                "server": {"listenPath": {"value": "/a/"}, "authentication": authentication},
                "middleware": {"operations": {"b": operation}},
            },
        });
        for (key, value) in more.as_object().unwrap() {
            oas[key] = value.clone();
        }
        oas
    };
    let open = json!({"enabled": false});
    let either = json!({"enabled": true, "securityProcessingMode": "compliant",
        "securitySchemes": {"key": {"enabled": true}, "basic": {"enabled": true}}});
    let key = json!({"enabled": true, "securitySchemes": {"key": {"enabled": true}}});
    let streams = json!({"x-tyk-streaming": {"streams": {"s": {"input": {"generate": {"mapping": "root = 1"}},
        "output": {"http_server": {"path": "/s"}}}}}});
    let entries = json!([{"source": {"operationId": "x"}, "name": "y", "allow": true}]);
    let mut tools = oas(open.clone(), json!({}), json!({"x-tyk-mcp-server": {"primitives": entries}}));
    tools["x-tyk-api-gateway"]["upstream"]["url"] = json!("tyk://orders/mcp");
    tools["paths"] = json!({});
    for given in [
        oas(open.clone(), json!({"validateRequest": {"enabled": true, "errorResponseCode": 400}}), json!({})),
        oas(open.clone(), json!({"validateResponse": {"enabled": true, "mode": "refuse"}}), json!({})),
        oas(
            open.clone(),
            json!({"mockResponse": {"enabled": true, "fromOASExamples": {"enabled": true}}}),
            json!({}),
        ),
        oas(key, json!({"mockResponse": {"enabled": true, "body": "x"}}), json!({"security": [{"key": []}]})),
        oas(either, json!({}), json!({"security": [{"key": []}, {"basic": []}]})),
        oas(open.clone(), json!({}), streams),
        tools,
    ] {
        let text = given.to_string();
        let model = Definition::parse(&text).unwrap_or_else(|faults| panic!("{faults:#?}")).api;
        let there = convert(&text, None).unwrap_or_else(|faults| panic!("{faults:#?}\n{given:#}"));
        assert!(there.warnings.is_empty(), "{:#?}", there.warnings);
        let classic = there.definition.to_string();
        let read = Definition::parse_classic(&classic).unwrap().api;
        assert_eq!((&read.auth, &read.paths.mocks), (&model.auth, &model.paths.mocks));
        assert_eq!(read.paths.validation, model.paths.validation);
        let back = convert(&classic, None).unwrap_or_else(|faults| panic!("{faults:#?}\n{classic}"));
        assert!(back.to == To::Oas && back.warnings.is_empty(), "{:#?}\n{classic}", back.warnings);
        assert_eq!(back.definition["paths"], given["paths"]);
        assert_eq!(back.definition.get("x-tyk-mcp-server"), given.get("x-tyk-mcp-server"));
        // The classic projection that clients read can be given back.
        let projected = Definition::parse_oas(&text).unwrap().classic();
        let read = Definition::parse_classic(&projected.to_string());
        let read = read.unwrap_or_else(|faults| panic!("{faults:#?}\n{projected:#}")).api;
        assert_eq!(
            (&read.auth, &read.paths.mocks, &read.paths.validation, &read.tools),
            (&model.auth, &model.paths.mocks, &model.paths.validation, &model.tools)
        );
    }
}

#[test]
fn c3_1_row_9_definitions_that_are_converted_have_no_empty_sections() {
    fn says_nothing(value: &Value) -> bool {
        match value {
            Value::Object(members) => members.values().all(says_nothing),
            Value::Array(items) => items.iter().all(says_nothing),
            value => [json!(null), json!(false), json!(0), json!(""), json!(0.0)].contains(value),
        }
    }
    fn empty_sections(value: &Value, at: &str, found: &mut Vec<String>) {
        for (key, member) in value.as_object().into_iter().flatten() {
            let at = format!("{at}/{key}");
            if member.is_object() && says_nothing(member) {
                found.push(at);
            } else {
                empty_sections(member, &at, found);
            }
        }
    }
    for parts in [
        json!({}),
        json!({"tags": ["eu"], "CORS": {"enable": true, "allowed_origins": ["*"]}, "@/global_size_limit": 7}),
    ] {
        // With every key that there is, which says no more.
        let given = Definition::parse_classic(&classic(parts).to_string()).unwrap().whole_classic();
        let made = convert(&given.to_string(), Some(To::Oas)).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let mut found = Vec::new();
        empty_sections(&made.definition["x-tyk-api-gateway"], "", &mut found);
        assert_eq!(found, [""; 0], "{:#}", made.definition);
    }
}

#[test]
fn c2_5_row_15_requests_that_are_held_to_a_document_need_it() {
    let entry = json!({"path": "/b", "method": "POST", "enabled": true, "error_response_code": 422});
    let with = |more: Value| {
        let mut parts = json!({"@/extended_paths": {"validate_request": [entry]}});
        parts["x-sluicegate"] = more;
        Definition::parse(&classic(parts).to_string())
    };
    let at = "/version_data/versions/Default/extended_paths/validate_request/0";
    for (more, told) in [
        (json!({}), Some("which is not here")),
        (json!({"openapi": {"paths": {"/b": {"get": {}}}}}), Some("has no operation for `POST`")),
        (json!({"openapi": {"paths": {"/b": {"post": {}}}}}), None),
    ] {
        let faults = with(more.clone()).err().unwrap_or_default();
        let errors: Vec<_> = faults.iter().filter(|fault| fault.is_error()).collect();
        assert_eq!(errors.len(), usize::from(told.is_some()), "{more}: {faults:#?}");
        for fault in errors {
            assert!(fault.pointer == at && fault.message.contains(told.unwrap_or_default()), "{fault:#?}");
        }
    }
    // Two things cannot say who may call.
    let twice = json!({"openapi": {"x-tyk-api-gateway": {"server": {"authentication": {"enabled": true}}}}});
    let faults = Definition::parse(&classic(json!({"x-sluicegate": twice})).to_string()).unwrap_err();
    assert!(faults.iter().any(|fault| fault.is_error() && fault.pointer == "/use_keyless"), "{faults:#?}");
}

#[test]
fn c2_9_row_6_versions_of_one_definition_become_definitions_of_their_own() {
    let mut given = classic(json!({
        "use_keyless": false, "use_standard_auth": true, "slug": "a",
        "definition": {"location": "header", "key": "x-v", "strip_versioning_data": true},
    }));
    given["version_data"] = json!({"not_versioned": false, "default_version": "v2", "versions": {
        "v1": {"name": "v1", "expires": "2030-01-02 03:04", "override_target": "http://old:1",
            "use_extended_paths": true, "extended_paths": {"black_list": [{"path": "/x", "method": "GET"}]}},
        "v2": {"name": "v2", "use_extended_paths": true, "global_headers": {"A": "1"}},
    }});
    let converted = convert(&given.to_string(), None).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let base = Definition::parse(&converted.definition.to_string()).unwrap().api;
    let versioning = base.versioning.as_ref().unwrap();
    assert_eq!((&*base.id, &*versioning.name, &*versioning.default), ("a", "v2", "v2"));
    assert!(versioning.strip && versioning.is_base(&versioning.default));
    assert_eq!(*versioning.others(), [("v1".into(), "a-v1".into())]);
    let [(name, child)] = &*converted.versions else { panic!("{:?}", converted.versions) };
    let child = Definition::parse(&child.to_string()).unwrap().api;
    assert_eq!((&**name, &*child.id, &*child.listen_path, child.internal), ("v1", "a-v1", "/a-v1/", true));
    assert_eq!((child.paths.lists.blocked.len(), base.paths.lists.blocked.len()), (1, 0));
    assert!(child.expires.is_some() && base.expires.is_none());
    let apidef::Backend::Upstream(upstream) = &child.backend else { panic!() };
    assert_eq!(&*upstream.target.host, "old");
    let told: Vec<&str> = converted.warnings.iter().map(|warning| &*warning.pointer).collect();
    assert_eq!(told, ["/version_data/versions", "/version_data/versions/v1/expires", "/slug"]);

    given["expiration"] = json!("2031-01-01 00:00");
    assert!(
        convert(&given.to_string(), None)
            .unwrap_err()
            .iter()
            .any(|fault| fault.pointer.ends_with("v1/expires"))
    );
    given["version_data"]["versions"] = json!({"v2": {"name": "v2"}, "a/b": {"name": "a/b"}});
    let faults = convert(&given.to_string(), None).unwrap_err();
    assert_eq!(faults[0].pointer, "/version_data/versions/a~1b");
}

/// Definitions of a folder and of the code blocks of pages: the file's name, and the text.
fn definitions_below(folder: &Path, found: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            definitions_below(&path, found)?;
            continue;
        }
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        let mut text = String::new();
        if ["json", "md"].contains(&kind) {
            File::open(&path)?.read_to_string(&mut text)?;
        }
        let texts: Vec<&str> = match kind {
            "md" => text.split("```json\n").skip(1).filter_map(|block| block.split("```").next()).collect(),
            _ => vec![&text],
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let texts = texts.into_iter().filter(|text| Definition::parse(text).is_ok());
        found.extend(texts.map(|text| (name.clone(), text.to_owned())));
    }
    Ok(())
}

#[test]
fn every_example_is_the_same_api_in_both_formats() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for folder in ["examples", "docs"] {
        definitions_below(&root.join(folder), &mut found).unwrap();
    }
    found.sort();
    assert!(found.len() > 3, "{found:?}");
    for (name, text) in &found {
        let id = Definition::parse(text).unwrap().api.id.clone();
        let there = convert(text, None).unwrap_or_else(|faults| panic!("{name}, {id}: {faults:#?}"));
        if !there.versions.is_empty() {
            continue; // of several there is no way back into one
        }
        // That it is the same API was seen to on both ways.
        let back = convert(&there.definition.to_string(), None);
        let back = back.unwrap_or_else(|faults| panic!("{name}, {id}: {faults:#?}\n{:#}", there.definition));
        assert_ne!(back.to, there.to);
        // And once more, from what came of it.
        let again = convert(&back.definition.to_string(), None);
        again.unwrap_or_else(|faults| panic!("{name}, {id}: {faults:#?}\n{:#}", back.definition));
    }
}

#[test]
fn a_definition_that_has_the_format_already_stays_as_it_is() {
    let given = classic(json!({"slug": "a"}));
    let converted = convert(&given.to_string(), Some(To::Classic)).unwrap();
    assert_eq!((converted.definition, converted.warnings.len()), (given, 0));
}
