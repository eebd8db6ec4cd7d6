//! What single paths of an upstream have of their own.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::breaker::{Breaker, Leave};
use crate::events;
use crate::exchange::Exchange;
use crate::respond::Refusal;
use crate::route::{Collector, PerPath};

/// What single paths have of their own; the first that fits counts.
pub(super) struct Endpoints {
    timeouts: PerPath<Duration>,
    breakers: PerPath<Breaker>,
}

impl Endpoints {
    /// `None` where no path has anything of its own.
    pub(super) fn new(model: &apidef::Endpoints, patterns: &Collector) -> Option<Self> {
        let endpoints = Self {
            timeouts: PerPath::of(patterns, &model.timeouts, |limit| limit.value),
            breakers: PerPath::of(patterns, &model.breakers, |breaker| Breaker::new(breaker.value)),
        };
        (!endpoints.timeouts.is_empty() || !endpoints.breakers.is_empty()).then_some(endpoints)
    }

    /// How long the head of the answer may take.
    pub(super) fn timeout(&self, exchange: &Exchange) -> Option<Duration> {
        self.timeouts.find(exchange).copied()
    }

    /// Leave to ask the upstream, where it may have to be left alone.
    pub(super) fn enter(&self, exchange: &Exchange) -> Result<Option<Leave<'_>>, Refusal> {
        let Some(breaker) = self.breakers.find(exchange) else { return Ok(None) };
        let Some((leave, reset)) = breaker.enter(Instant::now()) else {
            let refusal =
                Refusal::backend(StatusCode::SERVICE_UNAVAILABLE, "CBO", "Service temporarily unavailable.");
            return Err(refusal.detail("the upstream fails and is left alone"));
        };
        if reset {
            events::breaker(exchange, false);
        }
        Ok(Some(leave))
    }
}
