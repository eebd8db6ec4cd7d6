//! The ways to say who asks, as a server sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value as Json, json};

use crate::ends::{Stream, messages, sample};
use crate::server::{Server, answer, with};

fn output(url: &str, fields: Json) -> Json {
    let mut config = json!({"url": url, "retry_period": "1ms", "retries": 1});
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"http_client": config})
}

/// The `Authorization` header that a server sees.
async fn authorization(fields: Json) -> String {
    let server = Server::start(|_| answer(200, "")).await;
    let stream = Stream::writing(output(&server.url("/"), fields));
    let outcome = stream.write(messages(["m"])).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    stream.stop().await;
    server.one().header("authorization").to_owned()
}

#[tokio::test]
async fn name_and_password_are_sent() {
    let basic = json!({"basic_auth": {"enabled": true, "username": "Aladdin", "password": "open sesame"}});
    assert_eq!(authorization(basic).await, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");

    let server = Server::start(|_| answer(200, "")).await;
    let url = server.url("/").replace("://", "://us%40er:pass@");
    let stream = Stream::writing(output(&url, json!({})));
    assert!(stream.write(messages(["m"])).await.is_ok());
    stream.stop().await;
    let expected = format!("Basic {}", BASE64_STANDARD.encode("us@er:pass"));
    assert_eq!(server.one().header("authorization"), expected);
}

#[tokio::test]
async fn requests_are_signed_with_oauth_1() {
    let header = authorization(json!({"oauth": {
        "enabled": true, "consumer_key": "ck", "consumer_secret": "cs", "access_token": "at", "access_token_secret": "as",
    }}))
    .await;
    for part in
        ["OAuth ", "oauth_consumer_key=\"ck\"", "oauth_token=\"at\"", "oauth_signature=\"", "HMAC-SHA1"]
    {
        assert!(header.contains(part), "{header}");
    }
}

fn der_of_public_key(file: &str) -> Vec<u8> {
    let pem = std::fs::read_to_string(sample(file)).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    BASE64_STANDARD.decode(body).unwrap()
}

#[tokio::test]
async fn a_token_is_signed_that_a_server_can_check() {
    for (method, key) in [("RS256", "rsa.key"), ("EdDSA", "ed25519.key")] {
        let header = authorization(json!({"jwt": {
            "enabled": true, "signing_method": method, "private_key_file": sample(key),
            "claims": {"sub": "me", "n": 1}, "headers": {"kid": "k1"},
        }}))
        .await;
        let token = header.strip_prefix("Bearer ").unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (head, claims) = signed.split_once('.').unwrap();
        let json =
            |part| serde_json::from_slice::<Json>(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!(json(head), json!({"alg": method, "typ": "JWT", "kid": "k1"}));
        assert_eq!(json(claims), json!({"sub": "me", "n": 1}));
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        if method == "RS256" {
            let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der_of_public_key("rsa.pub"));
            key.verify(signed.as_bytes(), &signature).unwrap();
        } else {
            let key = UnparsedPublicKey::new(&ED25519, der_of_public_key("ed25519.pub"));
            key.verify(signed.as_bytes(), &signature).unwrap();
        }
    }
}

#[tokio::test]
async fn tokens_are_fetched_once_and_again_when_they_are_refused() {
    let fetched = Arc::new(AtomicUsize::new(0));
    let count = fetched.clone();
    let tokens = Server::start(move |seen| {
        let client = format!("Basic {}", BASE64_STANDARD.encode("me:se%26cret"));
        if seen.header("authorization") != client {
            return answer(401, r#"{"error":"invalid_client"}"#);
        }
        let number = count.fetch_add(1, Ordering::SeqCst);
        answer(
            200,
            json!({"access_token": format!("t{number}"), "token_type": "bearer", "expires_in": 3600})
                .to_string(),
        )
    })
    .await;
    let server = Server::start(|seen| match (seen.header("authorization"), seen.text()) {
        ("Bearer t0", "late") => answer(401, ""),
        (token, _) if token.starts_with("Bearer t") => answer(200, ""),
        _ => answer(403, ""),
    })
    .await;
    let oauth2 = json!({"oauth2": {
        "enabled": true, "client_key": "me", "client_secret": "se&cret", "token_url": tokens.url("/token"),
        "scopes": ["a", "b"], "endpoint_params": {"audience": ["x", "y"], "resource": "z"},
    }});
    let stream = Stream::writing(output(&server.url("/"), oauth2));
    for text in ["one", "two", "late", "three"] {
        let outcome = stream.write(messages([text])).await;
        assert!(outcome.is_ok(), "{text}: {outcome:?}");
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 2);
    let asked = tokens.seen();
    assert_eq!(asked[0].text(), "grant_type=client_credentials&scope=a+b&audience=x&audience=y&resource=z");
    assert_eq!(asked[0].header("content-type"), "application/x-www-form-urlencoded");
    let last = server.seen().last().unwrap().header("authorization").to_owned();
    assert_eq!(last, "Bearer t1");
    stream.stop().await;
}

#[tokio::test]
async fn a_token_server_that_reads_the_body_is_understood() {
    let tokens = Server::start(|seen| match seen.text().contains("client_id=me&client_secret=s") {
        true => answer(200, "access_token=t&token_type=bearer"),
        false => answer(400, r#"{"error":"invalid_client"}"#),
    })
    .await;
    let oauth2 = json!({"oauth2": {
        "enabled": true, "client_key": "me", "client_secret": "s", "token_url": tokens.url("/"),
    }});
    assert_eq!(authorization(oauth2).await, "Bearer t");

    let stream = Stream::writing(output(
        "http://127.0.0.1:1/",
        json!({"retries": 0, "oauth2": {
            "enabled": true, "client_key": "me", "client_secret": "other", "token_url": tokens.url("/"),
        }}),
    ));
    let outcome = stream.write(messages(["m"])).await;
    assert!(outcome.is_err_and(|reason| reason.text().contains("400 Bad Request (invalid_client)")));
    stream.stop().await;
}

#[tokio::test]
async fn a_digest_challenge_is_answered() {
    let server = Server::start(|seen| match seen.header("authorization") {
        value
            if value.contains("username=\"me\"")
                && value.contains("nonce=\"n1\"")
                && value.contains("uri=\"/p?q=1\"") =>
        {
            answer(200, "")
        }
        _ => with(
            answer(401, ""),
            "www-authenticate",
            "Digest realm=\"r\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256",
        ),
    })
    .await;
    let digest = json!({"digest_auth": {"enabled": true, "username": "me", "password": "p"}});
    let stream = Stream::writing(output(&server.url("/p?q=1"), digest));
    assert!(stream.write(messages(["m"])).await.is_ok());
    assert!(stream.write(messages(["m"])).await.is_ok());
    let seen = server.seen();
    assert_eq!(seen.len(), 3, "the challenge is remembered");
    assert!(seen[2].header("authorization").contains("nc=00000002"));
    stream.stop().await;
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect_to_another_host() {
    let other = Server::start(|_| answer(200, "")).await;
    let place = format!("http://localhost:{}/", other.address.port());
    let server = Server::start(move |_| with(answer(307, ""), "location", &place)).await;
    let basic = json!({"basic_auth": {"enabled": true, "username": "u", "password": "p"}});
    let stream = Stream::writing(output(&server.url("/"), basic));
    assert!(stream.write(messages(["m"])).await.is_ok());
    assert!(server.one().header("authorization").starts_with("Basic "));
    assert_eq!(other.one().header("authorization"), "(none)");
    stream.stop().await;
}
