//! What an API says of how long what is behind it may take, and of when it is left alone, for what is no server.

use std::future::Future;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::LATE;
use super::breaker::Change;
use super::endpoints::Endpoints;
use crate::events;
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::respond::Refusal;
use crate::route::Collector;

/// Bounds of what is asked.
pub(crate) struct Bounds {
    time: Duration,
    endpoints: Option<Box<Endpoints>>,
}

impl std::fmt::Debug for Bounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bounds").field("time", &self.time).finish_non_exhaustive()
    }
}

impl Bounds {
    pub(crate) fn new(model: &apidef::Upstream, gate: &Gate, patterns: &Collector) -> Self {
        Self {
            time: model.timeout.unwrap_or(gate.upstream.timeout),
            endpoints: Endpoints::new(&model.endpoints, patterns).map(Box::new),
        }
    }

    /// Waits for what is asked, and whether it went well. It is told until when that is; `None`: for ever.
    pub(crate) async fn within<T, F: Future<Output = (T, bool)>>(
        &self,
        exchange: &mut Exchange,
        ask: impl FnOnce(Option<Instant>) -> F,
    ) -> Result<T, Refusal> {
        let own = self.endpoints.as_ref().and_then(|endpoints| endpoints.timeout(exchange));
        let leave = match &self.endpoints {
            Some(endpoints) => endpoints.enter(exchange)?,
            None => None,
        };
        let begun = Instant::now();
        let time = own.unwrap_or(self.time);
        let answer = tokio::time::timeout(time, ask(begun.checked_add(time))).await;
        exchange.timings.answered(begun);
        let well = answer.as_ref().is_ok_and(|(_, well)| *well);
        if let Some(change) = leave.and_then(|leave| leave.tell(well, Instant::now())) {
            events::breaker(exchange, change == Change::Tripped);
        }
        match answer {
            Ok((answer, _)) => Ok(answer),
            Err(_) => Err(Refusal::backend(StatusCode::GATEWAY_TIMEOUT, "URT", LATE)),
        }
    }
}
