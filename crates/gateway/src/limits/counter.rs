//! One rate limit: its counter, and where it counts.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use apidef::Smoothing;
use state::{Meter, Steps, near};

use super::window::{Taken, Window};
use super::windows::Windows;
use crate::gate::Gate;
use crate::settings::{LimitSettings, Limiter};

/// So many requests in each `per`: what a million keys may have in common.
#[derive(Debug, Clone)]
pub(crate) struct Rate {
    pub(crate) requests: f64,
    pub(crate) per: Duration,
    pub(crate) steps: Option<Steps>,
}

impl Rate {
    /// `None` where the numbers limit nothing.
    pub(crate) fn new((requests, per): (f64, f64), smoothing: &Smoothing) -> Option<Arc<Self>> {
        let per = Duration::try_from_secs_f64(per).unwrap_or(Duration::MAX);
        if requests.is_nan() || requests <= 0.0 || per.is_zero() {
            return None;
        }
        Some(Arc::new(Self { requests, per, steps: Steps::of(smoothing) }))
    }
}

/// A rate, counted under one name.
#[derive(Debug, Clone)]
pub(crate) struct Counter {
    /// Without the store's prefix.
    pub(crate) name: Arc<str>,
    pub(crate) rate: Arc<Rate>,
    /// Found when it is first needed: what is counted in the store needs none here.
    pub(super) window: OnceLock<Arc<Window>>,
}

/// Where a counter counts (contract 6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On this node, up to its share.
    Here,
    /// The same, because the state store is away.
    Alone,
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
        share_of(limit, self.share)
    }

    /// Counts a quota on this node, the state store being away: against its share, in a window of the same length.
    pub(crate) fn take_of_quota(
        &self,
        quota: &str,
        (max, renewal): (i64, Duration),
        cost: u64,
    ) -> (Arc<Window>, Taken) {
        let window = self.windows.get(&alone_name(quota).into());
        let renewal = if renewal.is_zero() { Duration::MAX } else { renewal };
        let taken = window.take_many(self.share_of(max as f64), renewal, cost, self.now);
        (window, taken)
    }
}

/// See [`Around::share_of`].
pub(crate) fn share_of(limit: f64, share: f64) -> f64 {
    (limit * share).max(limit.min(1.0))
}

/// Under which name this node counts a quota while the store is away.
pub(crate) fn alone_name(quota: &str) -> String {
    format!("quota-{quota}")
}

impl Counter {
    pub(crate) fn new(name: impl Into<Arc<str>>, rate: Arc<Rate>) -> Self {
        Self { name: name.into(), rate, window: OnceLock::new() }
    }

    /// The same limit under another name.
    pub(crate) fn renamed(&self, name: String) -> Self {
        Self::new(name, Arc::clone(&self.rate))
    }

    /// Asks the memory for what counting is about to read.
    pub(crate) fn ask_for(&self) {
        if let Some(window) = self.window.get() {
            near::ask_for(&**window);
        }
    }

    /// Its window on this node.
    pub(crate) fn window(&self, windows: &Windows) -> &Arc<Window> {
        self.window.get_or_init(|| windows.get(&self.name))
    }

    pub(crate) fn place(&self, around: &Around<'_>) -> Place {
        let rolling = Place::Shared(Meter::Rolling);
        // What would be counted afterwards and cannot be is counted here.
        let afterwards = if around.store_up { Place::Afterwards } else { Place::Alone };
        match around.settings.limiter {
            Limiter::Rolling => rolling,
            Limiter::FixedWindow => Place::Shared(Meter::Fixed),
            Limiter::Sentinel => afterwards,
            Limiter::PerNode => {
                let nodes = around.nodes;
                // So little for so many nodes cannot be shared out fairly.
                let few = nodes as f64 * around.settings.threshold
                    >= self.rate.requests / self.rate.per.as_secs_f64();
                match nodes > 1 && few {
                    true if around.settings.sentinel_for_few => afterwards,
                    true => rolling,
                    false => Place::Here,
                }
            }
        }
    }

    /// How what a shared rolling window admits moves.
    pub(crate) fn smoothing(&self, settings: &LimitSettings) -> Option<Steps> {
        self.rate.steps.filter(|_| settings.smoothing)
    }

    /// Counts a request on this node, against its share of the limit.
    pub(crate) fn take_here(&self, around: &Around<'_>) -> Taken {
        let share = around.share_of(self.rate.requests);
        let mut taken = self.window(around.windows).take(share, self.rate.per, around.now);
        if taken.allowed {
            // What the other nodes may admit is left, too.
            taken.remaining = taken.remaining.saturating_add((self.rate.requests - share).max(0.0) as u64);
        }
        taken
    }

    /// As much as `cost` at once; `None` when nothing is left, with the time until there is.
    pub(crate) fn take_many_here(&self, around: &Around<'_>, cost: u64) -> Result<Taken, Duration> {
        let share = around.share_of(self.rate.requests);
        let taken = self.window(around.windows).take_many(share, self.rate.per, cost, around.now);
        if taken.allowed { Ok(taken) } else { Err(taken.resets_in) }
    }
}
