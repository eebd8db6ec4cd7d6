//! Whole streams, with tests at both ends of in-process topics.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use crate::endpoint::{Endpoint, EndpointPort, Role};
use crate::feed::From;
use crate::run::build;
use crate::topics::Topic;
use crate::*;

type Outcomes = Arc<Mutex<Vec<(&'static str, Outcome)>>>;

/// Settings whose endpoints and lines are kept for the test.
#[derive(Default, Clone)]
struct Bench {
    endpoints: Arc<Mutex<Vec<Endpoint>>>,
    topics: Topics,
    lines: Arc<Mutex<Vec<u8>>>,
    outcomes: Outcomes,
}

impl EndpointPort for Bench {
    fn offer(&self, endpoint: Endpoint) -> Result<(), String> {
        self.endpoints.lock().push(endpoint);
        Ok(())
    }
}

impl Lines for Bench {
    fn write_all(&self, bytes: &[u8]) -> std::io::Result<()> {
        self.lines.lock().extend_from_slice(bytes);
        Ok(())
    }
}

impl Bench {
    fn settings(&self) -> Settings {
        Settings {
            port: Arc::new(self.clone()),
            topics: self.topics.clone(),
            lines: Arc::new(self.clone()),
            ..Settings::new(Registry::standard())
        }
    }

    fn start(&self, config: &Json) -> RunningStream {
        build("test", config, "", &self.settings()).unwrap().start()
    }

    fn topic(&self, name: &str) -> Arc<Topic> {
        self.topics.get(name)
    }

    fn ingest(&self) -> Arc<Ingest> {
        let endpoints = self.endpoints.lock();
        let found = endpoints.iter().find_map(|endpoint| match &endpoint.role {
            Role::Ingest(ingest) => Some(ingest.clone()),
            _ => None,
        });
        found.unwrap()
    }

    fn feed(&self) -> Arc<Feed> {
        let endpoints = self.endpoints.lock();
        let found = endpoints.iter().find_map(|endpoint| match &endpoint.role {
            Role::Stream(feed) => Some(feed.clone()),
            _ => None,
        });
        found.unwrap()
    }

    /// A batch whose outcome is kept under its first message.
    fn transaction(&self, texts: &[&'static str]) -> Transaction {
        let outcomes = self.outcomes.clone();
        let first = texts[0];
        let ack = Ack::new(move |outcome| outcomes.lock().push((first, outcome)));
        Transaction { batch: texts.iter().map(|text| Message::new(*text)).collect(), ack }
    }

    /// What became of batches so far, by name, in order.
    fn results(&self) -> Vec<(&'static str, bool)> {
        self.outcomes.lock().iter().map(|(name, outcome)| (*name, outcome.is_ok())).collect()
    }

    async fn until(&self, count: usize) -> Vec<(&'static str, bool)> {
        while self.results().len() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.results()
    }
}

async fn take(topic: &Topic) -> (Vec<String>, Transaction) {
    let transaction = topic.read().await.unwrap();
    (texts(&transaction.batch), transaction)
}

fn texts(batch: &[Message]) -> Vec<String> {
    batch.iter().map(|message| String::from_utf8_lossy(message.bytes()).into_owned()).collect()
}

fn relay() -> Json {
    json!({ "input": { "inproc": "in" }, "output": { "inproc": "out" } })
}

#[tokio::test(start_paused = true)]
async fn acks_and_nacks_run_from_the_output_to_the_input() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let stream = bench.start(&relay());
    input.write(bench.transaction(&["a"])).await;
    let (batch, transaction) = take(&output).await;
    assert_eq!(batch, ["a"]);
    assert!(bench.results().is_empty(), "not acked before it is delivered");
    transaction.ack.done(Ok(()));
    input.write(bench.transaction(&["b", "c", "d"])).await;
    let (_, transaction) = take(&output).await;
    let reason = NackReason::failed("no").only([&transaction.batch[1]]);
    transaction.ack.done(Err(reason));
    input.write(bench.transaction(&["e"])).await;
    drop(take(&output).await);
    assert_eq!(bench.until(3).await, [("a", true), ("b", false), ("e", false)]);
    stream.stop(Duration::from_secs(1), CloseReason::Removed).await;
}

#[tokio::test(start_paused = true)]
async fn threads_keep_the_order() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let mut config = relay();
    config["pipeline"] = json!({ "threads": 4, "processors": [{ "noop": {} }, { "noop": {} }] });
    let stream = bench.start(&config);
    let names = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let transactions: Vec<Transaction> = names.iter().map(|name| bench.transaction(&[*name])).collect();
    tokio::spawn(async move {
        for transaction in transactions {
            input.write(transaction).await;
        }
    });
    for name in names {
        let (batch, transaction) = take(&output).await;
        assert_eq!(batch, [name]);
        transaction.ack.done(Ok(()));
    }
    let status = stream.status();
    let noop = status.components.iter().find(|probe| probe.type_name == "noop").unwrap();
    assert_eq!(
        (noop.path.as_str(), noop.received.get(), noop.sent.get()),
        ("root.pipeline.processors.0", 10, 10)
    );
    assert!(status.connected());
}

#[tokio::test(start_paused = true)]
async fn a_slow_end_slows_the_start() {
    let bench = Bench::default();
    let (input, _output) = (bench.topic("in"), bench.topic("out"));
    let _stream = bench.start(&relay());
    let mut taken = 0;
    while tokio::time::timeout(Duration::from_secs(9), input.write(bench.transaction(&["x"]))).await.is_ok() {
        taken += 1;
        assert!(taken < 20, "something between the ends has no bound");
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_delivers_what_is_under_way_and_nacks_the_rest_at_the_deadline() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let stream = bench.start(&relay());
    input.write(bench.transaction(&["delivered"])).await;
    input.write(bench.transaction(&["stuck"])).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let stopping = tokio::spawn(stream.stop(Duration::from_secs(4), CloseReason::Removed));
    tokio::time::sleep(Duration::from_millis(5)).await;
    take(&output).await.1.ack.done(Ok(()));
    drop(take(&output).await);
    let started = tokio::time::Instant::now();
    stopping.await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "it ends as soon as it is drained");
    assert_eq!(bench.until(2).await, [("delivered", true), ("stuck", false)]);

    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let stream = bench.start(&relay());
    for name in ["a", "b", "c"] {
        input.write(bench.transaction(&[name])).await;
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    stream.stop(Duration::from_secs(4), CloseReason::Removed).await;
    // One waits in the topic, which is not the stream's; what the stream itself held was nacked.
    drop((input, output));
    let mut results = bench.until(3).await;
    results.sort_unstable();
    assert_eq!(results, [("a", false), ("b", false), ("c", false)]);
}

fn http_to(output: Json) -> Json {
    json!({ "input": { "http_server": { "path": "/in", "ws_path": "", "timeout": "2s" } }, "output": output })
}

#[tokio::test(start_paused = true)]
async fn a_producer_is_told_the_truth() {
    let bench = Bench::default();
    let output = bench.topic("out");
    let built = build("test", &http_to(json!({ "inproc": "out" })), "", &bench.settings()).unwrap();
    let ingest = bench.ingest();
    let submit = |text: &'static str| {
        let ingest = ingest.clone();
        tokio::spawn(async move { ingest.submit(vec![Message::new(text)]).await })
    };
    assert_eq!(submit("early").await.unwrap(), Err(IngestError::Closing), "not started");
    let stream = built.start();
    tokio::time::sleep(Duration::from_millis(5)).await;

    let producer = submit("good");
    let (_, transaction) = take(&output).await;
    assert!(!producer.is_finished(), "no success before the ack");
    transaction.ack.done(Ok(()));
    assert_eq!(producer.await.unwrap(), Ok(None));

    let producer = submit("bad");
    take(&output).await.1.ack.done(Err(NackReason::failed("broker says no")));
    assert_eq!(producer.await.unwrap(), Err(IngestError::Rejected("broker says no".into())));

    let producer = submit("slow");
    let (_, transaction) = take(&output).await;
    let started = tokio::time::Instant::now();
    assert_eq!(producer.await.unwrap(), Err(IngestError::Timeout));
    assert_eq!(started.elapsed().as_secs(), 2);
    drop(transaction);

    let producer = submit("late");
    let (_, transaction) = take(&output).await;
    let stopping = tokio::spawn(stream.stop(Duration::from_millis(100), CloseReason::ShuttingDown));
    stopping.await.unwrap();
    drop(transaction);
    assert_eq!(producer.await.unwrap(), Err(IngestError::Closing));
    assert_eq!(submit("after").await.unwrap(), Err(IngestError::Closing));
}

#[tokio::test(start_paused = true)]
async fn a_stream_can_answer_its_producers() {
    let bench = Bench::default();
    let mut config = http_to(json!({ "sync_response": {} }));
    config["input"]["http_server"]["sync_response"] =
        json!({ "status": "201", "headers": { "X-Kind": "echo" } });
    let _stream = bench.start(&config);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let answer = bench.ingest().submit(vec![Message::new("hello")]).await.unwrap().unwrap();
    assert_eq!((answer.status, &*answer.body), (201, &b"hello"[..]));
    assert_eq!(answer.headers, [("X-Kind".to_owned(), "echo".to_owned())]);
    let answer = bench.ingest().submit(vec![Message::new("a"), Message::new("b")]).await.unwrap().unwrap();
    let body = String::from_utf8_lossy(&answer.body);
    assert!(body.contains("\r\n\r\na\r\n--") && body.contains("\r\n\r\nb\r\n--"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_post_is_acked_by_the_subscriber_that_got_it() {
    let bench = Bench::default();
    let stream = bench.start(&http_to(json!({ "http_server": {} })));
    tokio::time::sleep(Duration::from_millis(5)).await;
    let (ingest, feed) = (bench.ingest(), bench.feed());
    let mut subscriber = feed.subscribe(From::Live);
    let producer = tokio::spawn(async move { ingest.submit(vec![Message::new("m")]).await });
    let delivery = subscriber.next().await.unwrap();
    assert!(!producer.is_finished());
    subscriber.confirm(delivery.number());
    assert_eq!(producer.await.unwrap(), Ok(None));
    let stopping = tokio::spawn(stream.stop(Duration::from_secs(1), CloseReason::Changed));
    assert!(subscriber.next().await.is_none());
    assert_eq!(subscriber.close_reason(), CloseReason::Changed);
    stopping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_subscribers_that_are_not_there() {
    let bench = Bench::default();
    let stream = bench.start(&http_to(json!({ "http_server": { "ring": 1 } })));
    tokio::time::sleep(Duration::from_millis(5)).await;
    let producers: Vec<_> = (0..4)
        .map(|_| {
            let ingest = bench.ingest();
            tokio::spawn(async move { ingest.submit(vec![Message::new("m")]).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!((bench.feed().queued(), bench.feed().unsettled()), (1, 1));
    let started = tokio::time::Instant::now();
    stream.stop(Duration::from_secs(60), CloseReason::Changed).await;
    assert!(started.elapsed() < Duration::from_secs(1));
    for producer in producers {
        assert_eq!(producer.await.unwrap(), Err(IngestError::Closing));
    }
}

#[tokio::test(start_paused = true)]
async fn failed_messages_come_again_before_new_ones() {
    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    let mut replay = Replay::new(Given { receiver });
    let bench = Bench::default();
    sender.send(bench.transaction(&["a", "b", "c"])).await.unwrap();
    sender.send(bench.transaction(&["d"])).await.unwrap();
    drop(sender);
    let (batch, ack) = replay.read().await.unwrap();
    ack.done(Err(NackReason::failed("x").only([&batch[0], &batch[2]])));
    for failures in 1..30 {
        let started = tokio::time::Instant::now();
        let (batch, ack) = replay.read().await.unwrap();
        assert_eq!(texts(&batch), ["a", "c"], "only what failed, before new ones");
        assert_eq!(started.elapsed().is_zero(), failures == 1, "a pause from the second failure on");
        ack.done(Err(NackReason::failed("x")));
    }
    replay.read().await.unwrap().1.done(Ok(()));
    let (batch, ack) = replay.read().await.unwrap();
    assert_eq!(texts(&batch), ["d"]);
    // The end waits for what may have to come again.
    assert!(tokio::time::timeout(Duration::from_secs(1), replay.read()).await.is_err());
    ack.done(Ok(()));
    assert!(matches!(replay.read().await, Err(ReadError::End)));
    assert_eq!(bench.results(), [("a", true), ("d", true)], "the source hears of success only");
}

#[tokio::test(start_paused = true)]
async fn a_stopping_replay_tells_the_source() {
    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    let mut replay = Replay::new(Given { receiver });
    let bench = Bench::default();
    sender.send(bench.transaction(&["failed"])).await.unwrap();
    sender.send(bench.transaction(&["under way"])).await.unwrap();
    let failed = replay.read().await.unwrap();
    let under_way = replay.read().await.unwrap();
    drop(failed);
    replay.drain();
    drop(under_way);
    assert_eq!(bench.results(), [("failed", false), ("under way", false)]);
}

struct Given {
    receiver: tokio::sync::mpsc::Receiver<Transaction>,
}

#[async_trait]
impl Input for Given {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        self.receiver.recv().await.map(|t| (t.batch, t.ack)).ok_or(ReadError::End)
    }

    async fn close(&mut self) {}
}

fn broker(pattern: &str) -> Json {
    json!({
        "input": { "inproc": "in" },
        "output": { "broker": { "pattern": pattern, "outputs": [{ "inproc": "one" }, { "inproc": "two" }] } },
    })
}

#[tokio::test(start_paused = true)]
async fn fan_out_writes_again_to_the_child_that_failed_only() {
    let bench = Bench::default();
    let (input, one, two) = (bench.topic("in"), bench.topic("one"), bench.topic("two"));
    let _stream = bench.start(&broker("fan_out"));
    input.write(bench.transaction(&["a"])).await;
    take(&one).await.1.ack.done(Ok(()));
    for _ in 0..3 {
        assert!(bench.results().is_empty());
        take(&two).await.1.ack.done(Err(NackReason::failed("x")));
    }
    take(&two).await.1.ack.done(Ok(()));
    assert_eq!(bench.until(1).await, [("a", true)]);
    assert!(tokio::time::timeout(Duration::from_secs(9), take(&one)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn fail_fast_and_sequential_patterns() {
    for (pattern, retries) in
        [("fan_out_fail_fast", false), ("fan_out_sequential", true), ("fan_out_sequential_fail_fast", false)]
    {
        let bench = Bench::default();
        let (input, one, two) = (bench.topic("in"), bench.topic("one"), bench.topic("two"));
        let _stream = bench.start(&broker(pattern));
        input.write(bench.transaction(&["a"])).await;
        if pattern.contains("sequential") {
            assert!(tokio::time::timeout(Duration::from_secs(1), two.read()).await.is_err(), "{pattern}");
        }
        take(&one).await.1.ack.done(Ok(()));
        take(&two).await.1.ack.done(Err(NackReason::failed("x")));
        if retries {
            take(&two).await.1.ack.done(Ok(()));
        }
        assert_eq!(bench.until(1).await, [("a", retries)], "{pattern}");
    }
}

#[tokio::test(start_paused = true)]
async fn round_robin_takes_turns_and_greedy_goes_where_there_is_room() {
    let bench = Bench::default();
    let (input, one, two) = (bench.topic("in"), bench.topic("one"), bench.topic("two"));
    let _stream = bench.start(&broker("round_robin"));
    for (name, topic) in [("a", &one), ("b", &two), ("c", &one)] {
        input.write(bench.transaction(&[name])).await;
        assert_eq!(take(topic).await.0, [name]);
    }
    let bench = Bench::default();
    let (input, _one, two) = (bench.topic("in"), bench.topic("one"), bench.topic("two"));
    let _stream = bench.start(&broker("greedy"));
    let writing = bench.clone();
    tokio::spawn(async move {
        for _ in 0..20 {
            input.write(writing.transaction(&["x"])).await;
        }
    });
    // Nobody reads the first child: all but what it holds comes to the second.
    for _ in 0..10 {
        take(&two).await.1.ack.done(Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn batches_are_gathered_and_each_source_hears_of_its_own() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let batching = json!({ "count": 4, "period": "3s" });
    let config = json!({
        "input": { "inproc": "in" },
        "output": { "broker": { "outputs": [{ "inproc": "out" }], "batching": batching, "pattern": "fan_out_fail_fast" } },
    });
    let _stream = bench.start(&config);
    input.write(bench.transaction(&["a", "b"])).await;
    input.write(bench.transaction(&["c"])).await;
    input.write(bench.transaction(&["d"])).await;
    let (batch, transaction) = take(&output).await;
    assert_eq!(batch, ["a", "b", "c", "d"]);
    let reason = NackReason::failed("x").only([&transaction.batch[1], &transaction.batch[3]]);
    transaction.ack.done(Err(reason));
    assert_eq!(bench.until(3).await, [("a", false), ("c", true), ("d", false)]);

    let started = tokio::time::Instant::now();
    input.write(bench.transaction(&["e"])).await;
    let (batch, transaction) = take(&output).await;
    assert_eq!((batch, started.elapsed().as_secs()), (vec!["e".to_owned()], 3));
    transaction.ack.done(Ok(()));
    assert_eq!(bench.until(4).await[3], ("e", true));
}

#[tokio::test(start_paused = true)]
async fn inputs_merge_and_copies_multiply() {
    let bench = Bench::default();
    let output = bench.topic("out");
    let generate = json!({ "generate": { "mapping": "root = \"g\"", "interval": "", "count": 2 } });
    let config = json!({
        "input": { "broker": { "copies": 2, "inputs": [generate] } },
        "output": { "inproc": "out" },
    });
    let stream = bench.start(&config);
    for _ in 0..4 {
        take(&output).await.1.ack.done(Ok(()));
    }
    while !stream.status().ended {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn lines_go_where_the_settings_say() {
    let bench = Bench::default();
    let input = bench.topic("in");
    let stream = bench.start(&json!({ "input": { "inproc": "in" }, "output": { "stdout": {} } }));
    input.write(bench.transaction(&["a", "b"])).await;
    assert_eq!(bench.until(1).await, [("a", true)]);
    assert_eq!(&*bench.lines.lock(), b"a\nb\n");
    stream.stop(Duration::from_secs(1), CloseReason::Removed).await;
}

/// Refuses to connect, then loses the connection once, then writes.
#[derive(Default)]
struct Shaky {
    attempts: Mutex<u32>,
    written: Mutex<Vec<String>>,
}

#[async_trait]
impl Output for Arc<Shaky> {
    async fn connect(&self) -> Result<(), ConnectError> {
        *self.attempts.lock() += 1;
        if *self.attempts.lock() <= 2 { Err(ConnectError("nobody there".into())) } else { Ok(()) }
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        if *self.attempts.lock() == 3 {
            return Err(WriteError::NotConnected);
        }
        self.written.lock().extend(texts(batch));
        if texts(batch) == ["b", "c"] { Err(WriteError::Partial(vec![(1, "no".into())])) } else { Ok(()) }
    }

    async fn close(&self) {}
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_made_again_and_nothing_is_lost() {
    let shaky = Arc::new(Shaky::default());
    let probe = Arc::new(Probe::new(ComponentKind::Output, "shaky", "root.output".into(), None));
    let node = OutputNode {
        output: Box::new(shaky.clone()),
        stages: Vec::new(),
        batching: None,
        probe: probe.clone(),
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let running = tokio::spawn(crate::sink::run(node, receiver));
    let bench = Bench::default();
    let mut second = bench.transaction(&["b", "c"]);
    crate::message::number(&mut second.batch);
    sender.send(bench.transaction(&["a"])).await.unwrap();
    sender.send(second).await.unwrap();
    drop(sender);
    running.await.unwrap();
    assert_eq!(*shaky.written.lock(), ["a", "b", "c"]);
    assert_eq!(bench.results(), [("a", true), ("b", false)]);
    let counts = (probe.connection_failed.get(), probe.connection_up.get(), probe.connection_lost.get());
    assert_eq!(counts, (2, 2, 1));
    assert_eq!((probe.sent.get(), probe.errors.get()), (1, 1));
    assert_eq!(probe.last_error().as_deref(), Some("no"));
}
