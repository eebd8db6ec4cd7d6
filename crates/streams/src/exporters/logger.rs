//! Counters in the log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use document::Fault;
use parking_lot::Mutex;

use super::json_api::object;
use crate::build::BuildContext;
use crate::exporter::{Exporter, SampleValue, Samples, SeriesKey, Timing};
use crate::node::Node;
use crate::registry::{Default, Field, Kind, MetricsSpec};

pub(super) static SPEC: MetricsSpec = MetricsSpec {
    name: "logger",
    summary: "Writes every counter to the log when the stream ends, and at an interval if there is one.",
    config: Kind::Object(&[
        Field::new(
            "push_interval",
            Kind::Duration,
            Default::Text(""),
            "The interval; empty: only when the stream ends.",
        ),
        Field::new(
            "flush_metrics",
            Kind::Bool,
            Default::Bool(false),
            "Counters and timings tell what came since the last time, not since the start.",
        ),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Exporter>, Fault> {
    Ok(Box::new(Logger {
        stream: context.stream.clone(),
        interval: node.duration("push_interval")?.filter(|interval| !interval.is_zero()),
        last: node.boolean("flush_metrics")?.then(Mutex::default),
    }))
}

struct Logger {
    stream: Arc<str>,
    interval: Option<Duration>,
    last: Option<Mutex<HashMap<SeriesKey, SampleValue>>>,
}

impl Logger {
    fn write(&self, samples: &dyn Samples) {
        let mut samples = samples.samples();
        if let Some(last) = &self.last {
            let mut last = last.lock();
            for sample in &mut samples {
                let before = last.insert((sample.name.clone(), sample.labels.clone()), sample.value.clone());
                sample.value = difference(&sample.value, before);
            }
        }
        for (metric, value) in object(&samples) {
            tracing::info!(stream = %self.stream, metric, %value, "metric");
        }
    }
}

fn difference(now: &SampleValue, before: Option<SampleValue>) -> SampleValue {
    match (now, before) {
        (SampleValue::Counter(now), Some(SampleValue::Counter(before))) => {
            SampleValue::Counter(now.saturating_sub(before))
        }
        (SampleValue::Timing(now), Some(SampleValue::Timing(before))) => {
            let mut count = 0;
            let buckets = now.since(&before).into_iter().map(|(limit, new)| {
                count += new;
                (limit, count)
            });
            let buckets = buckets.collect();
            let sum_ns = now.sum_ns.saturating_sub(before.sum_ns);
            SampleValue::Timing(Timing { count, sum_ns, buckets, recent: None })
        }
        (now, _) => now.clone(),
    }
}

#[async_trait]
impl Exporter for Logger {
    async fn push(&self, samples: Arc<dyn Samples>) {
        let Some(interval) = self.interval else { return };
        loop {
            tokio::time::sleep(interval).await;
            self.write(&*samples);
        }
    }

    async fn finish(&self, samples: &dyn Samples) {
        self.write(samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_tell_what_came_since() {
        let timing = |buckets: &[(u64, u64)], sum_ns| {
            let count = buckets.last().map_or(0, |(_, count)| *count);
            SampleValue::Timing(Timing { count, sum_ns, buckets: buckets.to_vec(), recent: None })
        };
        for (now, before, expected) in [
            (SampleValue::Counter(7), SampleValue::Counter(5), SampleValue::Counter(2)),
            (SampleValue::Gauge(7.0), SampleValue::Gauge(5.0), SampleValue::Gauge(7.0)),
            (
                timing(&[(10, 3), (20, 4), (30, 9)], 90),
                timing(&[(10, 1), (30, 3)], 40),
                timing(&[(10, 2), (20, 3), (30, 6)], 50),
            ),
            (timing(&[(10, 1)], 1), timing(&[(10, 1)], 1), timing(&[], 0)),
        ] {
            assert_eq!(difference(&now, Some(before)), expected);
            assert_eq!(difference(&now, None), now);
        }
    }
}
