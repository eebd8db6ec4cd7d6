//! WebSockets to upstreams are requests like others until they have been agreed on: targets, proxies, tokens, times and
//! breakers count for them (contract 4.6).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use e2e::definition::{keyless, oas};
use e2e::{Gate, HttpProxy, Socket, Spoken, Upstream, until};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// What opens a WebSocket and gets its message back; else the status.
async fn echoes(gate: &Gate, path: &str) -> u16 {
    match Socket::open(gate.port(), path, &[]).await {
        Ok(mut socket) => {
            socket.send("hello").await;
            assert_eq!(socket.next().await.unwrap().into_text().unwrap().as_str(), "hello");
            101
        }
        Err(status) => status,
    }
}

/// Takes connections and says nothing. Its port.
async fn silent() -> (u16, AbortHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            kept.push(socket);
        }
    });
    (port, task.abort_handle())
}

fn extended(mut api: Value, paths: Value) -> Value {
    api["version_data"]["versions"]["Default"]["extended_paths"] = paths;
    api
}

#[tokio::test]
async fn websockets_find_the_target_that_can_be_reached() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let closed = format!("http://127.0.0.1:{}", e2e::free_port());
    let mut api = keyless("a", "http://127.0.0.1:1/unused");
    api["proxy"]["enable_load_balancing"] = json!(true);
    api["proxy"]["target_list"] = json!([closed, first.url(""), second.url("")]);
    let gate = Gate::setup().api(api).start().await;
    for _ in 0..6 {
        assert_eq!(echoes(&gate, "/a/ws").await, 101);
    }
    assert!(first.hits() > 0 && second.hits() > 0 && first.hits() + second.hits() == 6);
}

#[tokio::test]
async fn websockets_go_through_a_proxy() {
    let (upstream, proxy) = (Upstream::start().await, HttpProxy::start().await);
    let through = |id: &str, user: &str| {
        let mut api = keyless(id, &upstream.url(""));
        api["proxy"]["transport"] = json!({"proxy_url": format!("http://{user}@127.0.0.1:{}", proxy.port())});
        api
    };
    let gate = Gate::setup().api(through("a", "u:p")).api(through("b", "u:q")).start().await;
    assert_eq!((echoes(&gate, "/a/ws").await, proxy.tunnels()), (101, 1));
    assert_eq!(
        (echoes(&gate, "/b/ws").await, upstream.hits()),
        (500, 1),
        "the proxy takes no other password"
    );
}

#[tokio::test]
async fn an_upstream_that_fails_is_left_alone_by_websockets_too() {
    let good = Arc::new(AtomicUsize::new(0));
    let answers = Arc::clone(&good);
    let failing = Spoken::start(move |_| match answers.load(Ordering::SeqCst) {
        0 => (500, String::new()),
        _ => (200, String::new()),
    })
    .await;
    let breaker = json!({"path": "/ws", "method": "GET", "threshold_percent": 1.0, "samples": 2, "return_to_service_after": 1});
    let api = extended(keyless("a", &failing.url("")), json!({"circuit_breakers": [breaker]}));
    let gate = Gate::setup().api(api).start().await;
    assert_eq!((echoes(&gate, "/a/ws").await, echoes(&gate, "/a/ws").await), (500, 500));
    let asked = failing.asked().len();
    assert_eq!((echoes(&gate, "/a/ws").await, failing.asked().len()), (503, asked), "it is not asked");
    assert_eq!(gate.get("/a/ws", &[]).await.status, 503, "nor by a plain request");
    good.store(1, Ordering::SeqCst);
    until("it is tried again", async || echoes(&gate, "/a/ws").await == 200).await;
}

#[tokio::test]
async fn an_open_websocket_is_no_failure() {
    let upstream = Upstream::start().await;
    let breaker = json!({"path": "/ws", "method": "GET", "threshold_percent": 0.1, "samples": 1, "return_to_service_after": 60});
    let timeout = json!({"path": "/ws", "method": "GET", "duration": "300ms"});
    let paths = json!({"circuit_breakers": [breaker], "hard_timeouts": [timeout]});
    let gate = Gate::setup().api(extended(keyless("a", &upstream.url("")), paths)).start().await;
    let mut open = Socket::open(gate.port(), "/a/ws", &[]).await.unwrap();
    for _ in 0..3 {
        assert_eq!(echoes(&gate, "/a/ws").await, 101);
    }
    // The time is for the answer to the handshake, not for what follows.
    tokio::time::sleep(Duration::from_millis(400)).await;
    open.send("still").await;
    assert_eq!(open.next().await.unwrap().into_text().unwrap().as_str(), "still");
}

/// Contract 4.6, "Timeouts": whatever keeps the answer away, it is not waited for longer than the definition says.
#[tokio::test]
async fn c2_5_row_7_an_enforced_time_covers_all_that_comes_before_the_answer() {
    let (mute, task) = silent().await;
    let upstream = Upstream::start().await;
    let limited = |mut api: Value| {
        api["version_data"]["versions"]["Default"]["extended_paths"] =
            json!({"hard_timeouts": [{"path": "/", "method": "GET", "duration": "200ms"}]});
        api
    };
    let mut several = keyless("several", "http://127.0.0.1:1/");
    several["proxy"]["enable_load_balancing"] = json!(true);
    several["proxy"]["target_list"] =
        json!([format!("https://127.0.0.1:{mute}"), format!("https://localhost:{mute}")]);
    let mut token = keyless("token", &upstream.url(""));
    token["upstream_auth"] = json!({"enabled": true, "oauth": {"enabled": true, "allowed_authorize_types": ["clientCredentials"],
        "client_credentials": {"client_id": "c", "client_secret": "s", "token_url": format!("http://127.0.0.1:{mute}/token")}}});
    let mut through = keyless("through", &upstream.url(""));
    through["proxy"]["transport"] = json!({"proxy_url": format!("socks5://127.0.0.1:{mute}")});
    let mut document = oas("whole", &format!("https://127.0.0.1:{mute}"));
    document["x-tyk-api-gateway"]["upstream"]["enforceTimeout"] =
        json!({"enabled": true, "duration": "200ms"});
    let gate = Gate::setup()
        .api(limited(keyless("tls", &format!("https://127.0.0.1:{mute}"))))
        .api(limited(keyless("plain", &format!("http://127.0.0.1:{mute}"))))
        .api(limited(several))
        .api(limited(token))
        .api(limited(through))
        .oas(document)
        .start()
        .await;
    for api in ["tls", "plain", "several", "token", "through", "whole"] {
        let began = Instant::now();
        let reply = gate.get(&format!("/{api}/x"), &[]).await;
        assert_eq!(reply.status, 504, "{api}: {reply:?}");
        assert_eq!(reply.json()["error"], "Upstream service reached hard timeout.");
        assert_eq!(echoes(&gate, &format!("/{api}/ws")).await, 504, "{api}");
        assert!(began.elapsed() < Duration::from_secs(8), "{api} took {:?}", began.elapsed());
    }
    assert_eq!(upstream.hits(), 0);
    task.abort();
}

#[tokio::test]
async fn a_websocket_forgets_a_token_that_is_not_taken() {
    let issued = AtomicUsize::new(0);
    let issuer = Spoken::start(move |_| {
        let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
        (
            200,
            json!({"access_token": format!("t{number}"), "token_type": "bearer", "expires_in": 600})
                .to_string(),
        )
    })
    .await;
    let wanted = Arc::new(AtomicUsize::new(1));
    let good = Arc::clone(&wanted);
    let upstream = Spoken::start(move |request| {
        let token = format!("Bearer t{}\r\n", good.load(Ordering::SeqCst));
        if request.contains(&token) { (200, "in".to_owned()) } else { (401, "out".to_owned()) }
    })
    .await;
    let mut api = keyless("a", &upstream.url(""));
    api["upstream_auth"] = json!({"enabled": true, "oauth": {"enabled": true, "allowed_authorize_types": ["clientCredentials"],
        "client_credentials": {"client_id": "c", "client_secret": "s", "token_url": issuer.url("/")}}});
    let gate = Gate::setup().api(api).start().await;
    assert_eq!(echoes(&gate, "/a/ws").await, 200);
    wanted.store(2, Ordering::SeqCst);
    // The token that was kept is not taken: another one is fetched, once.
    assert_eq!((echoes(&gate, "/a/ws").await, issuer.asked().len(), upstream.asked().len()), (200, 2, 3));
    assert!(upstream.asked().iter().all(|request| request.to_lowercase().contains("upgrade: websocket\r\n")));
    wanted.store(0, Ordering::SeqCst);
    assert_eq!((echoes(&gate, "/a/ws").await, upstream.asked().len()), (401, 5));
}
