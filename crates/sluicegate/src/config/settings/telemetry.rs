//! `opentelemetry`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use state::Secret;

use super::{seconds, secret};

/// What is said of traces, at both places.
#[derive(Debug, Clone)]
pub(crate) struct OpenTelemetry {
    /// The older place.
    own: TraceExport,
    /// `opentelemetry.traces`.
    traces: TraceExport,
}

impl OpenTelemetry {
    /// What counts, and where it stands; `None` where nothing is traced.
    pub(crate) fn counting(&self) -> Option<(&'static str, &TraceExport)> {
        let places = [("opentelemetry.traces", &self.traces), ("opentelemetry", &self.own)];
        places.into_iter().find(|(_, place)| place.enabled)
    }
}

impl<'de> Deserialize<'de> for OpenTelemetry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut own = Value::deserialize(from)?;
        let traces = own.as_object_mut().and_then(|own| own.remove("traces")).unwrap_or_default();
        Ok(Self {
            own: serde_json::from_value(own).map_err(D::Error::custom)?,
            traces: serde_json::from_value(traces).map_err(D::Error::custom)?,
        })
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TraceExport {
    pub(crate) enabled: bool,
    pub(crate) exporter: String,
    pub(crate) endpoint: String,
    #[serde(deserialize_with = "secrets")]
    pub(crate) headers: BTreeMap<String, Secret>,
    #[serde(deserialize_with = "seconds")]
    pub(crate) connection_timeout: Duration,
    pub(crate) resource_name: String,
    pub(crate) tls: CollectorTls,
    pub(crate) span_processor_type: String,
    pub(crate) span_batch_config: SpanBatches,
    pub(crate) context_propagation: String,
    pub(crate) custom_trace_header: String,
    pub(crate) sampling: Sampling,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CollectorTls {
    pub(crate) enable: bool,
    pub(crate) insecure_skip_verify: bool,
    pub(crate) ca_file: String,
    pub(crate) cert_file: String,
    pub(crate) key_file: String,
    pub(crate) min_version: TlsVersion,
    pub(crate) max_version: TlsVersion,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) enum TlsVersion {
    #[serde(rename = "1.0")]
    Tls10,
    #[serde(rename = "1.1")]
    Tls11,
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpanBatches {
    pub(crate) max_queue_size: usize,
    pub(crate) max_export_batch_size: usize,
    #[serde(deserialize_with = "seconds")]
    pub(crate) batch_timeout: Duration,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sampling {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) rate: f64,
    pub(crate) parent_based: bool,
}

fn secrets<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Secret>, D::Error> {
    #[derive(Deserialize)]
    struct One(#[serde(deserialize_with = "secret")] Secret);
    let all = BTreeMap::<String, One>::deserialize(from)?;
    Ok(all.into_iter().map(|(name, One(secret))| (name, secret)).collect())
}
