//! The nodes that share this one's state: who is alive, and which share of a limit each may admit by itself.
//!
//! Each node tells the others every few seconds how many requests a second it counts (contract 13.1,
//! `NoticeGatewayDRLNotification`). A node's share of a limit is its share of that load. Announcements come back to the
//! node that made them, and that echo is its clock: a node that is not heard of while three echoes were is gone. While
//! the store is away, and until all have found it again, there is no echo and nobody is forgotten: every node keeps the
//! share it had: all shares together make one. What they admit of a limit together is that limit, and up to one more for
//! each node, since a node admits at least one of a limit that admits anything (`limits/counter.rs`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// The command of announcements.
pub(crate) const ANNOUNCEMENT: &str = "NoticeGatewayDRLNotification";
/// Own announcements that come back before a node that was not heard of meanwhile counts as gone.
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
    /// Somebody should hear of this node before its next announcement is due.
    pub(crate) wake: Notify,
    view: Mutex<View>,
    /// Bits of an `f64`.
    share: AtomicU64,
    live: AtomicUsize,
}

/// What is known of the others, and of one's own load as they know it.
#[derive(Debug)]
pub(crate) struct View {
    /// As the others were last told.
    load: f64,
    announced: Option<Instant>,
    /// Own announcements that came back.
    echoes: u64,
    /// In an order, so that all who know the same numbers come to the same shares.
    others: BTreeMap<String, Other>,
}

#[derive(Debug)]
struct Other {
    load: f64,
    /// Echoes since it was last heard of.
    silent: u32,
}

impl View {
    pub(crate) fn new() -> Self {
        Self { load: 0.0, announced: None, echoes: 0, others: BTreeMap::new() }
    }

    /// Takes what another node says of itself; tells whether it was unknown.
    pub(crate) fn hear(&mut self, id: &str, load: f64) -> bool {
        let load = if load.is_finite() { load.max(0.0) } else { 0.0 };
        if let Some(other) = self.others.get_mut(id) {
            *other = Other { load, silent: 0 };
            return false;
        }
        if self.others.len() < MOST {
            self.others.insert(id.to_owned(), Other { load, silent: 0 });
        }
        true
    }

    /// What to say of one's own load since the last announcement.
    pub(crate) fn announce(&mut self, requests: u64, every: Duration, now: Instant) -> f64 {
        let since = self.announced.map_or(every, |before| now.saturating_duration_since(before));
        self.announced = Some(now);
        requests as f64 / since.as_secs_f64().max(0.001)
    }

    /// One's own announcement came back, so the others have it too: only now does it count for one's share, so that all
    /// shares come from the same numbers. Who stayed silent for long is forgotten.
    pub(crate) fn echo(&mut self, load: f64) {
        self.load = if load.is_finite() { load.max(0.0) } else { 0.0 };
        self.echoes += 1;
        self.others.retain(|_, other| {
            other.silent += 1;
            other.silent <= PATIENCE
        });
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
            wake: Notify::new(),
            view: Mutex::new(View::new()),
            share: AtomicU64::new(1_f64.to_bits()),
            live: AtomicUsize::new(1),
        }
    }

    /// What it is called.
    pub(crate) fn id(&self) -> &str {
        &self.id
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

    /// Takes an announcement, this node's own among them. What cannot be read is nobody's. Tells whether it came from a
    /// node that was unknown: it should hear of this one soon, for it believes that it is alone.
    pub(crate) fn heard(&self, payload: &str) -> bool {
        let told = match serde_json::from_str::<Announcement>(payload) {
            Ok(told) => told,
            Err(error) => {
                tracing::debug!(%error, "an announcement of a node cannot be read");
                return false;
            }
        };
        // Nodes with other tags serve other APIs; this one has none.
        if !told.tag_hash.is_empty() {
            return false;
        }
        let mut view = self.view.lock();
        let new = told.id != self.id && view.hear(&told.id, told.load_per_sec);
        if told.id == self.id {
            view.echo(told.load_per_sec);
        }
        self.settle(&view);
        new
    }

    /// Whether an own announcement has ever come back: until then nobody can have heard of this node.
    pub(crate) fn has_been_heard(&self) -> bool {
        self.view.lock().echoes > 0
    }

    /// What to announce now; called every `every` or so.
    pub(crate) fn announce(&self, every: Duration) -> String {
        let requests = self.requests.swap(0, Ordering::Relaxed);
        let load_per_sec = self.view.lock().announce(requests, every, Instant::now());
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
    fn c6_5_row_4_shares_follow_the_load_and_make_one() {
        let start = Instant::now();
        let loads = [300.0, 100.0, 0.0];
        let shares: Vec<f64> = (0..loads.len())
            .map(|own| {
                let mut view = View::new();
                let load = view.announce((loads[own] * 2.0) as u64, EVERY, start);
                assert_eq!((load, view.share()), (loads[own], 1.0), "nobody knows it yet");
                view.echo(load);
                for (other, load) in loads.iter().enumerate().filter(|(other, _)| *other != own) {
                    view.hear(&other.to_string(), *load);
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
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut view = View::new();
        view.echo(view.load);
        view.hear("a", f64::NAN);
        // Seconds, whether the announcement comes back, whether the other's comes -> nodes.
        for (seconds, echo, other, live) in [
            (2, true, true, 2),
            (4, true, false, 2),
            // An outage: nobody hears anything, however long it lasts.
            (6, false, false, 2),
            (60, false, false, 2),
            // It is over, and the other one finds the way back later than this one.
            (62, true, false, 2),
            (64, true, true, 2),
            // It is gone.
            (66, true, false, 2),
            (68, true, false, 2),
            (70, true, false, 2),
            (72, true, false, 1),
        ] {
            let load = view.announce(100, EVERY, at(seconds));
            if echo {
                view.echo(load);
            }
            if other {
                view.hear("a", load);
            }
            assert_eq!(view.live(), live, "after {seconds} s");
            assert_eq!(view.share() < 1.0, live == 2, "after {seconds} s");
        }
    }

    #[test]
    fn c13_1_row_6_announcements_are_read_and_written_as_others_do() {
        let nodes = Nodes::new();
        let own = nodes.announce(EVERY);
        for field in ["\"HostName\":", "\"ID\":\"solo-", "\"LoadPerSec\":", "\"TagHash\":\"\""] {
            assert!(own.contains(field), "{own}");
        }
        assert!(!nodes.has_been_heard());
        // payload -> nodes after it, whether it is of a new one
        for (payload, live, new) in [
            (own.as_str(), 1, false),
            (r#"{"HostName":"h","ID":"other","LoadPerSec":3,"TagHash":""}"#, 2, true),
            (r#"{"ID":"other","LoadPerSec":9}"#, 2, false),
            (r#"{"ID":"third","LoadPerSec":9,"TagHash":"x"}"#, 2, false),
            ("[]", 2, false),
        ] {
            assert_eq!(nodes.heard(payload), new, "{payload}");
            assert_eq!(nodes.live(), live, "{payload}");
        }
        assert!(nodes.share() < 0.2 && nodes.has_been_heard());
    }
}
