//! What single paths of an upstream have of their own.

use std::time::Duration;

use apidef::{PathMatching, UpstreamEndpoint as Endpoint, path_pattern};
use http::StatusCode;
use regex::Regex;
use tokio::time::Instant;

use super::breaker::{Breaker, Leave};
use crate::exchange::Exchange;
use crate::query;
use crate::respond::Refusal;

/// What single paths have of their own; the first that fits counts.
pub(super) struct Endpoints {
    timeouts: Box<[Place<Duration>]>,
    breakers: Box<[Place<Breaker>]>,
}

struct Place<T> {
    method: Box<str>,
    path: Regex,
    value: T,
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
        find(&self.timeouts, exchange).copied()
    }

    /// Leave to ask the upstream, where it may have to be left alone.
    pub(super) fn enter(&self, exchange: &Exchange) -> Result<Option<Leave<'_>>, Refusal> {
        let Some(breaker) = find(&self.breakers, exchange) else { return Ok(None) };
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
) -> Result<Box<[Place<T>]>, String> {
    let place = |endpoint: &Endpoint<M>| {
        let ignore_case = matching.ignore_case || endpoint.ignore_case;
        let path =
            path_pattern(&endpoint.path, PathMatching { ignore_case, ..matching }).map_err(|error| {
                format!("the path `{}` of an upstream cannot be used: {error}", endpoint.path)
            })?;
        Ok(Place { method: endpoint.method.clone(), path, value: compile(&endpoint.value) })
    };
    endpoints.iter().map(place).collect()
}

fn find<'p, T>(places: &'p [Place<T>], exchange: &Exchange) -> Option<&'p T> {
    if places.is_empty() {
        return None;
    }
    let method = exchange.head.method.as_str();
    let within = query::decode_path(exchange.path_in_api());
    let whole = query::decode_path(exchange.head.uri.path());
    let fits = |place: &&Place<T>| {
        *place.method == *method && (place.path.is_match(&within) || place.path.is_match(&whole))
    };
    places.iter().find(fits).map(|place| &place.value)
}
