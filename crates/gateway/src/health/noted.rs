//! The same counters for all nodes of a store (contract 5.1, `apihealth.<API>.<metric>`): one sorted set for each, a member
//! for each exchange at its time in Unix nanoseconds, as the original keeps them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::Averages;
use crate::gate::Gate;

/// Exchanges that may wait to be written.
const MOST: usize = 16_384;
/// How often they are.
const PAUSE: Duration = Duration::from_millis(500);
/// The newest exchanges whose latency is looked at: more would say the same and take long to read.
const LOOKED_AT: usize = 10_000;
const NANOS: f64 = 1e9;

/// What is counted of an exchange; the names are the original's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Metric {
    Request,
    BlockedRequest,
    Throttle,
    QuotaViolation,
    KeyFailure,
}

impl Metric {
    fn of(flag: &str) -> Option<Self> {
        match flag {
            "RLT" => Some(Self::Throttle),
            "QEX" => Some(Self::QuotaViolation),
            _ if super::is_bad_key(flag) => Some(Self::KeyFailure),
            _ => None,
        }
    }

    fn set(self, api: &str) -> String {
        format!("apihealth.{api}.{self:?}")
    }
}

#[derive(Debug)]
struct Entry {
    api: Arc<str>,
    metric: Metric,
    /// Unix nanoseconds; no two are the same.
    at: u64,
    /// Milliseconds until the upstream answered, of what went through.
    latency: Option<u64>,
}

/// Of one sorted set: times, and what is kept there.
type Members = Vec<(f64, String)>;

/// Exchanges on their way to the store.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    waiting: Mutex<Vec<Entry>>,
    /// Held while they are written: who asks afterwards finds them.
    writing: tokio::sync::Mutex<()>,
    last: AtomicU64,
    untold: AtomicU64,
}

impl Noted {
    /// Takes in an exchange. `flag` is why it was refused, if it was.
    pub(crate) fn note(&self, gate: &Gate, api: &Arc<str>, flag: &str, upstream: Duration) {
        if !gate.state.is_shared() {
            return;
        }
        let (metric, latency) = match flag {
            "" => (Metric::Request, Some(u64::try_from(upstream.as_millis()).unwrap_or(u64::MAX))),
            _ => (Metric::BlockedRequest, None),
        };
        let mut waiting = self.waiting.lock();
        if waiting.len() >= MOST {
            self.untold.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.push(Entry { api: Arc::clone(api), metric, at: self.now(), latency });
        if let Some(metric) = Metric::of(flag) {
            waiting.push(Entry { api: Arc::clone(api), metric, at: self.now(), latency: None });
        }
    }

    fn now(&self) -> u64 {
        let now = nanos();
        let next = |last: u64| Some(now.max(last.saturating_add(1)));
        let before = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(now);
        now.max(before.saturating_add(1))
    }

    /// Writes what waits.
    async fn flush(&self, gate: &Gate, window: u32) {
        let _writing = self.writing.lock().await;
        let waiting = std::mem::take(&mut *self.waiting.lock());
        let mut sets: HashMap<(Arc<str>, Metric), Members> = HashMap::new();
        for entry in waiting {
            let member = match entry.latency {
                Some(latency) => format!("{}.{latency}", entry.at),
                None => entry.at.to_string(),
            };
            sets.entry((entry.api, entry.metric)).or_default().push((entry.at as f64, member));
        }
        for ((api, metric), members) in sets {
            let life = Duration::from_secs(u64::from(window));
            let written = gate.state.add_times(&metric.set(&api), &members, since(window), life).await;
            if let Err(away) = written {
                self.untold.fetch_add(members.len() as u64, Ordering::Relaxed);
                tracing::debug!(%away, "what happened to an API is not counted for all nodes");
            }
        }
    }

    /// What the store did not take.
    pub(crate) fn untold(&self) -> u64 {
        self.untold.load(Ordering::Relaxed)
    }

    /// What waits.
    pub(crate) fn queued(&self) -> u64 {
        self.waiting.lock().len() as u64
    }

    /// Room for it.
    pub(crate) fn room(&self) -> u64 {
        MOST as u64
    }
}

/// Writes what happened until the gate closes.
pub(crate) async fn write(gate: &Gate) {
    let Some(window) = gate.settings.health_window else { return };
    loop {
        let closed = tokio::select! {
            () = tokio::time::sleep(PAUSE) => false,
            () = gate.closed() => true,
        };
        gate.noted.flush(gate, window).await;
        if closed {
            return;
        }
    }
}

/// The averages over what happened to an API at all nodes; `None` where no store is shared, or it is away.
pub(crate) async fn of_all_nodes(gate: &Gate, api: &str, window: u32) -> Option<Averages> {
    if !gate.state.is_shared() {
        return None;
    }
    gate.noted.flush(gate, window).await;
    let since = since(window);
    let count = async |metric: Metric| {
        let found = gate.state.times(&metric.set(api), since, 0).await;
        found.ok().map(|(count, _)| count as f64 / f64::from(window.max(1)))
    };
    let (passed, newest) = gate.state.times(&Metric::Request.set(api), since, LOOKED_AT).await.ok()?;
    let latencies: Vec<f64> = newest.iter().filter_map(|member| latency(member)).collect();
    let upstream = latencies.iter().sum::<f64>() / latencies.len().max(1) as f64;
    Some(Averages {
        throttled: count(Metric::Throttle).await?,
        over_quota: count(Metric::QuotaViolation).await?,
        bad_keys: count(Metric::KeyFailure).await?,
        upstream,
        requests: passed as f64 / f64::from(window.max(1)) + count(Metric::BlockedRequest).await?,
    })
}

/// What stands behind the first dot of a member.
fn latency(member: &str) -> Option<f64> {
    member.split('.').nth(1)?.parse().ok()
}

/// Unix nanoseconds at which the window begins.
fn since(window: u32) -> f64 {
    nanos() as f64 - f64::from(window) * NANOS
}

fn nanos() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c5_1_row_32_no_two_exchanges_are_one_member() {
        let noted = Noted::default();
        let times: std::collections::HashSet<u64> = (0..1000).map(|_| noted.now()).collect();
        assert_eq!(times.len(), 1000);
        assert_eq!(Metric::QuotaViolation.set("a"), "apihealth.a.QuotaViolation");
        for (member, expected) in [("5.12", Some(12.0)), ("5.12.n", Some(12.0)), ("5", None), ("5.x", None)] {
            assert_eq!(latency(member), expected, "{member}");
        }
    }
}
