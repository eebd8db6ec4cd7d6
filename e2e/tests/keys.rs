//! Who may pass, how often, and what the others are told (contract 4.1, 5.2, 6).

use std::time::{SystemTime, UNIX_EPOCH};

use e2e::definition::{keyed, keyless, session};
use e2e::{Gate, Redis, Reply, Upstream};
use serde_json::{Value, json};

fn assert_refused(reply: &Reply, status: u16, message: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.text(), format!("{{\n    \"error\": \"{message}\"\n}}"));
    assert_eq!(reply.header("content-type").as_deref(), Some("application/json"));
    assert_eq!(reply.header("x-generator").as_deref(), Some("tyk.io"));
    assert_eq!(reply.header("x-ratelimit-limit"), None, "errors carry no limits");
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// GET with a key in `Authorization`.
async fn with_key(gate: &Gate, path: &str, key: &str) -> Reply {
    gate.get(path, &["-H", &format!("Authorization: {key}")]).await
}

#[tokio::test]
async fn c2_2_row_2_a_key_opens_only_what_it_names() {
    let upstream = Upstream::start().await;
    let gate =
        Gate::setup().api(keyed("a", &upstream.url(""))).api(keyed("b", &upstream.url(""))).start().await;
    let key = gate.admin().key(&session(&["a"])).await;

    let reply = with_key(&gate, "/a/x", &key).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_refused(&gate.get("/a/x", &[]).await, 401, "Authorization field missing");
    assert_refused(&with_key(&gate, "/a/x", "nonsense").await, 403, "Access to this API has been disallowed");
    assert_refused(&with_key(&gate, "/b/x", &key).await, 403, "Access to this API has been disallowed");
    assert_eq!(upstream.hits(), 1, "a refused request reached the upstream");

    let admin = gate.admin();
    assert_eq!(admin.delete(&format!("/keys/{key}")).await.status, 200);
    assert_refused(&with_key(&gate, "/a/x", &key).await, 403, "Access to this API has been disallowed");
}

#[tokio::test]
async fn c2_2_rows_11_and_12_a_key_is_found_where_the_definition_looks() {
    let upstream = Upstream::start().await;
    let with = |id: &str, token: Value| {
        let mut api = keyed(id, &upstream.url(""));
        api["auth_configs"] = json!({"authToken": token});
        api
    };
    let mut stripping =
        with("strip", json!({"auth_header_name": "Authorization", "use_param": true, "param_name": "k"}));
    stripping["strip_auth_data"] = json!(true);
    let gate = Gate::setup()
        .api(with("header", json!({"auth_header_name": "X-Key"})))
        .api(with("query", json!({"use_param": true, "param_name": "api_key"})))
        .api(with("cookie", json!({"use_cookie": true, "cookie_name": "session"})))
        .api(keyed("plain", &upstream.url("")))
        .api(stripping)
        .start()
        .await;
    let key = gate.admin().key(&session(&["header", "query", "cookie", "plain", "strip"])).await;
    for (path, arguments) in [
        ("/header/x".to_owned(), vec!["-H".to_owned(), format!("x-key: {key}")]),
        (format!("/query/x?api_key={key}"), vec![]),
        ("/cookie/x".to_owned(), vec!["-b".to_owned(), format!("other=1; session={key}")]),
        ("/plain/x".to_owned(), vec!["-H".to_owned(), format!("Authorization: {key}")]),
        ("/plain/x".to_owned(), vec!["-H".to_owned(), format!("Authorization: Bearer {key}")]),
        ("/plain/x".to_owned(), vec!["-H".to_owned(), format!("Authorization: bearer {key}")]),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let reply = gate.get(&path, &arguments).await;
        assert_eq!(reply.status, 200, "{path} {arguments:?}: {reply:?}");
    }
    assert_eq!(gate.get("/header/x", &["-H", &format!("Authorization: {key}")]).await.status, 401);

    let kept = with_key(&gate, "/plain/x", &key).await.json();
    assert_eq!(kept["headers"]["authorization"], json!([key]));
    let stripped = with_key(&gate, "/strip/x?a=1", &key).await.json();
    assert_eq!(stripped["headers"]["authorization"], Value::Null);
    let stripped = gate.get(&format!("/strip/x?a=1&k={key}&b=2"), &[]).await.json();
    assert_eq!(stripped["path"], "/x?a=1&b=2");
}

#[tokio::test]
async fn c6_1_rows_7_and_20_a_key_that_is_over_is_told_so() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyed("a", &upstream.url(""))).start().await;
    let admin = gate.admin();
    let with = |more: Value| {
        let mut session = session(&["a"]);
        session.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        session
    };
    let expired = admin.key(&with(json!({"expires": now() - 10}))).await;
    assert_refused(&with_key(&gate, "/a/x", &expired).await, 401, "Key has expired, please renew");
    let inactive = admin.key(&with(json!({"is_inactive": true}))).await;
    assert_refused(&with_key(&gate, "/a/x", &inactive).await, 403, "Key is inactive, please renew");
    let lasting = admin.key(&with(json!({"expires": now() + 1000}))).await;
    assert_eq!(with_key(&gate, "/a/x", &lasting).await.status, 200);
    // A change counts at once.
    assert_eq!(admin.put(&format!("/keys/{lasting}"), &with(json!({"is_inactive": true}))).await.status, 200);
    assert_refused(&with_key(&gate, "/a/x", &lasting).await, 403, "Key is inactive, please renew");
}

#[tokio::test]
async fn c5_1_row_7_keys_are_hashed_under_a_secret_and_known_by_their_id() {
    let upstream = Upstream::start().await;
    let redis = Redis::start().await;
    let with = |more: Value| {
        let conf =
            json!({"hash_keys": true, "enable_hashed_keys_listing": true, "node_secret": "of the node"});
        Gate::setup().conf(redis.conf()).conf(conf).conf(more).api(keyed("a", &upstream.url("")))
    };
    let old = with(json!({"hash_key_function": "murmur64"})).start().await;
    let before = old.admin().key(&session(&["a"])).await;
    let keyed = json!({"hash_key_function": "hmac-sha256"});
    let gate = with(keyed.clone()).start().await;
    let admin = gate.admin();
    let made = admin.post("/keys", &session(&["a"])).await.json();
    let (key, id) = (made["key"].as_str().unwrap(), made["key_hash"].as_str().unwrap());
    assert_eq!(id, hmac("of the node", key).await);
    assert!(redis.call(&["GET", &format!("apikey-{id}")]).contains("\"a\""));
    for key in [key, &before] {
        assert_eq!(with_key(&gate, "/a/x", key).await.status, 200);
        // The one that only knows older functions finds what it is shown, if the secret is the same.
        assert_eq!(with_key(&old, "/a/x", key).await.status, 200);
    }
    assert_refused(&with_key(&gate, "/a/x", id).await, 403, "Access to this API has been disallowed");

    // Its id is what an admin needs to know.
    let listed = admin.get("/keys").await.json();
    assert!(listed["keys"].as_array().unwrap().contains(&json!(id)), "{listed}");
    let path = format!("/keys/{id}?hashed=true");
    let mut stored = admin.get(&path).await.json();
    stored["alias"] = json!("told apart");
    assert_eq!(admin.put(&path, &stored).await.status, 200);
    assert_eq!(admin.get(&format!("/keys/{key}")).await.json()["alias"], json!("told apart"));

    // Under another secret it is unknown; under the same one it is not, whatever the node's is by now.
    let other = with(keyed.clone()).conf(json!({"node_secret": "another"})).start().await;
    assert_refused(&with_key(&other, "/a/x", key).await, 403, "Access to this API has been disallowed");
    let kept = json!({"node_secret": "another", "hash_key_secret": "of the node"});
    let kept = with(keyed).conf(kept).start().await;
    assert_eq!(with_key(&kept, "/a/x", key).await.status, 200);

    assert_eq!(admin.delete(&path).await.status, 200);
    assert_refused(&with_key(&gate, "/a/x", key).await, 403, "Access to this API has been disallowed");
}

/// What openssl makes of it.
async fn hmac(secret: &str, text: &str) -> String {
    let command = format!("printf %s '{text}' | openssl dgst -sha256 -hmac '{secret}' -r");
    let output = tokio::process::Command::new("sh").args(["-c", &command]).output().await.unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

#[tokio::test]
async fn c4_4_row_21_rights_reach_down_to_path_and_method() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyed("a", &upstream.url(""))).start().await;
    let mut narrow = session(&["a"]);
    narrow["access_rights"]["a"]["allowed_urls"] = json!([{"url": "/orders/[0-9]+$", "methods": ["GET"]}, {"url": "/health", "methods": ["GET", "POST"]}]);
    let key = gate.admin().key(&narrow).await;
    let authorization = format!("Authorization: {key}");
    for (method, path, status) in [
        ("GET", "/a/orders/42", 200),
        ("POST", "/a/orders/42", 403),
        ("GET", "/a/orders/x", 403),
        ("POST", "/a/health", 200),
        ("GET", "/a/", 403),
    ] {
        let reply = gate.get(path, &["-X", method, "-H", &authorization]).await;
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        if status == 403 {
            assert_refused(&reply, 403, "Access to this resource has been disallowed");
        }
    }
}

#[tokio::test]
async fn c4_4_row_22_a_rate_limit_holds_and_ends() {
    let upstream = Upstream::start().await;
    let gate =
        Gate::setup().api(keyed("a", &upstream.url(""))).api(keyed("free", &upstream.url(""))).start().await;
    let mut limited = session(&["a", "free"]);
    limited["rate"] = json!(3);
    limited["per"] = json!(2);
    let key = gate.admin().key(&limited).await;
    let other = gate.admin().key(&limited).await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(with_key(&gate, "/a/x", &key).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    assert_refused(&with_key(&gate, "/a/x", &key).await, 429, "Rate Limit Exceeded");
    assert_eq!(with_key(&gate, "/a/x", &other).await.status, 200, "one key's limit is not another's");
    e2e::until("the rate limit ends", async || with_key(&gate, "/a/x", &key).await.status == 200).await;
}

#[tokio::test]
async fn c2_1_row_22_an_api_has_a_rate_limit_of_its_own() {
    let upstream = Upstream::start().await;
    let mut api = keyless("a", &upstream.url(""));
    api["global_rate_limit"] = json!({"rate": 2, "per": 60});
    let gate = Gate::setup().api(api).start().await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(gate.get("/a/x", &[]).await.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
    assert_refused(&gate.get("/a/x", &[]).await, 429, "API Rate Limit Exceeded");
}

#[tokio::test]
async fn c6_6_rows_2_and_6_a_quota_is_counted_and_shown() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyed("a", &upstream.url(""))).start().await;
    let mut limited = session(&["a"]);
    limited["quota_max"] = json!(3);
    limited["quota_renewal_rate"] = json!(3600);
    let key = gate.admin().key(&limited).await;
    for remaining in [2, 1, 0] {
        let reply = with_key(&gate, "/a/x", &key).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("x-ratelimit-limit").as_deref(), Some("3"));
        assert_eq!(reply.header("x-ratelimit-remaining"), Some(remaining.to_string()));
        let reset: u64 = reply.header("x-ratelimit-reset").unwrap().parse().unwrap();
        assert!((now() + 3500..=now() + 3601).contains(&reset), "{reset}");
    }
    assert_refused(&with_key(&gate, "/a/x", &key).await, 403, "Quota exceeded");
    // Writing the key again begins anew, unless asked not to.
    let admin = gate.admin();
    assert_eq!(admin.put(&format!("/keys/{key}?suppress_reset=1"), &limited).await.status, 200);
    assert_refused(&with_key(&gate, "/a/x", &key).await, 403, "Quota exceeded");
    assert_eq!(admin.put(&format!("/keys/{key}"), &limited).await.status, 200);
    assert_eq!(with_key(&gate, "/a/x", &key).await.status, 200);
}

#[tokio::test]
async fn c6_4_row_7_limits_follow_the_policy() {
    let upstream = Upstream::start().await;
    let policy = json!({
        "id": "gold", "org_id": "org", "name": "gold", "active": true, "rate": 1000, "per": 1,
        "quota_max": 2, "quota_renewal_rate": 3600, "tags": [],
        "access_rights": {"a": {"api_id": "a", "api_name": "a", "versions": ["Default"]}},
    });
    let gate = Gate::setup().api(keyed("a", &upstream.url(""))).policy(policy).start().await;
    let key = gate.admin().key(&json!({"org_id": "org", "apply_policies": ["gold"]})).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(with_key(&gate, "/a/x", &key).await.status);
    }
    assert_eq!(statuses, [200, 200, 403]);
}

#[tokio::test]
async fn c4_1_rows_1_and_3_errors_are_xml_for_those_who_send_xml() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyed("a", &upstream.url(""))).start().await;
    for media in ["application/xml", "text/xml; charset=utf-8", "application/soap+xml"] {
        let reply = gate.get("/a/x", &["-H", &format!("Content-Type: {media}"), "-d", "<a/>"]).await;
        assert_eq!(reply.status, 401);
        assert_eq!(
            reply.text(),
            "<?xml version = \"1.0\" encoding = \"UTF-8\"?>\n<error>Authorization field missing</error>\n"
        );
        assert_eq!(reply.header("content-type").as_deref(), media.split(';').next());
    }
    // What the client accepts does not matter, only what it sends.
    let reply = gate.get("/a/x", &["-H", "Accept: application/xml"]).await;
    assert_refused(&reply, 401, "Authorization field missing");
}

#[tokio::test]
async fn c4_1_row_4_the_generator_can_be_hidden() {
    let gate = Gate::setup()
        .conf(json!({"hide_generator_header": true}))
        .api(keyed("a", "http://127.0.0.1:1"))
        .start()
        .await;
    let reply = gate.get("/a/x", &[]).await;
    assert_eq!((reply.status, reply.header("x-generator")), (401, None));
}

#[tokio::test]
async fn keys_and_quotas_outlive_the_process() {
    let upstream = Upstream::start().await;
    let mut gate = Gate::setup().api(keyed("a", &upstream.url(""))).start().await;
    let key = gate.admin().key(&session(&["a"])).await;
    let gone = gate.admin().key(&session(&["a"])).await;
    assert_eq!(gate.admin().delete(&format!("/keys/{gone}")).await.status, 200);
    gate.kill();
    gate.start().await;
    assert_eq!(with_key(&gate, "/a/x", &key).await.status, 200, "a key that was created was lost by kill -9");
    assert_eq!(with_key(&gate, "/a/x", &gone).await.status, 403, "a key that was deleted came back");
}

#[tokio::test]
async fn c5_1_row_6_hashed_keys_work_with_every_algorithm() {
    let upstream = Upstream::start().await;
    for algorithm in ["", "murmur32", "murmur64", "murmur128", "sha256"] {
        let gate = Gate::setup()
            .conf(json!({"hash_keys": true, "hash_key_function": algorithm, "enable_hashed_keys_listing": true}))
            .api(keyed("a", &upstream.url("")))
            .start()
            .await;
        let created = gate.admin().post("/keys", &session(&["a"])).await.json();
        let (key, hash) = (created["key"].as_str().unwrap(), created["key_hash"].as_str().unwrap());
        let digits = match algorithm {
            "" | "murmur32" => 8,
            "murmur64" => 16,
            "murmur128" => 32,
            _ => 64,
        };
        assert_eq!(hash.len(), digits, "{algorithm}: {created}");
        assert_eq!(with_key(&gate, "/a/x", key).await.status, 200, "{algorithm}");
        let listed = gate.admin().get("/keys").await.json();
        assert!(listed["keys"].as_array().unwrap().contains(&json!(hash)), "{algorithm}: {listed}");
        let found = gate.admin().get(&format!("/keys/{hash}?hashed=true")).await;
        assert_eq!(found.status, 200, "{algorithm}: {found:?}");
        assert!(!gate.log().contains(key), "{algorithm}: the key is in the log");
    }
}
