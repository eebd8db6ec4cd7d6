//! One rate limit: its counter, and where it counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apidef::Smoothing;
use state::Meter;

use super::smoothing::Steps;
use super::window::{Taken, Window, Windows};
use crate::gate::Gate;
use crate::settings::Limiter;

/// So many requests in each `per`, counted under one name.
#[derive(Debug, Clone)]
pub(crate) struct Counter {
    /// Without the store's prefix.
    pub(crate) name: Arc<str>,
    pub(crate) requests: f64,
    pub(crate) per: Duration,
    pub(crate) window: Arc<Window>,
    pub(crate) steps: Option<Steps>,
}

/// Where a counter counts (contract 6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On this node, up to its share.
    Here,
    /// In the state store, before the request passes.
    Shared(Meter),
    /// In the state store, while the request passes.
    Afterwards,
}

impl Counter {
    /// `None` where the numbers limit nothing.
    pub(crate) fn new(
        windows: &Windows,
        name: impl Into<Arc<str>>,
        (requests, per): (f64, f64),
        smoothing: &Smoothing,
    ) -> Option<Self> {
        let per = Duration::try_from_secs_f64(per).unwrap_or(Duration::MAX);
        if requests.is_nan() || requests <= 0.0 || per.is_zero() {
            return None;
        }
        let name = name.into();
        Some(Self { window: windows.get(&name), name, requests, per, steps: Steps::of(smoothing) })
    }

    /// The same limit under another name.
    pub(crate) fn renamed(&self, windows: &Windows, name: String) -> Self {
        Self { window: windows.get(&name), name: name.into(), ..self.clone() }
    }

    pub(crate) fn place(&self, gate: &Gate) -> Place {
        let limits = &gate.settings.limits;
        let rolling = Place::Shared(Meter::Rolling);
        match limits.limiter {
            Limiter::Rolling => rolling,
            Limiter::FixedWindow => Place::Shared(Meter::Fixed),
            Limiter::Sentinel => Place::Afterwards,
            Limiter::PerNode => {
                let nodes = gate.nodes.live();
                // So little for so many nodes cannot be shared out fairly.
                let few = nodes as f64 * limits.threshold >= self.requests / self.per.as_secs_f64();
                match nodes > 1 && few {
                    true if limits.sentinel_for_few => Place::Afterwards,
                    true => rolling,
                    false => Place::Here,
                }
            }
        }
    }

    /// What is allowed in a window now: the limit, or what smoothing allows of it.
    pub(crate) fn allowed(&self, gate: &Gate) -> f64 {
        match &self.steps {
            Some(steps) if gate.settings.limits.smoothing => self.window.smoothed(steps, self.requests),
            _ => self.requests,
        }
    }

    /// Lets smoothing see what is used of a shared window.
    pub(crate) fn used(&self, gate: &Gate, used: u64) {
        if let Some(steps) = &self.steps
            && gate.settings.limits.smoothing
            && let Some(allowance) = self.window.smooth(steps, self.requests, used, Instant::now())
        {
            tracing::debug!(counter = &*self.name, allowance, "the allowance of a rate limit moved");
        }
    }

    /// Counts a request on this node, against its share of the limit.
    pub(crate) fn take_here(&self, gate: &Gate) -> Taken {
        let share = share_of(self.requests, gate.nodes.share());
        let taken = self.window.take(share, self.per, Instant::now());
        let lent = (self.requests - share).max(0.0) as u64;
        Taken { remaining: taken.remaining.saturating_add(if taken.allowed { lent } else { 0 }), ..taken }
    }
}

/// What one node may admit by itself. Of a limit that admits anything at all each node admits at least one, so that
/// nobody is kept out for good.
pub(crate) fn share_of(limit: f64, share: f64) -> f64 {
    (limit * share).max(limit.min(1.0))
}
