//! Answers that are kept for whoever asks the same next (contract 4.4 row 39, 4.5, 5.1, 7.3, 8.6).

use e2e::definition::{keyed, keyless, oas, session};
use e2e::{Gate, Redis, Reply, Upstream, soon, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HIT: &str = "x-tyk-cached-response";

/// An API that keeps the answers to all requests that change nothing, and what is said besides.
fn keeping(mut api: Value, options: Value) -> Value {
    let mut all = json!({"enable_cache": true, "cache_timeout": 60, "cache_all_safe_requests": true});
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    api["cache_options"] = all;
    api
}

/// One that keeps the answers of these entries only.
fn of_paths(mut api: Value, options: Value, list: &str, entries: Value) -> Value {
    api["version_data"]["versions"]["Default"]["extended_paths"] = json!({list: entries});
    let mut only = json!({"cache_all_safe_requests": false});
    only.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    keeping(api, only)
}

fn is_hit(reply: &Reply) -> bool {
    reply.header(HIT).as_deref() == Some("1")
}

/// Asks twice, and tells whether the second answer was the first one.
async fn kept(gate: &Gate, path: &str, first: &[&str], second: &[&str]) -> bool {
    let one = gate.get(path, first).await;
    assert!(!is_hit(&one), "{path}: {one:?}");
    let other = gate.get(path, second).await;
    let hit = is_hit(&other);
    if hit && other.status != 304 {
        assert_eq!((other.status, &other.body), (one.status, &one.body), "{path}");
        assert_eq!(other.header("x-upstream"), one.header("x-upstream"), "{path}");
    }
    hit
}

/// What is asked of every store.
async fn what_is_kept(gate: &Gate, upstream: &Upstream) {
    const POST: &[&str] = &["-X", "POST", "-d", "id=1&t=1"];
    const OTHER: &[&str] = &["-X", "POST", "-d", "id=1&t=2"];
    const AUTHORIZED: &[&str] = &["-H", "Authorization: Basic eDp5"];
    const GZIP: &[&str] = &["-H", "Accept-Encoding: gzip"];
    for (path, first, second, is_kept) in [
        // Scope.
        ("/all/a", &[][..], &[][..], true),
        ("/all/a?x=1", &[], &[], true),
        ("/all/head", &["-I"], &["-I"], true),
        ("/all/options", &["-X", "OPTIONS"], &["-X", "OPTIONS"], true),
        ("/all/post", POST, POST, false),
        ("/off/a", &[], &[], false),
        ("/none/a", &[], &[], false),
        ("/plain/here", &[], &[], true),
        ("/plain/there", &[], &[], false),
        ("/plain/here-too", POST, POST, false),
        ("/paths/post", POST, POST, true),
        ("/paths/post?other", POST, OTHER, false),
        ("/paths/by-part", POST, OTHER, true),
        ("/paths/elsewhere", &[], &[], false),
        ("/paths/safe", &["-I"], &["-I"], true),
        // Codes: those of a path count before those of the API.
        ("/all/x?status=500", &[], &[], true),
        ("/codes/x?status=404", &[], &[], true),
        ("/codes/x?status=500", &[], &[], false),
        ("/paths/codes?status=404", &[], &[], false),
        ("/paths/codes?status=410", &[], &[], true),
        // What tells requests apart.
        ("/all/head2", &["-I"], &[], false),
        ("/all/address", &["-H", "X-Real-IP: 9.9.9.9"], &["-H", "X-Real-IP: 9.9.9.8"], false),
        ("/by/a", &["-H", "X-Kind: one"], &["-H", "X-Kind: one"], true),
        ("/by/b", &["-H", "X-Kind: one"], &["-H", "X-Kind: two"], false),
        // The upstream decides.
        ("/upstream/a", &[], &[], false),
        ("/upstream/a?field-x-tyk-cache-action-set=1", &[], &[], true),
        ("/upstream/a?field-x-tyk-cache-action-set=0", &[], &[], false),
        ("/upstream/a?field-x-tyk-cache-action-set=1&status=503", &[], &[], true),
        ("/upstream/a?field-x-tyk-cache-action-set=1&field-x-life=0", &[], &[], false),
        ("/all/b?field-x-tyk-cache-action-set=0", &[], &[], true),
        // What an upstream says to caches in general is not asked.
        ("/all/c?field-cache-control=no-store", &[], &[], true),
        // Nobody's own, and nothing that is not whole.
        ("/all/d?field-set-cookie=a", &[], &[], false),
        ("/all/e?field-vary=*", &[], &[], false),
        ("/all/f?field-vary=x-a", &["-H", "X-A: 1"], &["-H", "X-A: 1"], true),
        ("/all/g?field-vary=x-a", &["-H", "X-A: 1"], &["-H", "X-A: 2"], false),
        ("/all/h?field-content-encoding=gzip", GZIP, GZIP, true),
        ("/all/i?field-content-encoding=gzip", GZIP, &[], false),
        ("/all/j", AUTHORIZED, AUTHORIZED, false),
        ("/authorized/j", AUTHORIZED, AUTHORIZED, true),
        ("/all/k", &["-H", "Range: bytes=0-1"], &["-H", "Range: bytes=0-1"], false),
        ("/all/l?status=206", &[], &[], false),
        ("/all/m", &["-X", "GET", "-d", "query"], &["-X", "GET", "-d", "query"], false),
        ("/all/status/204", &[], &[], true),
        ("/all/status/304", &[], &[], false),
        ("/all/chunked", &[], &[], true),
        ("/all/cut", &[], &[], false),
        ("/all/trailers", &[], &[], false),
        ("/all/bytes/2000", &[], &[], true),
        ("/all/bytes/2001", &[], &[], false),
        // Who has it already.
        ("/all/n?field-etag=%22v1%22", &[], &["-H", "If-None-Match: \"v0\", W/\"v1\""], true),
        // What is asked of other APIs on the way.
        ("/front/a", &[], &[], true),
    ] {
        assert_eq!(kept(gate, path, first, second).await, is_kept, "{path} {first:?} {second:?}");
    }
    let known = gate.get("/all/n?field-etag=%22v1%22", &["-H", "If-None-Match: \"v1\""]).await;
    assert_eq!((known.status, known.body.len(), is_hit(&known)), (304, 0, true), "{known:?}");
    let head = gate.get("/all/head", &["-I"]).await;
    assert!(head.header("content-length").is_some_and(|length| length != "0"), "{head:?}");
    let answered = upstream.hits();
    assert!(is_hit(&gate.get("/all/a", &[]).await));
    assert_eq!(upstream.hits(), answered, "a kept answer asks nobody");
}

/// The APIs of [`what_is_kept`].
fn apis(setup: e2e::Setup, upstream: &Upstream) -> e2e::Setup {
    let api = |id: &str| keyless(id, &upstream.url(""));
    let entries = json!([
        {"path": "/post", "method": "POST"},
        {"path": "/by-part", "method": "POST", "cache_key_regex": "id=[0-9]+"},
        {"path": "/codes", "method": "GET", "cache_response_codes": [410]},
        {"path": "/safe", "method": "SAFE_METHODS", "timeout": 30},
        {"path": "/elsewhere", "method": "GET", "disabled": true},
    ]);
    let mut front = keyless("front", "tyk://off/");
    front["proxy"]["target_url"] = json!("tyk://off/");
    setup
        .conf(json!({"cache": {"largest_answer": 2000}}))
        .api(keeping(api("all"), json!({})))
        .api(keeping(api("off"), json!({"enable_cache": false})))
        .api(keeping(api("none"), json!({"cache_timeout": 0})))
        .api(keeping(api("codes"), json!({"cache_response_codes": [200, 404]})))
        .api(keeping(api("by"), json!({"cache_by_headers": ["X-Kind"]})))
        .api(keeping(api("authorized"), json!({"cache_by_headers": ["authorization"]})))
        .api(keeping(
            api("upstream"),
            json!({"enable_upstream_cache_control": true, "cache_control_ttl_header": "x-life", "cache_response_codes": [200]}),
        ))
        .api(of_paths(api("plain"), json!({}), "cache", json!(["/here"])))
        .api(of_paths(api("paths"), json!({"cache_response_codes": [200, 404]}), "advance_cache_config", entries))
        .api(keeping(front, json!({})))
}

#[tokio::test]
async fn c8_6_what_is_kept_in_memory() {
    let upstream = Upstream::start().await;
    let gate = apis(Gate::setup(), &upstream).start().await;
    what_is_kept(&gate, &upstream).await;
    let metrics = gate.get("/metrics", &[]).await;
    assert!(metrics.text().contains("sluicegate_cache_bytes "), "{}", metrics.text());
}

#[tokio::test]
async fn c8_6_what_is_kept_in_redis() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let gate = apis(Gate::setup().conf(redis.conf()), &upstream).start().await;
    what_is_kept(&gate, &upstream).await;
}

#[tokio::test]
async fn c3_2_rows_27_and_40_operations_of_a_document_are_kept() {
    let upstream = Upstream::start().await;
    let api = |id: &str, middleware: Value| {
        let mut api = oas(id, &upstream.url(""));
        api["paths"] =
            json!({"/a/{id}": {"post": {"operationId": "a"}}, "/b": {"get": {"operationId": "b"}}});
        api["x-tyk-api-gateway"]["middleware"] = middleware;
        api
    };
    let operations = json!({"a": {"cache": {"enabled": true, "cacheByRegex": "id=[0-9]+", "timeout": 60}}});
    let gate = Gate::setup()
        .oas(api(
            "all",
            json!({"global": {"cache": {"enabled": true, "timeout": 60, "cacheAllSafeRequests": true}}}),
        ))
        .oas(api("some", json!({"operations": operations})))
        .oas(api("off", json!({"operations": operations, "global": {"cache": {"enabled": false}}})))
        .start()
        .await;
    const FIRST: &[&str] = &["-X", "POST", "-d", "id=1&t=1"];
    const SECOND: &[&str] = &["-X", "POST", "-d", "id=1&t=2"];
    for (path, first, second, is_kept) in [
        ("/all/b", &[][..], &[][..], true),
        ("/all/a/1", FIRST, FIRST, false),
        ("/some/a/1", FIRST, SECOND, true),
        ("/some/b", &[], &[], false),
        ("/off/a/1", FIRST, FIRST, false),
    ] {
        assert_eq!(kept(&gate, path, first, second).await, is_kept, "{path}");
    }
}

#[tokio::test]
async fn c4_4_row_39_each_caller_has_answers_of_its_own_and_pays_for_them() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keeping(keyed("a", &upstream.url("")), json!({}))).start().await;
    let mut limited = session(&["a"]);
    limited["quota_max"] = json!(3);
    limited["quota_renewal_rate"] = json!(3600);
    let (one, other) = (gate.admin().key(&limited).await, gate.admin().key(&session(&["a"])).await);
    let ask = async |key: &str| gate.get("/a/x", &["-H", &format!("Authorization: {key}")]).await;
    let left = |reply: &Reply| reply.header("x-ratelimit-remaining").unwrap();
    assert_eq!(left(&ask(&one).await), "2");
    let hit = ask(&one).await;
    assert_eq!((is_hit(&hit), left(&hit).as_str()), (true, "1"));
    assert!(!is_hit(&ask(&other).await));
    assert_eq!(ask("unknown").await.status, 403);
    ask(&one).await;
    assert_eq!(ask(&one).await.status, 403, "the quota is over, kept or not");
}

#[tokio::test]
async fn c4_5_row_2_what_is_kept_is_what_was_changed_on_the_way() {
    let upstream = Upstream::start().await;
    let mut api = keeping(keyless("a", &upstream.url("")), json!({}));
    api["version_data"]["versions"]["Default"]["global_response_headers"] = json!({"X-Made": "here"});
    api["version_data"]["versions"]["Default"]["global_headers"] = json!({"X-Sent": "there"});
    let gate = Gate::setup().api(api).start().await;
    assert!(kept(&gate, "/a/x", &[], &[]).await);
    let reply = gate.get("/a/x", &[]).await;
    assert_eq!(reply.header("x-made").as_deref(), Some("here"));
    assert_eq!(reply.json()["headers"]["x-sent"], json!(["there"]));
}

#[tokio::test]
async fn of_those_who_ask_at_once_one_asks_the_backend() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keeping(keyless("a", &upstream.url("")), json!({}))).start().await;
    for (path, reached) in [("/a/slow/400", 1), ("/a/slow/401?field-set-cookie=a", 8)] {
        let before = upstream.hits();
        let replies = futures_util::future::join_all((0..8).map(|_| gate.get(path, &[]))).await;
        assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
        assert_eq!(upstream.hits() - before, reached, "{path}");
    }
}

#[tokio::test]
async fn the_first_byte_waits_for_no_cache() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keeping(keyless("a", &upstream.url("")), json!({}))).start().await;
    // The upstream has one event to give away.
    gate.get("/a/sse", &["--max-time", "1"]).await;
    let mut socket = e2e::raw_socket(gate.port()).await;
    socket.write_all(b"GET /a/pieces HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut read = String::new();
    soon("the first piece", async {
        let mut some = [0; 4096];
        while !read.contains("one") {
            let count = socket.read(&mut some).await.unwrap();
            assert!(count > 0, "{read}");
            read.push_str(std::str::from_utf8(&some[..count]).unwrap());
        }
    })
    .await;
    assert!(!read.contains("two"), "{read}");
    upstream.release();
    until("the answer is kept", async || is_hit(&gate.get("/a/pieces", &["--max-time", "1"]).await)).await;
    assert_eq!(gate.get("/a/pieces", &[]).await.text(), "onetwo");
}

#[tokio::test]
async fn c7_3_row_43_kept_answers_are_dropped() {
    let upstream = Upstream::start().await;
    let api = keeping(keyless("a", &upstream.url("")), json!({}));
    let gate =
        Gate::setup().api(api.clone()).api(keeping(keyless("b", &upstream.url("")), json!({}))).start().await;
    for path in ["/a/x", "/b/x"] {
        assert!(kept(&gate, path, &[], &[]).await, "{path}");
    }
    let dropped = gate.admin().delete("/cache/a").await;
    assert_eq!((dropped.status, &dropped.json()["message"]), (200, &json!("cache invalidated")));
    assert!(!is_hit(&gate.get("/a/x", &[]).await), "it was dropped");
    assert!(is_hit(&gate.get("/b/x", &[]).await), "nobody dropped that of another API");

    assert!(is_hit(&gate.get("/a/x", &[]).await));
    let mut changed = api;
    changed["version_data"]["versions"]["Default"]["global_response_headers"] = json!({"X-New": "1"});
    assert_eq!(gate.admin().put("/apis/a", &changed).await.status, 200);
    let reply = gate.get("/a/x", &[]).await;
    assert_eq!((is_hit(&reply), reply.header("x-new").as_deref()), (false, Some("1")), "the API has changed");
}

/// Keys of kept answers in Redis.
fn keys(redis: &Redis) -> Vec<String> {
    redis.call(&["KEYS", "cache-*"]).lines().filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

#[tokio::test]
async fn c13_1_row_7_nodes_share_answers_and_drop_them_together() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let api = || keeping(keyless("a", &upstream.url("")), json!({}));
    let gates = [
        Gate::setup().conf(redis.conf()).api(api()).start().await,
        Gate::setup().conf(redis.conf()).api(api()).start().await,
    ];
    assert!(!is_hit(&gates[0].get("/a/x", &[]).await));
    until("the other node has it", async || is_hit(&gates[1].get("/a/x", &[]).await)).await;
    assert_eq!(gates[1].admin().delete("/cache/a").await.status, 200);
    assert!(keys(&redis).is_empty());
    for gate in &gates {
        assert_eq!(gate.get("/a/y", &[]).await.status, 200);
    }
    assert!(!is_hit(&gates[0].get("/a/x", &[]).await), "both have dropped it");
}

#[tokio::test]
async fn c5_1_row_30_answers_lie_in_redis_as_the_original_has_them() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let gate = Gate::setup()
        .conf(redis.conf())
        .api(keeping(keyless("a", &upstream.url("")), json!({})))
        .start()
        .await;
    gate.get("/a/x?y=1", &[]).await;
    until("it is stored", async || !keys(&redis).is_empty()).await;
    // The digest is that of `GET-/a/x?y=1`.
    let stored = keys(&redis);
    assert_eq!(stored, ["cache-aa127.0.0.1c8616b71571e3c41a26e97b928c18dad"]);
    let value = redis.call(&["GET", &stored[0]]);
    let (_, ends) = value.split_once('|').unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let left = ends.parse::<u64>().unwrap() - now;
    assert!((55..=61).contains(&left), "{left}");
    let life: u64 = redis.call(&["TTL", &stored[0]]).parse().unwrap();
    assert!((55..=60).contains(&life), "{life}");

    // "HTTP/1.1 203 Non-Authoritative Information\r\nContent-Length: 5\r\nX-By: other\r\n\r\nother"
    let other = "SFRUUC8xLjEgMjAzIE5vbi1BdXRob3JpdGF0aXZlIEluZm9ybWF0aW9uDQpDb250ZW50LUxlbmd0aDogNQ0KWC1CeTogb3RoZXINCg0Kb3RoZXI=";
    redis.call(&["SET", &stored[0], &format!("{other}|{}", now + 60)]);
    let reply = gate.get("/a/x?y=1", &[]).await;
    assert_eq!((reply.status, reply.text(), is_hit(&reply)), (203, "other", true));
    redis.call(&["SET", &stored[0], &format!("{other}|{}", now - 1)]);
    assert_eq!(gate.get("/a/x?y=1", &[]).await.status, 200, "its time had come");
    redis.call(&["SET", &stored[0], "nonsense"]);
    assert_eq!(gate.get("/a/x?y=1", &[]).await.status, 200, "it cannot be read");
}

#[tokio::test]
async fn c13_5_row_9_answers_may_have_a_redis_of_their_own() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let second = redis.conf()["storage"].clone();
    let gate = Gate::setup()
        .conf(json!({"enable_separate_cache_store": true, "cache_storage": second}))
        .api(keeping(keyless("a", &upstream.url("")), json!({})))
        .start()
        .await;
    gate.get("/a/x", &[]).await;
    until("it is stored", async || !keys(&redis).is_empty()).await;
    until("it is kept", async || is_hit(&gate.get("/a/x", &[]).await)).await;
    assert_eq!(gate.admin().delete("/cache/a").await.status, 200);
    assert!(keys(&redis).is_empty());
}

#[tokio::test]
async fn without_its_store_everything_is_fetched() {
    let (upstream, mut redis) = (Upstream::start().await, Redis::start().await);
    let gate = Gate::setup()
        .conf(redis.conf())
        .api(keeping(keyless("a", &upstream.url("")), json!({})))
        .start()
        .await;
    gate.get("/a/x", &[]).await;
    until("it is kept", async || is_hit(&gate.get("/a/x", &[]).await)).await;
    redis.kill();
    for _ in 0..2 {
        let reply = gate.get("/a/x", &[]).await;
        assert_eq!((reply.status, is_hit(&reply)), (200, false));
    }
    redis.restart().await;
    until("answers are kept again", async || is_hit(&gate.get("/a/x", &[]).await)).await;
}
