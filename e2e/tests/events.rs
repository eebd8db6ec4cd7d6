//! Event APIs without a broker: every kind of endpoint, what a mapping does on the way, and who is told what
//! (streams contract 2.4, 2.5).

use std::process::Stdio;
use std::time::{Duration, Instant};

use e2e::definition::session;
use e2e::streaming::{events, guarded, post, post_to_sse, sse_output};
use e2e::{End, Endless, Gate, Socket, curl, soon, until};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;

/// A gate with one keyless event API `ev` that has one stream.
async fn gate(stream: Value) -> Gate {
    Gate::setup().oas(events("ev", json!({"s": stream}))).start().await
}

/// From POSTs on `/post` through a mapping to server-sent events on `/sse`.
fn mapped(mapping: &str) -> Value {
    let mut stream = post_to_sse(json!({}));
    stream["pipeline"] = json!({"processors": [{"mapping": mapping}]});
    stream
}

#[tokio::test]
async fn a_post_reaches_the_subscriber_of_server_sent_events() {
    let gate = gate(mapped("root = this\nroot.seen = true")).await;
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    assert_eq!((sse.status, sse.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(sse.header("cache-control"), Some("no-cache"));
    for number in 0..3 {
        let reply = post(&gate.url("/ev/post"), &format!("{{\"n\":{number}}}"), &[]).await;
        assert_eq!((reply.status, reply.text()), (200, ""), "{reply:?}");
        assert_eq!(sse.data().await.unwrap(), format!("{{\"n\":{number},\"seen\":true}}"));
    }
}

#[tokio::test]
async fn no_payload_breaks_out_of_its_event() {
    let gate = gate(post_to_sse(json!({}))).await;
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    let reply = post(&gate.url("/ev/post"), "one\ntwo\r\n\r\nid: forged\rthree", &[]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let event = sse.event().await.unwrap();
    assert_eq!(event.data.as_deref(), Some("one\ntwo\n\nid: forged\nthree"));
    assert_eq!((event.id, event.name), (None, None));
}

#[tokio::test]
async fn a_raw_stream_holds_one_message_a_line() {
    let gate = gate(json!({
        "input": {"http_server": {"path": "/post"}},
        "output": {"http_server": {"stream_path": "/raw"}},
    }))
    .await;
    let mut raw = Endless::get(gate.port(), "/ev/raw", &[]).await;
    assert_eq!((raw.status, raw.header("content-type")), (200, Some("application/octet-stream")));
    for line in ["one", "two"] {
        assert_eq!(post(&gate.url("/ev/post"), line, &[]).await.status, 200);
        assert_eq!(raw.line().await.unwrap(), line);
    }
}

#[tokio::test]
async fn a_get_waits_for_one_message_and_not_for_ever() {
    let gate = gate(json!({
        "input": {"http_server": {"path": "/post"}},
        "output": {"http_server": {"path": "/next", "timeout": "300ms"}},
    }))
    .await;
    let late = gate.get("/ev/next", &[]).await;
    assert_eq!((late.status, late.text()), (408, "Timed out waiting for message"));

    // The message waits for the GET, its producer for the answer.
    let (url, next) = (gate.url("/ev/post"), gate.url("/ev/next"));
    let (posted, got) = tokio::join!(post(&url, "hello", &[]), async {
        loop {
            let reply = curl(&[&next]).await;
            if reply.status != 408 {
                return reply;
            }
        }
    });
    assert_eq!((got.status, got.text()), (200, "hello"));
    assert_eq!(got.header("content-type").as_deref(), Some("application/octet-stream"));
    assert_eq!(posted.status, 200);
}

#[tokio::test]
async fn a_producer_without_any_subscriber_is_told_in_time() {
    let mut stream = post_to_sse(json!({}));
    stream["input"]["http_server"]["timeout"] = json!("200ms");
    let gate = gate(stream).await;
    let reply = post(&gate.url("/ev/post"), "x", &[]).await;
    assert_eq!((reply.status, reply.text()), (408, "Request timed out"), "a false 200 would be a lie");
}

#[tokio::test]
async fn websockets_get_binary_or_text_frames() {
    let stream = |name: &str, kind: &str| {
        json!({
            "input": {"http_server": {"path": format!("/{name}/post"), "ws_path": ""}},
            "output": {"http_server": {"path": "", "stream_path": "", "ws_path": format!("/{name}/ws"), "ws_message_type": kind}},
        })
    };
    let api = events("ev", json!({"t": stream("t", "text"), "b": stream("b", "binary")}));
    let gate = Gate::setup().oas(api).start().await;
    for (name, expected) in [("t", Message::text("hello")), ("b", Message::binary(&b"hello"[..]))] {
        let mut socket = Socket::open(gate.port(), &format!("/ev/{name}/ws"), &[]).await.unwrap();
        assert_eq!(post(&gate.url(&format!("/ev/{name}/post")), "hello", &[]).await.status, 200);
        assert_eq!(socket.next().await, Some(expected), "{name}");
    }
    let plain = gate.get("/ev/t/ws", &[]).await;
    assert_eq!(plain.status, 426, "a path of WebSockets says so: {plain:?}");
}

#[tokio::test]
async fn a_websocket_producer_sends_frames_and_gets_answers() {
    let gate = gate(json!({
        "input": {"http_server": {"path": "", "ws_path": "/in", "ws_welcome_message": "welcome"}},
        "pipeline": {"processors": [{"mapping": "root = content().uppercase()"}]},
        "output": {"broker": {"outputs": [sse_output(json!({})), {"sync_response": {}}]}},
    }))
    .await;
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    let mut socket = Socket::open(gate.port(), "/ev/in?who=me", &[]).await.unwrap();
    assert_eq!(socket.next().await, Some(Message::binary(&b"welcome"[..])));
    for (sent, seen) in [(Message::text("one"), "ONE"), (Message::binary(&b"two"[..]), "TWO")] {
        socket.send(sent).await;
        assert_eq!(socket.next().await, Some(Message::text(seen)));
        assert_eq!(sse.data().await.unwrap(), seen);
    }
}

#[tokio::test]
async fn a_multipart_request_is_several_messages() {
    let gate = gate(post_to_sse(json!({}))).await;
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    let reply = curl(&["-F", "a=one", "-F", "b={\"two\":2}", "-F", "c=three", &gate.url("/ev/post")]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    for expected in ["one", "{\"two\":2}", "three"] {
        assert_eq!(sse.data().await.unwrap(), expected);
    }
    let multipart = ["-H", "content-type: multipart/form-data; boundary=abc"];
    assert_eq!(post(&gate.url("/ev/post"), "no boundary here", &multipart).await.status, 400);
}

#[tokio::test]
async fn a_sync_response_answers_the_producer() {
    let gate = gate(json!({
        "input": {"http_server": {
            "path": "/ask",
            "ws_path": "",
            "sync_response": {"status": "${! metadata(\"answer\") }", "headers": {"X-Kind": "${! json(\"kind\") }"}},
        }},
        "pipeline": {"processors": [{"mapping": "root = {\"kind\": \"echo\", \"of\": this}\nmeta answer = 201"}]},
        "output": {"sync_response": {}},
    }))
    .await;
    let reply = post(&gate.url("/ev/ask"), "{\"n\":1}", &[]).await;
    assert_eq!((reply.status, reply.text()), (201, "{\"kind\":\"echo\",\"of\":{\"n\":1}}"), "{reply:?}");
    assert_eq!(reply.header("x-kind").as_deref(), Some("echo"));
}

#[tokio::test]
async fn c3_7_row_4_a_generated_stream_starts_once_and_goes_on_without_subscribers() {
    let gate = gate(json!({
        "input": {"generate": {"interval": "10ms", "mapping": "root.n = counter()"}},
        "output": sse_output(json!({})),
    }))
    .await;
    let mut last = 0;
    for _ in 0..3 {
        let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
        for _ in 0..5 {
            let event: Value = serde_json::from_str(&sse.data().await.unwrap()).unwrap();
            let number = event["n"].as_u64().unwrap();
            assert!(number > last, "{number} came after {last}: the stream was started again");
            last = number;
        }
    }
}

#[tokio::test]
async fn two_streams_of_an_api_are_joined_inside_the_process() {
    let api = events(
        "ev",
        json!({
            "in": {"input": {"http_server": {"path": "/post"}}, "output": {"inproc": "middle"}},
            "out": {
                "input": {"inproc": "middle"},
                "pipeline": {"processors": [{"mapping": "root = content().string() + \"!\""}]},
                "output": sse_output(json!({})),
            },
        }),
    );
    let gate = Gate::setup().oas(api).start().await;
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    assert_eq!(post(&gate.url("/ev/post"), "hello", &[]).await.status, 200);
    assert_eq!(sse.data().await.unwrap(), "hello!");
}

#[tokio::test]
async fn a_broker_gives_every_message_to_all_its_outputs() {
    let gate = gate(json!({
        "input": {"http_server": {"path": "/post"}},
        "output": {"broker": {"pattern": "fan_out", "outputs": [
            sse_output(json!({})),
            sse_output(json!({"stream_path": "/other"})),
            {"stdout": {}},
        ]}},
    }))
    .await;
    let mut one = Endless::get(gate.port(), "/ev/sse", &[]).await;
    let mut other = Endless::get(gate.port(), "/ev/other", &[]).await;
    assert_eq!(post(&gate.url("/ev/post"), "to everyone", &[]).await.status, 200);
    assert_eq!(one.data().await.unwrap(), "to everyone");
    assert_eq!(other.data().await.unwrap(), "to everyone");
    until("the line on standard output", async || gate.log().lines().any(|line| line == "to everyone")).await;
}

#[tokio::test]
async fn a_message_knows_its_request() {
    let mut stream = mapped(
        "root = {\"header\": metadata(\"X-Custom\"), \"query\": metadata(\"q\"), \"path\": metadata(\"room\"), \
         \"cookie\": metadata(\"c\"), \"verb\": metadata(\"http_server_verb\"), \
         \"from\": metadata(\"http_server_remote_ip\"), \"agent\": metadata(\"http_server_user_agent\"), \
         \"certificate\": metadata(\"http_server_tls_subject\")}",
    );
    stream["input"]["http_server"]["path"] = json!("/rooms/{room}/post");
    stream["input"]["http_server"]["allowed_verbs"] = json!(["PUT"]);
    let gate = gate(stream).await;
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    // What the gate says of a request, its client cannot say.
    let cookies = "cookie: b=1; c=2; http_server_verb=POST; http_server_tls_subject=CN=me";
    let fields = ["-X", "PUT", "-H", "x-custom: h", "-H", cookies, "-A", "me/1"];
    let query = "?q=a%20b&http_server_remote_ip=10.0.0.1&http_server_user_agent=you";
    let reply = post(&gate.url(&format!("/ev/rooms/blue/post{query}")), "{}", &fields).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let seen: Value = serde_json::from_str(&sse.data().await.unwrap()).unwrap();
    let expected = json!({
        "header": "h", "query": "a b", "path": "blue", "cookie": "2", "verb": "PUT", "from": "127.0.0.1", "agent": "me/1",
        "certificate": null,
    });
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_mapping_deletes_and_a_failed_one_leaves_the_message_as_it_was() {
    let gate =
        gate(mapped("root = if this.drop { deleted() } else { {\"twice\": this.n.number() * 2} }")).await;
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    for (sent, expected) in [
        ("{\"drop\":true}", None),
        ("{\"drop\":false,\"n\":\"x\"}", Some("{\"drop\":false,\"n\":\"x\"}")),
        ("{\"drop\":false,\"n\":\"21\"}", Some("{\"twice\":42}")),
    ] {
        let reply = post(&gate.url("/ev/post"), sent, &[]).await;
        assert_eq!(reply.status, 200, "{sent}: {reply:?}");
        if let Some(expected) = expected {
            assert_eq!(sse.data().await.unwrap(), expected);
        }
    }
}

#[tokio::test]
async fn c3_7_row_3_unknown_paths_and_verbs_are_refused() {
    let gate = gate(post_to_sse(json!({}))).await;
    let wrong = gate.get("/ev/post", &[]).await;
    assert_eq!((wrong.status, wrong.text()), (405, "Incorrect method"));
    let wrong = post(&gate.url("/ev/sse"), "x", &[]).await;
    assert_eq!((wrong.status, wrong.text()), (405, "Incorrect method"));
    for path in ["/ev/", "/ev/sse/", "/ev/posts", "/ev/get", "/ev/ping"] {
        assert_eq!(gate.get(path, &[]).await.status, 404, "{path}");
    }
    assert_eq!(Socket::open(gate.port(), "/ev/sse", &[]).await.unwrap_err(), 404);
}

#[tokio::test]
async fn idle_subscribers_hear_heartbeats_and_outlive_the_write_timeout() {
    let mut stream = post_to_sse(json!({"heartbeat": "100ms", "delivery": "broadcast"}));
    stream["output"]["http_server"]["ws_path"] = json!("/ws");
    let gate = Gate::setup()
        .conf(json!({"http_server_options": {"write_timeout": 1, "read_timeout": 1}}))
        .oas(events("ev", json!({"s": stream})))
        .start()
        .await;
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    let mut socket = Socket::open(gate.port(), "/ev/ws", &[]).await.unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(2_500) {
        let event = sse.event().await.expect("the stream was cut");
        assert_eq!(event.comment.as_deref(), Some("heartbeat"));
    }
    assert_eq!(post(&gate.url("/ev/post"), "still here", &[]).await.status, 200);
    assert_eq!(sse.data().await.unwrap(), "still here");
    assert_eq!(socket.next().await, Some(Message::binary(&b"still here"[..])));
}

#[tokio::test]
async fn c3_7_row_6_the_rate_limit_counts_connections_and_not_messages() {
    let gate = Gate::setup().oas(guarded(events("ev", json!({"s": post_to_sse(json!({}))})))).start().await;
    let admin = gate.admin();
    let mut limited = session(&["ev"]);
    limited["rate"] = json!(3);
    limited["per"] = json!(60);
    let key = format!("Authorization: {}", admin.key(&limited).await);
    let producer = format!("Authorization: {}", admin.key(&session(&["ev"])).await);

    assert_eq!(Endless::get(gate.port(), "/ev/sse", &[]).await.status, 401);
    assert_eq!(Endless::get(gate.port(), "/ev/sse", &["Authorization: nonsense"]).await.status, 403);
    let mut first = Endless::get(gate.port(), "/ev/sse", &[&key]).await;
    assert_eq!(first.status, 200);
    for number in 0..10 {
        let text = number.to_string();
        assert_eq!(post(&gate.url("/ev/post"), &text, &["-H", &producer]).await.status, 200);
        assert_eq!(first.data().await.unwrap(), text, "messages were counted as requests");
    }
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(Endless::get(gate.port(), "/ev/sse", &[&key]).await);
    }
    assert_eq!(open.iter().map(|sse| sse.status).collect::<Vec<_>>(), [200, 200]);
    let mut refused = Endless::get(gate.port(), "/ev/sse", &[&key]).await;
    assert_eq!(refused.status, 429);
    let (body, end) = refused.rest().await;
    assert_eq!((body.contains("Rate Limit Exceeded"), end), (true, End::Clean), "{body}");
    let again = Socket::open(gate.port(), "/ev/sse", &[("authorization", &key[15..])]).await;
    assert_eq!(again.unwrap_err(), 429);
}

#[tokio::test]
async fn server_sent_events_go_over_http_2() {
    let gate = gate(post_to_sse(json!({"heartbeat": "100ms"}))).await;
    let mut curl = Command::new("curl")
        .args(["-sN", "-D", "-", "--http2-prior-knowledge", "--max-time", "20", &gate.url("/ev/sse")])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines();
    let mut seen = String::new();
    let mut line = async |until: &str| {
        while let Some(line) = soon("a line from curl", lines.next_line()).await.unwrap() {
            if line.contains(until) {
                return line;
            }
            seen.push_str(&line);
        }
        panic!("curl ended without {until:?}: {seen}");
    };
    assert!(line("HTTP/2").await.contains("200"));
    line("text/event-stream").await;
    line(": heartbeat").await;
    assert_eq!(post(&gate.url("/ev/post"), "over h2", &[]).await.status, 200);
    assert_eq!(line("data:").await, "data: over h2");
    let reply = post(&gate.url("/ev/post"), "both ways", &["--http2-prior-knowledge"]).await;
    assert_eq!((reply.status, reply.version.as_str()), (200, "HTTP/2"), "{reply:?}");
    assert_eq!(line("data:").await, "data: both ways");
}

#[tokio::test]
async fn a_stopping_gate_says_goodbye() {
    let mut stream = post_to_sse(json!({"delivery": "broadcast"}));
    stream["output"]["http_server"]["ws_path"] = json!("/ws");
    let mut gate = gate(stream).await;
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    let mut socket = Socket::open(gate.port(), "/ev/ws", &[]).await.unwrap();
    gate.signal("TERM");
    let last = sse.event().await.unwrap();
    assert!(last.comment.is_some() && last.retry.is_some(), "{last:?}");
    assert_eq!(sse.event().await, Err(End::Clean));
    assert_eq!(goodbye(&mut socket).await, 1001);
    assert_eq!(gate.ended().await, Some(0));
}

/// From WebSocket frames on `/in`, with `mark` before them, to lines on standard output.
fn frames_to_lines(mark: &str) -> Value {
    let stream = json!({
        "input": {"http_server": {"path": "", "ws_path": "/in"}},
        "pipeline": {"processors": [{"mapping": format!("root = \"{mark} \" + content().string()")}]},
        "output": {"stdout": {}},
    });
    events("ev", json!({"s": stream}))
}

#[tokio::test]
async fn a_change_takes_no_frame_from_a_producer() {
    let gate = Gate::setup().oas(frames_to_lines("0")).start().await;
    let mut socket = Socket::open(gate.port(), "/ev/in", &[]).await.unwrap();
    let admin = gate.admin();
    let changes = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        for round in 1..=15 {
            ticks.tick().await;
            let reply = admin.put("/apis/oas/ev", &frames_to_lines(&round.to_string())).await;
            assert_eq!(reply.status, 200, "{reply:?}");
        }
    };
    let mut changes = std::pin::pin!(changes);
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    let mut sent = 0;
    loop {
        tokio::select! {
            () = &mut changes => break,
            _ = ticks.tick() => {
                socket.send(Message::text(format!("frame {sent}"))).await;
                sent += 1;
            }
        }
    }
    socket.send(Message::text("the last")).await;
    until("the last frame is out", async || gate.log().lines().any(|line| line == "15 the last")).await;
    let log = gate.log();
    let mut seen: Vec<u32> =
        log.lines().filter_map(|line| line.split_once(" frame ")?.1.parse().ok()).collect();
    assert!(seen.is_sorted(), "{seen:?}");
    seen.dedup();
    assert_eq!(seen, (0..sent).collect::<Vec<_>>());
    assert!(sent > 100, "{sent}");
}

#[tokio::test]
async fn a_producer_that_has_not_shown_what_is_asked_for_now_is_sent_away() {
    let gate = Gate::setup().oas(frames_to_lines("open")).start().await;
    let mut socket = Socket::open(gate.port(), "/ev/in", &[]).await.unwrap();
    socket.send(Message::text("one")).await;
    until("the frame is out", async || gate.log().lines().any(|line| line == "open one")).await;
    let reply = gate.admin().put("/apis/oas/ev", &guarded(frames_to_lines("guarded"))).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    socket.send(Message::text("two")).await;
    assert_eq!(goodbye(&mut socket).await, 1012);
    assert!(!gate.log().contains("guarded two"));
}

#[tokio::test]
async fn an_idle_producer_does_not_hold_a_stopping_gate() {
    let mut gate = Gate::setup().oas(frames_to_lines("0")).start().await;
    let mut socket = Socket::open(gate.port(), "/ev/in", &[]).await.unwrap();
    let start = Instant::now();
    gate.signal("TERM");
    assert_eq!(goodbye(&mut socket).await, 1001);
    assert_eq!(gate.ended().await, Some(0));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

/// The code of the close frame that comes next.
async fn goodbye(socket: &mut Socket) -> u16 {
    match socket.next().await {
        Some(Message::Close(Some(frame))) => frame.code.into(),
        other => panic!("no close frame: {other:?}"),
    }
}

#[tokio::test]
async fn pages_of_other_origins_get_in_where_the_definition_lets_them() {
    let cors =
        json!({"enabled": true, "allowed_origins": ["https://shop.example"], "allowed_methods": ["POST"]});
    let mut open = post_to_sse(json!({"stream_path": "/open/sse", "ws_path": "/open/ws", "cors": cors}));
    open["input"]["http_server"] = json!({"path": "/open/post", "ws_path": "/open/in", "cors": cors});
    let mut shut = post_to_sse(json!({"stream_path": "/shut/sse"}));
    shut["input"]["http_server"] = json!({"path": "/shut/post", "ws_path": "/shut/in"});
    let gate = Gate::setup().oas(events("ev", json!({"open": open, "shut": shut}))).start().await;
    let ask = ["-X", "OPTIONS", "-H", "access-control-request-method: POST", "-H"];
    let preflight = async |path: &str, origin: &str| gate.get(path, &[&ask[..], &[origin]].concat()).await;
    let (friend, foe) = ("origin: https://shop.example", "origin: https://evil.example");
    let allowed = |reply: &e2e::Reply| reply.header("access-control-allow-origin");

    let reply = preflight("/ev/open/post", friend).await;
    assert_eq!((reply.status, allowed(&reply).as_deref()), (204, Some("https://shop.example")), "{reply:?}");
    assert_eq!(reply.header("access-control-allow-methods").as_deref(), Some("POST"));
    let reply = preflight("/ev/open/post", foe).await;
    assert_eq!((reply.status, allowed(&reply)), (204, None), "{reply:?}");
    // A question is never taken for what it asks about.
    let mut sse = Endless::get(gate.port(), "/ev/shut/sse", &[]).await;
    let reply = preflight("/ev/shut/post", friend).await;
    assert_eq!((reply.status, allowed(&reply)), (405, None), "{reply:?}");
    assert_eq!(post(&gate.url("/ev/shut/post"), "real", &[]).await.status, 200);
    assert_eq!(sse.data().await.unwrap(), "real", "a preflight became a message");

    let sse = Endless::get(gate.port(), "/ev/open/sse", &["Origin: https://shop.example"]).await;
    assert_eq!(sse.header("access-control-allow-origin"), Some("https://shop.example"));
    let reply = post(&gate.url("/ev/open/post"), "x", &["-H", friend]).await;
    assert_eq!((reply.status, allowed(&reply).as_deref()), (200, Some("https://shop.example")), "{reply:?}");

    // Browsers do not ask before they open a WebSocket.
    for (path, origin, status) in [
        ("/ev/open/ws", "https://shop.example", None),
        ("/ev/open/ws", "https://evil.example", Some(403)),
        ("/ev/open/in", "https://evil.example", Some(403)),
        ("/ev/shut/in", "https://shop.example", Some(403)),
    ] {
        let opened = Socket::open(gate.port(), path, &[("origin", origin)]).await;
        assert_eq!(opened.err(), status, "{path} from {origin}");
    }
}
