//! Tokens in both formats: what they become, and what is wrong with them.

use apidef::{Auth, ClaimRule, Definition, Jwt, SecurityScheme, SigningMethod, Skews, TokenKeys};
use serde_json::{Value, json};
use std::time::Duration;

fn classic(more: Value) -> String {
    let mut definition = json!({
        "api_id": "a", "org_id": "o", "enable_jwt": true,
        "version_data": {"not_versioned": true, "versions": {}},
        "proxy": {"listen_path": "/a/", "target_url": "http://h"},
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        definition[key] = value.clone();
    }
    definition.to_string()
}

fn oas(scheme: Value) -> String {
    oas_of("http", scheme)
}

fn oas_of(kind: &str, scheme: Value) -> String {
    let mut definition = with_components(json!({"enabled": true, "securitySchemes": {"jwt": scheme}}));
    definition["components"] =
        json!({"securitySchemes": {"jwt": {"type": kind, "scheme": "bearer", "bearerFormat": "JWT"}}});
    definition["security"] = json!([{"jwt": []}]);
    definition.to_string()
}

fn with_authentication(authentication: Value) -> String {
    with_components(authentication).to_string()
}

fn with_components(authentication: Value) -> Value {
    json!({
        "openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": {},
        "x-tyk-api-gateway": {
            "info": {"id": "a", "orgId": "o", "name": "a", "state": {"active": true}},
            "upstream": {"url": "http://h"},
            "server": {"listenPath": {"value": "/a/"}, "authentication": authentication},
        },
    })
}

fn read(text: &str) -> Jwt {
    let definition = Definition::parse(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    assert_eq!(definition.warnings, [], "{text}");
    let Auth::Guarded(guarded) = &definition.api.auth else { panic!("open") };
    match guarded.groups.as_slice() {
        [group] => match group.as_slice() {
            [SecurityScheme::Jwt(jwt)] => (**jwt).clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

const PEM: &str = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----";
/// Base64 of `http://issuer/keys`, and of [`PEM`].
const ADDRESS: &str = "aHR0cDovL2lzc3Vlci9rZXlz";
const ENCODED_PEM: &str = "LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0KQUFBQQotLS0tLUVORCBQVUJMSUMgS0VZLS0tLS0=";

#[test]
fn c2_2_row_7_both_formats_become_the_same_model() {
    let texts = |texts: &[&str]| texts.iter().map(|text| Box::from(*text)).collect::<Box<[Box<str>]>>();
    let of_classic = read(&classic(json!({
        "jwt_signing_method": "rsa", "jwt_jwks_uris": [{"url": "https://issuer/keys", "cache_timeout": 60}, {"url": "http://other/keys"}],
        "jwt_identity_base_field": "user.id", "jwt_client_base_field": "client", "jwt_policy_field_name": "pol",
        "jwt_default_policies": ["p1", "p2"], "jwt_issued_at_validation_skew": 1, "jwt_not_before_validation_skew": 2,
        "jwt_expires_at_validation_skew": 3, "jwt_skip_kid": true, "idp_client_id_mapping_disabled": true,
        "scopes": {"jwt": {"scope_claim_name": "scp", "scope_to_policy": {"read": "p3"}}},
        "auth_configs": {"jwt": {"auth_header_name": "Authorization", "use_cookie": true, "cookie_name": "token"}},
    })));
    let of_oas = read(&oas(json!({
        "enabled": true, "signingMethod": "rsa", "jwksURIs": [{"url": "https://issuer/keys", "cacheTimeout": 60}, {"url": "http://other/keys"}],
        "subjectClaims": ["user.id"], "clientBaseField": "client", "basePolicyClaims": ["pol"],
        "defaultPolicies": ["p1", "p2"], "issuedAtValidationSkew": 1, "notBeforeValidationSkew": 2,
        "expiresAtValidationSkew": 3, "skipKid": true, "idpClientIdMappingDisabled": true,
        "scopes": {"claims": ["scp"], "scopeToPolicyMapping": [{"scope": "read", "policyId": "p3"}]},
        "header": {"enabled": true, "name": "Authorization"}, "cookie": {"enabled": true, "name": "token"},
    })));
    assert_eq!(of_classic, of_oas);
    assert_eq!(of_oas.method, SigningMethod::Rsa);
    let TokenKeys::Sets(sets) = &of_oas.keys else { panic!("{:?}", of_oas.keys) };
    let sets: Vec<_> = sets.iter().map(|set| (set.url.to_string(), set.keep)).collect();
    assert_eq!(
        sets,
        [
            ("https://issuer/keys".to_owned(), Some(Duration::from_secs(60))),
            ("http://other/keys".to_owned(), None)
        ]
    );
    let seconds = Duration::from_secs;
    let skews = Skews { issued_at: seconds(1), not_before: seconds(2), expires_at: seconds(3) };
    assert_eq!((of_oas.skews, of_oas.skip_kid), (skews, true));
    assert_eq!(of_oas.identity, texts(&["user.id"]));
    assert_eq!(of_oas.policies.claims, texts(&["pol"]));
    assert_eq!(of_oas.policies.client.as_deref(), Some("client"));
    assert_eq!(of_oas.policies.defaults, texts(&["p1", "p2"]));
    assert_eq!(of_oas.policies.scopes.claims, texts(&["scp"]));
    assert_eq!(of_oas.policies.scopes.policies, [("read".into(), "p3".into())].into());

    // Older names, and what only OpenAPI has.
    let older =
        read(&classic(json!({"jwt_scope_claim_name": "scp", "jwt_scope_to_policy_mapping": {"read": "p3"}})));
    assert_eq!(older.policies.scopes, of_oas.policies.scopes);
    let more = read(&oas(json!({
        "enabled": true, "identityBaseField": "a", "policyFieldName": "b", "scopes": {"claimName": "c"},
        "allowedIssuers": ["i"], "allowedAudiences": ["u"], "allowedSubjects": ["s"], "jtiValidation": {"enabled": true},
        "customClaimValidation": {"x.y": {"type": "exact_match", "allowedValues": ["v", 1], "nonBlocking": true}, "z": {"type": "required"}},
    })));
    assert_eq!((&*more.identity, &*more.policies.claims), (&*texts(&["a"]), &*texts(&["b"])));
    assert_eq!(more.policies.scopes.claims, texts(&["c"]));
    let checks = &more.checks;
    assert_eq!((&checks.issuers, &checks.audiences), (&texts(&["i"]), &texts(&["u"])));
    assert_eq!((&checks.subjects, checks.id), (&texts(&["s"]), true));
    let custom: Vec<_> =
        checks.custom.iter().map(|check| (&*check.path, &check.rule, check.non_blocking)).collect();
    assert_eq!(
        custom,
        [
            ("x.y", &ClaimRule::Equals([json!("v"), json!(1)].into()), true),
            ("z", &ClaimRule::Required, false)
        ]
    );
}

#[test]
fn c5_5_row_3_a_source_is_told_by_what_it_is() {
    for (source, method, expected) in [
        ("", "hmac", None),
        ("c2VjcmV0", "hmac", Some(Ok("secret"))),
        ("c2Vj\ncmV0", "", Some(Ok("secret"))),
        ("not base64!", "hmac", Some(Ok("not base64!"))),
        (PEM, "rsa", Some(Ok(PEM))),
        (ENCODED_PEM, "ecdsa", Some(Ok(PEM))),
        ("http://issuer/keys", "rsa", Some(Err("http://issuer/keys"))),
        ("HTTPS://issuer/keys", "rsa", Some(Err("https://issuer/keys"))),
        (ADDRESS, "rsa", Some(Err("http://issuer/keys"))),
    ] {
        for text in [
            classic(json!({"jwt_source": source, "jwt_signing_method": method})),
            oas(json!({"enabled": true, "source": source, "signingMethod": method})),
        ] {
            match (read(&text).keys, expected) {
                (TokenKeys::OfSession, None) => {}
                (TokenKeys::Fixed(secret), Some(Ok(expected))) => {
                    assert_eq!(secret.expose(), expected.as_bytes())
                }
                (TokenKeys::Sets(sets), Some(Err(expected))) => assert_eq!(sets[0].url.to_string(), expected),
                (found, _) => panic!("{source}: {found:?}"),
            }
        }
    }
    let shown = format!("{:?}", read(&classic(json!({"jwt_source": "c2VjcmV0"}))));
    assert!(!shown.contains("secret") && shown.contains("***"), "{shown}");
}

#[test]
fn what_would_let_the_wrong_ones_in_is_refused() {
    for (text, at, says) in [
        // Anybody has the public key, so anybody could sign with it.
        (
            classic(json!({"jwt_source": ENCODED_PEM, "jwt_signing_method": "hmac"})),
            "/jwt_source",
            "public key",
        ),
        (classic(json!({"jwt_source": PEM})), "/jwt_source", "public key"),
        (
            classic(json!({"jwt_source": "c2VjcmV0", "jwt_signing_method": "rsa"})),
            "/jwt_source",
            "no public key",
        ),
        (classic(json!({"jwt_jwks_uris": [{"url": "ftp://h/keys"}]})), "/jwt_jwks_uris/0/url", "the address"),
        (classic(json!({"jwt_jwks_uris": [{"url": "ws://h/"}]})), "/jwt_jwks_uris/0/url", "http://"),
        (classic(json!({"jwt_jwks_uris": [{}]})), "/jwt_jwks_uris/0/url", "url"),
        (classic(json!({"jwt_jwks_uris": {}})), "/jwt_jwks_uris", "array"),
        (
            oas(json!({"enabled": true, "customClaimValidation": {"x": {"type": "equals"}}})),
            "/x/type",
            "equals",
        ),
        (
            oas(
                json!({"enabled": true, "customClaimValidation": {"x": {"type": "contains", "allowedValues": "v"}}}),
            ),
            "/x/allowedValues",
            "array",
        ),
    ] {
        let faults = Definition::parse(&text).expect_err(&text);
        let fault = faults.iter().find(|fault| fault.is_error()).unwrap();
        assert!(fault.pointer.ends_with(at) && fault.message.contains(says), "{text}: {fault:?}");
    }
    let unknown = Definition::parse(&classic(json!({"jwt_signing_method": "rs256"}))).unwrap();
    assert!(unknown.warnings[0].message.contains("`hmac` counts"), "{:?}", unknown.warnings);
}

#[test]
fn the_classic_projection_holds_what_classic_definitions_can() {
    let text = oas(json!({
        "enabled": true, "signingMethod": "ecdsa", "source": ENCODED_PEM, "subjectClaims": ["id"], "skipKid": true,
        "scopes": {"claims": ["scp"], "scopeToPolicyMapping": [{"scope": "read", "policyId": "p3"}]},
    }));
    let definition = Definition::parse(&text).unwrap();
    let back = Definition::parse_classic(&definition.classic().to_string()).unwrap();
    assert_eq!((&back.api.auth, back.warnings.as_slice()), (&definition.api.auth, [].as_slice()));
}

fn scheme(text: &str) -> SecurityScheme {
    let definition = Definition::parse(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    let Auth::Guarded(guarded) = &definition.api.auth else { panic!("open") };
    let back = Definition::parse_classic(&definition.classic().to_string());
    let back = back.unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    assert_eq!(back.api.auth, definition.api.auth, "the classic projection is the same");
    guarded.schemes().next().cloned().unwrap_or_else(|| panic!("no scheme"))
}

#[test]
fn c3_3_row_8_tokens_of_others_are_the_same_in_both_formats() {
    let open_id = [
        classic(json!({
            "enable_jwt": false, "use_openid": true,
            "openid_options": {"segregate_by_client": true, "providers": [{"issuer": "https://issuer/", "client_ids": {"d2Vi": "p"}}]},
            "scopes": {"oidc": {"scope_claim_name": "scp", "scope_to_policy": {"read": "q"}}},
        })),
        with_authentication(json!({"enabled": true, "oidc": {
            "enabled": true, "segregateByClientId": true,
            "providers": [{"issuer": "https://issuer/", "clientToPolicyMapping": [{"clientId": "web", "policyId": "p"}]}],
            "scopes": {"claims": ["scp"], "scopeToPolicyMapping": [{"scope": "read", "policyId": "q"}]},
        }})),
    ]
    .map(|text| scheme(&text));
    assert_eq!(open_id[0], open_id[1]);
    let SecurityScheme::OpenId(open_id) = &open_id[0] else { panic!("{open_id:?}") };
    assert_eq!(&*open_id.providers[0].issuer, "https://issuer/");
    assert_eq!(open_id.providers[0].clients, [("web".into(), "p".into())].into());
    assert!(open_id.per_client);

    for (of_classic, of_oas) in [
        (
            json!({"jwt": {"enabled": true, "signing_method": "rsa", "source": ADDRESS, "identity_base_field": "id", "expires_at_validation_skew": 3}}),
            json!({"jwt": {"enabled": true, "signingMethod": "rsa", "source": ADDRESS, "identityBaseField": "id", "expiresAtValidationSkew": 3}}),
        ),
        (
            json!({"introspection": {"enabled": true, "url": "https://issuer/ask", "client_id": "c", "client_secret": "s", "cache": {"enabled": true, "timeout": 5}}}),
            json!({"introspection": {"enabled": true, "url": "https://issuer/ask", "clientId": "c", "clientSecret": "s", "cache": {"enabled": true, "timeout": 5}}}),
        ),
        (json!({}), json!({})),
    ] {
        let one = scheme(&classic(
            json!({"enable_jwt": false, "external_oauth": {"enabled": true, "providers": [of_classic]}}),
        ));
        let other = scheme(&oas_of("oauth2", json!({"enabled": true, "providers": [of_oas]})));
        assert_eq!(one, other);
        assert!(!format!("{one:?}").contains("\"s\""), "a secret shows: {one:?}");
    }

    for (text, at) in [
        (
            classic(
                json!({"enable_jwt": false, "use_openid": true, "openid_options": {"providers": [{"issuer": "issuer"}]}}),
            ),
            "/issuer",
        ),
        (
            classic(
                json!({"enable_jwt": false, "use_openid": true, "openid_options": {"providers": [{"issuer": "http://i", "client_ids": {"?": "p"}}]}}),
            ),
            "/?",
        ),
        (
            classic(
                json!({"enable_jwt": false, "external_oauth": {"enabled": true, "providers": [{"jwt": {"enabled": true}}]}}),
            ),
            "/source",
        ),
        (
            classic(
                json!({"enable_jwt": false, "external_oauth": {"enabled": true, "providers": [{"introspection": {"enabled": true, "url": "ask"}}]}}),
            ),
            "/url",
        ),
    ] {
        let faults = Definition::parse(&text).expect_err(&text);
        assert!(
            faults.iter().any(|fault| fault.is_error() && fault.pointer.ends_with(at)),
            "{text}: {faults:?}"
        );
    }
}
