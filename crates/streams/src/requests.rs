//! What a component counts of the HTTP requests that it sends (streams contract 2.1).

use std::time::Duration;

use crate::exporter::SampleValue;
use crate::latency::Latency;
use crate::metrics::{Count, Series};

/// The names of answers, by the first digit of their status from 2 on.
const CODES: [&str; 4] =
    ["http_request_code_2xx", "http_request_code_3xx", "http_request_code_4xx", "http_request_code_5xx"];

/// The requests of one component. Each attempt counts, those that are sent again among them.
#[derive(Debug, Default)]
pub struct Requests {
    codes: [Count; 4],
    latency: Latency,
}

impl Requests {
    /// An answer of this status has begun, so long after its request was sent.
    pub fn answered(&self, status: u16, took: Duration) {
        if let Some(count) = usize::from(status / 100).checked_sub(2).and_then(|class| self.codes.get(class))
        {
            count.add(1);
        }
        self.latency.record(took);
    }

    /// Every number under its metric name.
    pub(crate) fn series(&self) -> impl Iterator<Item = Series> {
        let codes = CODES.iter().zip(&self.codes);
        let codes = codes.map(|(name, count)| Series::new(name, SampleValue::Counter(count.get())));
        codes.chain([Series::new("http_request_latency_ns", SampleValue::Timing(self.latency.timing()))])
    }
}
