//! The obsolete counters of an API (contract 11.8): what happened in the last seconds, on average.

mod noted;

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

pub(crate) use noted::{Noted, of_all_nodes, write};

/// What happened in one second.
#[derive(Debug, Default)]
struct Second {
    /// In Unix time.
    at: i64,
    requests: u64,
    /// Those that were not refused.
    passed: u64,
    throttled: u64,
    over_quota: u64,
    bad_keys: u64,
    upstream: Duration,
}

/// The seconds of one API that are still looked at.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<VecDeque<Second>>);

/// The names are the wire's, the first one's slip with them.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Averages {
    #[serde(rename = "throttle_reqests_per_second")]
    throttled: f64,
    #[serde(rename = "quota_violations_per_second")]
    over_quota: f64,
    #[serde(rename = "key_failures_per_second")]
    bad_keys: f64,
    /// In milliseconds.
    #[serde(rename = "average_upstream_latency")]
    upstream: f64,
    #[serde(rename = "average_requests_per_second")]
    requests: f64,
}

impl Health {
    /// Counts an exchange. `flag` is why it was refused, if it was; `window`, in seconds, is how long it counts.
    pub(crate) fn count(&self, now: i64, window: u32, flag: &str, upstream: Duration) {
        let mut seconds = self.0.lock();
        forget(&mut seconds, now, window);
        if seconds.back().is_none_or(|last| last.at != now) {
            seconds.push_back(Second { at: now, ..Second::default() });
        }
        let Some(second) = seconds.back_mut() else { return };
        second.requests += 1;
        match flag {
            "" => {
                second.passed += 1;
                second.upstream += upstream;
            }
            "RLT" => second.throttled += 1,
            "QEX" => second.over_quota += 1,
            _ if is_bad_key(flag) => second.bad_keys += 1,
            _ => {}
        }
    }

    /// The averages over the last `window` seconds.
    pub(crate) fn averages(&self, now: i64, window: u32) -> Averages {
        let mut seconds = self.0.lock();
        forget(&mut seconds, now, window);
        let sum = |of: fn(&Second) -> u64| seconds.iter().map(of).sum::<u64>() as f64;
        let (requests, passed) = (sum(|second| second.requests), sum(|second| second.passed));
        let upstream: Duration = seconds.iter().map(|second| second.upstream).sum();
        let window = f64::from(window.max(1));
        Averages {
            throttled: sum(|second| second.throttled) / window,
            over_quota: sum(|second| second.over_quota) / window,
            bad_keys: sum(|second| second.bad_keys) / window,
            upstream: if passed > 0.0 { upstream.as_secs_f64() * 1e3 / passed } else { 0.0 },
            requests: requests / window,
        }
    }
}

/// Whether an exchange was refused for what it had to show.
fn is_bad_key(flag: &str) -> bool {
    matches!(flag, "AMF" | "AKI" | "TKI" | "TKE" | "EAD")
}

fn forget(seconds: &mut VecDeque<Second>, now: i64, window: u32) {
    while seconds.front().is_some_and(|first| first.at <= now - i64::from(window)) {
        seconds.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c11_8_averages_are_those_of_the_window() {
        let health = Health::default();
        let ten = Duration::from_millis(10);
        for (at, flag) in [(100, ""), (100, "RLT"), (103, "QEX"), (104, "AKI"), (104, "")] {
            health.count(at, 4, flag, ten);
        }
        let averages = |now| health.averages(now, 4);
        // The first second is no longer looked at.
        let four =
            Averages { throttled: 0.0, over_quota: 0.25, bad_keys: 0.25, upstream: 10.0, requests: 0.75 };
        assert_eq!(averages(104), four);
        assert_eq!(averages(107).requests, 0.5);
        assert_eq!(averages(108), Averages::default());
    }
}
