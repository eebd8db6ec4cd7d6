//! Who a caller is taken for (contract 5.1, 5.3, 5.5, 5.10, 5.11), where nothing else tests it over the wire.

use e2e::definition::{keyed, keyless, oas, session};
use e2e::issuer::shared;
use e2e::tokens::{assert_refused, now, policy, with};
use e2e::{Gate, Redis, Upstream};
use serde_json::{Value, json};

const SECRET: &[u8] = b"a shared secret of more than 32 bytes";
/// Base64 of [`SECRET`].
const SOURCE: &str = "YSBzaGFyZWQgc2VjcmV0IG9mIG1vcmUgdGhhbiAzMiBieXRlcw==";
const DISALLOWED: &str = "Access to this API has been disallowed";

fn add(mut into: Value, more: Value) -> Value {
    into.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    into
}

/// A user with a rate of its own, so that its limits tell whose session counts.
fn of_rate(apis: &[&str], quota: u32, more: Value) -> Value {
    add(session(apis), add(json!({"quota_max": quota, "quota_renewal_rate": 3600}), more))
}

#[tokio::test]
async fn c5_10_row_1_all_schemes_have_to_agree_and_one_of_them_counts() {
    let upstream = Upstream::start().await;
    let both = json!({"use_basic_auth": true, "use_standard_auth": true, "auth_configs": {"authToken": {"auth_header_name": "X-Key"}}});
    let api = |id: &str, base: &str| {
        let more = add(both.clone(), json!({"base_identity_provided_by": base}));
        add(keyed(id, &upstream.url("")), more)
    };
    let mut open = oas("open", &upstream.url(""));
    open["components"] = json!({"securitySchemes": {
        "user": {"type": "http", "scheme": "basic"}, "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
    }});
    open["security"] = json!([{"user": [], "key": []}]);
    open["x-tyk-api-gateway"]["server"]["authentication"] = json!({
        "enabled": true, "baseIdentityProvider": "basic_auth_user",
        "securitySchemes": {"user": {"enabled": true}, "key": {"enabled": true}},
    });
    let apis = ["last", "user", "key", "open"];
    let gate = Gate::setup()
        .api(api("last", ""))
        .api(api("user", "basic_auth_user"))
        .api(api("key", "auth_token"))
        .oas(open)
        .start()
        .await;
    let admin = gate.admin();
    let user = of_rate(&apis, 111, json!({"basic_auth_data": {"password": "secret"}}));
    assert_eq!(admin.post("/keys/ann", &user).await.status, 200);
    let key = format!("X-Key: {}", admin.key(&of_rate(&apis, 222, json!({}))).await);
    // The key is looked at last, so its session is the one that counts where nothing else is said.
    for (path, limit) in [("/last/x", "222"), ("/user/x", "111"), ("/key/x", "222"), ("/open/x", "111")] {
        let reply = gate.get(path, &["-u", "ann:secret", "-H", &key]).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        assert_eq!(reply.header("x-ratelimit-limit").as_deref(), Some(limit), "{path}");
        let missing = "Authorization field missing";
        assert_refused(&gate.get(path, &["-u", "ann:secret"]).await, 401, missing);
        assert_refused(&gate.get(path, &["-H", &key]).await, 401, missing);
        assert_refused(&gate.get(path, &["-u", "ann:wrong", "-H", &key]).await, 401, "User not authorised");
        assert_refused(&gate.get(path, &["-u", "ann:secret", "-H", "X-Key: no"]).await, 403, DISALLOWED);
    }
}

#[tokio::test]
async fn c5_11_row_1_nobody_in_particular_has_no_limits_of_a_key() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyless("a", &upstream.url(""))).start().await;
    let reply = gate.get("/a/x", &["-H", "Authorization: whatever"]).await;
    assert_eq!(reply.status, 200);
    for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
        assert_eq!(reply.header(name).as_deref(), Some("0"), "{name}");
    }
}

#[tokio::test]
async fn c5_1_row_9_keys_of_older_hash_functions_are_found() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let with_conf = |more: Value| {
        let conf = add(json!({"hash_keys": true}), more);
        Gate::setup().conf(redis.conf()).conf(conf).api(keyed("a", &upstream.url("")))
    };
    // A plain key says nothing of the function that hashed it.
    let old = with_conf(json!({"hash_key_function": ""})).start().await;
    let made = old.admin().post("/keys/chosen", &session(&["a"])).await.json();
    let plain = made["key"].as_str().unwrap().to_owned();
    let stored = redis.call(&["GET", &format!("apikey-{}", made["key_hash"].as_str().unwrap())]);
    let sha = sha256(&plain).await;
    redis.call(&["SET", &format!("apikey-{sha}"), stored.trim()]);
    assert_eq!(old.admin().delete(&format!("/keys/{plain}")).await.status, 200);
    let key = ["-H", &format!("Authorization: {plain}")];
    for (fallback, status) in
        [(json!([]), 403), (json!(["murmur128"]), 403), (json!(["murmur128", "sha256"]), 200)]
    {
        let conf = json!({"hash_key_function": "murmur64", "hash_key_function_fallback": fallback});
        let gate = with_conf(conf).start().await;
        assert_eq!(gate.get("/a/x", &key).await.status, status, "{fallback}");
    }
}

async fn sha256(text: &str) -> String {
    let command = format!("printf %s '{text}' | sha256sum");
    let output = tokio::process::Command::new("sh").args(["-c", &command]).output().await.unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

#[tokio::test]
async fn c5_1_row_9_keys_are_found_by_their_id_unless_that_is_switched_off() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let start = async |off: bool| {
        let conf = json!({"disable_key_actions_by_username": off});
        Gate::setup().conf(redis.conf()).conf(conf).api(keyed("a", &upstream.url(""))).start().await
    };
    let (on, off) = (start(false).await, start(true).await);
    let made = on.admin().post("/keys/chosen", &session(&["a"])).await.json();
    let whole = made["key"].as_str().unwrap().to_owned();
    let asked = async |gate: &Gate, key: &str| {
        gate.get("/a/x", &["-H", &format!("Authorization: {key}")]).await.status
    };
    assert_eq!((asked(&on, &whole).await, asked(&on, "chosen").await), (200, 200));
    assert_eq!((asked(&off, &whole).await, asked(&off, "chosen").await), (200, 403));
    let named = "/keys/chosen?username=true&org_id=org";
    assert_eq!(on.admin().get(named).await.status, 200);
    assert_eq!(off.admin().get(named).await.status, 404);
    assert_eq!(off.admin().delete(named).await.status, 404);
    assert_eq!(off.admin().get(&format!("/keys/{whole}")).await.status, 200);
}

#[tokio::test]
async fn c5_3_row_4_an_expression_without_a_group_finds_nobody() {
    let upstream = Upstream::start().await;
    let api = |id: &str, user: &str, password: &str| {
        let basic =
            json!({"extract_from_body": true, "body_user_regexp": user, "body_password_regexp": password});
        add(
            keyed(id, &upstream.url("")),
            json!({"use_standard_auth": false, "use_basic_auth": true, "basic_auth": basic}),
        )
    };
    let gate = Gate::setup()
        .api(api("a", "user=[a-z]+", "pw=([a-z]+)"))
        .api(api("b", "user=([a-z]+)", "pw=[a-z]+"))
        .start()
        .await;
    for (path, name) in [("/a/x", "username"), ("/b/x", "password")] {
        let reply = gate.get(path, &["-d", "user=ann&pw=secret"]).await;
        assert_refused(&reply, 400, &format!("{name} should be inside regexp match group"));
    }
}

/// An API that takes tokens.
fn tokens(id: &str, target: &str, more: Value) -> Value {
    let mut api = keyless(id, target);
    api.as_object_mut().unwrap().remove("use_keyless");
    let jwt = json!({"enable_jwt": true, "jwt_signing_method": "hmac", "jwt_source": SOURCE, "jwt_default_policies": ["all"]});
    add(add(api, jwt), more)
}

#[tokio::test]
async fn c5_5_row_10_policies_that_do_not_fit_together_are_told_of() {
    let upstream = Upstream::start().await;
    let named = json!({"jwt_policy_field_name": "pol"});
    let gate = Gate::setup()
        .api(tokens("a", &upstream.url(""), named))
        .policy(policy("all", &["a"], json!({})))
        .policy(policy("per", &["a"], json!({"partitions": {"per_api": true}})))
        .policy(policy("part", &["a"], json!({"partitions": {"acl": true}})))
        .policy(policy("odd", &["a"], json!({"partitions": {"per_api": true, "acl": true}})))
        .start()
        .await;
    let token = |sub: &str, policies: Value| {
        shared(SECRET, &json!({}), &json!({"sub": sub, "exp": now() + 600, "pol": policies}))
    };
    // Of somebody new, and of somebody who has a session.
    let mixed = with(&gate, "/a/x", &token("new", json!(["per", "part"]))).await;
    assert_eq!(mixed.status, 500, "{mixed:?}");
    assert!(mixed.text().contains("failed to create key: cannot apply multiple policies"), "{mixed:?}");
    assert_eq!(with(&gate, "/a/x", &token("old", json!("all"))).await.status, 200);
    for (policies, message) in [
        (json!(["per", "part"]), "key not authorized: could not apply several policies"),
        (json!("odd"), "key not authorized: could not apply new policy"),
    ] {
        assert_refused(&with(&gate, "/a/x", &token("old", policies)).await, 403, message);
    }
    assert_eq!(with(&gate, "/a/x", &token("old", json!("all"))).await.status, 200);
}

#[tokio::test]
async fn c5_5_row_12_the_client_of_a_token_brings_its_metadata() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let gate = Gate::setup()
        .conf(redis.conf())
        .conf(json!({"hash_keys": true, "enable_hashed_keys_listing": true}))
        .api(tokens("a", &upstream.url(""), json!({})))
        .api(tokens("off", &upstream.url(""), json!({"idp_client_id_mapping_disabled": true})))
        .policy(policy("all", &["a", "off"], json!({"tags": ["of-policy"]})))
        .start()
        .await;
    let admin = gate.admin();
    for (id, meta) in [
        (
            "mobile",
            json!({"tyk_developer_id": "dev-1", "rate_limit_pattern": "x", "tags": ["app", 7], "other": "no"}),
        ),
        ("web", json!({"tags": "not a list"})),
    ] {
        // As another gate has stored it.
        let client = json!({"id": id, "secret": "s", "redirecturi": "https://a.example/", "policyid": "all", "meta_data": meta});
        for api in ["a", "off"] {
            redis.call(&["SET", &format!("oauth-data.{api}.oauth-clientid.{id}"), &client.to_string()]);
        }
    }
    let session = async |api: &str, sub: &str, claims: Value| {
        let claims = add(json!({"sub": sub, "exp": now() + 600}), claims);
        let token = shared(SECRET, &json!({}), &claims);
        assert_eq!(with(&gate, &format!("/{api}/x"), &token).await.status, 200, "{claims}");
        let keys = admin.get("/keys").await.json();
        let mut found = Value::Null;
        for key in keys["keys"].as_array().unwrap() {
            let stored = admin.get(&format!("/keys/{}?hashed=1", key.as_str().unwrap())).await.json();
            if stored["alias"] == json!(sub) {
                found = stored;
            }
        }
        found
    };
    let mine = session("a", "me", json!({"clientId": "mobile"})).await;
    assert_eq!(mine["oauth_client_id"], json!("mobile"));
    assert_eq!(
        (&mine["meta_data"]["tyk_developer_id"], &mine["meta_data"]["rate_limit_pattern"]),
        (&json!("dev-1"), &json!("x"))
    );
    assert!(
        mine["tags"].as_array().unwrap().contains(&json!("app")) && mine["meta_data"].get("other").is_none(),
        "{mine}"
    );
    // By another client it is nobody's any more.
    let mine = session("a", "me", json!({"cid": "web"})).await;
    assert_eq!((&mine["oauth_client_id"], mine["meta_data"].get("tyk_developer_id")), (&json!("web"), None));
    let stranger = session("a", "you", json!({"client_id": "unknown"})).await;
    assert_eq!(
        (&stranger["oauth_client_id"], stranger["meta_data"].get("tyk_developer_id")),
        (&json!("unknown"), None)
    );
    let off = session("off", "they", json!({"clientId": "mobile"})).await;
    assert_eq!((off.get("oauth_client_id"), off["meta_data"].get("tyk_developer_id")), (None, None));
}

#[tokio::test]
async fn c5_5_row_9_a_token_may_name_the_key_whose_policies_it_has() {
    let upstream = Upstream::start().await;
    let client = json!({"jwt_client_base_field": "app", "jwt_default_policies": []});
    let gate = Gate::setup()
        .api(tokens("a", &upstream.url(""), client))
        .policy(policy("all", &["a"], json!({})))
        .policy(policy("other", &["other"], json!({})))
        .start()
        .await;
    let admin = gate.admin();
    for (id, policies) in [("good", json!(["all"])), ("poor", json!(["other"])), ("bare", json!([]))] {
        let key = add(session(&["a"]), json!({"apply_policies": policies}));
        let made = admin.post(&format!("/keys/{id}"), &key).await;
        assert_eq!(made.status, 200, "{made:?}");
    }
    let none = "key not authorized: no matching policy";
    for (app, status, message) in [
        (json!("good"), 200, ""),
        (json!("poor"), 403, DISALLOWED),
        (json!("bare"), 403, none),
        (json!("unknown"), 403, none),
        (json!(null), 403, none),
    ] {
        let token = shared(SECRET, &json!({}), &json!({"sub": "me", "exp": now() + 600, "app": app}));
        let reply = with(&gate, "/a/x", &token).await;
        assert_eq!(reply.status, status, "{app}: {reply:?}");
        if status != 200 {
            assert_refused(&reply, status, message);
        }
    }
}

#[tokio::test]
async fn c5_1_row_11_short_tokens_are_not_looked_up() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let start = async |shortest: u32| {
        let conf = json!({"min_token_length": shortest});
        Gate::setup().conf(redis.conf()).conf(conf).api(keyed("a", &upstream.url(""))).start().await
    };
    let (any, long) = (start(3).await, start(12).await);
    for (id, status) in [("short", 403), ("longenoughid", 200)] {
        assert_eq!(any.admin().post(&format!("/keys/{id}"), &session(&["a"])).await.status, 200);
        let key = ["-H", &format!("Authorization: {id}")];
        assert_eq!(any.get("/a/x", &key).await.status, 200);
        assert_eq!(long.get("/a/x", &key).await.status, status, "{id}");
    }
    assert_eq!(long.admin().post("/keys/small", &session(&["a"])).await.status, 400);
}
