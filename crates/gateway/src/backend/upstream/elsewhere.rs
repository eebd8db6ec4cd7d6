//! Other hosts that rewritten requests go to (contract 8.2). Which ones there are, requests may say, so that only some are
//! remembered; connections to them are shared as those to all upstreams are.

use std::sync::{Arc, OnceLock};

use apidef::{Backend, Target};
use http::StatusCode;
use quick_cache::sync::Cache;

use super::destination::Destination;
use crate::exchange::Exchange;
use crate::respond::Refusal;
use crate::transform::To;

/// Most hosts that one API remembers.
const MOST: usize = 64;

#[derive(Default)]
pub(super) struct Elsewhere(OnceLock<Cache<Box<str>, Arc<Destination>>>);

impl Elsewhere {
    /// Where the request goes, if that is not where all requests to the API go.
    pub(super) fn of(&self, exchange: &Exchange) -> Result<Option<Arc<Destination>>, Refusal> {
        // A host that the definition names is as good as its target; others are under the egress policy.
        let (target, chosen) = match &exchange.ahead.to {
            Some(To::Elsewhere { target, known }) => (target, !known),
            _ => return Ok(None),
        };
        let Backend::Upstream(model) = &exchange.api.model.backend else { return Ok(None) };
        let known = self.0.get_or_init(|| Cache::new(MOST));
        // Who the gate is there is a part of it, and so is who chose it.
        let credentials = target.credentials.as_ref().map_or("", |credentials| credentials.0.as_str());
        let name = format!("{chosen} {}://{credentials}@{}", target.scheme.as_str(), target.authority);
        if let Some(destination) = known.get(name.as_str()) {
            return Ok(Some(destination));
        }
        let host = Target { path: Box::default(), query: None, ..(**target).clone() };
        let destination = Destination::new(&host, model, &exchange.gate, chosen).map_err(|why| {
            const PROBLEM: &str = "There was a problem proxying the request";
            Refusal::backend(StatusCode::INTERNAL_SERVER_ERROR, "UCF", PROBLEM).detail(why)
        })?;
        let destination = Arc::new(destination);
        known.insert(name.into(), Arc::clone(&destination));
        Ok(Some(destination))
    }
}
