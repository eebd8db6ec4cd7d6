//! The price of subscribers: memory while nothing happens, and events delivered while much does.

use crate::Settings;
use crate::feed::{self, Feed};
use crate::gate::{Gate, Setup};
use crate::http::invalid;
use crate::report::{Bound, Metric, Report, median, note};
use crate::subscribers::Subscribers;
use serde_json::{Value, json};
use std::io;
use std::time::{Duration, Instant};

const API: &str = "feed";
const BASE: Metric = Metric { name: "memory MiB", decimals: 1 };
const EACH: Metric = Metric { name: "KB/subscriber", decimals: 2 };
const OPENED: Metric = Metric { name: "opened/s", decimals: 0 };
const RATE: Metric = Metric { name: "deliveries/s", decimals: 0 };
const CPU: Metric = Metric { name: "CPU µs/delivery", decimals: 2 };
const FULL: Metric = Metric { name: "deliveries/CPU s", decimals: 0 };
const PEAK: Metric = Metric { name: "peak memory MiB", decimals: 1 };

/// Events that may be under way between the feed and the slowest subscriber. Below the hub's ring, so that nobody is
/// skipped: what is measured is how fast every subscriber gets every event.
const UNDER_WAY: u64 = 256;
/// The first event may have to wait for a consumer group to form.
const FIRST: Duration = Duration::from_secs(30);
/// How long what is under way may take to arrive.
const DRAIN: Duration = Duration::from_secs(15);
/// Memory is read when the last connection's own work has settled.
const SETTLE: Duration = Duration::from_millis(500);

/// Events that clients post through the gate.
pub(crate) fn posted(settings: &Settings, report: &mut Report) -> io::Result<()> {
    fan_out(settings, report, "POST", None)
}

/// Events that someone else produced into a real Kafka topic.
pub(crate) fn kafka(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let Some(brokers) = feed::broker(settings, report, "its fan-out") else { return Ok(()) };
    fan_out(settings, report, "Kafka", Some(brokers))
}

/// A gate with one event API: `/feed/events` gives what its input receives.
fn start(settings: &Settings, input: Value) -> io::Result<Gate> {
    let setup = Setup::new("stream", false)?;
    let stream = json!({
        "input": input,
        "pipeline": {"processors": [{"mapping": "root = this\nroot.passed = true"}]},
        "output": {"http_server": {
            "path": "/next", "ws_path": "/ws",
            "stream_path": "/events", "stream_format": "event_source", "delivery": "broadcast",
        }},
    });
    setup.stream(API, stream)?;
    setup.start(&settings.gate, settings.gate_core)
}

fn subscribe(gate: &Gate, count: usize) -> io::Result<Subscribers> {
    let request = gate.get(API, "events", &[("accept", "text/event-stream")]);
    Subscribers::open(gate.address, &request, count)
        .map_err(|error| invalid(format!("{error}; the gate's log ends:\n{}", gate.process.log_end())))
}

/// Memory for each subscriber that waits for events.
pub(crate) fn idle(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let count = settings.idle_subscribers;
    let case = format!("{count} idle subscribers");
    let gate = start(settings, feed::post_input())?;
    // The first subscribers pay for what is made once; they are gone before memory is read.
    drop(subscribe(&gate, 64)?);
    std::thread::sleep(SETTLE);
    let empty = gate.process.memory()?;
    let started = Instant::now();
    let mut subscribers = subscribe(&gate, count)?;
    let opened = count as f64 / started.elapsed().as_secs_f64();
    std::thread::sleep(SETTLE);
    let idle = gate.process.memory()?;

    // They are no dead weight: an event reaches every one of them.
    let mut feed = Feed::post(gate.address, API)?;
    feed.push(0..1)?;
    wait_until(&mut subscribers, DRAIN, |all| all.slowest() == 1)?;
    let served = gate.process.memory()?;
    note(&format!("{case}: {empty} KiB before, {idle} KiB idle, {served} KiB after one event to each"));

    let each = |memory: u64| memory.saturating_sub(empty) as f64 * 1.024 / count as f64;
    report.figure(&case, "none yet", BASE, empty as f64 / 1024.0);
    report.figure(&case, "connected", BASE, idle as f64 / 1024.0);
    report.figure(&case, "connected", EACH, each(idle));
    report.figure(&case, "connected", OPENED, opened);
    report.figure(&case, "after one event", BASE, served as f64 / 1024.0);
    report.figure(&case, "after one event", EACH, each(served));
    report.target(&format!("{case}: KB each"), each(idle), 2, Bound::AtMost(10.0));
    Ok(())
}

fn fan_out(settings: &Settings, report: &mut Report, name: &str, brokers: Option<&String>) -> io::Result<()> {
    let count = settings.subscribers;
    let case = format!("fan-out to {count} subscribers");
    let (gate, mut feed) = match brokers {
        Some(brokers) => {
            let topic = format!("bench-{}", std::process::id());
            let feed = Feed::kafka(brokers, &topic, settings.load_core)?;
            (start(settings, feed::kafka_input(brokers, &topic))?, feed)
        }
        None => {
            let gate = start(settings, feed::post_input())?;
            let feed = Feed::post(gate.address, API)?;
            (gate, feed)
        }
    };
    let mut subscribers = subscribe(&gate, count)?;
    let mut sent = 1;
    feed.push(0..sent)?;
    wait_until(&mut subscribers, FIRST, |all| all.slowest() == sent).map_err(|error| {
        invalid(format!("{case}, {name}: {error}; the gate's log ends:\n{}", gate.process.log_end()))
    })?;

    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for round in 1..=settings.rounds {
        let (cpu, received, started) = (gate.process.cpu()?, subscribers.received(), Instant::now());
        while started.elapsed() < settings.window {
            let room = UNDER_WAY.saturating_sub(sent - subscribers.slowest());
            if room >= feed.least() {
                feed.push(sent..sent + room)?;
                sent += room;
            }
            subscribers.pump(Duration::from_millis(1))?;
            lost(&subscribers)?;
        }
        wait_until(&mut subscribers, DRAIN, |all| all.slowest() == sent)?;
        let elapsed = started.elapsed().as_secs_f64();
        let deliveries = (subscribers.received() - received) as f64;
        let cpu = (gate.process.cpu()? - cpu).as_secs_f64();
        note(&format!(
            "{case}, {name}, round {round}: {:.0} deliveries/s, {:.2} s CPU",
            deliveries / elapsed,
            cpu
        ));
        rates.push(deliveries / elapsed);
        costs.push(cpu * 1e6 / deliveries);
    }
    check(&subscribers, sent, feed.keeps_order())?;
    let (rate, cost) = (median(rates), median(costs));
    report.figure(&case, name, RATE, rate);
    report.figure(&case, name, CPU, cost);
    report.figure(&case, name, FULL, 1e6 / cost);
    report.figure(&case, name, PEAK, gate.process.peak_memory()? as f64 / 1024.0);
    report.target(&format!("{case}, {name}: deliveries/s"), rate, 0, Bound::AtLeast(150_000.0));
    Ok(())
}

fn wait_until(all: &mut Subscribers, limit: Duration, done: impl Fn(&Subscribers) -> bool) -> io::Result<()> {
    let deadline = Instant::now() + limit;
    while !done(all) {
        all.pump(Duration::from_millis(5))?;
        lost(all)?;
        if Instant::now() > deadline {
            return Err(invalid(format!(
                "events are missing {limit:?} after they were sent: the slowest subscriber has {}, all together have {}",
                all.slowest(),
                all.received()
            )));
        }
    }
    Ok(())
}

fn lost(all: &Subscribers) -> io::Result<()> {
    match all.closed() {
        0 => Ok(()),
        closed => Err(invalid(format!("the gate closed {closed} subscribers"))),
    }
}

/// Every witness must have each event once, and in order where the feed keeps it.
fn check(all: &Subscribers, sent: u64, ordered: bool) -> io::Result<()> {
    for witness in all.witnesses() {
        let mut numbers = feed::numbers(witness);
        if !ordered {
            numbers.sort_unstable();
        }
        if !numbers.iter().copied().eq(0..sent) {
            let place = numbers.iter().zip(0..).find(|(number, expected)| **number != *expected);
            return Err(invalid(format!(
                "a subscriber has {} of {sent} events; the first wrong one, with what it should be: {place:?}",
                numbers.len()
            )));
        }
    }
    Ok(())
}
