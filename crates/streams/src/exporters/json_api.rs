//! Counters as JSON, for programs that read no Prometheus text.

use async_trait::async_trait;
use document::Fault;
use serde_json::{Map, Value as Json, json};

use crate::build::BuildContext;
use crate::exporter::{Exporter, Page, Sample, SampleValue, Samples};
use crate::node::Node;
use crate::registry::{Kind, MetricsSpec};

pub(super) static SPEC: MetricsSpec = MetricsSpec {
    name: "json_api",
    summary: "Counters as one flat JSON object, with the median, the 90th and the 99th percentile of timings. It is for whoever runs a stream in a program of its own and serves the page; inside of the gate nothing does, and the gate's `/metrics` tells the same numbers.",
    config: Kind::Object(&[]),
    build,
};

fn build(_: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Exporter>, Fault> {
    Ok(Box::new(JsonApi))
}

struct JsonApi;

#[async_trait]
impl Exporter for JsonApi {
    async fn page(&self, samples: &dyn Samples) -> Option<Page> {
        let body = Json::Object(object(&samples.samples())).to_string();
        Some(Page { content_type: "application/json", body })
    }
}

/// The samples, each under its name with its labels: `input_received{label="",path="root.input"}`.
pub fn object(samples: &[Sample]) -> Map<String, Json> {
    samples.iter().map(|sample| (key(sample), value(&sample.value))).collect()
}

fn key(sample: &Sample) -> String {
    if sample.labels.is_empty() {
        return sample.name.clone();
    }
    let mut labels: Vec<String> =
        sample.labels.iter().map(|(name, text)| format!("{name}={text:?}")).collect();
    labels.sort();
    format!("{}{{{}}}", sample.name, labels.join(","))
}

fn value(value: &SampleValue) -> Json {
    match value {
        SampleValue::Counter(value) => json!(value),
        // A gauge that is whole is told as it was set.
        SampleValue::Gauge(value) if value.fract() == 0.0 && value.abs() < 9e15 => json!(*value as i64),
        SampleValue::Gauge(value) => json!(value),
        SampleValue::Timing(timing) => {
            let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|fraction| timing.quantile(fraction));
            json!({ "p50": p50, "p90": p90, "p99": p99 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::Timing;

    #[test]
    fn samples_are_flat_and_timings_have_percentiles() {
        let labels =
            |list: &[(&str, &str)]| list.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        let sample = |name: &str, labels, value| Sample { name: name.to_owned(), labels, value };
        let timing =
            Timing { count: 100, sum_ns: 1, buckets: vec![(10, 50), (20, 98), (30, 100)], recent: None };
        let object = object(&[
            sample("a", labels(&[("path", "root.input"), ("label", "x\"")]), SampleValue::Counter(3)),
            sample("b", labels(&[]), SampleValue::Gauge(7.0)),
            sample("c", labels(&[]), SampleValue::Timing(timing)),
        ]);
        let expected = json!({
            "a{label=\"x\\\"\",path=\"root.input\"}": 3,
            "b": 7,
            "c": { "p50": 10, "p90": 20, "p99": 30 },
        });
        assert_eq!(Json::Object(object), expected);
    }
}
