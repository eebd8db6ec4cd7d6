//! Who gets a message, and what a subscriber that is slow, gone or back again costs the others: nothing.

use e2e::streaming::{events, post, post_to_sse, sse_output};
use e2e::{Endless, Gate, Socket, curl, soon};
use serde_json::{Value, json};
use tokio::net::TcpSocket;

async fn gate(stream: Value) -> Gate {
    Gate::setup().oas(events("ev", json!({"s": stream}))).start().await
}

async fn publish(gate: &Gate, text: &str) {
    let reply = post(&gate.url("/ev/post"), text, &[]).await;
    assert_eq!(reply.status, 200, "{text}: {reply:?}");
}

/// A subscriber with next to no buffer, which takes nothing until the test reads from it.
async fn stuck(gate: &Gate) -> Endless {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let socket = socket.connect(([127, 0, 0, 1], gate.port()).into()).await.unwrap();
    let sse = Endless::over(socket, "/ev/sse", &[]).await;
    assert_eq!(sse.status, 200);
    sse
}

/// One message that no kernel buffers whole, as curl takes it.
fn big_file(gate: &Gate) -> String {
    let path = gate.dir().join("big");
    std::fs::write(&path, vec![b'x'; 16 << 20]).unwrap();
    format!("@{}", path.display())
}

fn number(event: &str) -> u64 {
    serde_json::from_str::<Value>(event).unwrap()["n"].as_u64().unwrap()
}

#[tokio::test]
async fn shared_gives_each_message_to_one_and_broadcast_to_all() {
    for (delivery, copies) in [("shared", 1), ("broadcast", 2)] {
        let gate = gate(post_to_sse(json!({"delivery": delivery}))).await;
        let mut one = Endless::get(gate.port(), "/ev/sse", &[]).await.collect();
        let mut other = Endless::get(gate.port(), "/ev/sse", &[]).await.collect();
        for number in 0..40 {
            publish(&gate, &number.to_string()).await;
        }
        let mut seen = [Vec::new(), Vec::new()];
        for _ in 0..40 * copies {
            soon("the messages", async {
                tokio::select! {
                    Some(text) = one.recv() => seen[0].push(text.parse::<u32>().unwrap()),
                    Some(text) = other.recv() => seen[1].push(text.parse().unwrap()),
                }
            })
            .await;
        }
        let mut all = seen.concat();
        all.sort_unstable();
        let expected: Vec<u32> = (0..40).flat_map(|number| vec![number; copies]).collect();
        assert_eq!(all, expected, "{delivery}");
        assert!(seen.iter().all(|seen| seen.is_sorted()), "{delivery}: {seen:?}");
        assert!(!seen[0].is_empty() && !seen[1].is_empty(), "{delivery}: one subscriber starves: {seen:?}");
    }
}

#[tokio::test]
async fn a_broadcast_subscriber_resumes_after_the_event_it_saw_last() {
    let gate = gate(post_to_sse(json!({"delivery": "broadcast"}))).await;
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    let mut last = String::new();
    for text in ["one", "two"] {
        publish(&gate, text).await;
        let event = sse.event().await.unwrap();
        assert_eq!(event.data.as_deref(), Some(text));
        last = event.id.expect("an event has an id");
    }
    drop(sse);
    for text in ["three", "four"] {
        publish(&gate, text).await;
    }
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[&format!("Last-Event-ID: {last}")]).await;
    publish(&gate, "five").await;
    for text in ["three", "four", "five"] {
        let event = sse.event().await.unwrap();
        assert_eq!((event.data.as_deref(), event.name), (Some(text), None));
    }
    let mut newcomer = Endless::get(gate.port(), "/ev/sse", &[]).await;
    publish(&gate, "six").await;
    assert_eq!(newcomer.data().await.unwrap(), "six", "who does not resume begins with what comes next");
}

#[tokio::test]
async fn who_comes_back_too_late_is_told_what_it_missed() {
    let gate = gate(post_to_sse(json!({"delivery": "broadcast", "ring": 4}))).await;
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    publish(&gate, "0").await;
    let first = sse.event().await.unwrap().id.unwrap();
    drop(sse);
    for number in 1..=10 {
        publish(&gate, &number.to_string()).await;
    }
    let foreign = "AAAAAAAAAAAAAAAAAAAAAA";
    for (token, missed) in
        [(first.as_str(), "{\"missed\":6}"), (foreign, "{\"missed\":null}"), ("?", "{\"missed\":null}")]
    {
        let mut sse = Endless::get(gate.port(), "/ev/sse", &[&format!("Last-Event-ID: {token}")]).await;
        let notice = sse.event().await.unwrap();
        assert_eq!(
            (notice.name.as_deref(), notice.data.as_deref()),
            (Some("missed"), Some(missed)),
            "{token}"
        );
        for number in 7..=10 {
            assert_eq!(sse.data().await.unwrap(), number.to_string(), "{token}");
        }
    }
}

#[tokio::test]
async fn a_stuck_subscriber_of_a_broadcast_misses_some_and_slows_nobody() {
    // 160 messages of 64 KiB are more than the kernel buffers for one client.
    let mapping = format!(
        "root.n = counter()\nroot.pad = range(0, 1024).map_each(_ -> \"{}\").join(\"\")",
        "0".repeat(64)
    );
    let gate = gate(json!({
        "input": {"generate": {"interval": "5ms", "count": 160, "mapping": mapping}},
        "output": sse_output(json!({"delivery": "broadcast", "ring": 8})),
    }))
    .await;
    let mut lazy = stuck(&gate).await;
    let mut quick = Endless::get(gate.port(), "/ev/sse", &[]).await.collect();
    let first = number(&soon("an event", quick.recv()).await.unwrap());
    for expected in first + 1..=160 {
        let event = soon("the next event while another subscriber is stuck", quick.recv()).await.unwrap();
        assert_eq!(number(&event), expected);
    }

    let begin = number(&lazy.data().await.unwrap());
    let (mut received, mut missed) = (1, 0);
    let mut at = begin;
    while at < 160 {
        let event = lazy.event().await.expect("who was skipped goes on");
        let data = event.data.unwrap();
        if event.name.as_deref() == Some("missed") {
            missed += serde_json::from_str::<Value>(&data).unwrap()["missed"].as_u64().unwrap();
        } else {
            assert!(number(&data) > at, "order");
            at = number(&data);
            received += 1;
        }
    }
    assert!(missed > 0, "160 messages of 64 KiB fit into a socket's buffers");
    assert_eq!(begin - 1 + received + missed, 160, "the notices do not add up");
}

#[tokio::test]
async fn a_stuck_subscriber_of_a_broadcast_does_not_hold_up_producers() {
    let gate = gate(post_to_sse(json!({"delivery": "broadcast"}))).await;
    let _lazy = stuck(&gate).await;
    let mut quick = Endless::get(gate.port(), "/ev/sse", &[]).await.collect();
    let big = big_file(&gate);
    // It fills the lazy one's buffers for good.
    let reply = post(&gate.url("/ev/post"), &big, &[]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(soon("the big message", quick.recv()).await.unwrap().len(), 16 << 20);
    for number in 0..3 {
        publish(&gate, &number.to_string()).await;
        assert_eq!(soon("a small message", quick.recv()).await.unwrap(), number.to_string());
    }
}

#[tokio::test]
async fn a_stuck_subscriber_of_a_shared_stream_leaves_the_rest_to_others() {
    let gate = gate(post_to_sse(json!({}))).await;
    let lazy = stuck(&gate).await;
    let (url, big) = (gate.url("/ev/post"), big_file(&gate));
    // The only subscriber gets the first message and takes less than all of it.
    let first = tokio::spawn(async move { post(&url, &big, &[]).await });
    lazy.readable().await;
    let mut quick = Endless::get(gate.port(), "/ev/sse", &[]).await.collect();
    for number in 0..20 {
        publish(&gate, &number.to_string()).await;
        assert_eq!(soon("the others' messages", quick.recv()).await.unwrap(), number.to_string());
    }
    drop(lazy);
    let again = soon("the message that was not taken", quick.recv()).await.unwrap();
    assert_eq!(again.len(), 16 << 20, "an unconfirmed message goes to another subscriber");
    let first = first.await.unwrap();
    assert!(matches!(first.status, 200 | 408), "{first:?}");
}

#[tokio::test]
async fn subscribers_that_left_take_nothing_along() {
    let gate = gate(post_to_sse(json!({"path": "/next", "ws_path": "/ws"}))).await;
    for _ in 0..3 {
        drop(Endless::get(gate.port(), "/ev/sse", &[]).await);
        drop(Socket::open(gate.port(), "/ev/ws", &[]).await.unwrap());
    }
    let (url, next) = (gate.url("/ev/post"), [gate.url("/ev/next")]);
    let next = next.each_ref().map(String::as_str);
    let (posted, got) = tokio::join!(post(&url, "mine", &[]), curl(&next));
    assert_eq!((got.status, got.text()), (200, "mine"), "somebody who had left got the message");
    assert_eq!(posted.status, 200);
}

#[tokio::test]
async fn who_gave_up_waiting_takes_nothing_along() {
    let gate = gate(post_to_sse(json!({"path": "/next"}))).await;
    for _ in 0..3 {
        let impatient = gate.get("/ev/next", &["--max-time", "0.1"]).await;
        assert_eq!(impatient.exit, 28, "{impatient:?}");
    }
    let (url, next) = (gate.url("/ev/post"), [gate.url("/ev/next")]);
    let next = next.each_ref().map(String::as_str);
    let (posted, got) = tokio::join!(post(&url, "mine", &[]), curl(&next));
    assert_eq!((got.status, got.text()), (200, "mine"), "somebody who had left got the message");
    assert_eq!(posted.status, 200);
}
