//! How requests go upstream: what it becomes in both formats, its way back into the classic projection, and what is wrong
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
//! with it, where.

use apidef::{
    Backend, Definition, Manner, SignatureAlgorithm, SigningKey, Upstream, UpstreamCredentials, UpstreamGrant,
};
use serde_json::{Value, json};

const PIN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A classic definition with these keys, and these in its `proxy.transport`.
fn classic(more: &Value, transport: &Value) -> Value {
    let mut definition = json!({"api_id": "a", "use_keyless": true,
        "proxy": {"listen_path": "/a/", "target_url": "https://h/", "transport": transport}});
    definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    definition
}

/// An OpenAPI definition with these keys in its `upstream`.
fn oas(more: &Value) -> Value {
    let mut upstream = json!({"url": "https://h/"});
    upstream.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({
        "openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": {},
        "x-tyk-api-gateway": {
            "info": {"id": "a", "name": "a"}, "upstream": upstream,
            "server": {"listenPath": {"value": "/a/"}},
        },
    })
}

fn read(definition: &Value) -> Definition {
    Definition::parse(&definition.to_string()).unwrap_or_else(|faults| panic!("{definition}: {faults:#?}"))
}

fn upstream(definition: &Definition) -> &Upstream {
    let Backend::Upstream(upstream) = &definition.api.backend else { panic!("{definition:?}") };
    upstream
}

fn manner(definition: &Definition) -> &Manner {
    &upstream(definition).manner
}

/// With a path that has a timeout and a breaker.
fn with_paths(mut document: Value) -> Value {
    document["paths"] = json!({"/x/{id}": {"get": {"operationId": "x"}}});
    document["x-tyk-api-gateway"]["middleware"] = json!({"global": {"ignoreCase": {"enabled": true}}, "operations": {"x": {
        "enforceTimeout": {"enabled": true, "value": 9, "duration": "3s"},
        "circuitBreaker": {"enabled": true, "threshold": 0.25, "sampleSize": 8, "coolDownPeriod": 5, "halfOpenStateEnabled": false},
    }}});
    document
}

#[test]
fn c3_2_both_formats_say_the_same() {
    let client = json!({"client_id": "c", "client_secret": "s", "method": "client_secret_post", "token_url": "https://i/token",
        "scopes": ["a", "b"], "header": {"enabled": true, "name": "X-Token"}});
    let user = json!({"client_id": "c", "client_secret": "s", "token_url": "https://i/token", "username": "u", "password": "p"});
    let cases = [
        (
            classic(
                &json!({"upstream_certificates": {"*.h": "id", "h:443": "file.pem"},
                    "pinned_public_keys": {"*": format!("{PIN}, other")}}),
                &json!({"ssl_insecure_skip_verify": true, "ssl_min_version": 771, "ssl_max_version": 772,
                    "ssl_ciphers": ["tls_ecdhe_rsa_with_aes_128_gcm_sha256"], "ssl_force_common_name_check": true,
                    "proxy_url": "http://u:p@proxy:3128"}),
            ),
            oas(&json!({
                "mutualTLS": {"enabled": true, "domainToCertificateMapping": [
                    {"domain": "*.h", "certificate": "id"}, {"domain": "h:443", "certificate": "file.pem"}]},
                "certificatePinning": {"enabled": true, "domainToPublicKeysMapping": [{"domain": "*", "publicKeys": [PIN, "other"]}]},
                "tlsTransport": {"insecureSkipVerify": true, "minVersion": "1.2", "maxVersion": "1.3",
                    "ciphers": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"], "forceCommonNameCheck": true},
                "proxy": {"enabled": true, "url": "http://u:p@proxy:3128/"},
            })),
        ),
        (
            classic(
                &json!({"upstream_auth": {"enabled": true, "basic_auth": {"enabled": true, "username": "u", "password": "p",
                    "header": {"enabled": true, "name": "X-Auth"}}}}),
                &json!({}),
            ),
            oas(&json!({"authentication": {"enabled": true, "basicAuth": {"enabled": true, "username": "u",
                "password": "p", "header": {"enabled": true, "name": "x-auth"}}}})),
        ),
        (
            classic(
                &json!({"upstream_auth": {"enabled": true, "oauth": {"enabled": true,
                    "allowed_authorize_types": ["clientCredentials"], "client_credentials": client}}}),
                &json!({}),
            ),
            oas(
                &json!({"authentication": {"enabled": true, "oauth": {"enabled": true, "allowedAuthorizeTypes": ["clientCredentials"],
                "clientCredentials": {"clientId": "c", "clientSecret": "s", "method": "client_secret_post", "tokenUrl": "https://i/token",
                    "scopes": ["a", "b"], "header": {"enabled": true, "name": "X-Token"}}}}}),
            ),
        ),
        (
            classic(
                &json!({"upstream_auth": {"enabled": true, "oauth": {"enabled": true,
                    "allowed_authorize_types": ["password"], "password": user}}}),
                &json!({}),
            ),
            oas(
                &json!({"authentication": {"enabled": true, "oauth": {"enabled": true, "allowedAuthorizeTypes": ["password"],
                "password": {"clientId": "c", "clientSecret": "s", "tokenUrl": "https://i/token", "username": "u", "password": "p"}}}}),
            ),
        ),
        (
            classic(
                &json!({"request_signing": {"is_enabled": true, "secret": "s", "key_id": "k", "algorithm": "hmac-sha256",
                    "header_list": ["Host", "(request-target)", "host"], "signature_header": "Signature"}}),
                &json!({}),
            ),
            oas(
                &json!({"authentication": {"enabled": true, "requestSigning": {"enabled": true, "secret": "s", "keyId": "k",
                "algorithm": "hmac-sha256", "headers": ["host", "(request-target)"], "signatureHeader": "signature"}}}),
            ),
        ),
        (
            classic(
                &json!({"request_signing": {"is_enabled": true, "certificate_id": "c", "key_id": "k", "algorithm": "rsa-sha256"}}),
                &json!({}),
            ),
            oas(
                &json!({"authentication": {"enabled": true, "requestSigning": {"enabled": true, "certificateId": "c", "keyId": "k",
                "algorithm": "rsa-sha256"}}}),
            ),
        ),
        // Targets, and what single paths have of their own.
        (
            classic(
                &json!({
                    "proxy": {"listen_path": "/a/", "target_url": "https://h/", "enable_load_balancing": true,
                        "target_list": ["https://i/", "https://j/", "https://i/", "https://i/"]},
                    "version_data": {"not_versioned": true, "versions": {"": {"use_extended_paths": true,
                        "ignore_endpoint_case": true, "extended_paths": {
                            "hard_timeouts": [{"path": "/x/{id}", "method": "get", "timeout": 3},
                                {"path": "/y", "method": "GET", "disabled": true, "timeout": 3}],
                            "circuit_breakers": [{"path": "/x/{id}", "method": "GET", "threshold_percent": 0.25,
                                "samples": 8, "return_to_service_after": 5, "disable_half_open_state": true}]}}}}}),
                &json!({}),
            ),
            with_paths(oas(&json!({"loadBalancing": {"enabled": true, "targets": [
                {"url": "https://i/", "weight": 30}, {"url": "https://j/", "weight": 10}, {"url": "https://k/", "weight": 0}]}}))),
        ),
        // What is switched off says nothing.
        (
            classic(
                &json!({"upstream_certificates": {"*": "id"}, "upstream_certificates_disabled": true,
                    "pinned_public_keys": {"*": PIN}, "certificate_pinning_disabled": true,
                    "upstream_auth": {"enabled": false, "basic_auth": {"enabled": true}},
                    "request_signing": {"is_enabled": false, "algorithm": "x"}}),
                &json!({"proxy_url": ""}),
            ),
            oas(&json!({
                "mutualTLS": {"enabled": false, "domainToCertificateMapping": [{"domain": "*", "certificate": "id"}]},
                "certificatePinning": {"enabled": false, "domainToPublicKeysMapping": [{"domain": "*", "publicKeys": [PIN]}]},
                "authentication": {"enabled": false, "basicAuth": {"enabled": true}, "requestSigning": {"enabled": false}},
                "proxy": {"enabled": false, "url": "http://proxy"},
            })),
        ),
    ];
    for (classic, oas) in cases {
        let (from_classic, from_oas) = (read(&classic), read(&oas));
        assert_eq!((&*from_classic.warnings, &*from_oas.warnings), (&[][..], &[][..]), "{classic}");
        assert_eq!(upstream(&from_classic).endpoints, upstream(&from_oas).endpoints, "{classic}");
        let mut shares = [&from_classic, &from_oas].map(|definition| upstream(definition).targets.to_vec());
        shares.iter_mut().for_each(|targets| targets.sort_by(|a, b| a.host.cmp(&b.host)));
        assert_eq!(shares[0], shares[1], "{classic}");
        assert_eq!(manner(&from_classic), manner(&from_oas), "{classic}");
        let projected = from_oas.classic();
        let back = read(&projected);
        assert_eq!(upstream(&back), upstream(&from_oas), "{projected}");
        assert_eq!(back.warnings, [], "{projected}");
    }
}

#[test]
fn what_is_said_becomes_of_the_model() {
    let definition = read(&classic(
        &json!({"upstream_certificates": {"*": "all", "h": "one"}, "pinned_public_keys": {"*.h": format!("{PIN} ,x")},
            "request_signing": {"is_enabled": true, "certificate_id": "c", "key_id": "k", "algorithm": "rsa-sha256"},
            "upstream_auth": {"enabled": true, "oauth": {"enabled": true, "allowed_authorize_types": ["password"],
                "password": {"client_id": "c", "token_url": "http://i/t", "username": "u", "password": "secret one",
                    "header": {"enabled": true, "name": "X-Token"}}}}}),
        &json!({}),
    ));
    let Manner { tls, proxy, credentials, signing } = manner(&definition);
    assert_eq!(tls.certificates.get("h", 443).map(|id| &**id), Some("one"));
    assert_eq!(tls.certificates.get("i", 443).map(|id| &**id), Some("all"));
    assert_eq!(tls.pins.get("x.h", 1).unwrap()[..], [PIN.into(), "x".into()]);
    assert!(proxy.is_none());
    let signing = signing.as_ref().unwrap();
    assert_eq!((&*signing.header, &*signing.key_id), ("authorization", "k"));
    assert_eq!(signing.algorithm, SignatureAlgorithm::RsaSha256);
    assert_eq!(signing.key, SigningKey::Certificate("c".into()));
    let Some(UpstreamCredentials::OAuth(oauth)) = credentials else { panic!("{credentials:?}") };
    assert!(matches!(&oauth.grant, UpstreamGrant::Password { user, .. } if **user == *"u"));
    assert!(!oauth.in_form && &*oauth.header == "x-token");
    assert!(!format!("{credentials:?}").contains("secret one"), "a password is shown");
}

#[test]
fn c2_8_row_5_what_is_wrong_is_told_with_its_place() {
    let transport = |transport: Value| classic(&json!({}), &transport);
    let signing = |signing: Value| classic(&json!({"request_signing": signing}), &json!({}));
    let auth = |auth: Value| classic(&json!({"upstream_auth": auth}), &json!({}));
    let client = |client: Value| {
        auth(
            json!({"enabled": true, "oauth": {"enabled": true, "allowed_authorize_types": ["clientCredentials"],
            "client_credentials": client}}),
        )
    };
    let with_breaker = |breaker: Value| {
        let version = json!({"use_extended_paths": true, "extended_paths": {"circuit_breakers": [breaker]}});
        classic(&json!({"version_data": {"not_versioned": true, "versions": {"v": version}}}), &json!({}))
    };
    const B: &str = "/version_data/versions/v/extended_paths/circuit_breakers/0";
    const T: &str = "/proxy/transport";
    const C: &str = "/upstream_auth/oauth/client_credentials";
    const O: &str = "/x-tyk-api-gateway/upstream";
    for (definition, expected) in [
        (
            with_breaker(json!({"threshold_percent": 0, "samples": 1, "return_to_service_after": 1})),
            vec![(format!("{B}/threshold_percent"), "no part of all answers")],
        ),
        (
            with_breaker(json!({"threshold_percent": 1, "samples": 0, "return_to_service_after": 1})),
            vec![(format!("{B}/samples"), "whole number above 0")],
        ),
        (
            with_breaker(json!({"threshold_percent": 1, "samples": 1})),
            vec![(format!("{B}/return_to_service_after"), "must be above 0")],
        ),
        (
            transport(json!({"ssl_min_version": 1})),
            vec![(format!("{T}/ssl_min_version"), "no version of TLS")],
        ),
        (
            transport(json!({"ssl_max_version": 770})),
            vec![(format!("{T}/ssl_max_version"), "nothing is left")],
        ),
        (
            transport(json!({"ssl_min_version": 769})),
            vec![(format!("{T}/ssl_min_version"), "1.2 is the oldest")],
        ),
        (
            transport(json!({"ssl_min_version": 772, "ssl_max_version": 771})),
            vec![(format!("{T}/ssl_min_version"), "is above")],
        ),
        (
            transport(json!({"ssl_ciphers": ["TLS_RSA_WITH_RC4_128_SHA", "TLS_AES_128_GCM_SHA256"]})),
            vec![(format!("{T}/ssl_ciphers/0"), "not offered")],
        ),
        (
            transport(json!({"ssl_ciphers": ["TLS_RSA_WITH_RC4_128_SHA"]})),
            vec![
                (format!("{T}/ssl_ciphers"), "nothing is left"),
                (format!("{T}/ssl_ciphers/0"), "not offered"),
            ],
        ),
        (
            transport(json!({"ssl_ciphers": ["TLS_AES_128_GCM_SHA256"], "ssl_max_version": 771})),
            vec![(format!("{T}/ssl_ciphers"), "none of the ciphers is one of TLS 1.2")],
        ),
        (transport(json!({"proxy_url": "ftp://x"})), vec![(format!("{T}/proxy_url"), "unknown scheme")]),
        (
            classic(&json!({"upstream_certificates": {"https://h": "id", "h": ""}}), &json!({})),
            vec![
                ("/upstream_certificates/https:~1~1h".into(), "is no host"),
                ("/upstream_certificates/h".into(), "nothing is said"),
            ],
        ),
        (
            classic(&json!({"pinned_public_keys": {"h": " , "}}), &json!({})),
            vec![("/pinned_public_keys/h".into(), "nothing is said")],
        ),
        (
            oas(
                &json!({"certificatePinning": {"enabled": true, "domainToPublicKeysMapping": [{"domain": "h", "publicKeys": []}]},
                "tlsTransport": {"minVersion": "1.4"}}),
            ),
            vec![
                (format!("{O}/certificatePinning/domainToPublicKeysMapping/0/publicKeys"), "nothing is said"),
                (format!("{O}/tlsTransport/minVersion"), "no version of TLS"),
            ],
        ),
        (
            signing(json!({"is_enabled": true})),
            vec![
                ("/request_signing/algorithm".into(), "Fields required for signing the request are missing"),
                ("/request_signing/key_id".into(), "Fields required for signing the request are missing"),
            ],
        ),
        (
            signing(json!({"is_enabled": true, "key_id": "k", "algorithm": "md5"})),
            vec![("/request_signing/algorithm".into(), "Request signing algorithm is not supported")],
        ),
        (
            signing(json!({"is_enabled": true, "key_id": "k", "algorithm": "hmac-sha256"})),
            vec![("/request_signing/secret".into(), "Fields required for signing the request are missing")],
        ),
        (
            signing(json!({"is_enabled": true, "key_id": "k", "algorithm": "rsa-sha256", "secret": "s"})),
            vec![("/request_signing/certificate_id".into(), "CertificateID is empty")],
        ),
        (
            signing(json!({"is_enabled": true, "key_id": "a\"b", "algorithm": "hmac-sha256", "secret": "s",
                "header_list": ["a b"], "signature_header": "x:y"})),
            vec![
                ("/request_signing/header_list/0".into(), "no name of a header"),
                ("/request_signing/key_id".into(), "no quotes"),
                ("/request_signing/signature_header".into(), "no name of a header"),
            ],
        ),
        (
            classic(
                &json!({"request_signing": {"is_enabled": true, "key_id": "k", "algorithm": "hmac-sha256", "secret": "s"},
                    "upstream_auth": {"enabled": true, "basic_auth": {"enabled": true, "username": "u"}}}),
                &json!({}),
            ),
            vec![("/upstream_auth".into(), "both be in the header")],
        ),
        (
            auth(json!({"enabled": true, "basic_auth": {"enabled": true, "username": "a:b"}})),
            vec![("/upstream_auth/basic_auth/username".into(), "holds no `:`")],
        ),
        (
            auth(json!({"enabled": true, "oauth": {"enabled": true}})),
            vec![
                (
                    "/upstream_auth/oauth/allowed_authorize_types".into(),
                    "upstream OAuth authorization type is required",
                ),
                (format!("{C}/client_id"), "is missing"),
                (format!("{C}/token_url"), "is missing"),
            ],
        ),
        (
            client(json!({"client_id": "c", "token_url": "i/token"})),
            vec![(format!("{C}/token_url"), "must be absolute")],
        ),
        (
            client(json!({"client_id": "c", "token_url": "http://i/", "method": "x"})),
            vec![(format!("{C}/method"), "invalid upstream OAuth client authentication method")],
        ),
        (
            client(json!({"client_id": "c", "token_url": "http://i/", "extra_metadata": ["x", 1]})),
            vec![(format!("{C}/extra_metadata/1"), "must be a string")],
        ),
    ] {
        let faults = match Definition::parse(&definition.to_string()) {
            Ok(definition) => definition.warnings,
            Err(faults) => faults,
        };
        let mut told: Vec<_> = faults.iter().map(|fault| (fault.pointer.clone(), &*fault.message)).collect();
        told.sort();
        let mut expected = expected;
        expected.sort();
        assert_eq!(told.len(), expected.len(), "{definition}: {faults:#?}");
        for ((pointer, message), (at, part)) in told.iter().zip(&expected) {
            assert!(pointer == at && message.contains(part), "{at} {part}: {faults:#?}");
        }
    }
}
