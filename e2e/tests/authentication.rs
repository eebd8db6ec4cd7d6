//! Ways to say who one is, beside keys (contract 5.3 to 5.10): what lets a request through, and what every other one reads.

use e2e::definition::{keyed, oas, session};
use e2e::tokens::assert_refused;
use e2e::{Gate, Upstream};
use serde_json::{Value, json};

const ORG: &str = "53ac07777cbb8c2d53000002";

/// A definition with other keys beside, or instead of, its own.
fn with(mut definition: Value, more: Value) -> Value {
    definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    definition
}

/// An API with one scheme instead of the key.
fn guarded(id: &str, upstream: &Upstream, more: Value) -> Value {
    let definition = with(keyed(id, &upstream.url("")), json!({"use_standard_auth": false, "org_id": ORG}));
    with(definition, more)
}

/// A session of the organisation for these APIs, with more keys.
fn member(apis: &[&str], more: Value) -> Value {
    with(with(session(apis), json!({"org_id": ORG})), more)
}

#[tokio::test]
async fn c5_3_rows_1_2_3_6_a_user_is_let_in_with_the_right_password() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .conf(json!({"hash_keys": true, "hash_key_function": "murmur64"}))
        .api(guarded(
            "a",
            &upstream,
            json!({"use_basic_auth": true, "name": "Orders \"1\"", "strip_auth_data": true}),
        ))
        .start()
        .await;
    let admin = gate.admin();
    let user = member(&["a"], json!({"basic_auth_data": {"password": "s€cret"}}));
    let made = admin.post("/keys/ann", &user).await;
    assert_eq!(
        (made.status, &made.json()["key"], &made.json()["action"]),
        (200, &json!(""), &json!("added"))
    );
    let hash = made.json()["key_hash"].as_str().unwrap().to_owned();
    let stored = admin.get(&format!("/keys/{hash}?hashed=true")).await.json();
    assert_eq!(stored["basic_auth_data"], json!({"hash_type": "bcrypt"}), "a password was told");

    // The second request is let in by what is remembered of the first.
    for _ in 0..2 {
        let reply = gate.get("/a/x", &["-u", "ann:s€cret"]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(
            reply.json()["headers"]["authorization"],
            Value::Null,
            "the password reached the upstream"
        );
    }
    let challenge = Some("Basic realm=\"Orders \\\"1\\\"\"".to_owned());
    let refused: [(&[&str], u16, &str); 7] = [
        (&[], 401, "Authorization field missing"),
        (&["-u", "ann:s€cre"], 401, "User not authorised"),
        (&["-u", "ann:"], 401, "User not authorised"),
        (&["-u", "bob:s€cret"], 401, "User not authorised"),
        (
            &["-H", "Authorization: Bearer x"],
            400,
            "Attempted access with malformed header, header not in basic auth format",
        ),
        (
            &["-H", "Authorization: Basic x"],
            400,
            "Attempted access with malformed header, auth data not encoded correctly",
        ),
        (
            &["-u", "ann:s€cret:"],
            400,
            "Attempted access with malformed header, values not in basic auth format",
        ),
    ];
    for (arguments, status, message) in refused {
        let reply = gate.get("/a/x", arguments).await;
        assert_refused(&reply, status, message);
        let challenged = reply.header("www-authenticate");
        assert_eq!(challenged, challenge.clone().filter(|_| status == 401), "{arguments:?}");
    }
    assert_eq!(upstream.hits(), 2, "a refused request reached the upstream");
    // A change without a password leaves it; one with a password counts at once.
    let key = format!("/keys/{hash}?hashed=true");
    assert_eq!(admin.put(&key, &member(&["a"], json!({"alias": "Ann"}))).await.status, 200);
    assert_eq!(gate.get("/a/x", &["-u", "ann:s€cret"]).await.status, 200);
    assert_eq!(
        admin.put(&key, &member(&["a"], json!({"basic_auth_data": {"password": "new"}}))).await.status,
        200
    );
    assert_eq!(gate.get("/a/x", &["-u", "ann:s€cret"]).await.status, 401);
    assert_eq!(gate.get("/a/x", &["-u", "ann:new"]).await.status, 200);
    let long = json!({"basic_auth_data": {"password": "x".repeat(73)}});
    assert_eq!(admin.post("/keys/carl", &member(&["a"], long)).await.status, 400);
    for secret in ["s€cret", "s\\u20accret"] {
        assert!(!gate.log().contains(secret), "a password is in the log");
    }
}

#[tokio::test]
async fn c5_3_rows_4_and_5_credentials_in_a_body_are_found_and_the_body_goes_on() {
    let upstream = Upstream::start().await;
    let basic = json!({"extract_from_body": true, "body_user_regexp": "<user>(.*)</user>", "body_password_regexp": "<pw>(.*)</pw>"});
    let gate = Gate::setup()
        .conf(json!({"basic_auth_hash_key_function": "sha256"}))
        .api(guarded("a", &upstream, json!({"use_basic_auth": true, "basic_auth": basic})))
        .start()
        .await;
    let user = member(&["a"], json!({"basic_auth_data": {"password": "secret"}}));
    assert_eq!(gate.admin().post("/keys/ann", &user).await.status, 200);
    let body = "<x><user>ann</user>\n<pw>secret</pw></x>";
    for framing in ["Transfer-Encoding: chunked", "X-Framing: length"] {
        let reply = gate.get("/a/x", &["-d", body, "-H", framing]).await;
        assert_eq!((reply.status, &reply.json()["body"]), (200, &json!(body)), "{reply:?}");
    }
    let large = format!("<x>{}</x>", "y".repeat(1 << 20));
    let cases = [
        ("<user>ann</user><pw>wrong</pw>", 401, "User not authorised"),
        ("<user>ann</user>", 400, "Body do not contain password"),
        ("<pw>secret</pw>", 400, "Body do not contain username"),
        ("", 400, "Body do not contain username"),
        (large.as_str(), 413, "Request Entity Too Large"),
    ];
    for (body, status, message) in cases {
        let file = format!("body-{status}-{}", body.len());
        gate.write(&file, body);
        let data = format!("@{}", gate.dir().join(&file).display());
        assert_refused(&gate.get("/a/x", &["--data-binary", &data]).await, status, message);
    }
    assert_eq!(upstream.hits(), 2, "a refused request reached the upstream");
}

#[tokio::test]
async fn c5_3_row_7_users_of_older_gates_are_let_in() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .api(guarded(
            "a",
            &upstream,
            json!({"use_basic_auth": true, "basic_auth": {"disable_caching": true}}),
        ))
        .start()
        .await;
    let admin = gate.admin();
    // A key that somebody else has made: the name of the user behind the organisation.
    let made = admin
        .post(&format!("/keys/{ORG}old"), &member(&["a"], json!({"basic_auth_data": {"password": "pw"}})))
        .await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(gate.get("/a/x", &["-u", "old:pw"]).await.status, 200);
    // A key without a password is no user.
    admin.post("/keys/none", &member(&["a"], json!({}))).await;
    assert_eq!(gate.get("/a/x", &["-u", "none:"]).await.status, 401);
}

#[tokio::test]
async fn c3_3_rows_6_and_12_one_of_several_requirements_is_enough() {
    let upstream = Upstream::start().await;
    let mut api = oas("o", &upstream.url(""));
    api["components"] = json!({"securitySchemes": {
        "body": {"type": "http", "scheme": "basic"},
        "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
        "second": {"type": "apiKey", "in": "header", "name": "X-Second"},
    }});
    api["security"] = json!([{"body": []}, {"key": [], "second": []}]);
    api["x-tyk-api-gateway"]["info"]["orgId"] = json!(ORG);
    api["x-tyk-api-gateway"]["server"]["authentication"] = json!({
        "enabled": true, "securityProcessingMode": "compliant", "securitySchemes": {
            "key": {"enabled": true}, "second": {"enabled": true},
            "body": {"enabled": true, "extractCredentialsFromBody": {"enabled": true, "userRegexp": "user=([^&]*)", "passwordRegexp": "pw=([^&]*)"}},
        },
    });
    let gate = Gate::setup().oas(api).start().await;
    let admin = gate.admin();
    let user = member(&["o"], json!({"basic_auth_data": {"password": "secret"}}));
    assert_eq!(admin.post("/keys/ann", &user).await.status, 200);
    let [one, other] =
        [admin.key(&member(&["o"], json!({}))).await, admin.key(&member(&["o"], json!({}))).await];
    let (key, second, wrong) = (format!("X-Key: {one}"), format!("X-Second: {other}"), "X-Key: unknown");
    let (user, stranger) = ("user=ann&pw=secret", "user=ann&pw=wrong");
    let missing = (401, "Authorization field missing");
    let disallowed = (403, "Access to this API has been disallowed");
    // What the last group says is told.
    for (arguments, status, message) in [
        (&["-d", user][..], 200, ""),
        (&["-d", user, "-H", wrong], 200, ""),
        (&["-d", stranger], missing.0, missing.1),
        (&["-H", &key, "-H", &second], 200, ""),
        (&["-d", "x=y", "-H", &key, "-H", &second], 200, ""),
        (&["-d", "x=y", "-H", &key], missing.0, missing.1),
        (&["-d", "x=y", "-H", wrong, "-H", &second], disallowed.0, disallowed.1),
        (&[], missing.0, missing.1),
    ] {
        let reply = gate.get("/o/x", arguments).await;
        assert_eq!(reply.status, status, "{arguments:?}: {reply:?}");
        if status != 200 {
            assert_refused(&reply, status, message);
        }
    }
    // A body that one group looked at and gave up goes on whole or not at all.
    let large = "x".repeat((1 << 20) + 1);
    gate.write("large", &large);
    let file = format!("@{}", gate.dir().join("large").display());
    for (more, status) in [(&[][..], 200), (&["-H", "Transfer-Encoding: chunked"], 413)] {
        let mut arguments = vec!["--data-binary", &file, "-H", &key, "-H", &second];
        arguments.extend(more);
        let reply = gate.get("/o/x", &arguments).await;
        assert_eq!(reply.status, status, "{more:?}: {} {}", reply.status, reply.text().len());
        if status == 200 {
            assert_eq!(reply.json()["body"].as_str().map(str::len), Some(large.len()));
        }
    }
}
