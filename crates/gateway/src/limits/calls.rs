//! Rates of calls of MCP: of a method, and of a tool, a resource or a prompt; of the calling key (contract 6.1) and of the API
//! over all callers (3.2). They count beside the limits that every request has, so that one of them refuses what another
//! would let pass.

use std::time::Instant;

use apidef::{Api, CallKind};

use super::counter::Counter;
use super::draws::Plan;
use super::guard::{Context, of_endpoints, refusal};
use crate::events;
use crate::exchange::Exchange;
use crate::respond::Refusal;
use crate::route::{Collector, PerPath};

/// Counts a call against what limits calls like it.
#[derive(Debug)]
pub(crate) struct CallLimits {
    /// Rates of keys count.
    of_keys: bool,
    endpoints: PerPath<Counter>,
}

impl CallLimits {
    /// `None` where nothing limits calls.
    pub(crate) fn compile(api: &Api, keyed: bool, context: &Context, patterns: &Collector) -> Option<Self> {
        if !api.mcp || api.limits.rate_limit_disabled {
            return None;
        }
        let endpoints = of_endpoints(api, context, patterns, true);
        (keyed || !endpoints.is_empty()).then_some(Self { of_keys: keyed, endpoints })
    }

    pub(crate) async fn pass(&self, exchange: &Exchange) -> Result<(), Refusal> {
        let Some(call) = exchange.mcp.as_ref().and_then(|asked| asked.call.as_ref()) else { return Ok(()) };
        self.count(exchange, (CallKind::Method, &call.method), self.endpoints.of_method(exchange)).await?;
        match &call.primitive {
            Some((kind, name)) => {
                self.count(exchange, (*kind, name), self.endpoints.of_primitive(exchange)).await
            }
            None => Ok(()),
        }
    }

    async fn count(
        &self,
        exchange: &Exchange,
        (kind, name): (CallKind, &str),
        api: Option<&Counter>,
    ) -> Result<(), Refusal> {
        let grant = exchange.grant.as_deref().filter(|_| self.of_keys);
        let key = grant.and_then(|grant| grant.rate_of_call(kind, name));
        let custom =
            grant.and_then(|grant| grant.terms.pattern.as_ref()).and_then(|pattern| pattern.name(exchange));
        let renamed = match (custom, key, grant) {
            (Some(custom), Some(key), Some(grant)) => {
                Some(key.renamed(format!("{custom}{}", grant.suffix_of(key))))
            }
            _ => None,
        };
        let plan = Plan { key: renamed.as_ref().or(key), quota: None, api };
        if plan.key.is_none() && plan.api.is_none() {
            return Ok(());
        }
        let gate = &*exchange.gate;
        let told = plan.draw(gate, Instant::now(), gate.settings.limits.counts_refused).await;
        told.count(gate);
        for (up, allowance) in &told.moved {
            events::smoothed(exchange, *up, *allowance);
        }
        told.refused.map_or(Ok(()), |which| Err(refusal(gate, which, &told)))
    }
}
