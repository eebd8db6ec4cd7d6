//! Ways around the chain that must not exist, and ways in that must.

use e2e::definition::{keyed, keyless, session};
use e2e::{Gate, Upstream, curl, until};
use serde_json::{Value, json};

fn sent(reply: &e2e::Reply, name: &str) -> Value {
    reply.json()["headers"][name].clone()
}

#[tokio::test]
async fn c4_6_row_19_only_websockets_are_upgrades() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .conf(json!({"http_server_options": {"enable_websockets": true}}))
        .api(keyless("a", &upstream.url("")))
        .start()
        .await;
    // What curl and Java's client send in clear: answered, with nothing of it left for the upstream.
    let reply = curl(&["--http2", &gate.url("/a/x")]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(sent(&reply, "upgrade"), Value::Null);
    assert_eq!(sent(&reply, "http2-settings"), Value::Null);
    let fields =
        ["-H", "Connection: Upgrade, HTTP2-Settings", "-H", "Upgrade: h2c", "-H", "HTTP2-Settings: AAMAAABk"];
    let reply = gate.get("/a/x", &[&fields[..], &["--data", "hello"]].concat()).await;
    assert_eq!((reply.status, reply.json()["body"].as_str()), (200, Some("hello")), "{reply:?}");
    // A hand-made request that hides the settings from the hop-by-hop list.
    let reply = gate
        .get("/a/x", &["-H", "Connection: Upgrade", "-H", "Upgrade: h2c", "-H", "HTTP2-Settings: AAMAAABk"])
        .await;
    assert_eq!(sent(&reply, "http2-settings"), Value::Null);
}

#[tokio::test]
async fn keys_in_a_query_may_be_escaped() {
    let upstream = Upstream::start().await;
    let mut api = keyed("a", &upstream.url(""));
    api["auth_configs"] = json!({"authToken": {"use_param": true, "param_name": "k"}});
    let gate = Gate::setup()
        .conf(json!({"hash_keys": true, "hash_key_function": "murmur64"}))
        .api(api)
        .start()
        .await;
    let key = gate.admin().key(&session(&["a"])).await;
    let escaped = key.replace('=', "%3D").replace('+', "%2B").replace('/', "%2F");
    assert_eq!(gate.get(&format!("/a/x?k={escaped}"), &[]).await.status, 200);
    assert_eq!(gate.get(&format!("/a/x?k={key}"), &[]).await.status, 200);
}

#[tokio::test]
async fn dot_segments_behind_encoded_separators_reach_nobody() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyless("a", &upstream.url("/base"))).start().await;
    for path in ["/a/..%2fx", "/a/public%2F..%2fadmin", "/a/%2e%2e%5cx"] {
        assert_eq!(gate.get(path, &["--path-as-is"]).await.status, 400, "{path}");
    }
    assert_eq!(upstream.hits(), 0);
    assert_eq!(gate.get("/a/x%2fy", &["--path-as-is"]).await.status, 200);
}

#[tokio::test]
async fn c2_1_row_20_stripping_a_key_leaves_the_other_cookies() {
    let upstream = Upstream::start().await;
    let mut api = keyed("a", &upstream.url(""));
    api["auth_configs"] = json!({"authToken": {"use_cookie": true, "cookie_name": "session"}});
    api["strip_auth_data"] = json!(true);
    let gate = Gate::setup().api(api).start().await;
    let key = gate.admin().key(&session(&["a"])).await;
    let (first, key_field) = ("Cookie: a=1".to_owned(), format!("Cookie: session={key}; b=2"));
    let reply = gate.get("/a/x", &["--http2-prior-knowledge", "-H", &first, "-H", &key_field]).await;
    assert_eq!((reply.status, sent(&reply, "cookie")), (200, json!(["a=1; b=2"])), "{reply:?}");
}

#[tokio::test]
async fn c2_1_row_23_a_key_ends_with_its_lifetime_although_it_is_in_use() {
    let upstream = Upstream::start().await;
    let mut api = keyed("a", &upstream.url(""));
    api["session_lifetime"] = json!(1);
    let gate = Gate::setup().api(api).start().await;
    let key = format!("Authorization: {}", gate.admin().key(&session(&["a"])).await);
    assert_eq!(gate.get("/a/x", &["-H", &key]).await.status, 200);
    until("the key is gone", async || gate.get("/a/x", &["-H", &key]).await.status == 403).await;
}

#[tokio::test]
async fn http2_requests_that_name_two_hosts_are_refused() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyless("a", &upstream.url(""))).start().await;
    let stream = e2e::raw_socket(gate.port()).await;
    let (mut sender, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    for (host, status) in [("other.test", 400), ("gate.test", 200)] {
        let request = http::Request::get("http://gate.test/a/x").header("host", host);
        let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), status, "{host}");
    }
}
