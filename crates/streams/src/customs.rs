//! Numbers that `metric` processors make, beside those that every component counts by itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::RwLock;

use crate::exporter::{Sample, SampleValue};
use crate::latency::Latency;
use crate::metrics::Count;

/// Most series of one stream. Labels may come from messages, and messages from strangers.
const MOST: usize = 10_000;

/// What a `metric` processor makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CustomKind {
    Counter,
    Gauge,
    Timing,
}

/// One series.
#[derive(Debug)]
pub(crate) enum Custom {
    Counter(Count),
    /// The bits of a number.
    Gauge(AtomicU64),
    Timing(Latency),
}

impl Custom {
    /// Adds to a counter, sets a gauge, records the nanoseconds of a timing.
    pub(crate) fn take(&self, value: f64) {
        match self {
            Custom::Counter(count) => count.add(value as u64),
            Custom::Gauge(bits) => bits.store(value.to_bits(), Relaxed),
            Custom::Timing(latency) => latency.record_ns(value as u64),
        }
    }

    fn value(&self) -> SampleValue {
        match self {
            Custom::Counter(count) => SampleValue::Counter(count.get()),
            Custom::Gauge(bits) => SampleValue::Gauge(f64::from_bits(bits.load(Relaxed))),
            Custom::Timing(latency) => SampleValue::Timing(latency.timing()),
        }
    }
}

type Labels = Vec<(String, String)>;

/// The series of one stream.
#[derive(Debug, Default)]
pub(crate) struct Customs {
    series: RwLock<HashMap<(String, CustomKind, Labels), Arc<Custom>>>,
    refused: AtomicBool,
}

impl Customs {
    /// The series of this name, kind and labels; `None` when there are too many, which is said once.
    pub(crate) fn get(&self, name: &str, kind: CustomKind, labels: Labels) -> Option<Arc<Custom>> {
        let key = (name.to_owned(), kind, labels);
        if let Some(known) = self.series.read().get(&key) {
            return Some(known.clone());
        }
        let mut series = self.series.write();
        if series.len() >= MOST && !series.contains_key(&key) {
            if !self.refused.swap(true, Relaxed) {
                tracing::warn!(
                    metric = name,
                    "the stream has {MOST} series of its own already: what has other labels is not counted"
                );
            }
            return None;
        }
        let made = || {
            Arc::new(match kind {
                CustomKind::Counter => Custom::Counter(Count::default()),
                CustomKind::Gauge => Custom::Gauge(AtomicU64::default()),
                CustomKind::Timing => Custom::Timing(Latency::default()),
            })
        };
        Some(series.entry(key).or_insert_with(made).clone())
    }

    /// What they are now.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        (self.series.read().iter())
            .map(|((name, _, labels), custom)| Sample {
                name: name.clone(),
                labels: labels.clone(),
                value: custom.value(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_bounded_and_known_ones_go_on() {
        let customs = Customs::default();
        let get =
            |index: usize| customs.get("m", CustomKind::Counter, vec![("l".to_owned(), index.to_string())]);
        for index in 0..MOST {
            get(index).unwrap().take(1.0);
        }
        assert!(get(MOST).is_none());
        get(0).unwrap().take(2.0);
        let samples = customs.samples();
        assert_eq!(samples.len(), MOST);
        let first = samples.iter().find(|sample| sample.labels[0].1 == "0").unwrap();
        assert_eq!(first.value, SampleValue::Counter(3));
    }
}
