//! Requests that the gate sends on to APIs of its own (contract 4.6 "Looping", 2.1 `internal`).

use e2e::definition::{keyed, keyless, oas, session};
use e2e::{Gate, Upstream};
use serde_json::{Value, json};

fn inside(mut api: Value) -> Value {
    api["internal"] = json!(true);
    api
}

#[tokio::test]
async fn c4_6_row_24_an_api_behind_an_api() {
    let upstream = Upstream::start().await;
    let target = upstream.url("/base");
    let mut described = oas("described", "tyk://inner");
    described["x-tyk-api-gateway"]["info"]["name"] = json!("Described");
    let mut named = inside(keyless("n1", &target));
    named["name"] = json!("My Inner-API #cats");
    let mut locked = keyed("locked", &target);
    locked["internal"] = json!(true);
    let gate = Gate::setup()
        .api(keyless("front", "tyk://inner/deep"))
        .api(inside(keyless("inner", &target)))
        .api(keyless("byname", "tyk://myinnerapi"))
        .api(named)
        .api(keyless("tolocked", "tyk://locked"))
        .api(locked)
        .api(keyless("nowhere", "tyk://nobody"))
        .api(keyless("round", "tyk://round"))
        .oas(described)
        .start()
        .await;
    // What is internal is reached from outside neither by its listen path nor by its id.
    for path in ["/inner/x", "/n1/x", "/locked/x"] {
        assert_eq!(gate.get(path, &[]).await.status, 404, "{path}");
    }
    for (path, seen) in
        [("/front/a/b?q=1", "/base/deep/a/b?q=1"), ("/byname/x", "/base/x"), ("/described/y?z", "/base/y?z")]
    {
        let reply = gate.get(path, &[]).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert!(reply.text().contains(seen), "{path}: {}", reply.text());
    }
    for (path, status, error) in [
        ("/tolocked/x", 401, "Authorization field missing"),
        ("/nowhere/x", 500, "Couldn't detect target"),
        ("/round/x", 500, "Loop level too deep. Found more than 5 loops in single request"),
    ] {
        let reply = gate.get(path, &[]).await;
        assert_eq!((reply.status, reply.json()["error"].as_str()), (status, Some(error)), "{path}");
    }
    // Who calls says so to the API that asks.
    let key = gate.admin().key(&session(&["locked"])).await;
    let reply = gate.get("/tolocked/x", &["-H", &format!("Authorization: {key}")]).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn c4_6_row_24_method_limits_and_lists_of_loops() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let mut inner = inside(keyless("inner", &target));
    inner["global_rate_limit"] = json!({"rate": 2, "per": 60});
    inner["version_data"]["versions"]["Default"]["extended_paths"] = json!({
        "white_list": [{"path": "/open", "method": "POST"}],
        "internal": [{"path": "/inside", "method": "POST"}],
    });
    let gate = Gate::setup()
        .api(keyless("posts", "tyk://inner?method=POST"))
        .api(keyless("counted", "tyk://inner?method=POST&check_limits=true"))
        .api(keyless("short", "tyk://posts?loop_limit=1"))
        .api(inner)
        .start()
        .await;
    for (path, status) in [
        ("/posts/open", 200),
        ("/posts/inside", 200),
        ("/posts/other", 403),
        ("/posts/open", 200),
        ("/posts/open", 200),
        ("/counted/open", 200),
        ("/counted/open", 200),
        ("/counted/open", 429),
        ("/posts/open", 200),
    ] {
        let reply = gate.get(path, &[]).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
        if status == 200 {
            assert!(reply.text().contains("POST"), "{}", reply.text());
        }
    }
    // The limit of a URL counts for the loop that it begins.
    assert_eq!(gate.get("/short/open", &[]).await.status, 200);
}
