//! One rate limit: its counter, and where it counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apidef::Smoothing;
use state::Meter;

use super::smoothing::Steps;
use super::window::{Taken, Window, Windows};
use crate::gate::Gate;
use crate::settings::{LimitSettings, Limiter};

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

/// What a node knows at the moment at which it counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) settings: &'a LimitSettings,
    pub(crate) windows: &'a Windows,
    /// Live nodes, this one included.
    pub(crate) nodes: usize,
    /// The part of a limit that this node may admit by itself.
    pub(crate) share: f64,
    /// Whether the state store answers, as last seen; only asked for where requests do not wait for it.
    pub(crate) store_up: bool,
    pub(crate) now: Instant,
}

impl<'a> Around<'a> {
    pub(crate) fn of(gate: &'a Gate, now: Instant) -> Self {
        let settings = &gate.settings.limits;
        let asks = settings.limiter == Limiter::Sentinel || settings.sentinel_for_few;
        Self {
            settings,
            windows: &gate.windows,
            nodes: gate.nodes.live(),
            share: gate.nodes.share(),
            store_up: !asks || gate.state.is_up(),
            now,
        }
    }

    /// What this node may admit of a limit by itself. Of a limit that admits anything at all each node admits at least
    /// one, so that nobody is kept out for good.
    pub(crate) fn share_of(&self, limit: f64) -> f64 {
        (limit * self.share).max(limit.min(1.0))
    }
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

    pub(crate) fn place(&self, around: &Around<'_>) -> Place {
        let rolling = Place::Shared(Meter::Rolling);
        // What would be counted afterwards and cannot be is counted here.
        let afterwards = if around.store_up { Place::Afterwards } else { Place::Here };
        match around.settings.limiter {
            Limiter::Rolling => rolling,
            Limiter::FixedWindow => Place::Shared(Meter::Fixed),
            Limiter::Sentinel => afterwards,
            Limiter::PerNode => {
                let nodes = around.nodes;
                // So little for so many nodes cannot be shared out fairly.
                let few = nodes as f64 * around.settings.threshold >= self.requests / self.per.as_secs_f64();
                match nodes > 1 && few {
                    true if around.settings.sentinel_for_few => afterwards,
                    true => rolling,
                    false => Place::Here,
                }
            }
        }
    }

    /// What is allowed in a window now: the limit, or what smoothing allows of it.
    pub(crate) fn allowed(&self, settings: &LimitSettings) -> f64 {
        match &self.steps {
            Some(steps) if settings.smoothing => self.window.smoothed(steps, self.requests),
            _ => self.requests,
        }
    }

    /// Lets smoothing see what is used of a shared window.
    pub(crate) fn used(&self, around: &Around<'_>, used: u64) {
        if let Some(steps) = &self.steps
            && around.settings.smoothing
            && let Some(allowance) = self.window.smooth(steps, self.requests, used, around.now)
        {
            tracing::debug!(counter = &*self.name, allowance, "the allowance of a rate limit moved");
        }
    }

    /// Counts a request on this node, against its share of the limit.
    pub(crate) fn take_here(&self, around: &Around<'_>) -> Taken {
        let share = around.share_of(self.requests);
        let mut taken = self.window.take(share, self.per, around.now);
        if taken.allowed {
            // What the other nodes may admit is left, too.
            taken.remaining = taken.remaining.saturating_add((self.requests - share).max(0.0) as u64);
        }
        taken
    }

    /// As much as `cost` at once; `None` when nothing is left, with the time until there is.
    pub(crate) fn take_many_here(&self, around: &Around<'_>, cost: u64) -> Result<Taken, Duration> {
        let taken = self.window.take_many(around.share_of(self.requests), self.per, cost, around.now);
        if taken.allowed { Ok(taken) } else { Err(taken.resets_in) }
    }
}
