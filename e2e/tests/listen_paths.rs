//! Listen paths and domains that are patterns (contract 2.3, 2.9).

use e2e::definition::{keyless, oas};
use e2e::{Gate, Upstream};
use serde_json::{Value, json};

fn at(id: &str, target: &str, listen: &str, strip: bool) -> Value {
    let mut api = keyless(id, &format!("{target}/{id}"));
    api["proxy"]["listen_path"] = json!(listen);
    api["proxy"]["strip_listen_path"] = json!(strip);
    api
}

#[tokio::test]
async fn c2_3_rows_1_and_3_listen_paths_may_be_patterns() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let mut described = oas("oas", &format!("{target}/oas"));
    described["x-tyk-api-gateway"]["server"]["listenPath"] =
        json!({"value": "/v{n:[0-9]+(?:\\.[0-9]+)?}/pets/", "strip": true});
    let mut listed = at("listed", &target, "/teams/{team}/", true);
    listed["enable_batch_request_support"] = json!(true);
    listed["version_data"]["versions"]["Default"]["extended_paths"] =
        json!({"black_list": [{"path": "^/secret", "method": "GET"}]});
    let gate = Gate::setup()
        .conf(json!({"http_server_options": {"enable_path_prefix_matching": true}}))
        .api(at("any", &target, "/users/{id}/", true))
        .api(at("number", &target, "/users/{id:[0-9]+}/", false))
        .api(at("me", &target, "/users/me/", true))
        .api(at("orders", &target, "/users/{id}/orders/", true))
        .api(listed)
        .oas(described)
        .start()
        .await;
    for (path, reached) in [
        ("/users/ann/a/b?c=d", "/any/a/b?c=d"),
        ("/users/ann", "/any"),
        ("/users/7/a", "/number/users/7/a"),
        ("/users/me/a", "/me/a"),
        ("/users/7/orders/1", "/orders/1"),
        ("/users/a%2Fb/c", "/any/c"),
        ("/v1/pets/2", "/oas/2"),
        ("/v1.5/pets/2", "/oas/2"),
        ("/teams/red/x", "/listed/x"),
        // Every API is there by its id as well.
        ("/any/x", "/any/x"),
    ] {
        let reply = gate.get(path, &[]).await;
        let echo = reply.json();
        let found = echo["path"].as_str().unwrap_or_default();
        assert_eq!((reply.status, found.trim_end_matches('/')), (200, reached), "{path}");
    }
    for path in ["/users/", "/vx/pets/2", "/v1.5.2/pets/2", "/teams/"] {
        assert_eq!(gate.get(path, &[]).await.status, 404, "{path}");
    }
    // Paths of the API begin behind it.
    assert_eq!(gate.get("/teams/red/secret", &[]).await.status, 403);
    assert_eq!(gate.get("/teams/secret/x", &[]).await.status, 200);
    let batch = json!({"requests": [{"relative_url": "a"}, {"relative_url": "secret"}]}).to_string();
    let replies = gate.get("/teams/blue/tyk/batch/", &["--data", &batch]).await.json();
    let codes: Vec<&Value> = replies.as_array().unwrap().iter().map(|one| &one["code"]).collect();
    assert_eq!(codes, [200, 403], "{replies}");
}

#[tokio::test]
async fn c2_9_row_2_apis_that_listen_at_one_place_are_told_apart() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let gate = Gate::setup()
        .api(at("a", &target, "/x/{one}/", true))
        .api(at("b", &target, "/x/{other}/", true))
        .api(at("c", &target, "/x/{third}/-b", true))
        .start()
        .await;
    let reached = async |path: &str| gate.get(path, &[]).await.json()["path"].clone();
    assert_eq!(reached("/x/1/y").await, "/a/y");
    assert_eq!(reached("/x/1/-b/y").await, "/b/y");
    assert_eq!(reached("/x/1/-b-c/y").await, "/c/y");
    let log = gate.log();
    assert!(log.contains("is taken by another API") && log.contains("`/x/{third}/-b-c`"), "{log}");
}

#[tokio::test]
async fn c2_9_row_2_where_the_other_place_is_taken_too_one_with_signs_behind_is_found() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let gate = Gate::setup()
        .api(at("a", &target, "/x", true))
        // Where the third would go, and would go then.
        .api(at("b", &target, "/x-d", true))
        .api(at("c", &target, "/x-d_", true))
        .api(at("d", &target, "/x", true))
        .start()
        .await;
    for (path, reached) in
        [("/x/y", "/a/y"), ("/x-d/y", "/b/y"), ("/x-d_/y", "/c/y"), ("/x-d__/y", "/d/y"), ("/d/y", "/d/y")]
    {
        assert_eq!(gate.get(path, &[]).await.json()["path"], reached, "{path}");
    }
    let log = gate.log();
    assert!(log.contains("is taken by another API") && log.contains("`/x-d__`"), "{log}");
}

#[tokio::test]
async fn c2_1_row_11_domains_may_be_patterns() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let on = |id: &str, domain: &str, listen: &str| {
        let mut api = at(id, &target, listen, true);
        api["domain"] = json!(domain);
        api
    };
    let gate = Gate::setup()
        .conf(json!({"enable_custom_domains": true}))
        .api(on("sub", "{sub}.example.test", "/"))
        .api(on("regions", "{sub:eu|us}.example.test", "/"))
        .api(on("exact", "eu.example.test", "/only/"))
        .api(on("deep", "{sub}.example.test", "/only/here/"))
        .api(at("else", &target, "/", true))
        .start()
        .await;
    for (host, path, reached) in [
        ("de.example.test", "/x", "/sub/x"),
        ("US.example.test:80", "/x", "/regions/x"),
        ("eu.example.test", "/only/x", "/exact/x"),
        ("eu.example.test", "/only/here/x", "/deep/x"),
        ("eu.example.test", "/x", "/regions/x"),
        ("a.b.example.test", "/x", "/else/x"),
        ("example.test", "/x", "/else/x"),
    ] {
        let reply = gate.get(path, &["-H", &format!("Host: {host}")]).await;
        assert_eq!((reply.status, reply.json()["path"].as_str()), (200, Some(reached)), "{host}{path}");
    }
}

#[tokio::test]
async fn c2_3_row_1_patterns_that_are_none_are_refused_at_their_place() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .api(at("a", &upstream.url(""), "/{id:(}/", true))
        .api(at("b", &upstream.url(""), "/{id/", true))
        .start()
        .await;
    let log = gate.log();
    assert_eq!(log.matches("/proxy/listen_path").count(), 2, "{log}");
    assert!(log.contains("is no regular expression") && log.contains("write `{name}`"), "{log}");
}
