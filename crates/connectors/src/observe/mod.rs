//! Where counters and spans go (streams contract 2.16, 2.17).

#[cfg(feature = "otlp")]
mod courier;
#[cfg(feature = "otlp")]
mod jaeger;
#[cfg(feature = "otlp")]
mod otlp;
mod process;
mod prometheus;
mod statsd;
#[cfg(feature = "otlp")]
mod thrift;
mod udp;

use http::HeaderValue;
use percent_encoding::percent_decode_str;
#[cfg(feature = "otlp")]
use streams::TracerSpec;
use streams::{Kind, MetricsSpec};

/// Tracer `jaeger`.
#[cfg(feature = "otlp")]
pub static JAEGER: TracerSpec = TracerSpec {
    name: "jaeger",
    summary: "Sends spans to Jaeger: to a collector, or to an agent. When they are not taken for some seconds they are dropped, and the log says how many. No message waits for it.",
    config: Kind::Object(jaeger::FIELDS),
    build: jaeger::build,
};

/// Tracer `open_telemetry_collector`.
#[cfg(feature = "otlp")]
pub static OPEN_TELEMETRY_COLLECTOR: TracerSpec = TracerSpec {
    name: "open_telemetry_collector",
    summary: "Sends spans to collectors of OpenTelemetry. Each gets all of them; when none takes them for some seconds they are dropped, and the log says how many. No message waits for it.",
    config: Kind::Object(otlp::FIELDS),
    build: otlp::build,
};

/// Exporter `prometheus`.
pub static PROMETHEUS: MetricsSpec = MetricsSpec {
    name: "prometheus",
    summary: "Counters in the text format of Prometheus. Inside of the gate they are part of the gate's own `/metrics`, and only what is pushed or written to a file follows these fields.",
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

/// Takes name and password out of an address, which is logged, and makes a header of them.
fn credentials(url: &mut url::Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let value = crate::auth::basic(&decoded(url.username()), &decoded(url.password().unwrap_or_default()));
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some(value)
}
