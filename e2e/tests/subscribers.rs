//! What subscribers of streams may receive, how many there may be, and how soon they go when their key does.

use std::time::{Duration, Instant};

use e2e::definition::session;
use e2e::streaming::{events, guarded, post};
use e2e::{End, Endless, Gate, Redis, Reply, Socket, soon};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// POSTs on `/post` to everybody: server-sent events on `/sse`, frames on `/ws`, one on `/next`.
fn api() -> Value {
    guarded(events(
        "ev",
        json!({"s": {
            "input": {"http_server": {"path": "/post", "ws_path": ""}},
            "output": {"http_server": {"path": "/next", "timeout": "20s", "ws_path": "/ws", "stream_path": "/sse",
                "stream_format": "event_source", "delivery": "broadcast", "slow_subscriber": "skip"}},
        }}),
    ))
}

async fn gate() -> Gate {
    Gate::setup().oas(api()).start().await
}

fn with(more: Value) -> Value {
    let mut session = session(&["ev"]);
    session.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    session
}

async fn sse(gate: &Gate, key: &str) -> Endless {
    Endless::get(gate.port(), "/ev/sse", &[&format!("Authorization: {key}")]).await
}

async fn send(gate: &Gate, key: &str, text: &str) -> Reply {
    post(&gate.url("/ev/post"), text, &["-H", &format!("Authorization: {key}")]).await
}

/// The code of the close frame that ends a WebSocket, and its reason.
async fn goodbye(socket: &mut Socket) -> (u16, String) {
    soon("the WebSocket is closed", async {
        loop {
            match socket.next().await {
                Some(Message::Close(Some(frame))) => return (frame.code.into(), frame.reason.to_string()),
                Some(_) => {}
                None => return (0, String::new()),
            }
        }
    })
    .await
}

#[tokio::test]
async fn subscribers_go_with_their_key_within_a_second() {
    let gate = gate().await;
    let admin = gate.admin();
    let mut without = session(&["other"]);
    without["org_id"] = json!("org");
    let inactive = with(json!({"is_inactive": true}));
    let mut narrowed = session(&["ev"]);
    narrowed["access_rights"]["ev"]["allowed_urls"] = json!([{"url": "/post", "methods": ["POST"]}]);
    for (what, change) in [
        ("deleted", None),
        ("inactive", Some(inactive)),
        ("no right", Some(without)),
        ("path", Some(narrowed)),
    ] {
        let key = admin.key(&session(&["ev"])).await;
        let mut events = sse(&gate, &key).await;
        assert_eq!(events.status, 200, "{what}");
        let authorization = format!("Authorization: {key}");
        let mut socket = Socket::open(gate.port(), "/ev/ws", &[("Authorization", &key)]).await.unwrap();
        let url = gate.url("/ev/next");
        let waiting = tokio::spawn(async move { e2e::curl(&["-H", &authorization, &url]).await });
        // Others stay.
        let other = admin.key(&session(&["ev"])).await;
        let mut stays = sse(&gate, &other).await;

        let began = Instant::now();
        let reply = match &change {
            None => admin.delete(&format!("/keys/{key}")).await,
            Some(change) => admin.put(&format!("/keys/{key}"), change).await,
        };
        assert_eq!(reply.status, 200, "{what}: {reply:?}");
        let (rest, end) = events.rest().await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{what}: {took:?}");
        assert!(rest.contains("closing: the key may not receive this any more"), "{what}: {rest} {end:?}");
        assert_eq!(goodbye(&mut socket).await.0, 1008, "{what}");
        let polled = waiting.await.unwrap();
        assert!([403, 401].contains(&polled.status), "{what}: {polled:?}");
        assert_eq!(send(&gate, &other, "still here").await.status, 200);
        assert_eq!(stays.data().await.unwrap(), "still here", "{what}");
    }
}

#[tokio::test]
async fn a_key_that_expires_takes_its_subscribers_along() {
    let gate = gate().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let key = gate.admin().key(&with(json!({"expires": now + 2}))).await;
    let mut events = sse(&gate, &key).await;
    let (rest, _) = events.rest().await;
    let late = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let late = late.saturating_sub(Duration::from_secs(now + 2));
    assert!(late < Duration::from_secs(1), "{late:?}");
    assert!(rest.contains("may not receive this any more"), "{rest}");
}

#[tokio::test]
async fn a_policy_that_is_switched_off_takes_its_subscribers_along() {
    let policy = |inactive: bool| json!({"id": "gold", "org_id": "org", "is_inactive": inactive, "access_rights": {"ev": {"api_id": "ev"}}});
    let gate = Gate::setup().oas(api()).policy(policy(false)).start().await;
    let key = gate.admin().key(&json!({"org_id": "org", "apply_policies": ["gold"]})).await;
    let mut events = sse(&gate, &key).await;
    std::fs::write(gate.dir().join("policies/gold.json"), policy(true).to_string()).unwrap();
    let (rest, _) = events.rest().await;
    assert!(rest.contains("may not receive this any more"), "{rest}");
}

/// One that takes nothing of what it is sent; it is there for as long as this is kept.
async fn stuck(gate: &Gate, transport: &str, key: &str) -> Box<dyn std::any::Any> {
    if transport == "ws" {
        return Box::new(Socket::open(gate.port(), "/ev/ws", &[("Authorization", key)]).await.unwrap());
    }
    if transport == "sse" {
        let events = sse(gate, key).await;
        assert_eq!(events.status, 200);
        return Box::new(events);
    }
    let stream = e2e::raw_socket(gate.port()).await;
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get(gate.url("/ev/sse")).header("authorization", key);
    let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    Box::new((client, connection, response))
}

#[tokio::test]
async fn who_takes_nothing_goes_with_the_key_too() {
    let mut api = api();
    api["x-sluicegate"] = json!({"concurrency": {"subscribers": 2}});
    let gate = Gate::setup().oas(api).start().await;
    let admin = gate.admin();
    let other = admin.key(&session(&["ev"])).await;
    let _keeps_up = sse(&gate, &other).await.collect();
    let large = "x".repeat(100 << 10);
    for transport in ["sse", "ws", "h2"] {
        let is_free = async || sse(&gate, &other).await.status == 200;
        e2e::until("there is a place", is_free).await;
        e2e::until("it is free again", is_free).await;
        let key = admin.key(&session(&["ev"])).await;
        let stuck = stuck(&gate, transport, &key).await;
        assert!(!is_free().await, "{transport}: the API is full");
        // More than sockets and windows hold.
        for _ in 0..160 {
            assert_eq!(send(&gate, &other, &large).await.status, 200, "{transport}");
        }
        let began = Instant::now();
        assert_eq!(admin.delete(&format!("/keys/{key}")).await.status, 200);
        e2e::until("its place is free", is_free).await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{transport}: {took:?}");
        drop(stuck);
    }
}

#[tokio::test]
async fn another_node_takes_subscribers_along() {
    let redis = Redis::start().await;
    let one = Gate::setup().conf(redis.conf()).oas(api()).start().await;
    let two = Gate::setup().conf(redis.conf()).oas(api()).start().await;
    let key = one.admin().key(&session(&["ev"])).await;
    let mut events = sse(&two, &key).await;
    assert_eq!(events.status, 200);
    let began = Instant::now();
    assert_eq!(one.admin().delete(&format!("/keys/{key}")).await.status, 200);
    let (rest, _) = events.rest().await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1) && rest.contains("may not receive"), "{took:?}: {rest}");
}

#[tokio::test]
async fn so_many_subscribers_at_once() {
    let mut api = api();
    api["x-sluicegate"] = json!({"concurrency": {"subscribers": 3}});
    let gate = Gate::setup().oas(api).start().await;
    let key = gate.admin().key(&with(json!({"concurrency": {"subscribers": 1}}))).await;
    let other = gate.admin().key(&session(&["ev"])).await;
    let first = sse(&gate, &key).await;
    assert_eq!(first.status, 200);
    let refused = sse(&gate, &key).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(Socket::open(gate.port(), "/ev/ws", &[("Authorization", &key)]).await.err(), Some(429));
    let _more = (sse(&gate, &other).await, sse(&gate, &other).await);
    assert_eq!(sse(&gate, &other).await.status, 429, "the API is full");
    drop(first);
    e2e::until("a place is given back", async || sse(&gate, &key).await.status == 200).await;
}

#[tokio::test]
async fn so_many_subscribers_from_one_address() {
    let mut api = api();
    api["x-sluicegate"] = json!({"concurrency": {"subscribers_per_ip": 1}});
    let gate = Gate::setup().oas(api).start().await;
    // Whatever key they bring, and however they connect.
    let (one, two) = (gate.admin().key(&session(&["ev"])).await, gate.admin().key(&session(&["ev"])).await);
    let open = async |key: &str, address: &str| {
        let fields = [format!("Authorization: {key}"), format!("X-Real-IP: {address}")];
        Endless::get(gate.port(), "/ev/sse", &fields.each_ref().map(String::as_str)).await
    };
    let first = open(&one, "10.0.0.1").await;
    assert_eq!(first.status, 200);
    let refused = open(&two, "10.0.0.1").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    let fields = [("Authorization", two.as_str()), ("X-Real-IP", "10.0.0.1")];
    assert_eq!(Socket::open(gate.port(), "/ev/ws", &fields).await.err(), Some(429));
    let fields = ["-H", &format!("Authorization: {two}"), "-H", "X-Real-IP: 10.0.0.1"];
    assert_eq!(gate.get("/ev/next", &fields).await.status, 429);
    let other = open(&one, "10.0.0.2").await;
    assert_eq!(other.status, 200, "another address has a place of its own");
    drop(first);
    e2e::until("the place is given back", async || open(&two, "10.0.0.1").await.status == 200).await;
    assert_eq!(open(&two, "10.0.0.2").await.status, 429, "and not that of another");
    drop(other);
}

#[tokio::test]
async fn at_the_limit_messages_wait_or_are_dropped_or_the_subscriber_goes() {
    let gate = gate().await;
    let admin = gate.admin();
    let producer = admin.key(&session(&["ev"])).await;
    let limited = async |limits: Value| admin.key(&with(json!({"subscriptions": limits}))).await;
    let delayed = limited(json!({"messages": 2, "per": 2})).await;
    let dropped = limited(json!({"messages": 2, "per": 3600, "at_limit": "drop"})).await;
    let bytes = limited(json!({"bytes": 3, "per": 3600, "at_limit": "drop"})).await;
    let closed = limited(json!({"quota_messages": 2, "quota_renewal_rate": 3600, "at_limit": "close"})).await;

    let began = Instant::now();
    let mut delayed = sse(&gate, &delayed).await;
    let mut dropping = sse(&gate, &dropped).await;
    let mut short = sse(&gate, &bytes).await;
    let mut closing = sse(&gate, &closed).await;
    for number in 0..4 {
        assert_eq!(send(&gate, &producer, &number.to_string()).await.status, 200);
    }
    // All four, the last two in the next window.
    for number in 0..4 {
        assert_eq!(delayed.data().await.unwrap(), number.to_string());
    }
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    for number in 0..2 {
        assert_eq!(dropping.data().await.unwrap(), number.to_string());
    }
    // Each event is larger than what is left, and the first takes it.
    assert_eq!(short.data().await.unwrap(), "0");
    let (rest, end) = closing.rest().await;
    assert!(rest.contains("data: 1") && !rest.contains("data: 2"), "{rest}");
    assert!(rest.contains("closing: the limit of the key is reached") && end == End::Clean, "{rest} {end:?}");
    let retry: u64 = rest.lines().find_map(|line| line.strip_prefix("retry: ")).unwrap().parse().unwrap();
    assert!(retry > 3_000_000, "{retry}");

    // Another connection has no other limits.
    let refused = sse(&gate, &closed).await;
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&wait), "{wait}");
    let socket = limited(json!({"messages": 1, "per": 3600, "at_limit": "close"})).await;
    let mut socket = Socket::open(gate.port(), "/ev/ws", &[("Authorization", &socket)]).await.unwrap();
    for text in ["first", "second"] {
        assert_eq!(send(&gate, &producer, text).await.status, 200);
    }
    let (code, reason) = goodbye(&mut socket).await;
    assert_eq!(code, 1013);
    assert!(reason.contains("Retry-After: 3"), "{reason}");

    // Over HTTP/2 and by long poll the same counters count.
    assert_eq!(gate.get("/ev/next", &["-H", &format!("Authorization: {closed}")]).await.status, 429);
    let raw = limited(json!({"messages": 1, "per": 3600, "at_limit": "close"})).await;
    let (header, url) = (format!("Authorization: {raw}"), gate.url("/ev/sse"));
    let arguments = ["--http2-prior-knowledge", "--max-time", "20", "-H", &header, &url];
    let mut reading = Box::pin(e2e::curl(&arguments));
    // Until it is there, it gets nothing; then one, and the goodbye.
    let reply = loop {
        tokio::select! {
            reply = &mut reading => break reply,
            sent = send(&gate, &producer, "h2-message") => assert_eq!(sent.status, 200),
        }
    };
    assert!(reply.text().contains("data: h2-") && reply.text().contains("closing: the limit"), "{reply:?}");
    assert_eq!(reply.text().matches("data: ").count(), 1, "{reply:?}");
}
