//! Requests that are under way at the same time, as those of a graph to its sources: each is a span, and the exchange gets them
//! when all are over.

use std::sync::Arc;

use apidef::Target;
use http::header::HeaderMap;
use http::{Method, StatusCode};
use parking_lot::Mutex;
use streams::Parent;
use tokio::time::Instant;

use super::span::{Ended, MOST, Open};
use super::{Tracer, kept};
use crate::exchange::Exchange;

/// What such requests are told of the trace, and the spans that they were.
#[derive(Debug)]
pub(crate) struct Calls {
    tracer: Arc<Tracer>,
    own: Parent,
    /// When the exchange began; `None` where its trace is not recorded.
    started: Option<Instant>,
    ended: Mutex<Vec<Ended>>,
}

impl Calls {
    /// Of an exchange, where that is traced.
    pub(crate) fn of(exchange: &Exchange) -> Option<Self> {
        let trace = exchange.trace.as_ref()?;
        Some(Self {
            tracer: Arc::clone(&trace.tracer),
            own: trace.own.clone(),
            started: trace.kept.as_ref().map(|kept| kept.started()),
            ended: Mutex::default(),
        })
    }

    /// A request is ready: it is told which trace it belongs to. Gives the span that it is.
    pub(crate) fn ask(
        &self,
        target: &Target,
        path: &str,
        method: &Method,
        headers: &mut HeaderMap,
    ) -> Option<Open> {
        let open = self.started.map(|started| Open::call(started.elapsed(), target, path, method));
        let span_id = open.as_ref().map_or(self.own.span_id, Open::id);
        self.tracer.propagation.inject(&Parent { span_id, ..self.own.clone() }, headers);
        open
    }

    /// A request that stays in the gate: what it goes through is traced by itself.
    pub(crate) fn hand_on(&self, headers: &mut HeaderMap) {
        self.tracer.propagation.inject(&self.own, headers);
    }

    /// There is an answer, or there will be none.
    pub(crate) fn answered(&self, open: Option<Open>, answer: Result<StatusCode, &str>) {
        let Some((started, open)) = self.started.zip(open) else { return };
        let ended = open.answered(started.elapsed(), answer);
        let mut all = self.ended.lock();
        if all.len() < MOST {
            all.push(ended);
        }
    }

    /// All are over: the exchange has their spans.
    pub(crate) fn end(self, exchange: &mut Exchange) {
        if let Some(kept) = kept(exchange) {
            kept.take(self.ended.into_inner());
        }
    }
}
