//! What is drawn from counters: one call draws from several at once, and all of them or none.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::embedded::QuotaWindow;
use crate::near;
use crate::smoothing::{Smoothed, Steps};

/// How a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    /// What was admitted within the last `per`, at any moment. Draws of more than one count as one.
    Rolling,
    /// What was admitted since the window began; a window begins with the first draw after the last one ended.
    Fixed,
    /// As [`Meter::Fixed`], under the names of quotas (contract 6.6) and kept over restarts.
    Quota,
}

/// One draw from one counter.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a> {
    /// How it counts.
    pub meter: Meter,
    /// What stands behind the store's prefix.
    pub name: &'a str,
    /// Most that a window admits. A draw is refused when less than one is left, so the last one may go beyond.
    pub limit: f64,
    /// Length of a window; zero is one that never ends ([`Meter::Quota`] only).
    pub per: Duration,
    /// How much is drawn. Nothing is a look: it is refused as a draw of one would be, and leaves no trace.
    pub cost: u64,
    /// Count the draw also when this counter refuses it. Quotas of requests do (contract 6.6).
    pub counts_refused: bool,
    /// Where whoever draws under this name again and again keeps what was found there. It is of this name.
    pub found: Option<&'a Found>,
    /// How what is admitted moves below the limit ([`Meter::Rolling`] only).
    pub steps: Option<Steps>,
}

/// What was found under one name of a counter, so that it need not be looked for again. Only the embedded store finds
/// something to keep.
#[derive(Debug)]
pub struct Found {
    pub(crate) name: Arc<str>,
    pub(crate) window: ArcSwapOption<QuotaWindow>,
}

impl Found {
    /// Nothing yet.
    pub fn under(name: Arc<str>) -> Self {
        Self { name, window: ArcSwapOption::empty() }
    }

    /// Asks the memory for what a draw is about to read.
    pub fn ask_for(&self) {
        if let Some(window) = self.window.load().as_ref() {
            near::ask_for(&**window);
        }
    }

    /// See [`Draw::name`].
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl Draw<'_> {
    /// Whether so much, used before, leaves room.
    pub(crate) fn fits(&self, used: u64) -> bool {
        fits(used, self.limit)
    }
}

/// Whether so much, used before, leaves room in a limit.
pub(crate) fn fits(used: u64, limit: f64) -> bool {
    used as f64 + 1.0 <= limit
}

/// What one counter says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// Used in the window, this draw included where it was counted.
    pub used: u64,
    /// Until the window ends, or (rolling) is emptier by one; zero when it never does.
    pub resets_in: Duration,
    /// The same in Unix seconds, rounded up; 0 when it never does.
    pub renews_at: i64,
    /// Whether this counter refused.
    pub exceeded: bool,
    /// Where [`Draw::steps`] asks for it.
    pub smoothed: Option<Smoothed>,
}

/// What all counters of a call say, up to the first that refused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally(pub Vec<Drawn>);

impl Tally {
    /// The first counter that refused; nothing was drawn from the others then.
    pub fn refused(&self) -> Option<usize> {
        self.0.iter().position(|drawn| drawn.exceeded)
    }
}
