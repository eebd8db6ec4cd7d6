//! What an exporter of counters must do (streams contract 2.17, 5.13).

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

/// A summary of durations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timing {
    /// How many.
    pub count: u64,
    /// Their sum in nanoseconds.
    pub sum_ns: u64,
    /// How many took at most so long: pairs of nanoseconds and how many, both growing.
    pub buckets: Vec<(u64, u64)>,
}

impl Timing {
    /// The duration in nanoseconds that this fraction of them did not exceed; 0 when there are none.
    pub fn quantile(&self, fraction: f64) -> u64 {
        let rank = (self.count as f64 * fraction).ceil().max(1.0) as u64;
        let found = self.buckets.iter().find(|(_, within)| *within >= rank);
        found.or(self.buckets.last()).map_or(0, |(limit, _)| *limit)
    }
}

/// Gives the samples of now.
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
    fn page(&self, samples: &dyn Samples) -> Option<Page> {
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
