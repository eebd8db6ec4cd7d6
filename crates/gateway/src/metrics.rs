//! Counters of the gate, and how Prometheus reads them (`GET /metrics`).
//!
//! Every API owns its counters, so that counting an exchange is a few atomic additions and no look-up.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use crate::cache::Cache;
use crate::clock::unix_now;
use crate::gate::Gate;
use crate::health::Health;
use crate::snapshot::{RunningApi, Snapshot};

/// Upper bounds of the latency buckets, in microseconds.
const BOUNDS: [u64; 12] =
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000];

/// Counters of one API; they live as long as the API does, over changes of its definition.
#[derive(Debug, Default)]
pub struct ApiMetrics {
    /// By class: 1xx to 5xx.
    classes: [AtomicU64; 5],
    buckets: [AtomicU64; BOUNDS.len()],
    slower: AtomicU64,
    microseconds: AtomicU64,
    upstream_microseconds: AtomicU64,
    /// Counts only where the settings say so.
    pub(crate) health: Health,
}

impl ApiMetrics {
    /// Counts an exchange whose response head is about to be sent.
    pub(crate) fn count(&self, status: StatusCode, elapsed: Duration, upstream: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        let microseconds = micros(elapsed);
        let bucket = BOUNDS.iter().position(|bound| microseconds <= *bound);
        bucket.map_or(&self.slower, |index| &self.buckets[index]).fetch_add(1, Ordering::Relaxed);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
        self.upstream_microseconds.fetch_add(micros(upstream), Ordering::Relaxed);
    }

    fn total(&self) -> u64 {
        self.classes.iter().map(|class| class.load(Ordering::Relaxed)).sum()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Flags whose refusals are counted apart; all others are counted as `other`.
const FLAGS: [&str; 30] = [
    "AMF", "AKI", "TKI", "TKE", "EAD", "RLT", "QEX", "BTL", "CLM", "IHD", "UPG", "STA", "URT", "DNS", "UCF",
    "UCT", "URR", "EPI", "CAB", "NRS", "TLE", "TLI", "TLM", "TLN", "TLH", "TLP", "TLA", "TLC", "NRH", "VNF",
];

/// Counters of the gate as a whole.
#[derive(Debug, Default)]
pub struct Metrics {
    refusals: [AtomicU64; FLAGS.len() + 1],
    /// Unix second of the last warning about an exchange.
    warned_at: AtomicI64,
    /// Successful reloads.
    pub reloads: AtomicU64,
    /// Reloads in which something was refused.
    pub failed_reloads: AtomicU64,
    /// Limits counted on this node alone, the shared store being away.
    pub degraded_limits: AtomicU64,
}

impl Metrics {
    /// Whether a warning about an exchange may be written: once in every second.
    pub(crate) fn may_warn(&self) -> bool {
        let now = unix_now();
        self.warned_at.swap(now, Ordering::Relaxed) != now
    }

    pub(crate) fn refused(&self, flag: &str) {
        let index = FLAGS.iter().position(|known| *known == flag).unwrap_or(FLAGS.len());
        self.refusals[index].fetch_add(1, Ordering::Relaxed);
    }
}

/// The exposition text (Prometheus text format 0.0.4).
pub(crate) fn render(gate: &Gate) -> String {
    let mut page = Page(String::with_capacity(16 << 10));
    let snapshot = gate.snapshot();
    page.family("sluicegate_info", "gauge", "version of the gate");
    page.sample("sluicegate_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.single("sluicegate_generation", "gauge", "number of the running configuration", snapshot.generation);
    page.single("sluicegate_apis", "gauge", "APIs loaded", snapshot.apis.len() as u64);
    page.single("sluicegate_connections", "gauge", "client connections open", gate.connections.count());
    page.single(
        "sluicegate_reloads_total",
        "counter",
        "configuration changes applied",
        gate.metrics.reloads.load(Ordering::Relaxed),
    );
    page.single(
        "sluicegate_reload_faults_total",
        "counter",
        "configuration changes in which something was refused",
        gate.metrics.failed_reloads.load(Ordering::Relaxed),
    );
    page.single(
        "sluicegate_limits_degraded_total",
        "counter",
        "limits counted on this node alone, the state store being away",
        gate.metrics.degraded_limits.load(Ordering::Relaxed),
    );
    page.single(
        "sluicegate_state_connected",
        "gauge",
        "whether the state store answers",
        u64::from(gate.state.health().connected),
    );
    page.single(
        "sluicegate_nodes",
        "gauge",
        "live nodes that share the state store, this one included",
        gate.nodes.live() as u64,
    );
    cache(&mut page, &gate.cache);
    if let Some(recorder) = &gate.recorder {
        page.single("sluicegate_records_total", "counter", "records taken", recorder.recorded());
        page.single(
            "sluicegate_records_dropped_total",
            "counter",
            "records dropped, the queue being full",
            recorder.dropped(),
        );
        page.single(
            "sluicegate_records_queued",
            "gauge",
            "records waiting to be stored",
            recorder.depth() as u64,
        );
        page.single(
            "sluicegate_records_queue_limit",
            "gauge",
            "room of the record queue",
            recorder.capacity() as u64,
        );
        page.single(
            "sluicegate_records_unedited_total",
            "counter",
            "records stored as they were, their plugin having no room or failing",
            gate.edits.unedited(),
        );
        page.single(
            "sluicegate_records_at_plugins",
            "gauge",
            "records waiting for the plugins of their APIs",
            gate.edits.waiting(),
        );
    }
    let events = &gate.events;
    for (name, kind, help, value) in [
        ("sluicegate_events_total", "counter", "events that somebody is told of", events.fired()),
        (
            "sluicegate_events_dropped_total",
            "counter",
            "events dropped, the queue being full",
            events.dropped(),
        ),
        (
            "sluicegate_events_undelivered_total",
            "counter",
            "handlers of events that were not reached",
            events.undelivered(),
        ),
        ("sluicegate_events_queued", "gauge", "events waiting to be told", events.queued()),
        ("sluicegate_events_queue_limit", "gauge", "room of the event queue", events.room()),
    ] {
        page.single(name, kind, help, value);
    }
    let (telling, noted) = (&gate.telling, &gate.noted);
    for (name, kind, help, value) in [
        (
            "sluicegate_shared_untold_total",
            "counter",
            "tokens and answers of issuers that other nodes were not told",
            telling.untold(),
        ),
        (
            "sluicegate_shared_queued",
            "gauge",
            "tokens and answers of issuers waiting to be told",
            telling.queued(),
        ),
        ("sluicegate_shared_queue_limit", "gauge", "room of their queue", telling.room()),
        (
            "sluicegate_health_untold_total",
            "counter",
            "exchanges that the averages of `/tyk/health` lack, the state store not taking them",
            noted.untold(),
        ),
        ("sluicegate_health_queued", "gauge", "exchanges waiting to be counted there", noted.queued()),
        ("sluicegate_health_queue_limit", "gauge", "room of their queue", noted.room()),
    ] {
        page.single(name, kind, help, value);
    }
    if let Some(tracer) = &gate.tracer {
        let [waiting, room, taken, lost] = tracer.counts();
        page.single("sluicegate_spans_total", "counter", "spans that the collector of traces took", taken);
        page.single(
            "sluicegate_spans_dropped_total",
            "counter",
            "spans dropped, the queue being full or the collector not taking them",
            lost,
        );
        page.single("sluicegate_spans_queued", "gauge", "spans waiting to be sent", waiting);
        page.single("sluicegate_spans_queue_limit", "gauge", "room of the queue of spans", room);
    }
    page.family("sluicegate_refusals_total", "counter", "exchanges refused or failed by the gate, by flag");
    for (index, count) in gate.metrics.refusals.iter().enumerate() {
        let flag = FLAGS.get(index).unwrap_or(&"other");
        page.sample_nonzero("sluicegate_refusals_total", &[("flag", flag)], count.load(Ordering::Relaxed));
    }

    page.family("sluicegate_http_requests_total", "counter", "exchanges by API and status class");
    for api in snapshot.apis.values() {
        for (index, count) in api.metrics.classes.iter().enumerate() {
            let class = ["1xx", "2xx", "3xx", "4xx", "5xx"][index];
            let labels = [("api_id", &*api.identity.id), ("status", class)];
            page.sample_nonzero("sluicegate_http_requests_total", &labels, count.load(Ordering::Relaxed));
        }
    }
    page.family(
        "sluicegate_http_request_duration_seconds",
        "histogram",
        "time from a request's head to its response's head",
    );
    for api in snapshot.apis.values().filter(|api| api.metrics.total() > 0) {
        page.histogram("sluicegate_http_request_duration_seconds", &api.identity.id, &api.metrics);
    }
    page.family("sluicegate_upstream_seconds_total", "counter", "time spent waiting for upstreams");
    for api in snapshot.apis.values().filter(|api| api.metrics.total() > 0) {
        let seconds = api.metrics.upstream_microseconds.load(Ordering::Relaxed) as f64 / 1e6;
        page.sample("sluicegate_upstream_seconds_total", &[("api_id", &api.identity.id)], seconds);
    }
    streams(&mut page, &snapshot);
    page.0
}

/// Kept answers.
fn cache(page: &mut Page, cache: &Cache) {
    let (hits, misses) = (cache.hits.load(Ordering::Relaxed), cache.misses.load(Ordering::Relaxed));
    page.single("sluicegate_cache_hits_total", "counter", "requests answered with what was kept", hits);
    page.single("sluicegate_cache_misses_total", "counter", "requests for which nothing was kept", misses);
    page.single(
        "sluicegate_cache_unwritten_total",
        "counter",
        "answers not kept, too many being on their way to the store",
        cache.unwritten(),
    );
    if let Some((used, limit)) = cache.memory() {
        page.single("sluicegate_cache_bytes", "gauge", "memory of kept answers", used);
        page.single("sluicegate_cache_bytes_limit", "gauge", "most of it", limit);
    }
}

/// Counters of stream components under their documented names (streams contract 5.13), and those of `metric`
/// processors. What a stream's setting `metrics` says is for its own exporter: this page has one form for all streams.
fn streams(page: &mut Page, snapshot: &Snapshot) {
    let own_labels = |api: &RunningApi, stream: &str| {
        vec![("api_id".to_owned(), api.identity.id.to_string()), ("stream".to_owned(), stream.to_owned())]
    };
    page.0.push_str(&of_components(snapshot, own_labels));
}

/// The counters of streams that stand in no catalog.
pub(crate) fn of_streams(snapshot: &Snapshot) -> String {
    of_components(snapshot, |_, stream| vec![("stream".to_owned(), stream.to_owned())])
}

fn of_components(
    snapshot: &Snapshot,
    own_labels: impl Fn(&RunningApi, &str) -> Vec<(String, String)>,
) -> String {
    let mut samples = Vec::new();
    // Nobody's own numbers take the place of another's: they come last, and do not look like the gate's.
    let counted = snapshot.apis.values().map(|api| (api, api.backend.samples(false)));
    let own = snapshot.apis.values().map(|api| (api, api.backend.samples(true)));
    for (api, all) in counted.chain(own) {
        for (stream, mut sample) in all {
            if sample.name.starts_with("sluicegate") {
                continue;
            }
            let ours = own_labels(api, &stream);
            sample.labels.retain(|(label, _)| ours.iter().all(|(name, _)| label != name));
            sample.labels.splice(0..0, ours);
            samples.push(sample);
        }
    }
    samples.sort_by(|a, b| a.name.cmp(&b.name));
    streams::exporters::exposition(&samples, &streams::exporters::Timings::default())
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn sample_nonzero(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        if value > 0 {
            self.sample(name, labels, value);
        }
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            escape(value, &mut self.0);
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn histogram(&mut self, name: &str, api: &str, metrics: &ApiMetrics) {
        let mut cumulative = 0;
        for (bound, bucket) in BOUNDS.iter().zip(&metrics.buckets) {
            cumulative += bucket.load(Ordering::Relaxed);
            let bound = (*bound as f64 / 1e6).to_string();
            self.sample(&format!("{name}_bucket"), &[("api_id", api), ("le", &bound)], cumulative);
        }
        cumulative += metrics.slower.load(Ordering::Relaxed);
        self.sample(&format!("{name}_bucket"), &[("api_id", api), ("le", "+Inf")], cumulative);
        let seconds = metrics.microseconds.load(Ordering::Relaxed) as f64 / 1e6;
        self.sample(&format!("{name}_sum"), &[("api_id", api)], seconds);
        self.sample(&format!("{name}_count"), &[("api_id", api)], cumulative);
    }
}

fn escape(value: &str, page: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => page.push_str("\\\\"),
            '"' => page.push_str("\\\""),
            '\n' => page.push_str("\\n"),
            other => page.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_escaped_and_histograms_are_cumulative() {
        let mut page = Page(String::new());
        page.sample("m", &[("a", "x\"\\\n")], 2);
        assert_eq!(page.0, "m{a=\"x\\\"\\\\\\n\"} 2\n");

        let metrics = ApiMetrics::default();
        for (status, milliseconds) in [(200, 1), (204, 3), (404, 3), (503, 60_000)] {
            let status = StatusCode::from_u16(status).unwrap();
            metrics.count(status, Duration::from_millis(milliseconds), Duration::ZERO);
        }
        let mut page = Page(String::new());
        page.histogram("h", "a", &metrics);
        for line in [
            "h_bucket{api_id=\"a\",le=\"0.001\"} 1",
            "le=\"0.005\"} 3",
            "le=\"5\"} 3",
            "le=\"+Inf\"} 4",
            "h_count{api_id=\"a\"} 4",
        ] {
            assert!(page.0.contains(line), "{line} not in\n{}", page.0);
        }
        assert_eq!(metrics.classes[3].load(Ordering::Relaxed), 1);
    }
}
