//! What single paths of an upstream have of their own.

use std::time::Duration;

use apidef::{PathMatching, UpstreamEndpoint as Endpoint};
use http::StatusCode;
use tokio::time::Instant;

use super::breaker::{Breaker, Leave};
use crate::exchange::Exchange;
use crate::respond::Refusal;
use crate::route::{PerPath, Written};

/// What single paths have of their own; the first that fits counts.
pub(super) struct Endpoints {
    timeouts: PerPath<Duration>,
    breakers: PerPath<Breaker>,
}

impl Endpoints {
    /// `None` where no path has anything of its own.
    pub(super) fn new(model: &apidef::Endpoints, matching: PathMatching) -> Result<Option<Self>, String> {
        let endpoints = Self {
            timeouts: places(&model.timeouts, matching, |limit| *limit)?,
            breakers: places(&model.breakers, matching, |breaker| Breaker::new(*breaker))?,
        };
        Ok((!endpoints.timeouts.is_empty() || !endpoints.breakers.is_empty()).then_some(endpoints))
    }

    /// How long the head of the answer may take.
    pub(super) fn timeout(&self, exchange: &Exchange) -> Option<Duration> {
        self.timeouts.find(exchange).copied()
    }

    /// Leave to ask the upstream, where it may have to be left alone.
    pub(super) fn enter(&self, exchange: &Exchange) -> Result<Option<Leave<'_>>, Refusal> {
        let Some(breaker) = self.breakers.find(exchange) else { return Ok(None) };
        breaker.enter(Instant::now()).map(Some).ok_or_else(|| {
            Refusal::backend(StatusCode::SERVICE_UNAVAILABLE, "CBO", "Service temporarily unavailable.")
                .detail("the upstream fails and is left alone")
        })
    }
}

fn places<M, T>(
    endpoints: &[Endpoint<M>],
    matching: PathMatching,
    compile: impl Fn(&M) -> T,
) -> Result<PerPath<T>, String> {
    let places = endpoints.iter().map(|endpoint| {
        let Endpoint { method, path, ignore_case, value } = endpoint;
        (Written { method, path, ignore_case: *ignore_case }, compile(value))
    });
    PerPath::new("an upstream", matching, places)
}
