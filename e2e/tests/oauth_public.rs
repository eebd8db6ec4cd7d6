//! Clients that can keep no secret (RFC 6749 section 2.1, RFC 7636): what they get without one, and what nobody gets.

use e2e::definition::{keyless, session};
use e2e::{Gate, Redis, Reply, Upstream, post_form};
use serde_json::{Value, json};

/// Of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const CALLBACK: &str = "https://app.example/cb";

/// A gate with an API that gives tokens in every way.
async fn gate(upstream: &Upstream, redis: &Redis) -> Gate {
    let mut api = keyless("a", &upstream.url(""));
    let object = api.as_object_mut().unwrap();
    object.remove("use_keyless");
    object.insert("use_oauth2".to_owned(), json!(true));
    let meta = json!({
        "allowed_access_types": ["authorization_code", "refresh_token", "password", "client_credentials"],
        "allowed_authorize_types": ["code", "token"], "auth_login_redirect": "https://login.example/in",
    });
    object.insert("oauth_meta".to_owned(), meta);
    let mut policy = session(&["a"]);
    policy["id"] = json!("gold");
    policy["active"] = json!(true);
    Gate::setup().conf(redis.conf()).api(api).policy(policy).start().await
}

async fn make(gate: &Gate, more: Value) -> Reply {
    let mut asked = json!({"api_id": "a", "redirect_uri": CALLBACK, "policy_id": "gold"});
    asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    gate.admin().post("/oauth/clients/create", &asked).await
}

async fn id(gate: &Gate, more: Value) -> String {
    let made = make(gate, more).await;
    assert_eq!(made.status, 200, "{made:?}");
    made.json()["client_id"].as_str().unwrap().to_owned()
}

/// What the login page gets for a user of a client, asked for with these fields, or without those that are empty.
async fn authorize(gate: &Gate, client: &str, fields: &[(&str, &str)]) -> Reply {
    let mut asked = vec![
        ("client_id", client),
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in fields {
        asked.iter_mut().filter(|(known, _)| known == name).for_each(|field| field.1 = value);
    }
    asked.retain(|(_, value)| !value.is_empty());
    let secret = format!("x-tyk-authorization: {}", Gate::SECRET);
    post_form(gate, "/a/tyk/oauth/authorize-client/", &asked, &["-H", &secret]).await
}

async fn code(gate: &Gate, client: &str) -> String {
    let reply = authorize(gate, client, &[]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["code"].as_str().unwrap().to_owned()
}

async fn token(gate: &Gate, fields: &[(&str, &str)]) -> Reply {
    post_form(gate, "/a/oauth/token/", fields, &[]).await
}

fn by_code<'a>(client: &'a str, code: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    for (name, value) in more {
        match fields.iter_mut().find(|(known, _)| known == name) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
    }
    fields.retain(|(_, value)| !value.is_empty());
    fields
}

async fn admits(gate: &Gate, token: &str) -> u16 {
    gate.get("/a/x", &["-H", &format!("Authorization: Bearer {token}")]).await.status
}

#[tokio::test]
async fn a_client_without_a_secret_gets_tokens_by_proven_codes_alone() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let gate = gate(&upstream, &redis).await;
    let (app, other) = (id(&gate, json!({"public": true})).await, id(&gate, json!({"public": true})).await);
    let with_secret = id(&gate, json!({})).await;

    // Users are sent on for it only with proof, and to the address that it names.
    for (fields, message) in [
        (vec![("code_challenge", ""), ("code_challenge_method", "")], "malformed"),
        (vec![("code_challenge_method", "plain")], "malformed"),
        (vec![("redirect_uri", "")], "malformed"),
        (vec![("redirect_uri", "https://app.example/cb/")], "malformed"),
        (vec![("response_type", "token")], "malformed"),
        (
            vec![("response_type", "token"), ("code_challenge", ""), ("code_challenge_method", "")],
            "not authorized",
        ),
    ] {
        let reply = authorize(&gate, &app, &fields).await;
        let told = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(reply.status == 403 && told.contains(message), "{fields:?}: {reply:?}");
    }

    // (fields beside those of a good request, error)
    let mut other_proof = VERIFIER.to_owned();
    other_proof.replace_range(0..1, "e");
    for (fields, error) in [
        (vec![("code_verifier", "")], "invalid_grant"),
        (vec![("code_verifier", other_proof.as_str())], "invalid_grant"),
        (vec![("redirect_uri", "")], "invalid_grant"),
        (vec![("redirect_uri", "https://app.example/cb/")], "invalid_grant"),
        (vec![("client_id", &other)], "invalid_grant"),
        (vec![("client_id", &with_secret)], "invalid_client"),
        (vec![("client_id", "")], "invalid_client"),
        // It has none, so this is none.
        (vec![("client_secret", "guessed")], "invalid_client"),
        (vec![("grant_type", "client_credentials")], "unauthorized_client"),
        (vec![("grant_type", "password"), ("username", "ann"), ("password", "x")], "unauthorized_client"),
    ] {
        let code = code(&gate, &app).await;
        let reply = token(&gate, &by_code(&app, &code, &fields)).await;
        assert_eq!(
            (reply.status, reply.json()["error"].as_str()),
            (403, Some(error)),
            "{fields:?}: {reply:?}"
        );
    }
    // Another's code, even with its proof.
    let reply = token(&gate, &by_code(&app, &code(&gate, &with_secret).await, &[])).await;
    assert_eq!(reply.json()["error"], "invalid_grant", "{reply:?}");

    // As it should: its id in the form, or in a header with nothing behind it.
    let first = code(&gate, &app).await;
    let given = token(&gate, &by_code(&app, &first, &[])).await;
    assert_eq!(given.status, 200, "{given:?}");
    let second = code(&gate, &app).await;
    let fields = by_code("", &second, &[]);
    let by_header = post_form(&gate, "/a/oauth/token/", &fields, &["-u", &format!("{app}:")]).await;
    assert_eq!(by_header.status, 200, "{by_header:?}");
    let text = |reply: &Reply, name: &str| reply.json()[name].as_str().unwrap().to_owned();
    assert_eq!(admits(&gate, &text(&given, "access_token")).await, 200);

    // It refreshes without a secret, and each refresh token once: whoever brings one again, nobody keeps what came of it.
    let refresh = text(&given, "refresh_token");
    let fields = [("grant_type", "refresh_token"), ("client_id", &*app), ("refresh_token", &*refresh)];
    let newer = token(&gate, &fields).await;
    let (access, next) = (text(&newer, "access_token"), text(&newer, "refresh_token"));
    assert_ne!(next, refresh);
    assert_eq!(admits(&gate, &access).await, 200);
    let stolen = [("grant_type", "refresh_token"), ("client_id", &*other), ("refresh_token", &*next)];
    assert_eq!(token(&gate, &stolen).await.json()["error"], "invalid_grant");
    assert_eq!(token(&gate, &fields).await.json()["error"], "invalid_grant");
    e2e::until("what came of it is taken back", async || admits(&gate, &access).await == 403).await;

    // It takes back what it has, and not all that its users have: that takes a secret.
    let access = text(&by_header, "access_token");
    let all = [("client_id", &*app), ("client_secret", "x")];
    assert_eq!(post_form(&gate, "/a/oauth/revoke_all", &all, &[]).await.status, 401);
    assert_eq!(admits(&gate, &access).await, 200);
    let one = [("token", &*access), ("client_id", &*app)];
    assert_eq!(post_form(&gate, "/a/oauth/revoke", &one, &[]).await.status, 200);
    e2e::until("it is taken back", async || admits(&gate, &access).await == 403).await;
}

#[tokio::test]
async fn nobody_is_public_by_accident() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let gate = gate(&upstream, &redis).await;
    let admin = gate.admin();
    let made = make(&gate, json!({"public": true, "client_id": "app"})).await.json();
    assert_eq!((&made["public"], &made["secret"]), (&json!(true), &json!("")));
    let plain = make(&gate, json!({"client_id": "plain", "secret": ""})).await.json();
    assert_eq!((plain.get("public"), plain["secret"].as_str().unwrap().len()), (None, 43));
    let stored: Value =
        serde_json::from_str(&redis.call(&["GET", "oauth-data.a.oauth-clientid.plain"])).unwrap();
    assert_eq!(stored.get("public"), None, "others are stored as ever: {stored}");
    for (asked, told) in [
        (json!({"public": true, "secret": "x"}), "A public client has no secret"),
        (json!({"public": true, "redirect_uri": ""}), "A public client needs a redirect_uri"),
    ] {
        let reply = make(&gate, asked).await;
        let message = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(reply.status == 400 && message.starts_with(told), "{reply:?}");
    }

    let shown = async |client: &str| admin.get(&format!("/oauth/clients/a/{client}")).await.json();
    let change = async |client: &str, more: Value| {
        let mut asked = json!({"redirect_uri": CALLBACK, "policy_id": "gold"});
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        admin.put(&format!("/oauth/clients/a/{client}"), &asked).await.status
    };
    for (client, more, status) in [
        ("app", json!({"description": "mine"}), 200),
        ("app", json!({"public": true}), 200),
        ("app", json!({"public": false}), 400),
        ("app", json!({"redirect_uri": ""}), 400),
        ("plain", json!({"public": true}), 400),
        ("plain", json!({"public": false}), 200),
    ] {
        assert_eq!(change(client, more.clone()).await, status, "{client} {more}");
    }
    assert_eq!(admin.call("PUT", "/oauth/clients/a/app/rotate", None).await.status, 400);
    assert_eq!((&shown("app").await["public"], &shown("app").await["secret"]), (&json!(true), &json!("")));
    assert_eq!(shown("plain").await["secret"], plain["secret"]);

    // One without a secret that says nothing of it, whoever stored it, gets nothing.
    let bare = json!({"id": "bare", "secret": "", "redirecturi": CALLBACK, "policyid": "gold"});
    redis.call(&["SET", "oauth-data.a.oauth-clientid.bare", &bare.to_string()]);
    let code = code(&gate, "bare").await;
    for more in [&[][..], &[("client_secret", "x")][..]] {
        let reply = token(&gate, &by_code("bare", &code, more)).await;
        assert_eq!(
            (reply.status, reply.json()["error"].as_str()),
            (403, Some("invalid_client")),
            "{reply:?}"
        );
    }
}
