//! What a message costs on its way through a stream: made and dropped, from Kafka to Kafka, posted into Kafka.

use super::mapping::DOCUMENT;
use crate::Settings;
use crate::compare::{Behind, alternate};
use crate::feed::{self, Feed};
use crate::gate::{Gate, Setup};
use crate::http::{self, invalid};
use crate::report::{Bound, Metric, Report, median, note};
use serde_json::{Value, json};
use std::io;
use std::time::{Duration, Instant};

const API: &str = "flow";
const CPU: Metric = Metric { name: "CPU µs/message", decimals: 2 };
const RATE: Metric = Metric { name: "messages/s", decimals: 0 };
const FULL: Metric = Metric { name: "messages/CPU s", decimals: 0 };
const PEAK: Metric = Metric { name: "peak memory MiB", decimals: 1 };
/// A small mapping of what `generate` makes.
const SMALL: &str = "root.id = this.id\nroot.passed = true";
/// A small mapping of the document of 1 KB.
const OF_DOCUMENT: &str = "root.id = this.id";
/// How long the messages of one round may take to pass.
const PASSING: Duration = Duration::from_secs(60);
/// Counters are read so often.
const PAUSE: Duration = Duration::from_millis(20);

/// `generate` -> mapping -> `drop`: nothing but the engine itself.
pub(crate) fn generated(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let case = "generate -> mapping -> drop";
    for (size, name) in [(1, "batches of 1"), (100, "batches of 100")] {
        let input = json!({"generate": {
            "interval": "", "batch_size": size,
            "mapping": "root.id = counter()\nroot.kind = \"reading\"\nroot.sensor = \"boiler-7\"",
        }});
        let gate = start(settings, input, SMALL, json!({"drop": {}}))?;
        std::thread::sleep(settings.warm_up);
        let (mut rates, mut costs) = (Vec::new(), Vec::new());
        for round in 1..=settings.rounds {
            let window = Window::open(&gate)?;
            std::thread::sleep(settings.window);
            let (rate, cost) = window.close(&gate)?;
            note(&format!("{case}, {name}, round {round}: {rate:.0} messages/s, {cost:.2} µs CPU each"));
            rates.push(rate);
            costs.push(cost);
        }
        let peak = gate.process.peak_memory()?;
        tell(report, case, name, rates, &costs, peak);
        if size > 1 {
            let full = 1e6 / median(costs);
            report.target(&format!("{case}, {name}: messages/CPU s"), full, 0, Bound::AtLeast(1_000_000.0));
        }
    }
    Ok(())
}

/// A Kafka topic of documents -> mapping -> another topic.
pub(crate) fn kafka(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let case = "Kafka -> mapping -> Kafka, JSON of 1 KB";
    let Some(brokers) = feed::broker(settings, report, case) else { return Ok(()) };
    let count = settings.kafka_messages;
    let from = format!("bench-from-{}", std::process::id());
    Feed::kafka(brokers, &from, settings.load_core)?.fill(DOCUMENT, count)?;
    for (size, name) in [(1, "batches of 1"), (100, "batches of 100")] {
        let (mut rates, mut costs, mut peak) = (Vec::new(), Vec::new(), 0);
        for round in 1..=settings.rounds {
            let to = format!("bench-to-{}-{size}-{round}", std::process::id());
            drop(Feed::kafka(brokers, &to, settings.load_core)?);
            let input = json!({"kafka": {
                "addresses": [brokers], "topics": [from], "consumer_group": to, "start_from_oldest": true,
                "batching": {"count": size, "period": "10ms"},
            }});
            let output =
                json!({"kafka": {"addresses": [brokers], "topic": to, "max_in_flight": 256 / size + 8}});
            let gate = start(settings, input, OF_DOCUMENT, output)?;
            // The group forms and the first fetches come before the window opens.
            reached(&gate, count / 10)?;
            let window = Window::open(&gate)?;
            reached(&gate, count)?;
            let (rate, cost) = window.close(&gate)?;
            note(&format!("{case}, {name}, round {round}: {rate:.0} messages/s, {cost:.2} µs CPU each"));
            rates.push(rate);
            costs.push(cost);
            peak = peak.max(gate.process.peak_memory()?);
        }
        tell(report, case, name, rates, &costs, peak);
        let full = 1e6 / median(costs);
        report.target(&format!("{case}, {name}: messages/CPU s"), full, 0, Bound::AtLeast(250_000.0));
    }
    Ok(())
}

/// Documents posted to the gate, each answered when Kafka has confirmed it.
pub(crate) fn posted(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let case = "POST -> Kafka, JSON of 1 KB, each confirmed";
    let Some(brokers) = feed::broker(settings, report, case) else { return Ok(()) };
    let to = format!("bench-posted-{}", std::process::id());
    drop(Feed::kafka(brokers, &to, settings.load_core)?);
    let output = json!({"kafka": {"addresses": [brokers], "topic": to, "max_in_flight": 256}});
    let gate = start(settings, feed::post_input(), OF_DOCUMENT, output)?;
    let headers = [("content-type", "application/json")];
    let request = http::render("POST", &format!("/{API}/in"), gate.address, &headers, DOCUMENT);
    let contender = gate.contender("one stream", vec![request.into_bytes()]);
    let before = gate.sum("output_sent")?;
    for measured in alternate(case, &[contender], Behind::Nobody, settings, report)? {
        let sent = gate.sum("output_sent")? - before;
        if sent < measured.requests() as f64 {
            let answered = measured.requests();
            return Err(invalid(format!("{case}: {answered} answers of 200, but Kafka has {sent} messages")));
        }
        measured.report(report, case, None);
    }
    Ok(())
}

/// A gate with one stream.
fn start(settings: &Settings, input: Value, mapping: &str, output: Value) -> io::Result<Gate> {
    let setup = Setup::new("flow", false)?;
    let stream = json!({
        "input": input, "pipeline": {"processors": [{"mapping": mapping}]}, "output": output,
    });
    setup.stream(API, stream)?;
    setup.start(&settings.gate, settings.gate_core)
}

/// Waits until so many messages have been confirmed.
fn reached(gate: &Gate, count: u64) -> io::Result<()> {
    let deadline = Instant::now() + PASSING;
    loop {
        let sent = gate.sum("output_sent")?;
        if sent >= count as f64 {
            return Ok(());
        }
        if Instant::now() > deadline {
            let log = gate.process.log_end();
            return Err(invalid(format!(
                "{sent} of {count} messages within {PASSING:?}; the log ends:\n{log}"
            )));
        }
        std::thread::sleep(PAUSE);
    }
}

/// What was confirmed and what it took, from when it is opened.
struct Window {
    opened: Instant,
    sent: f64,
    cpu: Duration,
}

impl Window {
    fn open(gate: &Gate) -> io::Result<Window> {
        Ok(Window { sent: gate.sum("output_sent")?, cpu: gate.process.cpu()?, opened: Instant::now() })
    }

    /// Messages a second, and the CPU time of each in microseconds.
    fn close(self, gate: &Gate) -> io::Result<(f64, f64)> {
        let sent = gate.sum("output_sent")? - self.sent;
        let (cpu, elapsed) = (gate.process.cpu()? - self.cpu, self.opened.elapsed());
        if sent <= 0.0 {
            return Err(invalid(format!("no message passed; the log ends:\n{}", gate.process.log_end())));
        }
        Ok((sent / elapsed.as_secs_f64(), cpu.as_secs_f64() * 1e6 / sent))
    }
}

/// `peak` in KiB.
fn tell(report: &mut Report, case: &str, name: &str, rates: Vec<f64>, costs: &[f64], peak: u64) {
    let cost = median(costs.iter().copied());
    report.figure(case, name, CPU, cost);
    report.figure(case, name, RATE, median(rates));
    report.figure(case, name, FULL, 1e6 / cost);
    report.figure(case, name, PEAK, peak as f64 / 1024.0);
}
