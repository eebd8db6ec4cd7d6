//! What an exporter of counters must do (streams contract 2.17, 5.13).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use async_trait::async_trait;

/// One number at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Such as `input_received`.
    pub name: String,
    /// Such as `path` and `label`, in this order.
    pub labels: Vec<(String, String)>,
    /// The number.
    pub value: SampleValue,
}

impl Sample {
    /// Whether it goes up and down, and means nothing when what it is about is gone.
    pub fn is_gauge(&self) -> bool {
        matches!(self.value, SampleValue::Gauge(_))
    }
}

/// The samples with those of one series put together: what several counted, as one would have. Sorted by series.
pub fn merged_samples(samples: Vec<Sample>) -> Vec<Sample> {
    let mut all: BTreeMap<SeriesKey, SampleValue> = BTreeMap::new();
    for Sample { name, labels, value } in samples {
        match all.entry((name, labels)) {
            Entry::Vacant(free) => drop(free.insert(value)),
            Entry::Occupied(mut known) => known.get_mut().merge(value),
        }
    }
    all.into_iter().map(|((name, labels), value)| Sample { name, labels, value }).collect()
}

/// What tells one series from another: its name and its labels.
pub type SeriesKey = (String, Vec<(String, String)>);

/// What kind of number it is.
#[derive(Debug, Clone, PartialEq)]
pub enum SampleValue {
    /// Only grows.
    Counter(u64),
    /// Goes up and down.
    Gauge(f64),
    /// How long something took.
    Timing(Timing),
}

impl SampleValue {
    /// The word for it, as Prometheus has it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            SampleValue::Counter(_) => "counter",
            SampleValue::Gauge(_) => "gauge",
            SampleValue::Timing(_) => "timing",
        }
    }

    /// Both in one, for series that a mapping gave the same name. Of gauges, and of two kinds, the later one stays.
    pub(crate) fn merge(&mut self, later: SampleValue) {
        match (self, later) {
            (SampleValue::Counter(sum), SampleValue::Counter(more)) => *sum = sum.saturating_add(more),
            (SampleValue::Timing(timing), SampleValue::Timing(more)) => timing.merge(&more),
            (value, later) => *value = later,
        }
    }
}

/// A summary of durations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timing {
    /// How many.
    pub count: u64,
    /// Their sum in nanoseconds.
    pub sum_ns: u64,
    /// How many took at most so long: pairs of nanoseconds and how many, both growing.
    pub buckets: Vec<(u64, u64)>,
    /// The same of the last minutes, for quantiles; none: of all.
    pub recent: Option<Vec<(u64, u64)>>,
}

impl Timing {
    /// The duration in nanoseconds that this fraction of the last ones did not exceed; 0 when there are none.
    pub fn quantile(&self, fraction: f64) -> u64 {
        let last = self.last();
        let count = last.last().map_or(0, |(_, count)| *count);
        let rank = (count as f64 * fraction).ceil().max(1.0) as u64;
        let found = last.iter().find(|(_, within)| *within >= rank);
        found.or(last.last()).map_or(0, |(limit, _)| *limit)
    }

    /// Whether there are any that quantiles tell of.
    pub(crate) fn has_last(&self) -> bool {
        !self.last().is_empty()
    }

    fn last(&self) -> &[(u64, u64)] {
        self.recent.as_ref().unwrap_or(&self.buckets)
    }

    /// How many took at most so long, in nanoseconds. A bucket whose limit is beyond does not count.
    pub fn within(&self, limit_ns: f64) -> u64 {
        within(&self.buckets, limit_ns)
    }

    /// What came since an earlier moment of the same series: pairs of nanoseconds and how many.
    pub fn since(&self, earlier: &Timing) -> Vec<(u64, u64)> {
        let (mut all, mut before) = (Vec::new(), 0);
        for (limit, within) in &self.buckets {
            let new = within.saturating_sub(earlier.within(*limit as f64));
            if new > before {
                all.push((*limit, new - before));
                before = new;
            }
        }
        all
    }

    fn merge(&mut self, more: &Timing) {
        self.recent = Some(merged(self.last(), more.last()));
        self.buckets = merged(&self.buckets, &more.buckets);
        self.count += more.count;
        self.sum_ns = self.sum_ns.saturating_add(more.sum_ns);
    }
}

fn within(buckets: &[(u64, u64)], limit_ns: f64) -> u64 {
    let within = buckets.iter().take_while(|(limit, _)| *limit as f64 <= limit_ns);
    within.last().map_or(0, |(_, count)| *count)
}

fn merged(one: &[(u64, u64)], other: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut limits: Vec<u64> = one.iter().chain(other).map(|(limit, _)| *limit).collect();
    limits.sort_unstable();
    limits.dedup();
    limits.into_iter().map(|limit| (limit, within(one, limit as f64) + within(other, limit as f64))).collect()
}

/// Gives the samples of now, sorted by name.
pub trait Samples: Send + Sync {
    /// All of them.
    fn samples(&self) -> Vec<Sample>;
}

/// A page for whoever asks over HTTP.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its media type.
    pub content_type: &'static str,
    /// Its text.
    pub body: String,
}

/// Takes counters somewhere.
#[async_trait]
pub trait Exporter: Send + Sync {
    /// The page that is served at `/metrics` and `/stats`; `None` where nothing is.
    async fn page(&self, samples: &dyn Samples) -> Option<Page> {
        let _ = samples;
        None
    }

    /// Pushes for as long as it is polled; whoever runs it drops it. Returns at once where nothing is pushed.
    async fn push(&self, samples: Arc<dyn Samples>) {
        let _ = samples;
    }

    /// The stream has ended: pushes or writes what must not be missed.
    async fn finish(&self, samples: &dyn Samples) {
        let _ = samples;
    }
}
