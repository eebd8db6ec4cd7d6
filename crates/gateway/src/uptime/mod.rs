//! Which hosts of upstreams are down, as probes find (contract 4.6, "Uptime tests"). Of the nodes that share a Redis one
//! probes for all of its group; otherwise each does for itself.

mod leader;
mod probe;
mod report;
mod rounds;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use apidef::Target;
use parking_lot::Mutex;

pub use rounds::run;

/// The hosts that upstreams and probes have in common, by `host:port`.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    known: Mutex<HashMap<Box<str>, Weak<HostState>>>,
}

/// Whether a host is down.
#[derive(Debug, Default)]
pub(crate) struct HostState {
    /// Probes that say so.
    down: AtomicUsize,
}

/// A probe says that a host is down, as long as this lives.
#[derive(Debug)]
struct Down(Arc<HostState>);

impl Hosts {
    /// The state of a host; the same one as long as anybody has it.
    pub(crate) fn get(&self, target: &Target) -> Arc<HostState> {
        let name = format!("{}:{}", target.host, target.port).into_boxed_str();
        let mut known = self.known.lock();
        if let Some(state) = known.get(&name).and_then(Weak::upgrade) {
            return state;
        }
        known.retain(|_, state| state.strong_count() > 0);
        let state = Arc::default();
        known.insert(name, Arc::downgrade(&state));
        state
    }
}

impl HostState {
    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed) > 0
    }
}

impl Down {
    fn new(state: &Arc<HostState>) -> Self {
        state.down.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(state))
    }
}

impl Drop for Down {
    fn drop(&mut self) {
        self.0.down.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_down_while_a_probe_says_so() {
        let hosts = Hosts::default();
        let get = |url: &str| hosts.get(&Target::parse(url).unwrap());
        let (host, other) = (get("http://a/x"), get("http://a:8080"));
        assert!(Arc::ptr_eq(&host, &get("http://A:80/y?z")));
        let (first, second) = (Down::new(&host), Down::new(&host));
        drop(first);
        assert!(host.is_down() && !other.is_down());
        drop(second);
        assert!(!host.is_down());
    }
}
