//! Which of several targets has a request, and which is left out (`x-sluicegate.upstream`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use e2e::definition::{keyless, oas};
use e2e::{Gate, Socket, Spoken, Sse, Upstream, until};
use serde_json::{Value, json};

fn balanced(id: &str, targets: Value, own: Value) -> Value {
    let mut api = keyless(id, "http://127.0.0.1:1/unused");
    api["proxy"]["enable_load_balancing"] = json!(true);
    api["proxy"]["target_list"] = targets;
    api["x-sluicegate"] = json!({"upstream": own});
    api
}

#[tokio::test]
async fn a_hash_keeps_callers_at_their_target() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let closed = format!("http://127.0.0.1:{}", e2e::free_port());
    let by = |on: &str| json!({"balancing": {"by": "hash", "hash_on": on}});
    let targets = json!([first.url("/1"), second.url("/2")]);
    let mut document = oas("o", "http://127.0.0.1:1/unused");
    document["x-tyk-api-gateway"]["upstream"]["loadBalancing"] = json!({"enabled": true, "targets": [
        {"url": first.url("/1"), "weight": 1}, {"url": second.url("/2"), "weight": 1}]});
    document["x-sluicegate"] = json!({"upstream": by("cookie:sid")});
    let gate = Gate::setup()
        .api(balanced("header", targets.clone(), by("header:X-User")))
        .api(balanced("address", targets.clone(), by("address")))
        .api(balanced("path", targets.clone(), by("path")))
        .api(balanced("gone", json!([closed, first.url("/1"), second.url("/2")]), by("header:X-User")))
        .oas(document)
        .start()
        .await;
    let target = async |path: &str, field: &str| {
        let reply = gate.get(path, &["-H", field]).await;
        assert_eq!(reply.status, 200, "{path} {field}: {reply:?}");
        reply.json()["path"].as_str().unwrap()[..2].to_owned()
    };
    let mut seen = Vec::new();
    for user in 0..12 {
        let (field, cookie) = (format!("X-User: user-{user}"), format!("Cookie: a=b; sid=s{user}"));
        let chosen = target("/header/x", &field).await;
        for _ in 0..3 {
            assert_eq!(target("/header/x", &field).await, chosen, "user {user} moved");
        }
        // Nodes and definitions agree, since only the targets count; who has a target that is away is served by another.
        target("/gone/x", &field).await;
        assert_eq!(target("/o/x", &cookie).await, target("/o/y", &cookie).await);
        let address = format!("X-Real-IP: 10.0.0.{user}");
        assert_eq!(target("/address/x", &address).await, target("/address/y", &address).await);
        let path = format!("/path/{user}");
        assert_eq!(target(&path, &field).await, target(&path, "X-User: other").await);
        seen.push(chosen);
    }
    assert!(seen.contains(&"/1".to_owned()) && seen.contains(&"/2".to_owned()), "{seen:?}");
    // Without the field, all have their turn.
    let turns = [target("/header/x", "A: b").await, target("/header/x", "A: b").await];
    assert_ne!(turns[0], turns[1]);
}

#[tokio::test]
async fn the_least_busy_target_is_asked() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let targets = json!([first.url(""), second.url("")]);
    let gate = Gate::setup()
        .api(balanced("a", targets, json!({"balancing": {"by": "least_requests"}})))
        .start()
        .await;
    let (mut counts, hits) = ([0, 0], || [first.hits(), second.hits()]);
    for _ in 0..2 {
        // An answer that has not ended keeps its target busy, and so does a WebSocket.
        let streaming = Sse::open(gate.port(), "/a/sse", &[]).await;
        let busy = usize::from(hits()[1] > counts[1]);
        counts = hits();
        let socket = Socket::open(gate.port(), "/a/ws", &[]).await.unwrap();
        assert_eq!(hits()[busy], counts[busy], "a WebSocket goes to the other one");
        drop(streaming);
        until("the answer that was given up counts no more, and the WebSocket does", async || {
            let before = hits();
            for _ in 0..4 {
                gate.get("/a/x", &[]).await;
            }
            hits()[busy] - before[busy] == 4
        })
        .await;
        drop(socket);
        until("the WebSocket has ended", async || {
            let before = hits();
            gate.get("/a/x", &[]).await;
            hits()[1 - busy] > before[1 - busy]
        })
        .await;
        counts = hits();
    }
}

#[tokio::test]
async fn a_target_that_fails_again_and_again_is_left_out() {
    let good = Upstream::start().await;
    let healed = Arc::new(AtomicBool::new(false));
    let heals = Arc::clone(&healed);
    let bad =
        Spoken::start(move |_| (if heals.load(Ordering::SeqCst) { 200 } else { 500 }, String::new())).await;
    let ejection = json!({"ejection": {"failures": 3, "seconds": 3}});
    let gate = Gate::setup()
        .api(balanced("a", json!([bad.url(""), good.url("")]), ejection.clone()))
        .api(balanced("b", json!([bad.url("")]), ejection))
        .start()
        .await;
    let mut failures = 0;
    for _ in 0..6 {
        failures += usize::from(gate.get("/a/x", &[]).await.status == 500);
    }
    assert_eq!((failures, bad.asked().len()), (3, 3));
    for _ in 0..6 {
        assert_eq!(gate.get("/a/x", &[]).await.status, 200);
    }
    assert_eq!(bad.asked().len(), 3, "it is left out");
    until("it is asked again", async || gate.get("/a/x", &[]).await.status == 500).await;
    healed.store(true, Ordering::SeqCst);
    let asked = bad.asked().len();
    until("it has its turns again", async || {
        assert!(gate.get("/a/x", &[]).await.status < 600);
        bad.asked().len() > asked + 2
    })
    .await;
    // The only one there is, is never left out.
    healed.store(false, Ordering::SeqCst);
    for _ in 0..6 {
        assert_eq!(gate.get("/b/x", &[]).await.status, 500);
    }
    assert!(gate.log().contains("is left out"), "{}", gate.log());
}
