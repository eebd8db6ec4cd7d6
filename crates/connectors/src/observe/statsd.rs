//! Counters for a StatsD server: what came since the last time, in datagrams.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use document::Fault;
use parking_lot::Mutex;
use streams::{
    BuildContext, Default, Egress, Exporter, Field, Kind, Node, Sample, SampleValue, Samples, SeriesKey,
    Timing,
};
use tokio::net::UdpSocket;

use super::udp;

pub(super) const FIELDS: &[Field] = &[
    Field::required("address", Kind::Text, "The server, `host:port`."),
    Field::new("flush_period", Kind::Duration, Default::Text("100ms"), "How often counters are sent."),
    Field::new(
        "tag_format",
        Kind::Choice(&["none", "datadog", "influxdb"]),
        Default::Text("none"),
        "How labels are written; with `none` their values are parts of the name.",
    ),
];

/// A datagram that every network takes in one piece.
const DATAGRAM: usize = 1400;

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Exporter>, Fault> {
    let address = node.text("address")?.into_owned();
    let wrong = || node.field_fault("address", "a host and a port are expected, such as `localhost:8125`");
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    // An empty host is the machine itself, as in the original.
    let host = if host.is_empty() { "localhost" } else { host }.to_owned();
    let period = node.duration("flush_period")?.unwrap_or(Duration::from_millis(100));
    if period.is_zero() {
        return Err(node.field_fault("flush_period", "`flush_period` must be above 0"));
    }
    Ok(Box::new(StatsD {
        stream: context.stream.clone(),
        host,
        port,
        period,
        tags: match &*node.text("tag_format")? {
            "datadog" => Tags::Datadog,
            "influxdb" => Tags::InfluxDb,
            _ => Tags::Name,
        },
        egress: context.settings.egress.clone(),
        state: tokio::sync::Mutex::default(),
    }))
}

#[derive(Clone, Copy, PartialEq)]
enum Tags {
    Name,
    Datadog,
    InfluxDb,
}

struct StatsD {
    stream: Arc<str>,
    host: String,
    port: u16,
    period: Duration,
    tags: Tags,
    egress: Arc<Egress>,
    state: tokio::sync::Mutex<State>,
}

#[derive(std::default::Default)]
struct State {
    socket: Option<UdpSocket>,
    sent: Sent,
    /// The last attempt failed, and that was said.
    failing: bool,
}

impl StatsD {
    async fn flush(&self, samples: &dyn Samples) {
        let mut state = self.state.lock().await;
        let lines = state.sent.lines(&samples.samples(), self.tags);
        if lines.is_empty() {
            return;
        }
        let outcome = self.send(&mut state, &lines).await;
        if let Err(fault) = &outcome
            && !state.failing
        {
            tracing::warn!(stream = %self.stream, fault, "metrics were not sent to the statsd server");
        }
        state.failing = outcome.is_err();
    }

    async fn send(&self, state: &mut State, lines: &[String]) -> Result<(), String> {
        if state.socket.is_none() {
            state.socket = Some(udp::connect(&self.egress, &self.host, self.port).await?);
        }
        let Some(socket) = &state.socket else { return Ok(()) };
        for datagram in datagrams(lines) {
            if let Err(fault) = socket.send(datagram.as_bytes()).await {
                // The name may lead elsewhere by now.
                state.socket = None;
                return Err(format!("{}:{}: {fault}", self.host, self.port));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Exporter for StatsD {
    async fn push(&self, samples: Arc<dyn Samples>) {
        loop {
            tokio::time::sleep(self.period).await;
            self.flush(&*samples).await;
        }
    }

    async fn finish(&self, samples: &dyn Samples) {
        self.flush(samples).await;
    }
}

/// As many lines in each datagram as fit.
fn datagrams(lines: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in lines {
        match all.last_mut() {
            Some(last) if last.len() + 1 + line.len() <= DATAGRAM => {
                last.push('\n');
                last.push_str(line);
            }
            _ => all.push(line.clone()),
        }
    }
    all
}

/// What the server knows already.
#[derive(std::default::Default)]
struct Sent(Mutex<HashMap<SeriesKey, SampleValue>>);

impl Sent {
    /// What came since: counters as increments, gauges that changed, timings in milliseconds. Durations of one bucket are
    /// one line whose sampling rate says how many they were.
    fn lines(&self, samples: &[Sample], tags: Tags) -> Vec<String> {
        let (mut lines, mut sent) = (Vec::new(), self.0.lock());
        for Sample { name, labels, value } in samples {
            let before = sent.insert((name.clone(), labels.clone()), value.clone());
            if before.as_ref() == Some(value) {
                continue;
            }
            let (series, suffix) = series(name, labels, tags);
            let mut line = |text: String| lines.push(format!("{series}:{text}{suffix}"));
            match (value, before) {
                (SampleValue::Counter(now), before) => {
                    let before = if let Some(SampleValue::Counter(before)) = before { before } else { 0 };
                    match now.saturating_sub(before) {
                        0 => {}
                        new => line(format!("{new}|c")),
                    }
                }
                (SampleValue::Gauge(now), _) => line(format!("{now}|g")),
                (SampleValue::Timing(now), before) => {
                    let before =
                        if let Some(SampleValue::Timing(t)) = before { t } else { Timing::default() };
                    for (limit, new) in now.since(&before) {
                        let milliseconds = limit as f64 / 1e6;
                        match new {
                            1 => line(format!("{milliseconds}|ms")),
                            new => line(format!("{milliseconds}|ms|@{}", 1.0 / new as f64)),
                        }
                    }
                }
            }
        }
        lines
    }
}

/// How a series is called, and what stands behind its values.
fn series(name: &str, labels: &[(String, String)], tags: Tags) -> (String, String) {
    let (mut series, mut suffix) = (clean(name), String::new());
    let told = labels.iter().filter(|(_, text)| !text.is_empty());
    for (index, (label, text)) in told.enumerate() {
        let (label, text) = (clean(label), clean(text));
        let _ = match tags {
            Tags::Name => write!(series, ".{}", text.replace('.', "_")),
            Tags::InfluxDb => write!(series, ",{label}={}", text.replace([' ', '='], "_")),
            Tags::Datadog => write!(suffix, "{}{label}:{text}", if index == 0 { "|#" } else { "," }),
        };
    }
    (series, suffix)
}

/// What has a meaning in the protocol becomes `_`.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if matches!(c, ':' | '|' | '@' | '#' | ',' | '\n' | '\r') { '_' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(value: SampleValue) -> Sample {
        let labels = [("label", ""), ("path", "root.input"), ("zone", "a|b")];
        let labels = labels.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        Sample { name: "m".to_owned(), labels, value }
    }

    #[test]
    fn only_what_is_new_is_sent() {
        let timing = |buckets: &[(u64, u64)]| {
            let count = buckets.last().map_or(0, |(_, count)| *count);
            SampleValue::Timing(Timing { count, sum_ns: count, buckets: buckets.to_vec(), recent: None })
        };
        for (tags, steps) in [
            (
                Tags::Datadog,
                vec![
                    (SampleValue::Counter(5), vec!["m:5|c|#path:root.input,zone:a_b"]),
                    (SampleValue::Counter(7), vec!["m:2|c|#path:root.input,zone:a_b"]),
                    (SampleValue::Counter(7), vec![]),
                ],
            ),
            (
                Tags::InfluxDb,
                vec![
                    (SampleValue::Gauge(0.5), vec!["m,path=root.input,zone=a_b:0.5|g"]),
                    (SampleValue::Gauge(0.5), vec![]),
                    (SampleValue::Gauge(0.0), vec!["m,path=root.input,zone=a_b:0|g"]),
                ],
            ),
            (
                Tags::Name,
                vec![
                    (timing(&[(2_000_000, 1)]), vec!["m.root_input.a_b:2|ms"]),
                    (
                        timing(&[(1_000_000, 4), (2_000_000, 5), (3_000_000, 6)]),
                        vec!["m.root_input.a_b:1|ms|@0.25", "m.root_input.a_b:3|ms"],
                    ),
                ],
            ),
        ] {
            let sent = Sent::default();
            for (value, expected) in steps {
                assert_eq!(sent.lines(&[sample(value)], tags), expected);
            }
        }
    }

    #[test]
    fn datagrams_stay_small() {
        let lines: Vec<String> = (0..100).map(|index| format!("{index:050}:1|c")).collect();
        let datagrams = datagrams(&lines);
        assert!(datagrams.len() > 3 && datagrams.iter().all(|datagram| datagram.len() <= DATAGRAM));
        assert_eq!(datagrams.join("\n"), lines.join("\n"));
    }
}
