//! Where counters and spans go (streams contract 2.16, 2.17).

mod process;
mod prometheus;
mod statsd;

use streams::{Kind, MetricsSpec};

/// Exporter `prometheus`.
pub static PROMETHEUS: MetricsSpec = MetricsSpec {
    name: "prometheus",
    summary: "Counters in the text format of Prometheus. `sluicegate stream run` serves them at `/metrics` and `/stats`; inside of the gate they are part of the gate's own `/metrics`, and only what is pushed or written to a file follows these fields.",
    config: Kind::Object(prometheus::FIELDS),
    build: prometheus::build,
};

/// Exporter `statsd`.
pub static STATSD: MetricsSpec = MetricsSpec {
    name: "statsd",
    summary: "Sends counters to a StatsD server over UDP.",
    config: Kind::Object(statsd::FIELDS),
    build: statsd::build,
};
