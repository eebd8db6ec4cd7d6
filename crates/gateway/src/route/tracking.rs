//! What is recorded of single paths (contract 4.4 row 13, 8.8).

use std::sync::Arc;

use super::{Collector, PerPath};
use crate::exchange::Exchange;

/// Which paths are recorded as their pattern, and which not at all.
#[derive(Debug)]
pub(crate) struct Tracking {
    tracked: PerPath<Arc<str>>,
    untracked: PerPath<()>,
}

impl Tracking {
    /// `None` where all paths are recorded alike.
    pub(crate) fn new(model: &apidef::Tracking, patterns: &Collector) -> Option<Self> {
        let tracked = PerPath::of(patterns, &model.tracked, |at| Arc::from(&*at.path));
        let untracked = PerPath::of(patterns, &model.untracked, |_| ());
        (!tracked.is_empty() || !untracked.is_empty()).then_some(Self { tracked, untracked })
    }

    pub(crate) fn note(&self, exchange: &mut Exchange) {
        exchange.tracked_as = self.tracked.find(exchange).cloned();
        exchange.unrecorded |= self.untracked.find(exchange).is_some();
    }
}
