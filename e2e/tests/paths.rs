//! What APIs say of their paths (contract 2.5, 3.2, 4.3, 4.4 rows 3, 11 and 13, 8.4, 8.8).

use e2e::definition::{keyed, keyless, oas, session};
use e2e::{Gate, Upstream};
use serde_json::{Value, json};

const LISTS: &str = "/version_data/versions/Default/extended_paths";

fn with_lists(mut api: Value, lists: Value) -> Value {
    let version = api.pointer_mut("/version_data/versions/Default").unwrap();
    version["extended_paths"] = lists;
    assert!(api.pointer(LISTS).is_some());
    api
}

async fn statuses(gate: &Gate, rows: &[(&str, &str, u16)]) {
    for (method, path, status) in rows {
        let reply = gate.get(path, &["-X", method]).await;
        assert_eq!(reply.status, *status, "{method} {path}: {}", reply.text());
        if *status == 403 {
            assert_eq!(reply.json()["error"], "Requested endpoint is forbidden", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn c4_3_lists_of_paths_open_and_close() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let lists = json!({
        "white_list": [
            {"path": "/users/{id}", "method": "GET"},
            {"path": "/any"},
            {"path": "/Case", "ignore_case": true, "method": "GET"},
            {"path": "/acts", "method_actions": {"GET": {"action": "no_action"}, "POST": {"action": "reply", "code": 202, "data": "later"}}},
        ],
        "black_list": [{"path": "/any/secret"}, {"path": "/off", "disabled": true}],
        "ignored": [{"path": "/any/secret/health", "method": "GET"}],
        "internal": [{"path": "/any/inside", "method": "GET"}],
    });
    let mut plain = keyless("plain", &target);
    plain["version_data"]["versions"]["Default"] =
        json!({"name": "Default", "paths": {"white_list": ["/only"], "black_list": ["/only/not"]}});
    let on = json!({"enabled": true});
    let mut described = oas("described", &target);
    described["paths"] = json!({
        "/pets/{id}": {"get": {"operationId": "pet"}, "delete": {}},
        "/pets/mine": {"get": {"operationId": "mine"}},
    });
    described["x-tyk-api-gateway"]["middleware"] = json!({"operations": {
        "pet": {"allow": on}, "pets/{id}DELETE": {"block": on}, "mine": {"internal": on},
    }});
    let gate = Gate::setup()
        .api(with_lists(keyless("lists", &target), lists))
        .api(plain)
        .oas(described)
        .start()
        .await;
    statuses(
        &gate,
        &[
            ("GET", "/lists/users/7", 200),
            ("POST", "/lists/users/7", 403),
            // Escaped or not, a path is the same.
            ("GET", "/lists/us%65rs/7", 200),
            ("PUT", "/lists/any/thing", 200),
            ("GET", "/lists/other", 403),
            ("GET", "/lists/cASE", 200),
            ("GET", "/lists/acts", 200),
            ("POST", "/lists/acts", 202),
            ("PUT", "/lists/acts", 403),
            ("GET", "/lists/any/secret", 403),
            ("GET", "/lists/any/s%65cret", 403),
            ("GET", "/lists/any/secret/health", 200),
            ("POST", "/lists/any/secret/health", 403),
            ("GET", "/lists/any/inside", 403),
            ("POST", "/lists/any/inside", 200),
            ("GET", "/plain/only/x", 200),
            ("DELETE", "/plain/only/not", 403),
            ("GET", "/plain/x", 403),
            ("GET", "/described/pets/7", 200),
            ("GET", "/described/pets/mine", 403),
            ("DELETE", "/described/pets/7", 403),
            ("GET", "/described/x", 403),
        ],
    )
    .await;
}

#[tokio::test]
async fn c4_3_row_1_patterns_are_anchored_by_settings() {
    let upstream = Upstream::start().await;
    let blocked = json!({"black_list": [{"path": "/get"}, {"path": "^/a/[0-9]+$"}, {"path": "/x/*/z"}]});
    for (conf, rows) in [
        (
            json!({}),
            [("/p/x/get/y", 403), ("/p/get", 403), ("/p/a/12", 403), ("/p/a/1b", 200), ("/p/x/1/z", 403)],
        ),
        (
            json!({"http_server_options": {"enable_path_prefix_matching": true, "enable_path_suffix_matching": true}}),
            [("/p/x/get/y", 200), ("/p/get", 403), ("/p/a/12", 403), ("/p/get/y", 200), ("/p/x/1/2/z", 200)],
        ),
    ] {
        let api = with_lists(keyless("p", &upstream.url("")), blocked.clone());
        let gate = Gate::setup().conf(conf).api(api).start().await;
        for (path, status) in rows {
            assert_eq!(gate.get(path, &[]).await.status, status, "{path}");
        }
    }
}

#[tokio::test]
async fn c4_3_row_7_ignored_paths_ask_nobody_who_is_calling() {
    let upstream = Upstream::start().await;
    let lists = json!({
        "ignored": [{"path": "/health", "method": "GET"}],
        "mock_response": [
            {"path": "/mock", "method": "GET", "code": 418, "body": "{\"tea\": true}", "headers": {"X-Pot": "1", "Content-Type": "application/json"}},
        ],
        "rate_limit": [{"path": "/health", "method": "GET", "rate": 2, "per": 60}],
    });
    let gate = Gate::setup().api(with_lists(keyed("k", &upstream.url("")), lists)).start().await;
    assert_eq!(gate.get("/k/x", &[]).await.status, 401);
    // Limits of the API itself still count.
    for status in [200, 200, 429] {
        assert_eq!(gate.get("/k/health", &[]).await.status, status);
    }
    assert_eq!(gate.get("/k/health", &["-X", "POST"]).await.status, 401);
    let before = upstream.hits();
    let reply = gate.get("/k/mock", &[]).await;
    assert_eq!((reply.status, reply.text()), (418, "{\"tea\": true}"));
    assert_eq!(reply.header("x-pot").as_deref(), Some("1"));
    assert_eq!(reply.header("content-type").as_deref(), Some("application/json"));
    assert_eq!(reply.header("x-ratelimit-limit"), None);
    assert_eq!(upstream.hits(), before);
    // Keys are looked at elsewhere as before.
    let key = gate.admin().key(&session(&["k"])).await;
    assert_eq!(gate.get("/k/x", &["-H", &format!("Authorization: {key}")]).await.status, 200);
}

#[tokio::test]
async fn c4_4_row_11_sizes_are_limited_by_what_is_announced() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let mut api = with_lists(
        keyless("s", &target),
        json!({"size_limits": [{"path": "/small", "method": "POST", "size_limit": 4}]}),
    );
    api["version_data"]["versions"]["Default"]["global_size_limit"] = json!(10);
    let mut described = oas("described", &target);
    described["paths"] = json!({"/small": {"post": {"operationId": "small"}}});
    described["x-tyk-api-gateway"]["middleware"] =
        json!({"operations": {"small": {"requestSizeLimit": {"enabled": true, "value": 4}}}});
    let gate = Gate::setup().api(api).oas(described).start().await;
    for (path, body, status) in [
        ("/s/small", "1234", 200),
        ("/s/small", "12345", 400),
        ("/s/large", "1234567890", 200),
        ("/s/large", "12345678901", 400),
        ("/described/small", "12345", 400),
        ("/described/large", "12345", 200),
    ] {
        let reply = gate.get(path, &["-d", body]).await;
        assert_eq!(reply.status, status, "{path} {body}");
        if status == 400 {
            assert_eq!(reply.json()["error"], "Request is too large");
        }
    }
    let chunked = gate.get("/s/small", &["-H", "Transfer-Encoding: chunked", "-d", "1"]).await;
    assert_eq!(chunked.status, 411);
    assert_eq!(chunked.json()["error"], "Content length is required for this request");
    let deleted = gate.get("/s/large", &["-X", "DELETE", "-d", "12345678901"]).await;
    assert_eq!(deleted.status, 200);
}

#[tokio::test]
async fn c2_8_patterns_that_are_none_refuse_the_definition() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .api(with_lists(keyless("bad", &upstream.url("")), json!({"white_list": [{"path": "/a("}]})))
        .api(keyless("good", &upstream.url("")))
        .start()
        .await;
    assert_eq!(gate.get("/bad/a", &[]).await.status, 404);
    assert_eq!(gate.get("/good/a", &[]).await.status, 200);
    assert!(gate.log().contains("white_list/0/path"), "{}", gate.log());
}
