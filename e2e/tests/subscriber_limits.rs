//! What subscribers may receive, over the wire: by policies, each of which says what happens at its limit, and counted together
//! by gates that share a Redis.

use std::time::{Duration, Instant};

use e2e::streaming::{events, guarded, post};
use e2e::tokens::policy;
use e2e::{End, Endless, Gate, Redis, Setup, Socket, soon, until};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// POSTs on `/post` to everybody: server-sent events on `/sse`, frames on `/ws`.
fn api() -> Value {
    guarded(events(
        "ev",
        json!({"s": {
            "input": {"http_server": {"path": "/post", "ws_path": ""}},
            "output": {"http_server": {"path": "", "ws_path": "/ws", "stream_path": "/sse",
                "stream_format": "event_source", "delivery": "broadcast"}},
        }}),
    ))
}

fn setup(policies: &[(&str, Value)]) -> Setup {
    let setup = Gate::setup().oas(api()).policy(policy("free", &["ev"], json!({})));
    policies.iter().fold(setup, |setup, (id, limits)| setup.policy(limited(id, limits)))
}

fn limited(id: &str, limits: &Value) -> Value {
    policy(id, &["ev"], json!({"subscriptions": limits}))
}

async fn key(gate: &Gate, policy: &str) -> String {
    gate.admin().key(&json!({"org_id": "org", "apply_policies": [policy]})).await
}

async fn sse(gate: &Gate, key: &str) -> Endless {
    Endless::get(gate.port(), "/ev/sse", &[&format!("Authorization: {key}")]).await
}

async fn socket(gate: &Gate, key: &str) -> Result<Socket, u16> {
    Socket::open(gate.port(), "/ev/ws", &[("Authorization", key)]).await
}

async fn send(gate: &Gate, key: &str, text: &str) {
    let reply = post(&gate.url("/ev/post"), text, &["-H", &format!("Authorization: {key}")]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// The text of the next message, or the close frame that comes instead.
async fn next(socket: &mut Socket) -> Result<String, (u16, String)> {
    soon("a message", async {
        loop {
            match socket.next().await {
                Some(Message::Text(text)) => return Ok(text.to_string()),
                Some(Message::Binary(bytes)) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
                Some(Message::Close(Some(frame))) => {
                    return Err((frame.code.into(), frame.reason.to_string()));
                }
                Some(_) => {}
                None => return Err((0, String::new())),
            }
        }
    })
    .await
}

#[tokio::test]
async fn each_policy_says_what_happens_at_its_limit() {
    let dropping = json!({"messages": 1, "per": 3600, "at_limit": "drop"});
    let gate = setup(&[
        ("delay", json!({"messages": 1, "per": 2})),
        ("drop", dropping.clone()),
        ("close", json!({"messages": 1, "per": 3600, "at_limit": "close"})),
    ])
    .start()
    .await;
    let producer = key(&gate, "free").await;
    let keys = [key(&gate, "delay").await, key(&gate, "drop").await, key(&gate, "close").await];
    // Each connects with one transport; the other one has the same limits, which the next key shows.
    let [delayed, dropped, closed] = &keys;
    let mut delayed = socket(&gate, delayed).await.unwrap();
    let mut dropped = socket(&gate, dropped).await.unwrap();
    let mut told = sse(&gate, closed).await;
    let other = key(&gate, "close").await;
    let mut closing = socket(&gate, &other).await.unwrap();
    let mut free = sse(&gate, &producer).await;

    let began = Instant::now();
    for text in ["first", "second"] {
        send(&gate, &producer, text).await;
    }
    for text in ["first", "second"] {
        assert_eq!(free.data().await.unwrap(), text, "others are not held up");
    }
    // Closed, with how long to stay away: 1013 over a WebSocket, `retry` over events, 429 for who comes again.
    assert_eq!(next(&mut closing).await, Ok("first".to_owned()));
    let (code, reason) = next(&mut closing).await.unwrap_err();
    let wait: u64 = reason.split("Retry-After: ").nth(1).expect(&reason).parse().unwrap();
    assert!(code == 1013 && (3500..=3600).contains(&wait), "{code} {reason}");
    let (rest, end) = told.rest().await;
    assert!(rest.contains("data: first") && !rest.contains("data: second"), "{rest}");
    assert!(rest.contains("closing: the limit of the key is reached") && end == End::Clean, "{rest} {end:?}");
    let retry: u64 = rest.lines().find_map(|line| line.strip_prefix("retry: ")).unwrap().parse().unwrap();
    assert!((3_500_000..=3_600_000).contains(&retry), "{retry}");
    for key in [closed, &other] {
        let refused = sse(&gate, key).await;
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!(refused.status == 429 && (3500..=3600).contains(&wait), "{} {wait}", refused.status);
        assert_eq!(socket(&gate, key).await.err(), Some(429));
    }
    // Delayed: all of it, the second in the next window.
    assert_eq!(next(&mut delayed).await, Ok("first".to_owned()));
    assert_eq!(next(&mut delayed).await, Ok("second".to_owned()));
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());

    // Dropped: the subscriber stays, and what it was not sent it never gets, whatever its policy says later.
    assert_eq!(next(&mut dropped).await, Ok("first".to_owned()));
    let mut raised = dropping;
    raised["messages"] = json!(1000);
    gate.write("policies/drop.json", &limited("drop", &raised).to_string());
    gate.admin().reload().await;
    until("the new limit counts", async || {
        send(&gate, &producer, "third").await;
        match tokio::time::timeout(Duration::from_millis(300), next(&mut dropped)).await {
            Ok(text) => {
                assert_eq!(text, Ok("third".to_owned()));
                true
            }
            Err(_) => false,
        }
    })
    .await;

    // And who loses its key is told something else.
    assert_eq!(gate.admin().delete(&format!("/keys/{}", keys[1])).await.status, 200);
    let code = loop {
        if let Err((code, _)) = next(&mut dropped).await {
            break code;
        }
    };
    assert_eq!(code, 1008);
}

#[tokio::test]
async fn gates_on_one_redis_count_what_the_subscribers_of_a_key_receive_together() {
    let redis = Redis::start().await;
    // Two messages here and one there are within each of them, and one more is not: one passes as long as anything is left.
    let limits = [
        ("messages", json!({"messages": 3, "per": 3600, "at_limit": "close"})),
        ("bytes", json!({"bytes": 2500, "per": 3600, "at_limit": "close"})),
        ("quota-messages", json!({"quota_messages": 3, "quota_renewal_rate": 3600, "at_limit": "close"})),
        ("quota-bytes", json!({"quota_bytes": 2500, "quota_renewal_rate": 3600, "at_limit": "close"})),
    ];
    let here = setup(&limits).conf(redis.conf()).start().await;
    let there = setup(&limits).conf(redis.conf()).start().await;
    for gate in [&here, &there] {
        until("the gates know of each other", async || {
            gate.get("/metrics", &[]).await.text().lines().any(|line| line == "sluicegate_nodes 2")
        })
        .await;
    }
    let producer = key(&here, "free").await;
    let text = |name: &str| format!("{name}-{}", "x".repeat(998));
    for (policy, _) in &limits {
        let key = key(&here, policy).await;
        let mut first = sse(&here, &key).await;
        let mut second = sse(&there, &key).await;
        assert_eq!((first.status, second.status), (200, 200), "{policy}");
        for name in ["a", "b"] {
            send(&here, &producer, &text(name)).await;
            assert_eq!(first.data().await.unwrap(), text(name), "{policy}");
        }
        for name in ["c", "d"] {
            send(&there, &producer, &text(name)).await;
        }
        let (rest, _) = second.rest().await;
        assert!(rest.contains("data: c-") && !rest.contains("data: d-"), "{policy}: {rest}");
        assert!(rest.contains("closing: the limit of the key is reached"), "{policy}: {rest}");
        for gate in [&here, &there] {
            assert_eq!(sse(gate, &key).await.status, 429, "{policy}: nothing is left anywhere");
        }
        // What it had here is gone with the next message, and that of others is not touched.
        send(&here, &producer, "e").await;
        let (rest, _) = first.rest().await;
        assert!(rest.contains("closing: the limit") && !rest.contains("data: e"), "{policy}: {rest}");
    }
}
