//! OpenAPI definitions: what they become, and what is wrong with them, where.

use apidef::{Auth, Backend, Definition, Source, Sources};
use serde_json::{Value, json};
use std::time::Duration;

const ORDERS: &str = r#"{
  "openapi": "3.0.3", "info": {"title": "Orders", "version": "1"}, "paths": {},
  "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}},
  "security": [{"key": []}],
  "x-tyk-api-gateway": {
    "info": {"id": "orders", "dbId": "5f", "orgId": "default", "name": "Orders", "state": {"active": true, "internal": false}},
    "upstream": {"url": "http://orders:8080/base", "preserveHostHeader": {"enabled": true}, "preserveTrailingSlash": {"enabled": true},
      "rateLimit": {"enabled": true, "rate": 5, "per": "1m"}, "enforceTimeout": {"enabled": true, "duration": "2s"},
      "tlsTransport": {"insecureSkipVerify": true}, "loadBalancing": {"enabled": false, "targets": [{"url": "x", "weight": 1}]}},
    "server": {
      "listenPath": {"value": "/orders/", "strip": true},
      "customDomain": {"enabled": true, "name": "api.example.com", "certificates": []},
      "gatewayTags": {"enabled": true, "tags": ["eu"]},
      "authentication": {"enabled": true, "stripAuthorizationData": true, "baseIdentityProvider": "auth_token",
        "securitySchemes": {"key": {"enabled": true, "query": {"enabled": true, "name": "key"}, "cookie": {"enabled": false, "name": "c"}}},
        "customKeyLifetime": {"enabled": true, "value": "1h", "respectValidity": true}}},
    "middleware": {"global": {"skipRateLimit": true, "skipQuota": true, "skipQuotaReset": true, "trafficLogs": {"enabled": false}},
      "operations": {"getOrder": {"allow": {"enabled": false}, "x": null}}}
  },
  "x-other": {"free": true}
}"#;

#[test]
fn c3_2_a_definition_becomes_the_model_and_its_classic_projection() {
    let definition = Definition::parse(ORDERS).expect("definition");
    assert_eq!(definition.source, Source::Oas);
    let warned: Vec<_> = definition.warnings.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(warned, ["/x-tyk-api-gateway/middleware/operations/getOrder/x"]);
    let api = &*definition.api;
    assert_eq!((&*api.id, &*api.org_id, &*api.listen_path), ("orders", "default", "/orders/"));
    assert_eq!(api.domain.as_deref(), Some("api.example.com"));
    assert!(api.strip_listen_path && api.strip_auth_data && api.active && api.recording.off);
    assert_eq!(
        api.auth,
        Auth::token(Sources { header: Some("x-key".into()), query: Some("key".into()), cookie: None })
    );
    assert!(api.limits.rate_limit_disabled && api.limits.quota_disabled && api.dont_set_quota_on_create);
    assert_eq!(
        api.limits.global.as_ref().map(|rate| (rate.requests, rate.per)),
        Some((5.0, Duration::from_secs(60)))
    );
    assert_eq!((api.session_lifetime, api.lifetime_respects_expiry), (Some(Duration::from_secs(3600)), true));
    let Backend::Upstream(upstream) = &api.backend else { panic!("{:?}", api.backend) };
    assert!(
        upstream.preserve_host && upstream.keep_trailing_slash && upstream.manner.tls.insecure_skip_verify
    );
    assert_eq!(upstream.timeout, Some(Duration::from_secs(2)));

    let classic = definition.classic();
    assert_eq!(classic["is_oas"], true);
    assert_eq!(classic["auth_configs"]["authToken"]["param_name"], "key");
    assert_eq!(classic["proxy"]["target_url"], "http://orders:8080/base");
    // Read back, the projection is the same API.
    let back = Definition::parse_classic(&classic.to_string()).expect("projection");
    assert_eq!((&back.api, back.warnings.as_slice()), (&definition.api, [].as_slice()));
    let stored: serde_json::Value = serde_json::from_str(&definition.text).expect("text");
    assert_eq!(stored["x-other"], json!({"free": true}));
}

#[test]
fn streams_need_no_upstream() {
    let text = r#"{"openapi": "3.1.0", "info": {"title": "t", "version": "1"},
      "x-tyk-api-gateway": {"info": {"id": "s", "name": "s"}, "server": {"listenPath": {"value": "/s", "strip": false}}},
      "x-tyk-streaming": {"streams": {"b": {"input": {"generate": {}}}, "a/1": {"output": {}}}}}"#;
    let definition = Definition::parse(text).expect("definition");
    let Backend::Streams(streams) = &definition.api.backend else { panic!("{:?}", definition.api.backend) };
    let names: Vec<&str> = streams.streams.iter().map(|(name, _)| &**name).collect();
    assert_eq!((names.as_slice(), &*streams.pointer), (["b", "a/1"].as_slice(), "/x-tyk-streaming/streams"));
    assert_eq!(streams.streams[0].1, json!({"input": {"generate": {}}}));
    assert_eq!(definition.api.auth, Auth::Keyless);
    assert_eq!(definition.warnings, []);
}

/// The text with one part of it replaced.
fn with(part: &str, by: &str) -> String {
    assert_eq!(ORDERS.matches(part).count(), 1, "{part}");
    ORDERS.replace(part, by)
}

#[test]
fn c3_1_rows_2_3_8_every_fault_has_its_pointer_and_line() {
    const X: &str = "/x-tyk-api-gateway";
    let scheme = "{\"type\": \"apiKey\", \"in\": \"header\", \"name\": \"X-Key\"}";
    // Text, then the errors: pointer, line, part of the message.
    type Errors = Vec<(String, u32, &'static str)>;
    let cases: Vec<(String, Errors)> = vec![
        (with("\"3.0.3\"", "\"2.0\""), vec![("/openapi".into(), 2, "version `2.0` is not supported")]),
        (with("\"openapi\": \"3.0.3\", ", ""), vec![("/openapi".into(), 1, "`openapi` is missing")]),
        (with("\"x-tyk-api-gateway\"", "\"x-else\""), vec![("/x-tyk-api-gateway".into(), 1, "is missing")]),
        (
            with("\"x-tyk-api-gateway\"", "\"x-Tyk-api-gateway\""),
            vec![
                ("/x-tyk-api-gateway".into(), 1, "is missing"),
                ("/x-Tyk-api-gateway".into(), 5, "case-sensitive"),
            ],
        ),
        (
            with("\"upstream\": {\"url\"", "\"upstream2\": {\"url\""),
            vec![(format!("{X}/upstream"), 5, "section `upstream` is missing")],
        ),
        (
            with("\"info\": {\"id\"", "\"x-info\": {\"id\""),
            vec![(format!("{X}/info"), 5, "section `info` is missing")],
        ),
        (with("\"id\": \"orders\", ", ""), vec![(format!("{X}/info/id"), 6, "`id` is missing")]),
        (
            with("\"value\": \"/orders/\"", "\"value\": \"\""),
            vec![(format!("{X}/server/listenPath/value"), 11, "is missing")],
        ),
        (
            with("http://orders:8080/base", "orders"),
            vec![(format!("{X}/upstream/url"), 7, "must be absolute")],
        ),
        (
            with("\"2s\"", "\"2\""),
            vec![(format!("{X}/upstream/enforceTimeout/duration"), 8, "`2` is not a duration")],
        ),
        (with("\"1m\"", "\"\""), vec![(format!("{X}/upstream/rateLimit"), 8, "needs `rate` and `per`")]),
        (
            with("\"loadBalancing\": {\"enabled\": false", "\"loadBalancing\": {\"enabled\": true"),
            vec![(format!("{X}/upstream/loadBalancing/targets/0/url"), 9, "must be absolute")],
        ),
        (
            with("\"allow\": {\"enabled\": false}", "\"postPlugins\": [{\"enabled\": true}]"),
            vec![(
                format!("{X}/middleware/operations/getOrder/postPlugins/0"),
                18,
                "no operation in `paths` has the id `getOrder`",
            )],
        ),
        (
            with(scheme, "{\"type\": \"http\", \"scheme\": \"Digest\"}"),
            vec![(
                format!("{X}/server/authentication/securitySchemes/key"),
                15,
                "this security scheme is not supported yet",
            )],
        ),
        (
            with(scheme, "{\"type\": \"apiKey\", \"in\": \"body\"}"),
            vec![
                ("/components/securitySchemes/key/name".into(), 3, "needs a `name`"),
                ("/components/securitySchemes/key/in".into(), 3, "header, query or cookie"),
            ],
        ),
        (
            with("{\"key\": []}", "{\"kee\": []}"),
            vec![("/security/0/kee".into(), 4, "Missing required Security Scheme 'kee'")],
        ),
        (
            with("\"components\"", "\"x-components\""),
            vec![
                ("/security/0".into(), 4, "No components or security schemes"),
                (
                    format!("{X}/server/authentication/securitySchemes/key"),
                    15,
                    "Missing required Security Scheme 'key'",
                ),
            ],
        ),
        (
            with("\"baseIdentityProvider\": \"auth_token\"", "\"custom\": {\"enabled\": true}"),
            vec![
                (
                    format!("{X}/server/authentication/custom/config/functionName"),
                    14,
                    "which function is it?",
                ),
                (format!("{X}/middleware/global/pluginConfig/driver"), 17, "what runs the plugin?"),
            ],
        ),
        (
            with("\"x-other\": {\"free\": true}", "\"x-tyk-streaming\": {\"streams\": {}, \"stream\": 1}"),
            vec![("/x-tyk-streaming/streams".into(), 20, "there is no stream")],
        ),
        (
            with("\"x-other\": {\"free\": true}", "\"x-tyk-streaming\": {}"),
            vec![("/x-tyk-streaming/streams".into(), 20, "`streams` is missing")],
        ),
        (
            with("\"x-other\": {\"free\": true}", "\"x-tyk-streaming\": {\"streams\": {\"s\": 3}}"),
            vec![("/x-tyk-streaming/streams/s".into(), 20, "a stream is an object")],
        ),
    ];
    for (text, expected) in cases {
        let faults = Definition::parse_oas(&text).expect_err(&text);
        let errors: Vec<_> = faults.iter().filter(|fault| fault.is_error()).collect();
        let told: Vec<_> = errors
            .iter()
            .map(|fault| (fault.pointer.clone(), fault.place.map_or(0, |place| place.line)))
            .collect();
        let wanted: Vec<_> = expected.iter().map(|(pointer, line, _)| (pointer.clone(), *line)).collect();
        assert_eq!(told, wanted, "{faults:#?}");
        for (fault, (.., message)) in errors.iter().zip(&expected) {
            assert!(fault.message.contains(message), "{}", fault.message);
        }
    }
}

#[test]
fn c3_3_rows_1_3_4_who_may_call() {
    let token = |header: Option<&str>, query: Option<&str>, cookie: Option<&str>| {
        Auth::token(Sources {
            header: header.map(Into::into),
            query: query.map(Into::into),
            cookie: cookie.map(Into::into),
        })
    };
    let scheme = "\"in\": \"header\", \"name\": \"X-Key\"";
    // Text, who may call, warnings that mention.
    let cases = [
        (
            with("\"authentication\": {\"enabled\": true", "\"authentication\": {\"enabled\": false"),
            Auth::Keyless,
            "the API is open",
        ),
        (with(scheme, "\"in\": \"query\", \"name\": \"q\""), token(None, Some("q"), None), ""),
        (with(scheme, "\"in\": \"cookie\", \"name\": \"ck\""), token(None, Some("key"), Some("ck")), ""),
        (
            with("{\"key\": {\"enabled\": true", "{\"key\": {\"enabled\": false"),
            token(Some("authorization"), None, None),
            "no security scheme is enabled",
        ),
    ];
    for (text, auth, warning) in cases {
        let definition = Definition::parse_oas(&text).expect("definition");
        assert_eq!(definition.api.auth, auth, "{warning}");
        assert!(
            definition.warnings.iter().any(|fault| fault.message.contains(warning)),
            "{:?}",
            definition.warnings
        );
    }
}

#[test]
fn c2_1_row_37_the_classic_form_names_the_schemes_that_a_document_asks_for() {
    let schemes = json!({
        "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
        "basic": {"type": "http", "scheme": "basic"},
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    });
    let document = |security: Value| {
        json!({
            "openapi": "3.0.3", "info": {"title": "a", "version": "1"}, "paths": {}, "security": security,
            "components": {"securitySchemes": schemes},
            "x-tyk-api-gateway": {
                "info": {"id": "a", "name": "a", "state": {"active": true}}, "upstream": {"url": "http://u/"},
                "server": {"listenPath": {"value": "/a/"}, "authentication": {"enabled": true, "securityProcessingMode": "compliant",
                    "securitySchemes": {"key": {"enabled": true}, "basic": {"enabled": true},
                        "bearer": {"enabled": true, "source": "c2VjcmV0", "signingMethod": "hmac"}}}},
            },
        })
    };
    for (security, expected) in [
        (json!([{"key": []}]), json!([["key"]])),
        (json!([{"bearer": ["read"], "key": []}, {"basic": []}]), json!([["bearer", "key"], ["basic"]])),
    ] {
        let definition = Definition::parse_oas(&document(security).to_string()).unwrap();
        let classic = definition.classic();
        assert_eq!(classic["security_requirements"], expected, "{classic}");
        // It can be given back, and is the same API.
        let back = Definition::parse_classic(&classic.to_string()).unwrap();
        assert_eq!((&back.api.auth, back.warnings.len()), (&definition.api.auth, 0), "{classic}");
    }
    let open = json!({
        "openapi": "3.0.3", "info": {"title": "a", "version": "1"}, "paths": {},
        "x-tyk-api-gateway": {"info": {"id": "a", "name": "a", "state": {"active": true}}, "upstream": {"url": "http://u/"},
            "server": {"listenPath": {"value": "/a/"}}},
    });
    let open = Definition::parse_oas(&open.to_string()).unwrap().classic();
    assert!(open.get("security_requirements").is_none(), "{open}");
}
