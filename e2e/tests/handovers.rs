//! A stream that is changed while messages flow, where it has what only one can have: a name at a broker, a file. The new
//! one begins when the old one is over, so that nothing is lost, and nothing comes twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use e2e::streaming::{events, post, sse_output};
use e2e::{Endless, Gate, Redis, tools, until};
use serde_json::{Value, json};

/// How many messages flow.
const COUNT: usize = 400;
/// How often the stream is changed meanwhile.
const CHANGES: usize = 5;

/// The API `moving` with one stream: its input, what stands beside that, and where messages arrive.
fn moving(redis: &Redis, round: usize, input: &Value, more: &Value) -> Value {
    // The change: what runs is compared by content.
    let mapping = format!("meta round = {round}");
    let mut stream = json!({
        "input": input,
        "pipeline": {"threads": 1, "processors": [{"mapping": mapping}]},
        "output": {"redis_list": {"url": url(redis), "key": "arrived"}},
    });
    for (name, value) in more.as_object().unwrap() {
        stream[name] = value.clone();
    }
    events("moving", json!({"s": stream}))
}

fn url(redis: &Redis) -> String {
    format!("redis://:{}@127.0.0.1:{}", Redis::PASSWORD, redis.port())
}

/// Puts this definition in the place of what runs, and waits until it does.
async fn change(gate: &Gate, definition: &Value) {
    gate.write("apps/moving-oas.json", &definition.to_string());
    gate.admin().reload().await;
}

/// Changes the stream while `sent` grows to `COUNT`, evenly.
async fn change_while(gate: &Gate, sent: &AtomicUsize, definition: impl Fn(usize) -> Value) {
    for round in 1..=CHANGES {
        until("messages flow", async || sent.load(Ordering::Relaxed) >= round * COUNT / (CHANGES + 1)).await;
        change(gate, &definition(round)).await;
    }
}

/// What arrived, with how often, once all is there and nothing more comes for a while.
async fn arrived(redis: &Redis) -> BTreeMap<String, usize> {
    let mut before = (Instant::now(), 0);
    until("all messages have arrived", async || {
        let now: usize = redis.call(&["LLEN", "arrived"]).parse().unwrap();
        if now != before.1 {
            before = (Instant::now(), now);
        }
        now >= COUNT && before.0.elapsed() > Duration::from_millis(1_500)
    })
    .await;
    let mut counts = BTreeMap::new();
    for line in redis.call(&["LRANGE", "arrived", "0", "-1"]).lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}

fn once_each() -> BTreeMap<String, usize> {
    (0..COUNT).map(|number| (number.to_string(), 1)).collect()
}

fn streams_input(redis: &Redis) -> Value {
    let fields = json!({
        "url": url(redis), "streams": ["orders"], "consumer_group": "g", "client_id": "one", "body_key": "body",
    });
    json!({"redis_streams": fields})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_of_redis_streams_hands_over_and_each_message_arrives_once() {
    let redis = Redis::start().await;
    let input = streams_input(&redis);
    let of = |round| moving(&redis, round, &input, &json!({}));
    let gate = Gate::setup().oas(of(0)).start().await;
    let sent = AtomicUsize::new(0);
    let sending = async {
        for number in 0..COUNT {
            let number = number.to_string();
            tokio::task::block_in_place(|| redis.call(&["XADD", "orders", "*", "body", &number]));
            sent.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(sending, change_while(&gate, &sent, of));
    assert_eq!(arrived(&redis).await, once_each());
    let pending = redis.call(&["XPENDING", "orders", "g"]);
    assert!(pending.starts_with('0'), "{pending}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_mqtt_hands_over_and_each_message_arrives_once() {
    let redis = Redis::start().await;
    let broker = tools::service("mosquitto");
    let port = broker.rsplit(':').next().unwrap().to_owned();
    let topic = format!("handover/{}", std::process::id());
    let input = json!({"mqtt": {
        "urls": [format!("tcp://127.0.0.1:{port}")], "topics": [topic], "qos": 1,
        "client_id": format!("handover-{}", std::process::id()), "clean_session": false,
    }});
    let of = |round| moving(&redis, round, &input, &json!({}));
    let gate = Gate::setup().oas(of(0)).start().await;
    until("the stream is subscribed", async || {
        tools::program("mosquitto_pub", &["-p", &port, "-q", "1", "-t", &topic, "-m", "knock"], b"").await;
        redis.call(&["LLEN", "arrived"]) != "0"
    })
    .await;
    redis.call(&["DEL", "arrived"]);

    let sent = AtomicUsize::new(0);
    let sending = async {
        // A few at a time: each connection to the broker costs a process.
        for first in (0..COUNT).step_by(5) {
            let lines: String = (first..first + 5).map(|number| format!("{number}\n")).collect();
            let arguments = ["-p", &port, "-q", "1", "-t", &topic, "-l"];
            tools::program("mosquitto_pub", &arguments, lines.as_bytes()).await;
            sent.fetch_add(5, Ordering::Relaxed);
        }
    };
    tokio::join!(sending, change_while(&gate, &sent, of));
    let mut counts = arrived(&redis).await;
    counts.remove("knock");
    assert_eq!(counts, once_each());
    assert!(!gate.log().contains("mqtt connection lost"), "the two threw each other out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buffer_on_disk_hands_its_file_over_and_producers_wait() {
    let redis = Redis::start().await;
    let input = json!({"http_server": {"path": "/post", "ws_path": ""}});
    let folder = Gate::setup().prepare();
    let buffer = json!({"buffer": {"sqlite": {"path": folder.dir().join("buffer.db")}}});
    let of = |round| {
        let mut more = buffer.clone();
        if round == 0 {
            // Busy with a message when it is replaced, so that it holds the file still.
            more["pipeline"] = json!({"threads": 1, "processors": [{"sleep": {"duration": "300ms"}}]});
        }
        moving(&redis, round, &input, &more)
    };
    let conf = json!({"streaming": {"allow_unsafe": ["sqlite"]}});
    let gate = Gate::setup().conf(conf).oas(of(0)).start().await;
    let sent = Arc::new(AtomicUsize::new(0));
    let url = gate.url("/moving/post");
    let sending = async {
        for number in 0..COUNT {
            // Only what was not taken is sent again: a request may just have reached the stream that closes.
            loop {
                let reply = post(&url, &number.to_string(), &[]).await;
                if reply.status == 200 {
                    break;
                }
                assert_eq!((reply.status, reply.text().contains("closing")), (503, true), "{reply:?}");
            }
            sent.fetch_add(1, Ordering::Relaxed);
        }
    };
    tokio::join!(sending, change_while(&gate, &sent, of));
    assert_eq!(arrived(&redis).await, once_each());
    assert!(!gate.log().contains("another stream or process has the file"), "they fought for the file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_of_the_new_stream_waits_until_the_old_one_has_delivered() {
    let redis = Redis::start().await;
    let output = json!({"output": sse_output(json!({}))});
    // The old one is busy for a second with what it has.
    let slow = json!({"processors": [{"sleep": {"duration": "1s"}}]});
    let slow = json!({"pipeline": slow, "output": output["output"]});
    let input = streams_input(&redis);
    let gate = Gate::setup().oas(moving(&redis, 0, &input, &slow)).start().await;
    let mut first = Endless::get(gate.port(), "/moving/sse", &[]).await;
    redis.call(&["XADD", "orders", "*", "body", "old"]);
    until("the message is given out", async || !redis.call(&["XPENDING", "orders", "g"]).starts_with('0'))
        .await;
    change(&gate, &moving(&redis, 1, &input, &output)).await;
    // Connected, not refused, though nothing can come yet.
    let mut second = Endless::get(gate.port(), "/moving/sse", &[]).await;
    redis.call(&["XADD", "orders", "*", "body", "new"]);
    assert_eq!(first.data().await.unwrap(), "old");
    assert_eq!(second.data().await.unwrap(), "new", "what the old one delivered comes no second time");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_built_leaves_the_old_stream_as_it_is() {
    let redis = Redis::start().await;
    let input = streams_input(&redis);
    let gate = Gate::setup().oas(moving(&redis, 0, &input, &json!({}))).start().await;
    change(&gate, &moving(&redis, 1, &input, &json!({"buffer": {"no_such": {}}}))).await;
    redis.call(&["XADD", "orders", "*", "body", "still here"]);
    until("the old one goes on", async || redis.call(&["LRANGE", "arrived", "0", "-1"]) == "still here")
        .await;
}
