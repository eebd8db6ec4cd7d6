//! Change without a cut: whatever way a change comes, it is whole, quick, and nobody's request fails for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use e2e::definition::keyless;
use e2e::{Gate, Sse, Upstream, raw, until};
use serde_json::json;

/// The path that the upstream sees on `/a/`, or nothing when the gate does not answer 200.
async fn seen(gate: &Gate) -> Option<String> {
    let reply = gate.get("/a/x", &[]).await;
    (reply.status == 200).then(|| reply.json()["path"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn c13_2_row_1_a_changed_file_is_live_by_itself() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyless("a", &upstream.url("/one"))).start().await;
    assert_eq!(seen(&gate).await.as_deref(), Some("/one/x"));
    gate.write("apps/a.json", &keyless("a", &upstream.url("/two")).to_string());
    until("the change is live", async || seen(&gate).await.as_deref() == Some("/two/x")).await;
    gate.write("apps/b.json", &keyless("b", &upstream.url("/three")).to_string());
    until("the new API is live", async || gate.get("/b/x", &[]).await.status == 200).await;
    std::fs::remove_file(gate.dir().join("apps/a.json")).unwrap();
    until("the removed API is gone", async || gate.get("/a/x", &[]).await.status == 404).await;
    assert_eq!(gate.get("/b/x", &[]).await.status, 200);
}

#[tokio::test]
async fn a_change_is_live_within_100_ms() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyless("a", &upstream.url("/0"))).start().await;
    let mut delays = Vec::new();
    for round in 1..=9 {
        gate.write("apps/a.json", &keyless("a", &upstream.url(&format!("/{round}"))).to_string());
        let start = Instant::now();
        let request = b"GET /a/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let expected = format!("\"/{round}/x\"");
        until("the change is live", async || raw(gate.port(), request).await.contains(&expected)).await;
        delays.push(start.elapsed());
    }
    delays.sort();
    assert!(delays[4] <= Duration::from_millis(100), "the median of {delays:?}");
}

#[tokio::test]
async fn c7_3_row_1_reload_by_admin_and_by_signal_tells_the_generation() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyless("a", &upstream.url("/one"))).start().await;
    let admin = gate.admin();
    let first = admin.reload().await;
    assert_eq!(first["status"], "ok");
    gate.write("apps/a.json", &keyless("a", &upstream.url("/two")).to_string());
    let second = admin.reload().await;
    assert_eq!(seen(&gate).await.as_deref(), Some("/two/x"));
    let generation = |reply: &serde_json::Value| reply["generation"].as_u64();
    assert!(generation(&second) > generation(&first), "{first} then {second}");
    let reply = admin.get("/reload/group").await;
    assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("ok")));
    gate.signal("HUP");
    gate.write("apps/a.json", &keyless("a", &upstream.url("/three")).to_string());
    gate.signal("HUP");
    until("the change is live", async || seen(&gate).await.as_deref() == Some("/three/x")).await;
}

#[tokio::test]
async fn c13_2_row_3_a_broken_file_changes_nothing() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .api(keyless("a", &upstream.url("/one")))
        .api(keyless("b", &upstream.url("/b")))
        .start()
        .await;
    gate.write("apps/a.json", "{ \"api_id\": \"a\", nonsense");
    gate.write("apps/c.json", &keyless("c", &upstream.url("/c")).to_string());
    until("the good change is live", async || gate.get("/c/x", &[]).await.status == 200).await;
    assert_eq!(seen(&gate).await.as_deref(), Some("/one/x"), "the running API was harmed");
    assert_eq!(gate.get("/b/x", &[]).await.status, 200);
    let log = gate.log();
    assert!(log.contains("a.json"), "the broken file is not named:\n{log}");
    gate.write("apps/a.json", &keyless("a", &upstream.url("/two")).to_string());
    until("the mended API is live", async || seen(&gate).await.as_deref() == Some("/two/x")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c13_2_row_5_no_request_fails_while_one_of_a_thousand_apis_keeps_changing() {
    let upstream = Upstream::start().await;
    let mut setup = Gate::setup();
    for index in 0..1000 {
        setup = setup.api(keyless(&format!("api{index}"), &upstream.url("/base")));
    }
    let gate = setup.start().await;
    let done = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicUsize::new(0));
    let port = gate.port();
    let load: Vec<_> = (0..4)
        .map(|worker| {
            let (done, count) = (Arc::clone(&done), Arc::clone(&count));
            tokio::spawn(async move {
                let mut round = 0;
                while !done.load(Ordering::Relaxed) {
                    // Every other request goes to the API that changes.
                    let api = if round % 2 == 0 { 0 } else { (worker * 250 + round) % 1000 };
                    let request = format!("GET /api{api}/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                    let answer = raw(port, request.as_bytes()).await;
                    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                    count.fetch_add(1, Ordering::Relaxed);
                    round += 1;
                }
            })
        })
        .collect();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for round in 0..30 {
        ticks.tick().await;
        gate.write("apps/api0.json", &keyless("api0", &upstream.url(&format!("/{round}"))).to_string());
    }
    until("the last change is live", async || gate.get("/api0/x", &[]).await.json()["path"] == "/29/x").await;
    done.store(true, Ordering::Relaxed);
    for worker in load {
        worker.await.expect("every request was answered with 200");
    }
    assert!(count.load(Ordering::Relaxed) > 100);
}

#[tokio::test]
async fn c13_2_row_2_an_open_exchange_ends_on_the_rules_it_began_with() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyless("a", &upstream.url("/one"))).start().await;
    let mut sse = Sse::open(gate.port(), "/a/sse", &[]).await;
    assert_eq!(sse.next_data().await.as_deref(), Some("event 0"));
    gate.write("apps/a.json", &keyless("a", &upstream.url("/two")).to_string());
    until("the change is live", async || seen(&gate).await.as_deref() == Some("/two/x")).await;
    upstream.release();
    assert_eq!(sse.next_data().await.as_deref(), Some("event 1"), "a proxied answer was cut by a change");
}

#[tokio::test]
async fn connections_to_an_upstream_are_those_of_all_its_apis_and_outlast_changes() {
    let upstream = Upstream::start().await;
    let (one, other) = (keyless("a", &upstream.url("/one")), keyless("b", &upstream.url("/other")));
    let gate = Gate::setup().api(one.clone()).api(other.clone()).start().await;
    let admin = gate.admin();
    for round in 0..3 {
        for (id, api) in [("a", &one), ("b", &other)] {
            let reply = gate.get(&format!("/{id}/x"), &[]).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert_eq!(reply.json()["headers"].get("x-round").is_some(), round > 0, "{}", reply.text());
            // Another definition, of which everything is made anew but what leads to the upstream.
            let mut changed = api.clone();
            changed["version_data"]["versions"]["Default"]["global_headers"] =
                json!({"X-Round": round.to_string()});
            let reply = admin.put(&format!("/apis/{id}"), &changed).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        admin.reload().await;
    }
    assert_eq!((upstream.hits(), upstream.connections()), (6, 1));
}

#[tokio::test]
async fn the_end_is_graceful() {
    let upstream = Upstream::start().await;
    let mut gate = Gate::setup().api(keyless("a", &upstream.url(""))).start().await;
    let port = gate.port();
    let hits = upstream.hits();
    let slow = tokio::spawn(async move {
        raw(port, b"GET /a/slow/700 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await
    });
    until("the slow request is at the upstream", async || upstream.hits() > hits).await;
    let code = gate.stop().await;
    assert_eq!(code, Some(0), "{}", gate.log());
    let answer = slow.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
