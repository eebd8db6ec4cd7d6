//! The main job, with a real broker: a guarded subscriber receives what others produced, whole, in order, and whatever
//! dies on the way comes back without having lost anything that was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use e2e::definition::session;
use e2e::streaming::{events, guarded, post, sse_output};
use e2e::{Broker, Endless, Gate, PATIENCE, soon, tools, until};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

/// A name that nobody else uses, in this run or another.
fn unique(name: &str) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    format!("e2e-{name}-{now}-{}-{number}", std::process::id())
}

/// From POSTs on `/post` into a topic, which is made with three partitions if it is not there.
fn producing(broker: &str, topic: &str, timeout: &str) -> Value {
    json!({
        "input": {"http_server": {"path": "/post", "ws_path": "", "timeout": timeout}},
        "output": {"kafka": {
            "addresses": [broker],
            "topic": topic,
            "key": "${! json(\"k\") }",
            "custom_topic_creation": {"enabled": true, "partitions": 3, "replication_factor": 1},
        }},
    })
}

/// From a topic, through a mapping that tells where each event stood in it, to server-sent events on `/sse`.
fn consuming(broker: &str, topic: &str, output: Value) -> Value {
    json!({
        "input": {"kafka": {
            "addresses": [broker],
            "topics": [topic],
            "consumer_group": unique("group"),
            "group": {"session_timeout": "6s", "heartbeat_interval": "500ms"},
        }},
        "pipeline": {"processors": [{"mapping":
            "root.n = this.n\nroot.p = metadata(\"kafka_partition\")\nroot.o = metadata(\"kafka_offset\")"}]},
        "output": sse_output(output),
    })
}

/// An event as the subscriber sees it: number, partition, offset.
fn event(data: &str) -> (u64, u64, u64) {
    let event: Value = serde_json::from_str(data).unwrap();
    let field = |name: &str| event[name].as_u64().unwrap_or_else(|| panic!("no {name} in {data}"));
    (field("n"), field("p"), field("o"))
}

/// `count` events with keys for `kcat -K:`, numbered from `first`.
fn lines(first: u64, count: u64) -> Vec<u8> {
    let mut lines = String::new();
    for n in first..first + count {
        writeln!(lines, "k{}:{{\"k\":\"k{}\",\"n\":{n}}}", n % 97, n % 97).unwrap();
    }
    lines.into_bytes()
}

async fn produce(broker: &str, topic: &str, lines: &[u8]) {
    tools::program("kcat", &["-b", broker, "-t", topic, "-P", "-K:"], lines).await;
}

/// Everything in a topic up to its present end: key and payload.
async fn whole_topic(broker: &str, topic: &str) -> Vec<(String, String)> {
    let arguments = ["-b", broker, "-t", topic, "-C", "-q", "-o", "beginning", "-e", "-f", "%k\t%s\n"];
    let text = tools::program("kcat", &arguments, b"").await;
    text.lines().map(|line| line.split_once('\t').unwrap()).map(|(k, v)| (k.into(), v.into())).collect()
}

/// Everything that comes out of these subscribers until `count` events have come, by subscriber.
async fn take<const N: usize>(
    subscribers: &mut [UnboundedReceiver<String>; N],
    count: usize,
) -> [Vec<(u64, u64, u64)>; N] {
    let mut seen = [const { Vec::new() }; N];
    let deadline = tokio::time::Instant::now() + 3 * PATIENCE;
    let mut total = 0;
    while total < count {
        for (subscriber, seen) in subscribers.iter_mut().zip(&mut seen) {
            while total < count
                && let Ok(data) = subscriber.try_recv()
            {
                seen.push(event(&data));
                total += 1;
            }
        }
        assert!(tokio::time::Instant::now() < deadline, "only {total} of {count} events came");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    seen
}

/// In every partition the offsets go up.
fn assert_in_order(events: &[(u64, u64, u64)]) {
    let mut last = BTreeMap::new();
    for (n, partition, offset) in events {
        if let Some(before) = last.insert(partition, offset) {
            assert!(offset > before, "event {n}: offset {offset} of partition {partition} after {before}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_events_reach_guarded_subscribers() {
    let broker = tools::service("kafka");
    let topic = unique("main");
    let gate = Gate::setup()
        .oas(guarded(events("in", json!({"s": producing(&broker, &topic, "20s")}))))
        .start()
        .await;
    let admin = gate.admin();
    let producer = admin.key(&session(&["in"])).await;
    let stranger = format!("Authorization: {producer}");
    let keys = [admin.key(&session(&["out"])).await, admin.key(&session(&["out"])).await];
    let keys = keys.map(|key| format!("Authorization: {key}"));

    // The first event goes through the gate and makes the topic.
    let url = gate.url("/in/post");
    assert_eq!(post(&url, "{\"k\":\"k0\",\"n\":0}", &[]).await.status, 401);
    let first = post(&url, "{\"k\":\"k0\",\"n\":0}", &["-H", &stranger]).await;
    assert_eq!(first.status, 200, "{first:?}");
    let metadata = tools::program("kcat", &["-b", &broker, "-L", "-t", &topic], b"").await;
    assert!(metadata.contains("with 3 partitions"), "{metadata}");

    let stream = |name: &str, mut stream: Value| {
        stream["output"]["http_server"]["stream_path"] = json!(format!("/{name}"));
        stream
    };
    let wait = json!({"delivery": "broadcast", "slow_subscriber": "wait"});
    let out = guarded(events(
        "out",
        json!({
            "shared": stream("shared", consuming(&broker, &topic, json!({}))),
            "all": stream("all", consuming(&broker, &topic, wait)),
        }),
    ));
    let added = admin.post("/apis/oas", &out).await;
    assert_eq!(added.status, 200, "{added:?}");

    for (fields, status) in [(vec![], 401), (vec!["Authorization: nonsense"], 403), (vec![&*stranger], 403)] {
        for path in ["/out/shared", "/out/all"] {
            assert_eq!(Endless::get(gate.port(), path, &fields).await.status, status, "{path} {fields:?}");
        }
    }
    let open = async |path: &str, key: &str| {
        let sse = Endless::get(gate.port(), path, &[key]).await;
        assert_eq!(sse.status, 200);
        sse.collect()
    };
    // In `broadcast` an event is for whoever is there when it comes: the first one may have been before them.
    let mut all = [open("/out/all", &keys[0]).await, open("/out/all", &keys[1]).await];
    let mut shared = [open("/out/shared", &keys[0]).await, open("/out/shared", &keys[1]).await];
    produce(&broker, &topic, &lines(1, 10_000)).await;

    let seen = take(&mut shared, 10_001).await;
    seen.iter().for_each(|events| assert_in_order(events));
    assert!(seen.iter().all(|events| events.len() > 100), "a subscriber starves beside the other");
    let mut numbers: Vec<u64> = seen.iter().flatten().map(|(n, ..)| *n).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..=10_000), "every event exactly once over both");
    let partitions: BTreeSet<u64> = seen.iter().flatten().map(|(_, partition, _)| *partition).collect();
    assert_eq!(partitions, BTreeSet::from([0, 1, 2]));

    for (index, subscriber) in all.iter_mut().enumerate() {
        let [mut seen] = take(std::array::from_mut(subscriber), 10_000).await;
        if seen.iter().any(|(n, ..)| *n == 0) {
            let [last] = take(std::array::from_mut(subscriber), 1).await;
            seen.extend(last);
        }
        assert_in_order(&seen);
        let mut numbers: Vec<u64> = seen.iter().map(|(n, ..)| *n).filter(|n| *n > 0).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(1..=10_000), "subscriber {index} does not get every event once");
    }
    assert!(shared.iter_mut().all(|subscriber| subscriber.try_recv().is_err()), "an event came twice");

    // And back: what is posted can be read with kcat.
    for n in 20_000..20_020 {
        let body = format!("{{\"k\":\"key{n}\",\"n\":{n}}}");
        let reply = post(&url, &body, &["-H", &stranger]).await;
        assert_eq!((reply.status, reply.text()), (200, ""), "{reply:?}");
    }
    let topic: Vec<_> = whole_topic(&broker, &topic).await;
    for n in 20_000..20_020 {
        let expected = (format!("key{n}"), format!("{{\"k\":\"key{n}\",\"n\":{n}}}"));
        assert_eq!(topic.iter().filter(|record| **record == expected).count(), 1, "{expected:?}");
    }
}

/// Posts numbered events until told to stop.
struct Producers {
    workers: Vec<JoinHandle<BTreeSet<u64>>>,
    done: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl Producers {
    /// `fails` says whether an answer other than 200 is all right.
    fn start(port: u16, fails: fn(&str) -> bool) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let (accepted, refused) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let worker = |worker: u64| {
            let (done, accepted, refused) = (done.clone(), accepted.clone(), refused.clone());
            tokio::spawn(async move {
                let mut acknowledged = BTreeSet::new();
                let mut n = 1_000_000 * (worker + 1);
                while !done.load(Ordering::Relaxed) {
                    n += 1;
                    let body = format!("{{\"k\":\"k{}\",\"n\":{n}}}", n % 97);
                    let request = format!(
                        "POST /in/post HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    let Ok(mut socket) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else {
                        refused.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                        continue;
                    };
                    let answer = soon("an answer to a producer", exchange(&mut socket, &request)).await;
                    if answer.starts_with("HTTP/1.1 200 ") {
                        acknowledged.insert(n);
                        accepted.fetch_add(1, Ordering::Relaxed);
                    } else {
                        assert!(fails(&answer), "{answer:?}");
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
                acknowledged
            })
        };
        let workers = (0..4).map(worker).collect();
        Self { workers, done, accepted, refused }
    }

    /// Waits for `count` more acknowledged events.
    async fn more(&self, count: usize) {
        let goal = self.accepted.load(Ordering::Relaxed) + count;
        until("acknowledged events", async || self.accepted.load(Ordering::Relaxed) >= goal).await;
    }

    /// Ends them and gives the numbers of all events that were acknowledged.
    async fn stop(self) -> BTreeSet<u64> {
        self.done.store(true, Ordering::Relaxed);
        let mut all = BTreeSet::new();
        for worker in self.workers {
            all.extend(worker.await.unwrap());
        }
        all
    }
}

async fn exchange(socket: &mut tokio::net::TcpStream, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut answer = Vec::new();
    let _ = socket.write_all(request.as_bytes()).await;
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

fn numbers(records: &[(String, String)]) -> BTreeSet<u64> {
    records
        .iter()
        .map(|(_, payload)| serde_json::from_str::<Value>(payload).unwrap()["n"].as_u64().unwrap())
        .collect()
}

/// Reads until every one of `expected` has come; what comes besides or twice does not matter.
async fn until_all(
    subscriber: &mut UnboundedReceiver<String>,
    seen: &mut BTreeSet<u64>,
    expected: &BTreeSet<u64>,
) {
    while !expected.is_subset(seen) {
        let left = expected.difference(seen).count();
        let data = soon(&format!("{left} more events of {}", expected.len()), subscriber.recv()).await;
        seen.insert(event(&data.expect("the stream goes on")).0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_dies_and_comes_back_loses_nothing_acknowledged() {
    let broker = Broker::start().await;
    let address = broker.address();
    let gate = Gate::setup()
        .oas(events("in", json!({"s": producing(&address, "t", "1s")})))
        .oas(events("out", json!({"s": consuming(&address, "t", json!({}))})))
        .start()
        .await;
    let mut subscriber = Endless::get(gate.port(), "/out/sse", &[]).await.collect();
    let mut seen = BTreeSet::new();
    let producers = Producers::start(gate.port(), |answer| {
        answer.starts_with("HTTP/1.1 503 ") || answer.starts_with("HTTP/1.1 408 ")
    });
    producers.more(200).await;
    broker.kill().await;
    let refused = producers.refused.load(Ordering::Relaxed);
    let accepted = producers.accepted.load(Ordering::Relaxed);
    until("producers are told", async || producers.refused.load(Ordering::Relaxed) >= refused + 8).await;
    assert!(producers.accepted.load(Ordering::Relaxed) <= accepted + 4, "a 200 without a broker");
    assert_eq!(gate.get("/ready", &[]).await.status, 200, "a broker that is away takes no gate out");
    broker.restart().await;
    producers.more(200).await;
    let acknowledged = producers.stop().await;

    let topic = numbers(&whole_topic(&address, "t").await);
    let lost: Vec<_> = acknowledged.difference(&topic).collect();
    assert!(lost.is_empty(), "answered with 200 and not in the topic: {lost:?}");
    until_all(&mut subscriber, &mut seen, &topic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_gate_loses_nothing_acknowledged() {
    let broker = tools::service("kafka");
    let topic = unique("kill");
    let mut gate = Gate::setup()
        .oas(events("in", json!({"s": producing(&broker, &topic, "20s")})))
        .oas(events("out", json!({"s": consuming(&broker, &topic, json!({}))})))
        .start()
        .await;
    // A killed gate answers nothing; one that has just come back may still connect its streams.
    let producers =
        Producers::start(gate.port(), |answer| answer.is_empty() || answer.starts_with("HTTP/1.1 503 "));
    producers.more(1).await;
    produce(&broker, &topic, &lines(0, 10_000)).await;
    let mut seen = BTreeSet::new();
    for round in 1..=2 {
        let mut subscriber = Endless::get(gate.port(), "/out/sse", &[]).await.collect();
        for _ in 0..2_000 {
            let data = soon("an event before the kill", subscriber.recv()).await.unwrap();
            seen.insert(event(&data).0);
        }
        producers.more(100).await;
        gate.kill();
        // What had reached this side counts as received.
        while let Some(data) = soon("the end of a cut stream", subscriber.recv()).await {
            seen.insert(event(&data).0);
        }
        println!("kill {round}: {} events seen", seen.len());
        gate.start().await;
        producers.more(100).await;
    }
    let mut expected = producers.stop().await;
    expected.extend(0..10_000);
    let kept = numbers(&whole_topic(&broker, &topic).await);
    let lost: Vec<_> = expected.difference(&kept).collect();
    assert!(lost.is_empty(), "acknowledged and not in the topic: {lost:?}");
    let mut subscriber = Endless::get(gate.port(), "/out/sse", &[]).await.collect();
    until_all(&mut subscriber, &mut seen, &expected).await;
}

#[tokio::test]
async fn a_record_that_no_broker_takes_is_refused_and_holds_up_nobody() {
    let broker = tools::service("kafka");
    let topic = unique("oversized");
    let producer = producing(&broker, &topic, "5s");
    let gate = Gate::setup().oas(events("ev", json!({"s": producer}))).start().await;
    let (small, large) = (json!({"k": "a", "n": 1}).to_string(), json!({"k": "a", "n": "x".repeat(3 << 20)}));
    assert_eq!(post(&gate.url("/ev/post"), &small, &[]).await.status, 200);
    let file = gate.dir().join("large.json");
    std::fs::write(&file, large.to_string()).unwrap();
    let refused = gate.get("/ev/post", &["--data-binary", &format!("@{}", file.display())]).await;
    assert!(refused.status >= 400, "{refused:?}");
    // What comes behind it passes, and it is nowhere.
    let after = json!({"k": "a", "n": 2}).to_string();
    until("what comes behind it passes", async || {
        post(&gate.url("/ev/post"), &after, &[]).await.status == 200
    })
    .await;
    let written = whole_topic(&broker, &topic).await;
    assert!(written.iter().all(|(_, record)| *record == small || *record == after), "{written:?}");
}

#[tokio::test]
async fn brokers_of_a_list_that_are_gone_are_passed_over() {
    let broker = tools::service("kafka");
    let topic = unique("list");
    let gone = format!("127.0.0.1:{}", e2e::free_port());
    let mut producer = producing(&broker, &topic, "20s");
    producer["output"]["kafka"]["addresses"] = json!([gone, broker]);
    let mut consumer = consuming(&broker, &topic, json!({}));
    consumer["input"]["kafka"]["addresses"] = json!([gone, broker]);
    let gate = Gate::setup().oas(events("ev", json!({"p": producer, "c": consumer}))).start().await;
    let mut subscriber = Endless::get(gate.port(), "/ev/sse", &[]).await;
    assert_eq!(post(&gate.url("/ev/post"), &json!({"k": "a", "n": 7}).to_string(), &[]).await.status, 200);
    assert_eq!(event(&soon("an event", subscriber.data()).await.unwrap()).0, 7);
}
