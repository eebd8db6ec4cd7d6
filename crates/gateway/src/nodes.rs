//! The nodes that share this one's state: who is alive, and which share of a limit each may admit by itself.
//!
//! Each node tells the others every few seconds how many requests a second it counts (contract 13.1,
//! `NoticeGatewayDRLNotification`). A node's share of a limit is its share of that load. A node that is not heard of for
//! three announcements is gone. While the store is away nobody can be heard, and nobody is forgotten: every node keeps
//! the share it had, so that all together still admit no more than the limit.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// The command of announcements.
pub(crate) const ANNOUNCEMENT: &str = "NoticeGatewayDRLNotification";
/// Announcements that may be lost before a node counts as gone.
const PATIENCE: u32 = 3;
/// Most nodes that are remembered; more are not believed.
const MOST: usize = 4096;
/// Requests a second that every node is taken to have at least, so that an idle one can begin.
const LEAST: f64 = 1.0;

/// What a node says of itself; the names are the wire's.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Announcement {
    #[serde(default)]
    host_name: String,
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    load_per_sec: f64,
    #[serde(default)]
    tag_hash: String,
}

/// The nodes as this one sees them.
#[derive(Debug)]
pub(crate) struct Nodes {
    id: String,
    host: String,
    /// Requests since the last announcement.
    requests: AtomicU64,
    view: Mutex<View>,
    /// Bits of an `f64`.
    share: AtomicU64,
    live: AtomicUsize,
}

/// What is known of the others, and of one's own load as they know it.
#[derive(Debug)]
pub(crate) struct View {
    load: f64,
    announced: Option<Instant>,
    others: HashMap<String, Other>,
}

#[derive(Debug)]
struct Other {
    load: f64,
    heard: Instant,
}

impl View {
    pub(crate) fn new() -> Self {
        Self { load: 0.0, announced: None, others: HashMap::new() }
    }

    pub(crate) fn hear(&mut self, id: &str, load: f64, now: Instant) {
        let load = if load.is_finite() { load.max(0.0) } else { 0.0 };
        if let Some(other) = self.others.get_mut(id) {
            *other = Other { load, heard: now };
        } else if self.others.len() < MOST {
            self.others.insert(id.to_owned(), Other { load, heard: now });
        }
    }

    /// One's own load since the last announcement. The load counts for one's share only when others can know it, so
    /// that all shares come from the same numbers.
    pub(crate) fn announce(&mut self, requests: u64, every: Duration, now: Instant) -> f64 {
        let since = self.announced.map_or(every, |before| now.saturating_duration_since(before));
        self.announced = Some(now);
        self.load = requests as f64 / since.as_secs_f64().max(0.001);
        self.load
    }

    /// Forgets who has not been heard of for long, unless nobody can be heard.
    pub(crate) fn forget(&mut self, every: Duration, can_hear: bool, now: Instant) {
        if can_hear {
            let patience = every.saturating_mul(PATIENCE);
            self.others.retain(|_, other| now.saturating_duration_since(other.heard) <= patience);
        }
    }

    pub(crate) fn share(&self) -> f64 {
        let whole: f64 = self.others.values().map(|other| other.load.max(LEAST)).sum();
        let own = self.load.max(LEAST);
        own / (own + whole)
    }

    pub(crate) fn live(&self) -> usize {
        self.others.len() + 1
    }
}

impl Nodes {
    pub(crate) fn new() -> Self {
        Self {
            id: format!("solo-{:016x}{:016x}", rand::random::<u64>(), rand::random::<u64>()),
            host: std::env::var("HOSTNAME").unwrap_or_default(),
            requests: AtomicU64::new(0),
            view: Mutex::new(View::new()),
            share: AtomicU64::new(1_f64.to_bits()),
            live: AtomicUsize::new(1),
        }
    }

    /// Counts one request towards this node's load.
    pub(crate) fn count(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// The part of a limit that this node may admit by itself: above 0, at most 1.
    pub(crate) fn share(&self) -> f64 {
        f64::from_bits(self.share.load(Ordering::Relaxed))
    }

    /// How many nodes there are, this one included.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Takes an announcement, this node's own among them. What cannot be read is nobody's.
    pub(crate) fn heard(&self, payload: &str) {
        match serde_json::from_str::<Announcement>(payload) {
            // Nodes with other tags serve other APIs; this one has none.
            Ok(told) if told.tag_hash.is_empty() && told.id != self.id => {
                let mut view = self.view.lock();
                view.hear(&told.id, told.load_per_sec, Instant::now());
                self.settle(&view);
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "an announcement of a node cannot be read"),
        }
    }

    /// What to announce now; called every `every`. `can_hear`: the store passes signals on.
    pub(crate) fn announce(&self, every: Duration, can_hear: bool) -> String {
        let requests = self.requests.swap(0, Ordering::Relaxed);
        let mut view = self.view.lock();
        let now = Instant::now();
        let load_per_sec = if can_hear { view.announce(requests, every, now) } else { view.load };
        view.forget(every, can_hear, now);
        self.settle(&view);
        drop(view);
        let told = Announcement {
            host_name: self.host.clone(),
            id: self.id.clone(),
            load_per_sec,
            tag_hash: String::new(),
        };
        serde_json::to_string(&told).unwrap_or_default()
    }

    fn settle(&self, view: &View) {
        self.share.store(view.share().to_bits(), Ordering::Relaxed);
        self.live.store(view.live(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(2);

    #[test]
    fn shares_follow_the_load_and_make_one() {
        let start = Instant::now();
        let loads = [300.0, 100.0, 0.0];
        let shares: Vec<f64> = (0..loads.len())
            .map(|own| {
                let mut view = View::new();
                view.announce((loads[own] * 2.0) as u64, EVERY, start);
                for (other, load) in loads.iter().enumerate().filter(|(other, _)| *other != own) {
                    view.hear(&other.to_string(), *load, start);
                }
                view.share()
            })
            .collect();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
        assert!(shares[0] > 0.74 && shares[2] > 0.0, "{shares:?}");
    }

    #[test]
    fn the_silent_are_forgotten_unless_nobody_can_be_heard() {
        let start = Instant::now();
        let mut view = View::new();
        view.hear("a", f64::NAN, start);
        for (seconds, can_hear, live) in [(6, true, 2), (60, false, 2), (60, true, 1)] {
            view.forget(EVERY, can_hear, start + Duration::from_secs(seconds));
            assert_eq!(view.live(), live, "after {seconds} s, {can_hear}");
        }
    }

    #[test]
    fn announcements_are_read_and_written_as_others_do() {
        let nodes = Nodes::new();
        let own = nodes.announce(EVERY, true);
        for field in ["\"HostName\":", "\"ID\":\"solo-", "\"LoadPerSec\":", "\"TagHash\":\"\""] {
            assert!(own.contains(field), "{own}");
        }
        // payload -> nodes after it
        for (payload, live) in [
            (own.as_str(), 1),
            (r#"{"HostName":"h","ID":"other","LoadPerSec":3,"TagHash":""}"#, 2),
            (r#"{"ID":"other","LoadPerSec":9}"#, 2),
            (r#"{"ID":"third","LoadPerSec":9,"TagHash":"x"}"#, 2),
            ("[]", 2),
        ] {
            nodes.heard(payload);
            assert_eq!(nodes.live(), live, "{payload}");
        }
        assert!(nodes.share() < 0.2);
    }
}
