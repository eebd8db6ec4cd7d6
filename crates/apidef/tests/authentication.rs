//! Security schemes: what they become in both formats, their way back into the classic projection, and what is wrong with
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
//! them, where.

use apidef::{Auth, Basic, Definition, Guarded, SecurityScheme, SignatureAlgorithm, Sources};
use serde_json::{Value, json};

/// A classic definition with these keys beside what every one has.
fn classic(more: &Value) -> Value {
    let mut definition = json!({"api_id": "a", "proxy": {"listen_path": "/a/", "target_url": "http://h/"}});
    definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    definition
}

/// An OpenAPI definition with this `components.securitySchemes`, `security` and `authentication`.
fn oas(components: &Value, security: &Value, authentication: &Value) -> Value {
    json!({
        "openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": {},
        "components": {"securitySchemes": components}, "security": security,
        "x-tyk-api-gateway": {
            "info": {"id": "a", "name": "a"}, "upstream": {"url": "http://h/"},
            "server": {"listenPath": {"value": "/a/"}, "authentication": authentication},
        },
    })
}

fn read(definition: &Value) -> Definition {
    Definition::parse(&definition.to_string()).unwrap_or_else(|faults| panic!("{definition}: {faults:#?}"))
}

/// The schemes of an API that has one group of them.
fn schemes(definition: &Definition) -> &[SecurityScheme] {
    match &definition.api.auth {
        Auth::Guarded(Guarded { groups, .. }) if groups.len() == 1 => &groups[0],
        other => panic!("{other:?}"),
    }
}

/// Pointer and part of the message of every fault.
fn assert_faults(definition: &Value, expected: &[(&str, &str)]) {
    let faults = match Definition::parse(&definition.to_string()) {
        Ok(definition) => definition.warnings,
        Err(faults) => faults,
    };
    let told: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    let wanted: Vec<_> = expected.iter().map(|(pointer, _)| *pointer).collect();
    assert_eq!(told, wanted, "{definition}: {faults:#?}");
    for (fault, (_, message)) in faults.iter().zip(expected) {
        assert!(fault.message.contains(message), "{message}: {fault:?}");
    }
}

/// An OpenAPI definition and the same in classic terms are the same API.
fn assert_projects(definition: &Definition) {
    let classic = definition.classic();
    let back = read(&classic);
    assert_eq!(back.api.auth, definition.api.auth, "{classic}");
    assert_eq!(back.warnings, [], "{classic}");
}

#[test]
fn c2_2_row_3_basic_authentication_is_read_in_both_formats() {
    let from = |basic: &Basic| {
        let body = basic
            .body
            .as_ref()
            .map(|body| (body.user.as_str().to_owned(), body.password.as_str().to_owned()));
        (basic.sources.clone(), basic.cache.map(|cache| cache.as_secs()), body)
    };
    let header = |name: &str| Sources { header: Some(name.into()), query: None, cookie: None };
    let patterns = || Some(("user=(.*)".to_owned(), "pw=(.*)".to_owned()));
    let classics = [
        (json!({"use_basic_auth": true}), (header("authorization"), Some(60), None)),
        (
            json!({"use_basic_auth": true, "basic_auth": {"cache_ttl": 5}, "auth_configs": {"basic": {"auth_header_name": "X-Auth"}}}),
            (header("x-auth"), Some(5), None),
        ),
        (
            json!({"use_basic_auth": true, "basic_auth": {"disable_caching": true, "extract_from_body": true,
                "body_user_regexp": "user=(.*)", "body_password_regexp": "pw=(.*)"}}),
            (header("authorization"), None, patterns()),
        ),
    ];
    for (more, expected) in classics {
        let definition = read(&classic(&more));
        assert_eq!(definition.warnings, [], "{more}");
        let [SecurityScheme::Basic(basic)] = schemes(&definition) else { panic!("{more}") };
        assert_eq!(from(basic), expected, "{more}");
    }
    let components = json!({"b": {"type": "http", "scheme": "Basic"}});
    let extensions = [
        (json!({"enabled": true}), (header("authorization"), Some(60), None)),
        (
            json!({"enabled": true, "header": {"enabled": true, "name": "X-Auth"}, "cacheTTL": 5}),
            (header("x-auth"), Some(5), None),
        ),
        (
            json!({"enabled": true, "header": {"enabled": false}, "query": {"enabled": true, "name": "q"}, "disableCaching": true,
                "extractCredentialsFromBody": {"enabled": true, "userRegexp": "user=(.*)", "passwordRegexp": "pw=(.*)"}}),
            (Sources { header: None, query: Some("q".into()), cookie: None }, None, patterns()),
        ),
    ];
    for (scheme, expected) in extensions {
        let authentication = json!({"enabled": true, "securitySchemes": {"b": scheme}});
        let definition = read(&oas(&components, &json!([{"b": []}]), &authentication));
        assert_eq!(definition.warnings, [], "{scheme}");
        let [SecurityScheme::Basic(basic)] = schemes(&definition) else { panic!("{scheme}") };
        assert_eq!(from(basic), expected, "{scheme}");
        assert_projects(&definition);
    }
}

#[test]
fn what_is_wrong_with_basic_authentication_is_told() {
    let with = |basic: Value| classic(&json!({"use_basic_auth": true, "basic_auth": basic}));
    for (definition, expected) in [
        (
            with(json!({"extract_from_body": true})),
            &[
                ("/basic_auth/body_password_regexp", "is missing"),
                ("/basic_auth/body_user_regexp", "is missing"),
            ][..],
        ),
        (
            with(json!({"extract_from_body": true, "body_user_regexp": "(", "body_password_regexp": "x"})),
            &[
                ("/basic_auth/body_user_regexp", "no regular expression: error: unclosed group"),
                ("/basic_auth/body_password_regexp", "no group"),
            ],
        ),
        (
            with(
                json!({"extract_from_body": true, "body_user_regexp": "(\\pL{1000}){1000}", "body_password_regexp": "(x)"}),
            ),
            &[("/basic_auth/body_user_regexp", "too large")],
        ),
        (with(json!({"cache_tl": 5})), &[("/basic_auth/cache_tl", "unknown key")]),
        (
            classic(&json!({"use_basic_auth": true, "auth_configs": {"basic": {"disable_header": true}}})),
            &[("/auth_configs/basic", "all auth sources are disabled for basic")],
        ),
        (
            classic(&json!({"use_basic_auth": false, "basic_auth": {"x": 1}})),
            &[("/basic_auth", "has no effect: `use_basic_auth` is off")],
        ),
    ] {
        assert_faults(&definition, expected);
    }
}

#[test]
fn http_signatures_are_read_in_both_formats() {
    let definition =
        read(&classic(&json!({"enable_signature_checking": true, "hmac_allowed_clock_skew": 1500,
        "hmac_allowed_algorithms": ["hmac-sha256", "rsa-sha256"],
        "auth_configs": {"hmac": {"auth_header_name": "X-Sign", "use_param": true, "param_name": "s"}}})));
    let [SecurityScheme::Signature(signature)] = schemes(&definition) else { panic!("{definition:?}") };
    assert_eq!(definition.warnings, []);
    assert_eq!(signature.skew, Some(std::time::Duration::from_millis(1500)));
    assert_eq!(*signature.algorithms, [SignatureAlgorithm::HmacSha256, SignatureAlgorithm::RsaSha256]);
    let sources = Sources { header: Some("x-sign".into()), query: Some("s".into()), cookie: None };
    assert_eq!(signature.sources, sources);

    let hmac = json!({"enabled": true, "allowedClockSkew": 1500, "allowedAlgorithms": ["hmac-sha256", "rsa-sha256"],
        "header": {"enabled": true, "name": "X-Sign"}, "query": {"enabled": true, "name": "s"}});
    let oas = read(&oas(&json!({}), &json!([]), &json!({"enabled": true, "hmac": hmac})));
    assert_eq!((&oas.api.auth, &*oas.warnings), (&definition.api.auth, &[][..]));
    assert_projects(&oas);
}

#[test]
fn what_is_wrong_with_signatures_is_told() {
    let key = |signature: Value| {
        classic(&json!({"auth_configs": {"authToken": {"validate_signature": true, "signature": signature}}}))
    };
    let good = json!({"algorithm": "MasheryMD5", "header": "X", "secret": "s"});
    let but = |name: &str, value: Value| {
        let mut signature = good.clone();
        signature[name] = value;
        key(signature)
    };
    let at = |name: &str| format!("/auth_configs/authToken/signature/{name}");
    let (algorithm, header, secret) = (at("algorithm"), at("header"), at("secret"));
    let (skew, status, message) = (at("allowed_clock_skew"), at("error_code"), at("error_message"));
    for (definition, expected) in [
        (key(good.clone()), &[][..]),
        (but("algorithm", json!("md5")), &[(&*algorithm, "`md5` signs no keys")]),
        (but("header", json!("")), &[(&*header, "where is the signature?")]),
        (but("secret", json!("")), &[(&*secret, "`secret` is missing")]),
        (but("allowed_clock_skew", json!(-1)), &[(&*skew, "cannot be searched")]),
        (but("allowed_clock_skew", json!(1e9)), &[(&*skew, "cannot be searched")]),
        (but("error_code", json!(200)), &[(&*status, "no status of a refusal")]),
        (but("error_message", json!(7)), &[(&*message, "must be a string")]),
        (
            classic(&json!({"enable_signature_checking": true, "hmac_allowed_clock_skew": 1,
                "hmac_allowed_algorithms": ["hmac-sha256", "hs256"]})),
            &[("/hmac_allowed_algorithms/1", "`hs256` is no signature algorithm")],
        ),
        (
            classic(&json!({"enable_signature_checking": true})),
            &[("/hmac_allowed_clock_skew", "can be repeated at any time")],
        ),
        (
            oas(
                &json!({}),
                &json!([]),
                &json!({"enabled": true, "hmac": {"enabled": true, "allowedSkew": 1}}),
            ),
            &[
                ("/x-tyk-api-gateway/server/authentication/hmac/allowedClockSkew", "can be repeated"),
                ("/x-tyk-api-gateway/server/authentication/hmac/allowedSkew", "unknown key"),
            ],
        ),
    ] {
        assert_faults(&definition, expected);
    }
}

#[test]
fn c3_3_row_4_signatures_of_keys_are_read_in_both_formats() {
    let components = json!({"k": {"type": "apiKey", "in": "header", "name": "authorization"}});
    let validation = json!({"enabled": true, "algorithm": "MasherySHA256", "header": "X-Sig",
        "query": {"enabled": true, "name": "sig"}, "secret": "s", "allowedClockSkew": 2, "errorCode": 418, "errorMessage": "no"});
    let authentication = json!({"enabled": true, "securitySchemes": {"k": {"enabled": true, "signatureValidation": validation}}});
    let from_oas = read(&oas(&components, &json!([{"k": []}]), &authentication));
    assert_eq!(from_oas.warnings, []);
    assert_projects(&from_oas);
    let signature = json!({"algorithm": "MasherySHA256", "header": "X-Sig", "use_param": true, "param_name": "sig",
        "secret": "s", "allowed_clock_skew": 2, "error_code": 418, "error_message": "no"});
    let token = json!({"authToken": {"validate_signature": true, "signature": signature}});
    let from_classic = read(&classic(&json!({"auth_configs": token})));
    assert_eq!(from_classic.warnings, []);
    assert_eq!(from_classic.api.auth, from_oas.api.auth);
    // Whatever is printed of it, the secret is not.
    assert!(!format!("{from_oas:?}").replace(&*from_oas.text, "").contains("Secret(\"s\")"));
}

#[test]
fn c3_3_rows_12_and_13_requirements_make_groups_by_their_mode() {
    let components = json!({
        "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
        "basic": {"type": "http", "scheme": "basic"},
        "jwt": {"type": "http", "scheme": "bearer"},
    });
    let on = json!({"enabled": true});
    let provider =
        json!({"issuer": "https://i", "clientToPolicyMapping": [{"clientId": "c", "policyId": "p"}]});
    let oidc = json!({"enabled": true, "providers": [provider]});
    let jwt = json!({"enabled": true, "signingMethod": "hmac", "source": "secret"});
    let schemes = json!({"key": on, "basic": on, "jwt": jwt});
    let only_two = json!({"key": on, "basic": on});
    let schemes_at = "/x-tyk-api-gateway/server/authentication/securitySchemes";
    let more_at = "/x-tyk-api-gateway/server/authentication/security";
    let unused = |name: &str| (format!("{schemes_at}/{name}"), "no requirement that counts asks for it");
    let disabled = |at: &str| (at.to_owned(), "so this requirement admits nobody");
    type Case = (Value, Value, &'static [&'static str], Vec<(String, &'static str)>);
    // `security`, what stands in `authentication` beside the schemes, groups, warnings.
    let cases: Vec<Case> = vec![
        // Without requirements everything that is enabled guards.
        (json!([]), json!({}), &["basic+jwt+key"], vec![]),
        (json!([]), json!({"securityProcessingMode": "compliant"}), &["basic+jwt+key"], vec![]),
        // In the mode of old, the first one counts.
        (json!([{"key": [], "basic": [], "jwt": []}]), json!({}), &["basic+jwt+key"], vec![]),
        (
            json!([{"key": [], "basic": []}, {"jwt": []}]),
            json!({"securityProcessingMode": "legacy"}),
            &["basic+key"],
            vec![("/security/1".to_owned(), "only the first requirement counts"), unused("jwt")],
        ),
        (
            json!([{"jwt": []}]),
            json!({"security": [["key"]], "oidc": oidc}),
            &["jwt+oidc"],
            vec![
                (format!("{more_at}/0"), "count in the mode `compliant` alone"),
                unused("basic"),
                unused("key"),
            ],
        ),
        (
            json!([{"jwt": []}]),
            json!({"securitySchemes": only_two}),
            &["key"],
            vec![
                unused("basic"),
                unused("key"),
                disabled("/security/0"),
                (schemes_at.to_owned(), "a key is expected in the Authorization header"),
            ],
        ),
        // One of them is enough.
        (
            json!([{"key": []}, {"basic": [], "jwt": []}]),
            json!({"securityProcessingMode": "compliant"}),
            &["key", "basic+jwt"],
            vec![],
        ),
        (
            json!([{"key": []}]),
            json!({"securityProcessingMode": "compliant", "security": [["jwt", "basic"], ["oidc"]], "oidc": oidc}),
            &["key", "basic+jwt", "oidc"],
            vec![],
        ),
        // What OpenAPI cannot name and nothing names guards beside each.
        (
            json!([{"key": []}, {"basic": []}, {"jwt": []}]),
            json!({"securityProcessingMode": "compliant", "oidc": oidc}),
            &["oidc+key", "basic+oidc", "jwt+oidc"],
            vec![],
        ),
        // A requirement is not made weaker by what is not enabled.
        (
            json!([{"jwt": [], "key": []}, {"basic": []}]),
            json!({"securityProcessingMode": "compliant", "security": [["custom", "key"]], "securitySchemes": only_two}),
            &["basic"],
            vec![disabled("/security/0"), disabled(&format!("{more_at}/0"))],
        ),
    ];
    for (security, more, expected, warnings) in cases {
        let mut authentication = json!({"enabled": true, "securitySchemes": schemes});
        authentication.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let definition = read(&oas(&components, &security, &authentication));
        let Auth::Guarded(guarded) = &definition.api.auth else { panic!("{:?}", definition.api.auth) };
        let name = |scheme: &SecurityScheme| match scheme {
            SecurityScheme::Basic(_) => "basic",
            SecurityScheme::Jwt(_) => "jwt",
            SecurityScheme::OpenId(_) => "oidc",
            SecurityScheme::Token(_) => "key",
            other => panic!("{other:?}"),
        };
        let groups: Vec<String> =
            guarded.groups.iter().map(|group| group.iter().map(name).collect::<Vec<_>>().join("+")).collect();
        assert_eq!(groups, expected, "{security} {more}");
        let told = &definition.warnings;
        assert_eq!(told.len(), warnings.len(), "{security} {more}: {told:#?}");
        for (at, text) in warnings {
            let is_told = told.iter().any(|fault| fault.pointer == at && fault.message.contains(text));
            assert!(is_told, "{at} {text}: {told:#?}");
        }
    }
    for (security, more, at, message) in [
        (
            json!([{"key": []}, {}]),
            json!({"securityProcessingMode": "compliant"}),
            "/security/1".to_owned(),
            "an empty requirement would let everybody in",
        ),
        (
            json!([{"key": [], "basic": [], "jwt": []}]),
            json!({"security": {}}),
            more_at.to_owned(),
            "an array of arrays",
        ),
        (
            json!([{"key": [], "basic": [], "jwt": []}]),
            json!({"security": [["key"], "jwt"]}),
            format!("{more_at}/1"),
            "an array of names",
        ),
        (
            json!([{"key": [], "basic": [], "jwt": []}]),
            json!({"securityProcessingMode": "both"}),
            "/x-tyk-api-gateway/server/authentication/securityProcessingMode".to_owned(),
            "unknown security processing mode `both`",
        ),
    ] {
        let mut authentication = json!({"enabled": true, "securitySchemes": schemes});
        authentication.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let faults =
            Definition::parse(&oas(&components, &security, &authentication).to_string()).unwrap_err();
        assert!(
            faults.iter().any(|fault| fault.pointer == at && fault.message.contains(message)),
            "{security} {more}: {faults:#?}"
        );
    }
}

#[test]
fn plugins_are_read_in_both_formats() {
    let check = json!({"name": "who", "path": "a.js", "raw_body_only": true});
    let of_classic = |more: Value| {
        let mut definition = json!({"custom_plugin_auth_enabled": true,
            "custom_middleware": {"driver": "otto", "auth_check": check}});
        definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        classic(&definition)
    };
    let definition = read(&of_classic(json!({})));
    let [SecurityScheme::Custom(custom)] = schemes(&definition) else { panic!("{definition:?}") };
    assert_eq!((&*custom.driver, &*custom.function, &*custom.path), ("otto", "who", "a.js"));
    assert!(custom.raw_body_only && definition.warnings.is_empty());
    // What is switched off guards nothing; then a key does.
    for off in [
        json!({"custom_plugin_auth_enabled": false}),
        json!({"custom_middleware": {"driver": "otto", "auth_check": {"disabled": true, "name": "who"}}}),
    ] {
        assert!(matches!(schemes(&read(&of_classic(off))), [SecurityScheme::Token(_)]));
    }
    let custom = json!({"enabled": true, "config": {"enabled": true, "functionName": "who", "path": "a.js", "rawBodyOnly": true}});
    let mut open = oas(&json!({}), &json!([]), &json!({"enabled": true, "custom": custom}));
    open["x-tyk-api-gateway"]["middleware"] = json!({"global": {"pluginConfig": {"driver": "otto"}}});
    let from_oas = read(&open);
    assert_eq!((&from_oas.api.auth, &*from_oas.warnings), (&definition.api.auth, &[][..]));
    assert_projects(&from_oas);
    assert_faults(
        &classic(&json!({"custom_plugin_auth_enabled": true})),
        &[
            ("/custom_middleware/auth_check/name", "which function is it?"),
            ("/custom_middleware/driver", "what runs the plugin?"),
        ],
    );
}

#[test]
fn c3_3_row_14_what_a_resource_says_of_itself_is_read() {
    let with = |metadata: Value| {
        oas(&json!({}), &json!([]), &json!({"enabled": false, "protectedResourceMetadata": metadata}))
    };
    let usual = read(&with(json!({"enabled": true, "authorizationServers": ["https://i"]})));
    let metadata = usual.api.resource_metadata.as_deref().unwrap();
    assert_eq!((&*metadata.path, &*metadata.resource), (".well-known/oauth-protected-resource", ""));
    assert!(read(&with(json!({"enabled": false, "wellKnownPath": ".."}))).api.resource_metadata.is_none());
    let at = |key: &str| format!("/x-tyk-api-gateway/server/authentication/protectedResourceMetadata/{key}");
    let (path, resource, servers) = (at("wellKnownPath"), at("resource"), at("authorizationServers"));
    for (more, expected) in [
        (json!({"wellKnownPath": "/about/me/"}), &[][..]),
        (json!({"wellKnownPath": "a//b"}), &[(&*path, "no path that can be asked for")]),
        (json!({"wellKnownPath": "../x"}), &[(&*path, "no path that can be asked for")]),
        (json!({"wellKnownPath": "x?y"}), &[(&*path, "no path that can be asked for")]),
        (json!({"resource": "orders"}), &[(&*resource, "an absolute address")]),
        (json!({"resource": "https://h/#x"}), &[(&*resource, "without a fragment")]),
        (json!({"authorizationServers": []}), &[(&*servers, "who issues tokens")]),
    ] {
        let mut metadata = json!({"enabled": true, "authorizationServers": ["https://i"]});
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_faults(&with(metadata), expected);
    }
}
