//! Which paths may be called, and which are answered at once (contract 4.3, 4.4 row 3, 8.4).

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::{Collector, PerPath};
use crate::body::Body;
use crate::exchange::{Exchange, Skips};
use crate::respond::{Refusal, TEXT};
use crate::transform::CrossOrigin;

/// The lists of one API, in the order in which a request is looked for in them.
#[derive(Debug)]
pub(crate) struct Lists {
    internal: PerPath<()>,
    replies: PerPath<Reply>,
    ignored: PerPath<()>,
    blocked: PerPath<()>,
    allowed: PerPath<()>,
    /// What browsers ask is nobody's secret.
    cross_origin: Option<Arc<CrossOrigin>>,
}

/// A fixed answer.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Lists {
    /// `None` where there is no list.
    pub(crate) fn new(
        model: &apidef::Lists,
        patterns: &Collector,
        cross_origin: Option<Arc<CrossOrigin>>,
    ) -> Result<Option<Self>, String> {
        let mut faults = Vec::new();
        let replies = PerPath::of(patterns, &model.replies, |reply| Reply::new(&reply.value, &mut faults));
        if let Some(fault) = faults.pop() {
            return Err(fault);
        }
        let list = |model| PerPath::of(patterns, model, |_| ());
        let lists = Self {
            internal: list(&model.internal),
            replies,
            ignored: list(&model.ignored),
            blocked: list(&model.blocked),
            allowed: list(&model.allowed),
            cross_origin,
        };
        let Self { internal, replies, ignored, blocked, allowed, .. } = &lists;
        let empty =
            replies.is_empty() && [internal, ignored, blocked, allowed].iter().all(|list| list.is_empty());
        Ok((!empty).then_some(lists))
    }

    /// The answer of a path that has one.
    pub(crate) fn pass(&self, exchange: &mut Exchange) -> Result<Option<Response<Body>>, Refusal> {
        if self
            .cross_origin
            .as_ref()
            .is_some_and(|rules| rules.passes_by(exchange) || rules.is_asked(exchange))
        {
            return Ok(None);
        }
        if self.internal.find(exchange).is_some() {
            return if exchange.loops > 0 { Ok(None) } else { Err(forbidden()) };
        }
        if let Some(reply) = self.replies.find(exchange) {
            let response = reply.response();
            // Neither is it recorded, nor does anybody's budget say anything about it.
            exchange.unrecorded = true;
            exchange.bare = true;
            return Ok(Some(response));
        }
        if self.ignored.find(exchange).is_some() {
            exchange.skips = exchange.skips.and(Skips::OPEN);
        } else if self.blocked.find(exchange).is_some()
            || (!self.allowed.is_empty() && self.allowed.find(exchange).is_none())
        {
            return Err(forbidden());
        }
        Ok(None)
    }
}

fn forbidden() -> Refusal {
    Refusal::client(StatusCode::FORBIDDEN, "EAD", "Requested endpoint is forbidden")
}

impl Reply {
    /// What of it cannot be sent is told; it was looked at when the definition was read.
    pub(crate) fn new(model: &apidef::Reply, faults: &mut Vec<String>) -> Self {
        let status = StatusCode::from_u16(model.status).unwrap_or_else(|_| {
            faults.push(format!("{} is no status", model.status));
            StatusCode::OK
        });
        let mut headers = HeaderMap::new();
        for (name, value) in &model.headers {
            match (HeaderName::try_from(&**name), HeaderValue::try_from(&**value)) {
                (Ok(name), Ok(value)) => drop(headers.append(name, value)),
                _ => faults.push(format!("the header `{name}` cannot be sent")),
            }
        }
        if !model.body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, TEXT);
        }
        Self { status, headers, body: Bytes::copy_from_slice(model.body.as_bytes()) }
    }

    pub(crate) fn response(&self) -> Response<Body> {
        let body = if self.body.is_empty() { Body::empty() } else { Body::full(self.body.clone()) };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}
