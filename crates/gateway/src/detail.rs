//! Requests and answers as records keep them whole (contract 11.2), up to a bound. Streams are never kept.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header;
use http::{Response, StatusCode};
use parking_lot::Mutex;

use crate::backend::Backend;
use crate::body::Body;
use crate::chain::is_event_stream;
use crate::events::head_of;
use crate::exchange::Exchange;

/// What is kept of one exchange.
#[derive(Debug)]
pub(crate) struct Detail {
    pub(crate) request: Arc<Copied>,
    pub(crate) answer: Copied,
}

/// Bytes on their way, copied up to a bound.
#[derive(Debug)]
pub(crate) struct Copied {
    bytes: Mutex<Vec<u8>>,
    most: usize,
}

impl Copied {
    pub(crate) fn new(most: usize) -> Self {
        Self { bytes: Mutex::default(), most }
    }

    /// Copies what there is room for.
    pub(crate) fn add(&self, data: &[u8]) {
        let mut bytes = self.bytes.lock();
        let room = self.most.saturating_sub(bytes.len());
        bytes.extend_from_slice(&data[..data.len().min(room)]);
    }

    /// As records have it; `None` where nothing came.
    pub(crate) fn encoded(&self) -> Option<Box<str>> {
        let bytes = self.bytes.lock();
        (!bytes.is_empty()).then(|| BASE64_STANDARD.encode(&*bytes).into())
    }
}

/// Whether all of an exchange is recorded: where the API, the caller's session, or the configuration says so.
fn wanted(exchange: &Exchange) -> bool {
    let (gate, api) = (&exchange.gate, &exchange.api);
    let of_caller = || exchange.caller.as_deref().is_some_and(|caller| caller.common().is_recorded_whole());
    let of_organisation = || exchange.organisation.as_ref().is_some_and(|known| known.whole);
    // Who counts operations reads what was asked and answered (contract 11.2).
    let of_graph = exchange.graph.is_some();
    (api.model.recording.whole || gate.settings.record_whole || of_graph || of_caller() || of_organisation())
        && gate.recorder.is_some()
        && !api.model.recording.off
        && !exchange.unrecorded
        && !matches!(api.backend, Backend::Stream(_))
}

/// The request goes to the backend: from now on its body is copied as it is read. Call it before its fields are handed over.
pub(crate) fn begin(exchange: &mut Exchange) {
    if !wanted(exchange) {
        return;
    }
    let detail = of_request(exchange);
    exchange.body.copy_to(&detail.request);
    exchange.detail = Some(detail);
}

fn of_request(exchange: &Exchange) -> Box<Detail> {
    let most = exchange.gate.settings.recorded_at_most;
    let detail = Detail { request: Arc::new(Copied::new(most)), answer: Copied::new(most) };
    detail.request.add(head_of(exchange, most).as_bytes());
    Box::new(detail)
}

/// There is an answer: its body is copied as it is sent. Where none of it was asked of a backend, the request is what there
/// is of it.
pub(crate) fn answered(exchange: &mut Exchange, response: &Response<Body>) {
    if exchange.detail.is_none() && !wanted(exchange) {
        return;
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS || is_event_stream(response.headers()) {
        exchange.detail = None;
        return;
    }
    let detail = exchange.detail.take().unwrap_or_else(|| of_request(exchange));
    let status = response.status();
    let mut head =
        format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default())
            .into_bytes();
    for (name, value) in response.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(if *name == header::SET_COOKIE { b"***" } else { value.as_bytes() });
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    detail.answer.add(&head);
    exchange.detail = Some(detail);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_ends_at_its_bound() {
        let copied = Copied::new(5);
        assert_eq!(copied.encoded(), None);
        for piece in [&b"abc"[..], b"def", b"g"] {
            copied.add(piece);
        }
        assert_eq!(copied.encoded().as_deref(), Some(&*BASE64_STANDARD.encode("abcde")));
    }
}
