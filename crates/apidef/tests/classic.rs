//! Classic definitions: what they become, and what is wrong with them, where.

use apidef::{Auth, Backend, Definition, Source, Sources};
use std::time::Duration;

#[test]
fn c2_1_rows_1_and_3_a_definition_becomes_the_model() {
    let text = r#"{
        "id": "5f", "api_id": "orders", "org_id": "default", "name": "Orders", "slug": "orders",
        "active": true, "internal": false, "domain": "API.example.com",
        "use_keyless": false, "use_standard_auth": true, "strip_auth_data": true,
        "auth_configs": {"authToken": {"auth_header_name": "X-Key", "use_param": true, "param_name": "", "use_cookie": true, "cookie_name": "key"}},
        "proxy": {"listen_path": "orders//v1/", "target_url": "https://Orders.internal:8443/base?tenant=1",
            "strip_listen_path": true, "disable_strip_slash": true, "preserve_host_header": true,
            "transport": {"ssl_insecure_skip_verify": true, "ssl_ciphers": []}, "target_list": [], "service_discovery": {"use_discovery_service": false, "query_endpoint": "x"}},
        "disable_rate_limit": true, "disable_quota": true, "global_rate_limit": {"disabled": false, "rate": 10.5, "per": 2},
        "session_lifetime": 3600, "session_lifetime_respects_key_expiration": true, "dont_set_quota_on_create": true,
        "do_not_track": true, "tags": ["eu"], "tag_headers": ["X-Team"], "expire_analytics_after": 90, "allowed_ips": [], "enable_jwt": false, "jwt_signing_method": "hmac",
        "version_data": {"not_versioned": true, "versions": {"Default": {"name": "Default", "expires": "3000-01-02 15:04",
            "use_extended_paths": true, "extended_paths": {"white_list": [], "url_rewrites": []}, "global_enforce_timeout": "1m30s"}}},
        "definition": {"location": "header", "key": "x-api-version"},
        "uptime_tests": {"check_list": [], "config": {"recheck_wait": 10}},
        "cache_options": {"enable_cache": false, "cache_timeout": 60}, "CORS": {"enable": false, "allowed_origins": ["*"]},
        "custom_middleware": {"pre": [], "auth_check": {"name": "", "require_session": false}}
    }"#;
    let definition = Definition::parse(text).expect("definition");
    assert_eq!(definition.source, Source::Classic);
    let warned: Vec<_> = definition.warnings.iter().map(|fault| (&*fault.pointer, &*fault.message)).collect();
    assert_eq!(warned, [("/jwt_signing_method", "`jwt_signing_method` has no effect: `enable_jwt` is off")]);
    assert!(!definition.text.contains("\n"), "stored compact");
    let api = &*definition.api;
    assert_eq!((&*api.id, &*api.org_id, &*api.name), ("orders", "default", "Orders"));
    assert_eq!((api.domain.as_deref(), &*api.listen_path), (Some("api.example.com"), "/orders/v1/"));
    assert!(api.strip_listen_path && api.strip_auth_data && api.active && !api.internal && api.recording.off);
    assert_eq!(
        (&*api.recording.tag_headers[0], api.recording.kept),
        ("x-team", Some(Duration::from_secs(90)))
    );
    assert!(api.lifetime_respects_expiry && api.dont_set_quota_on_create);
    assert_eq!(api.session_lifetime, Some(Duration::from_secs(3600)));
    assert_eq!(
        api.auth,
        Auth::token(Sources {
            header: Some("x-key".into()),
            query: Some("x-key".into()),
            cookie: Some("key".into())
        })
    );
    assert!(api.limits.rate_limit_disabled && api.limits.quota_disabled);
    let global = api.limits.global.as_ref().expect("rate");
    assert_eq!((global.requests, global.per), (10.5, Duration::from_secs(2)));
    assert_eq!(&*api.tags, [Box::from("eu")]);
    let Backend::Upstream(upstream) = &api.backend else { panic!("{:?}", api.backend) };
    assert_eq!(upstream.target.to_string(), "https://orders.internal:8443/base?tenant=1");
    assert!(
        upstream.preserve_host && upstream.keep_trailing_slash && upstream.manner.tls.insecure_skip_verify
    );
    assert_eq!(upstream.timeout, Some(Duration::from_secs(90)));
    assert_eq!(definition.classic()["id"], "5f", "what is not acted on is kept");
}

#[test]
fn c2_9_row_5_content_decides_the_digest() {
    let parse = |text: &str| Definition::parse(text).expect("definition");
    let one =
        parse(r#"{"api_id":"a","use_keyless":true,"proxy":{"listen_path":"/","target_url":"http://h"}}"#);
    let same = parse(
        "{\n \"api_id\": \"a\",\n \"use_keyless\": true, \"proxy\": {\"listen_path\": \"/\", \"target_url\": \"http://h\"}}\n",
    );
    let other =
        parse(r#"{"api_id":"a","use_keyless":true,"proxy":{"listen_path":"/","target_url":"http://i"}}"#);
    assert_eq!((one.digest, &one.text), (same.digest, &same.text));
    assert_ne!(one.digest, other.digest);
    assert_eq!(one.api.auth, Auth::Keyless);
}

/// `{"api_id": …, "proxy": {…}}` around lines of its own, which start at line 2.
fn around(lines: &str) -> String {
    format!(
        "{{\n{lines}\n\"api_id\": \"a\", \"use_keyless\": true,\n\"proxy\": {{\"listen_path\": \"/a/\", \"target_url\": \"http://h/\"}}}}"
    )
}

#[test]
fn c2_8_rows_1_to_5_every_fault_has_its_pointer_and_place() {
    // Lines, then every fault: severity, pointer, line, column, part of the message, part of the hint.
    type Told<'a> = (&'a str, &'a str, u32, u32, &'a str, &'a str);
    let cases: &[(&str, &[Told<'_>])] = &[
        ("", &[]),
        ("\"use_basic_auth\": true,", &[]),
        ("\"use_go_plugin_auth\": true,\n\"enable_coprocess_auth\": true,", &[]),
        (
            "\"Use_Basic_Auth\": true,",
            &[("error", "/Use_Basic_Auth", 2, 1, "case-sensitive", "write `use_basic_auth`")],
        ),
        (
            "\"use_keylss\": true,",
            &[("warning", "/use_keylss", 2, 1, "unknown key", "did you mean `use_keyless`?")],
        ),
        (
            "\"version_data\": {\"not_versioned\": true, \"versions\": {\"v\": {\n\"extended_paths\": {\"black_list\": [{\"path\": \"/secret\"}]}}}},",
            &[(
                "warning",
                "/version_data/versions/v/extended_paths",
                3,
                1,
                "`extended_paths` has no effect: `use_extended_paths` is off",
                "switch `use_extended_paths` on",
            )],
        ),
        (
            "\"hmac_allowed_clock_skew\": -1, \"hmac_allowed_algorithms\": [\"hmac-sha1\"], \"jwt_default_policies\": [],",
            &[(
                "warning",
                "/hmac_allowed_algorithms",
                2,
                32,
                "`enable_signature_checking` is off",
                "take this out",
            )],
        ),
        ("\"CORS\": {\"debug\": true},", &[("warning", "/CORS/debug", 2, 10, "kept and has no effect", "")]),
        ("\"allowed_ips\": [\"10.0.0.0/8\"],", &[]),
        ("\"allowed_ips\": [\"10.0.0.0/99\"], \"ip_access_control_disabled\": true,", &[]),
        (
            "\"allowed_ips\": [\"1.2.3\"],",
            &[("error", "/allowed_ips/0", 2, 17, "invalid IP/CIDR \"1.2.3\"", "")],
        ),
        (
            "\"version_data\": {\"not_versioned\": true, \"versions\": {\"v\": {\n\"use_extended_paths\": true,\n\"extended_paths\": {\"persist_graphql\": [\n{\"path\": \"/x\"}]}}}},",
            &[(
                "error",
                "/version_data/versions/v/extended_paths/persist_graphql/0/operation",
                5,
                1,
                "`operation` is missing",
                "",
            )],
        ),
        (
            "\"version_data\": {\"not_versioned\": true, \"versions\": {\"v\": {\n\"use_extended_paths\": true,\n\"extended_paths\": {\"persist_graphql\": [\n{\"path\": \"/x\", \"disabled\": true}]}}}},",
            &[],
        ),
        (
            "\"version_data\": {\"not_versioned\": true, \"versions\": {\"v\": {\n\"use_extended_paths\": true,\n\"extended_paths\": {\n\"validate_request\": [{\"path\": \"/x\", \"method\": \"GET\", \"enabled\": true}]}}}},",
            &[(
                "error",
                "/version_data/versions/v/extended_paths/validate_request/0",
                5,
                22,
                "requests are held to an OpenAPI document, which is not here",
                "validate_json",
            )],
        ),
        (
            "\"version_data\": {\"not_versioned\": true, \"versions\": {\"v\": {\n\"use_extended_paths\": true,\n\"extended_paths\": {\n\"go_plugin\": [{\"path\": \"/x\", \"func_name\": \"F\"}]}}}},",
            &[(
                "error",
                "/version_data/versions/v/extended_paths/go_plugin/0/plugin_path",
                5,
                15,
                "only the build of Tyk loads which it was compiled for; the API is refused",
                "JavaScript",
            )],
        ),
        (
            "\"version_data\": {\"not_versioned\": true, \"versions\": {\"v\": {}, \"w\": {}}},",
            &[("error", "/version_data/versions", 2, 41, "Ambiguous default API version", "not_versioned")],
        ),
        (
            "\"version_data\": {\"not_versioned\": true, \"versions\": {\"v\": {\"global_enforce_timeout\": \"-1s\"}}},",
            &[(
                "error",
                "/version_data/versions/v/global_enforce_timeout",
                2,
                86,
                "invalid global timeout value",
                "",
            )],
        ),
        (
            "\"custom_middleware\": {\"pre\": [{\"path\": \"p.js\"}]},",
            &[("error", "/custom_middleware/pre/0/name", 2, 31, "`name` is missing", "")],
        ),
        (
            "\"upstream_auth\": {\"enabled\": true, \"basic_auth\": {\"enabled\": true}, \"oauth\": {\"enabled\": true}},",
            &[
                ("error", "/upstream_auth", 2, 1, "multiple upstream authentication modes not allowed", ""),
                (
                    "error",
                    "/upstream_auth/oauth/allowed_authorize_types",
                    2,
                    69,
                    "authorization type is required",
                    "",
                ),
            ],
        ),
        (
            "\"upstream_auth\": {\"enabled\": true, \"oauth\": {\"enabled\": true, \"allowed_authorize_types\": [\"password\"],\n\"password\": {\"method\": \"x\", \"client_id\": \"c\", \"token_url\": \"http://i/\", \"username\": \"u\", \"password\": \"p\"}}},",
            &[(
                "error",
                "/upstream_auth/oauth/password/method",
                3,
                24,
                "valid values are: client_secret_basic",
                "",
            )],
        ),
        (
            "\"graphql\": {\"enabled\": false, \"engine\": {\"data_sources\": [{\"name\": \"a B\"},\n{\"name\": \"AB\"}]}},",
            &[(
                "error",
                "/graphql/engine/data_sources/1",
                3,
                1,
                "duplicate data source names are not allowed",
                "",
            )],
        ),
        (
            "\"version_data\": {\"not_versioned\": true, \"versions\": {\"v\": {\"use_extended_paths\": true,\n\"extended_paths\": {\"hard_timeouts\": [{\"timeout\": -1}]}}}},",
            &[(
                "error",
                "/version_data/versions/v/extended_paths/hard_timeouts/0",
                3,
                38,
                "invalid timeout value",
                "",
            )],
        ),
        (
            "\"CORS\": {\"enable\": true, \"allow_credentials\": true},",
            &[(
                "warning",
                "/CORS/allow_credentials",
                2,
                26,
                "browsers do not send credentials",
                "name the origins",
            )],
        ),
        ("\"listen_port\": 90000,", &[("error", "/listen_port", 2, 16, "from 1 to 65535", "")]),
        ("\"protocol\": \"udp\",", &[("error", "/protocol", 2, 13, "protocol `udp`", "leave it empty")]),
        (
            "\"auth_provider\": {\"name\": \"ldap\"},",
            &[("error", "/auth_provider/name", 2, 27, "provider `ldap`", "")],
        ),
        (
            "\"global_rate_limit\": {\"rate\": 5},",
            &[("error", "/global_rate_limit", 2, 1, "needs `rate` and `per`", "")],
        ),
        ("\"use_standard_auth\": true,", &[("warning", "/use_standard_auth", 2, 22, "the API is open", "")]),
        (
            "\"tags\": [\"a\", 1], \"name\": 3, \"active\": \"yes\",",
            &[
                ("error", "/tags/1", 2, 15, "must be a string, not a number", ""),
                ("error", "/name", 2, 27, "`name` must be a string, not a number", ""),
                ("error", "/active", 2, 40, "must be true or false, not a string", ""),
            ],
        ),
        ("\"domain\": \"*.example.com\",", &[("error", "/domain", 2, 11, "`*` stands for nothing", "")]),
        ("\"domain\": \"{sub.example.com\",", &[("error", "/domain", 2, 11, "a brace has no other", "")]),
        (
            "\"auth\": 3, \"version_data\": [],",
            &[
                ("error", "/auth", 2, 9, "`auth` must be an object, not a number", ""),
                ("error", "/version_data", 2, 12, "`version_data` must be an object, not an array", ""),
            ],
        ),
        ("\"name\": \"x\",\n\"name\": \"y\",", &[("warning", "/name", 3, 1, "given twice", "keep one")]),
        ("\"auth\": null, \"version_data\": null, \"tags\": null, \"graphql\": null,", &[]),
    ];
    for (lines, expected) in cases {
        check(&around(lines), expected);
    }
    let whole: &[(&str, &[Told<'_>])] = &[
        (
            "{}",
            &[
                ("error", "/api_id", 1, 1, "`api_id` is missing", ""),
                ("error", "/listen_path", 1, 1, "`listen_path` is missing", ""),
                ("error", "/target_url", 1, 1, "`target_url` is missing", ""),
            ],
        ),
        ("[1]", &[("error", "", 1, 1, "must be an object, not an array", "")]),
        ("{\"api_id\":\n1,}", &[("error", "", 2, 3, "trailing comma", "remove the comma")]),
        (
            "{\"api_id\": \"../x\",\n\"proxy\": {\"listen_path\": \"/a b/\",\n\"target_url\": \"h:80\"}}",
            &[
                ("error", "/api_id", 1, 12, "name of a file", "letters"),
                ("error", "/proxy/listen_path", 2, 26, "no spaces", ""),
                ("error", "/proxy/target_url", 3, 15, "must be absolute", ""),
            ],
        ),
        (
            "{\"api_id\": \"a\", \"proxy\": {\"listen_path\": \"/\", \"target_url\": \"http://h\"},\n\"auth_configs\": {\"authToken\":\n{\"disable_header\": true}}}",
            &[("error", "/auth_configs/authToken", 2, 18, "all auth sources are disabled for authToken", "")],
        ),
    ];
    for (text, expected) in whole {
        check(text, expected);
    }
}

fn check(text: &str, expected: &[(&str, &str, u32, u32, &str, &str)]) {
    let (taken, faults) = match Definition::parse_classic(text) {
        Ok(definition) => (true, definition.warnings),
        Err(faults) => (false, faults),
    };
    let told: Vec<_> = faults
        .iter()
        .map(|fault| {
            let place = fault.place.unwrap_or_else(|| panic!("no place: {fault:?}"));
            (
                fault.severity.as_str(),
                fault.pointer.trim_start_matches("/proxy").to_owned(),
                place.line,
                place.column,
            )
        })
        .collect();
    let wanted: Vec<_> = expected
        .iter()
        .map(|(severity, pointer, line, column, ..)| {
            (*severity, pointer.trim_start_matches("/proxy").to_owned(), *line, *column)
        })
        .collect();
    assert_eq!(told, wanted, "{text}\n{faults:#?}");
    for (fault, (.., message, hint)) in faults.iter().zip(expected) {
        assert!(fault.message.contains(message), "{text}: {}", fault.message);
        assert!(fault.hint.as_deref().unwrap_or_default().contains(hint), "{text}: {:?}", fault.hint);
    }
    assert_eq!(taken, !expected.iter().any(|(severity, ..)| *severity == "error"), "{text}");
}
