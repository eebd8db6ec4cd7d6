//! Change without a cut, under load: nobody's request fails, a change is live at once, and whoever held on to the old
//! rules is told so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use e2e::definition::keyless;
use e2e::streaming::{events, guarded, post, post_to_sse, sse_output};
use e2e::{End, Endless, Gate, Reply, Socket, Upstream, raw, until};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

/// What a change may take at the median. The aim is 100 ms; test machines are shared, and the binary under test is not
/// optimised.
const LONGEST: Duration = Duration::from_millis(400);
/// Where the machine is so busy that a gate with a single API takes long itself: so many times as long as that one. To
/// compile a thousand again takes many times more.
const TIMES: u32 = 6;

/// A client that keeps its one connection; any failure of it fails the test.
struct Client(SendRequest<Empty<Bytes>>);

impl Client {
    async fn connect(gate: u16) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", gate)).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// The path that the echoing upstream saw.
    async fn get(&mut self, path: &str) -> String {
        self.0.ready().await.expect("the gate closed a connection in use");
        let request = Request::get(path).header("host", "gate").body(Empty::new()).unwrap();
        let response = self.0.send_request(request).await.unwrap_or_else(|error| panic!("{path}: {error}"));
        let status = response.status();
        let body = response.into_body().collect().await.expect("a whole answer").to_bytes();
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        let echo: Value = serde_json::from_slice(&body).unwrap();
        echo["path"].as_str().unwrap().to_owned()
    }
}

fn generation(reply: &Reply) -> u64 {
    assert_eq!(reply.status, 200, "{reply:?}");
    let header = reply.header("x-sluicegate-generation").expect("the reply names its configuration");
    header.parse().unwrap()
}

async fn running_generation(gate: &Gate) -> u64 {
    let metrics = gate.get("/metrics", &[]).await;
    let line = metrics.text().lines().find_map(|line| line.strip_prefix("sluicegate_generation "));
    line.expect("the generation is a metric").parse().unwrap()
}

fn show(what: &str, delays: &mut [Duration]) -> Duration {
    delays.sort();
    let at = |share: usize| delays[(delays.len() - 1) * share / 100];
    println!("{what}: p50 {:?}, p90 {:?}, max {:?} of {} changes", at(50), at(90), at(100), delays.len());
    at(50)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c13_2_rows_1_and_5_a_thousand_apis_under_load_while_one_keeps_changing() {
    let upstream = Upstream::start().await;
    let mut setup = Gate::setup();
    for index in 0..1_000 {
        setup = setup.api(keyless(&format!("api{index}"), &upstream.url("/base")));
    }
    let gate = setup.start().await;
    let (port, done) = (gate.port(), Arc::new(AtomicBool::new(false)));
    let count = Arc::new(AtomicUsize::new(0));
    let load: Vec<_> = (0..8)
        .map(|worker| {
            let (done, count) = (done.clone(), count.clone());
            tokio::spawn(async move {
                let mut client = Client::connect(port).await;
                for round in 0.. {
                    // One in four requests goes to the API that changes.
                    let api = if round % 4 == 0 { 0 } else { (worker * 125 + round) % 1_000 };
                    let seen = client.get(&format!("/api{api}/x")).await;
                    assert!(seen.ends_with("/x"), "{seen}");
                    if api != 0 {
                        assert_eq!(seen, "/base/x", "an API that was left alone changed");
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            })
        })
        .collect();

    let mut observer = Client::connect(port).await;
    let changed = |round: usize| keyless("api0", &upstream.url(&format!("/change{round}")));
    // The same on the same machine at the same time, but with nothing beside what changes.
    let alone = Gate::setup().api(keyless("api0", &upstream.url("/base"))).start().await;
    let mut beside = Client::connect(alone.port()).await;
    let (mut by_file_alone, mut by_admin_alone) = (Vec::new(), Vec::new());
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut by_file = Vec::new();
    for round in 0..35 {
        ticks.tick().await;
        gate.write("apps/api0.json", &changed(round).to_string());
        let start = Instant::now();
        let expected = format!("/change{round}/x");
        until("the changed file is live", async || observer.get("/api0/x").await == expected).await;
        by_file.push(start.elapsed());
        alone.write("apps/api0.json", &changed(round).to_string());
        let start = Instant::now();
        until("the changed file is live", async || beside.get("/api0/x").await == expected).await;
        by_file_alone.push(start.elapsed());
    }
    let admin = gate.admin();
    let mut by_admin = Vec::new();
    let mut last = running_generation(&gate).await;
    for round in 100..135 {
        ticks.tick().await;
        let start = Instant::now();
        let reply = admin.put("/apis/api0", &changed(round)).await;
        // Not a moment later: the reply says that it is live.
        assert_eq!(observer.get("/api0/x").await, format!("/change{round}/x"));
        by_admin.push(start.elapsed());
        let start = Instant::now();
        assert_eq!(alone.admin().put("/apis/api0", &changed(round)).await.status, 200);
        assert_eq!(beside.get("/api0/x").await, format!("/change{round}/x"));
        by_admin_alone.push(start.elapsed());
        let now = generation(&reply);
        assert!(now > last, "generation {now} after {last}");
        last = now;
    }
    assert_eq!(running_generation(&gate).await, last, "the last reply names what runs");
    done.store(true, Ordering::Relaxed);
    for worker in load {
        worker.await.expect("no request failed");
    }
    println!("{} requests, none failed", count.load(Ordering::Relaxed));
    assert!(count.load(Ordering::Relaxed) > 1_000);
    for (what, delays, delays_alone) in
        [("file", &mut by_file, &mut by_file_alone), ("admin", &mut by_admin, &mut by_admin_alone)]
    {
        let (median, alone) = (show(what, delays), show(&format!("{what}, alone"), delays_alone));
        assert!(median < LONGEST.max(TIMES * alone), "{what}: {median:?} {alone:?} {delays:?}");
    }
}

/// A stream with subscribers over server-sent events and WebSockets, and a mapping that puts `mark` before a payload.
fn marked(mark: &str) -> Value {
    let mut stream = post_to_sse(json!({"delivery": "broadcast"}));
    stream["output"]["http_server"]["ws_path"] = json!("/ws");
    stream["pipeline"] =
        json!({"processors": [{"mapping": format!("root = \"{mark}\" + content().string()")}]});
    events("ev", json!({"s": stream}))
}

async fn assert_sent_away(sse: &mut Endless, socket: &mut Socket, reason: &str) {
    let last = sse.event().await.unwrap();
    assert!(last.comment.as_deref().is_some_and(|comment| comment.contains(reason)), "{last:?}");
    assert!(last.retry.is_some(), "a browser is not told when to come back: {last:?}");
    assert_eq!(sse.event().await, Err(End::Clean), "the chunked body has no end");
    match socket.next().await {
        Some(Message::Close(Some(frame))) => {
            assert_eq!(u16::from(frame.code), 1012, "{frame:?}");
            assert!(frame.reason.contains(reason), "{frame:?}");
        }
        other => panic!("no close frame: {other:?}"),
    }
}

#[tokio::test]
async fn c2_9_row_5_subscribers_of_a_changed_api_are_sent_away_with_a_reason() {
    let gate = Gate::setup().oas(marked("old ")).start().await;
    let subscribe = async || {
        let sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
        assert_eq!(sse.status, 200);
        (sse, Socket::open(gate.port(), "/ev/ws", &[]).await.unwrap())
    };
    let admin = gate.admin();
    let (mut sse, mut socket) = subscribe().await;
    assert_eq!(post(&gate.url("/ev/post"), "x", &[]).await.status, 200);
    assert_eq!(sse.data().await.unwrap(), "old x");
    assert_eq!(socket.next().await, Some(Message::binary(&b"old x"[..])));

    // The same content is no change.
    let first = generation(&admin.put("/apis/oas/ev", &marked("old ")).await);
    assert_eq!(post(&gate.url("/ev/post"), "y", &[]).await.status, 200);
    assert_eq!(sse.data().await.unwrap(), "old y", "an API that did not change was restarted");
    assert_eq!(socket.next().await, Some(Message::binary(&b"old y"[..])));

    let second = generation(&admin.put("/apis/oas/ev", &marked("new ")).await);
    assert!(second > first);
    assert_sent_away(&mut sse, &mut socket, "changed").await;
    let (mut sse, mut socket) = subscribe().await;
    assert_eq!(post(&gate.url("/ev/post"), "x", &[]).await.status, 200);
    assert_eq!(sse.data().await.unwrap(), "new x");
    assert_eq!(socket.next().await, Some(Message::binary(&b"new x"[..])));

    // From now on a key is needed: nobody stays without one.
    gate.write("apps/ev-oas.json", &guarded(marked("new ")).to_string());
    assert_sent_away(&mut sse, &mut socket, "changed").await;
    assert_eq!(Endless::get(gate.port(), "/ev/sse", &[]).await.status, 401);

    gate.write("apps/ev-oas.json", &marked("last ").to_string());
    until("the API is open again", async || gate.get("/ev/none", &[]).await.status == 404).await;
    let (mut sse, mut socket) = subscribe().await;
    assert_eq!(admin.delete("/apis/oas/ev").await.status, 200);
    assert_sent_away(&mut sse, &mut socket, "removed").await;
    assert_eq!(gate.get("/ev/sse", &[]).await.status, 404);
}

#[tokio::test]
async fn c2_9_row_5_other_changes_leave_a_stream_and_its_subscribers_alone() {
    let upstream = Upstream::start().await;
    let counting = json!({
        "input": {"generate": {"interval": "20ms", "mapping": "root.n = counter()"}},
        "output": sse_output(json!({})),
    });
    let gate = Gate::setup()
        .oas(events("ev", json!({"s": counting})))
        .api(keyless("other", &upstream.url("/0")))
        .start()
        .await;
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    for round in 1..=5 {
        let reply =
            gate.admin().put("/apis/other", &keyless("other", &upstream.url(&format!("/{round}")))).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        gate.signal("HUP");
        let event: Value = serde_json::from_str(&sse.data().await.expect("the stream goes on")).unwrap();
        let expected = event["n"].as_u64().unwrap() + 1;
        let event: Value = serde_json::from_str(&sse.data().await.expect("the stream goes on")).unwrap();
        assert_eq!(event["n"], expected, "the stream began anew, or lost something");
    }
}

#[tokio::test]
async fn c13_2_row_3_a_broken_definition_is_refused_with_every_fault_and_the_running_one_stays() {
    let gate = Gate::setup().oas(marked("old ")).start().await;
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    let mut broken = marked("new ");
    let stream = &mut broken["x-tyk-streaming"]["streams"]["s"];
    stream["input"] = json!({"http_sever": {"path": "/post"}});
    stream["output"]["http_server"]["stream_pth"] = json!("/x");
    stream["output"]["http_server"]["ring"] = json!("many");
    stream["pipeline"]["processors"][0]["mapping"] = json!("root.a = 1\nroot.b = this.c.uppercas()");
    let expected = [
        ("/x-tyk-streaming/streams/s/input", "http_sever", "http_server"),
        ("/x-tyk-streaming/streams/s/output/http_server/stream_pth", "stream_pth", "stream_path"),
        ("/x-tyk-streaming/streams/s/output/http_server/ring", "ring", ""),
        ("/x-tyk-streaming/streams/s/pipeline/processors/0/mapping", "uppercas", "uppercase"),
    ];

    let reply = gate.admin().put("/apis/oas/ev", &broken).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    let reply = reply.json();
    let faults = reply["errors"].as_array().unwrap();
    for (pointer, what, hint) in expected {
        let fault = faults
            .iter()
            .find(|fault| fault["pointer"].as_str().unwrap().starts_with(pointer))
            .unwrap_or_else(|| panic!("no fault at {pointer}: {reply:#}"));
        assert!(fault["message"].as_str().unwrap().contains(what), "{fault}");
        let told = format!("{} {}", fault["message"], fault["hint"]);
        assert!(told.contains(hint), "{fault} does not propose {hint}");
        assert!(fault["place"]["line"].as_u64().is_some(), "{fault} has no place");
    }

    // The same by file: the log names file, place and proposal.
    gate.write("apps/ev-oas.json", &serde_json::to_string_pretty(&broken).unwrap());
    until("the refusal is logged", async || gate.log().contains("uppercas")).await;
    let log = gate.log();
    for (pointer, what, _) in expected {
        let line = log.lines().find(|line| line.contains("ERROR") && line.contains(pointer));
        let line = line.unwrap_or_else(|| panic!("no line names {pointer}:\n{log}"));
        assert!(line.contains(what) && line.contains("-oas.json") && line.contains("line="), "{line}");
    }
    assert_eq!(post(&gate.url("/ev/post"), "x", &[]).await.status, 200);
    assert_eq!(sse.data().await.unwrap(), "old x", "the running API was harmed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn producers_of_a_stream_that_keeps_changing_are_not_turned_away() {
    let stream = |round: usize| {
        events(
            "ev",
            json!({"s": {
                "input": {"http_server": {"path": "/post", "ws_path": ""}},
                "pipeline": {"processors": [{"mapping": format!("root.round = {round}")}]},
                "output": {"drop": {}},
            }}),
        )
    };
    let gate = Gate::setup().oas(stream(0)).start().await;
    let (port, done) = (gate.port(), Arc::new(AtomicBool::new(false)));
    let request = b"POST /ev/post HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
    let producers: Vec<_> = (0..4)
        .map(|_| {
            let done = done.clone();
            tokio::spawn(async move {
                let mut answers = BTreeMap::<String, usize>::new();
                while !done.load(Ordering::Relaxed) {
                    let answer = raw(port, request).await;
                    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
                    let status = head.lines().next().unwrap_or_default();
                    *answers.entry(format!("{status} {body}").trim().to_owned()).or_default() += 1;
                }
                answers
            })
        })
        .collect();
    for round in 1..=30 {
        let reply = gate.admin().put("/apis/oas/ev", &stream(round)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    done.store(true, Ordering::Relaxed);
    for producer in producers {
        let answers = producer.await.unwrap();
        assert!(answers.keys().eq(["HTTP/1.1 200 OK"]), "answers and how often: {answers:?}");
    }
}
