//! How much a request may send (contract 4.4 row 11), by what it announces.

use http::header::{CONTENT_LENGTH, HeaderMap};
use http::{Method, StatusCode};

use crate::exchange::Exchange;
use crate::respond::Refusal;
use crate::route::{Collector, PerPath};

/// Refuses requests that announce a larger body than they may have, or none.
#[derive(Debug)]
pub(crate) struct Sizes {
    every: Option<u64>,
    endpoints: PerPath<u64>,
}

impl Sizes {
    /// `None` where any size will do.
    pub(crate) fn new(model: &apidef::Sizes, patterns: &Collector) -> Option<Self> {
        let endpoints = PerPath::of(patterns, &model.endpoints, |limit| limit.value);
        (model.every.is_some() || !endpoints.is_empty()).then_some(Self { every: model.every, endpoints })
    }

    /// What counts before it is known what an API of MCP is called for, and what counts then.
    pub(crate) fn of_calls(model: &apidef::Sizes, patterns: &Collector) -> [Option<Self>; 2] {
        let (calls, paths): (Vec<_>, Vec<_>) =
            model.endpoints.iter().cloned().partition(|one| apidef::call_at(&one.path).is_some());
        let part = |every, endpoints: Vec<apidef::AtPath<u64>>| {
            Self::new(&apidef::Sizes { every, endpoints: endpoints.into() }, patterns)
        };
        [part(model.every, paths), part(None, calls)]
    }

    pub(crate) fn pass(&self, exchange: &Exchange) -> Result<(), Refusal> {
        if is_bodiless(&exchange.head.method) {
            return Ok(());
        }
        // All count, so the lowest one does.
        let limit = self.every.into_iter().chain(self.endpoints.each(exchange).copied()).min();
        limit.map_or(Ok(()), |limit| judge(&exchange.head.headers, limit))
    }
}

fn is_bodiless(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::DELETE, Method::TRACE].contains(method)
}

fn judge(headers: &HeaderMap, limit: u64) -> Result<(), Refusal> {
    let refuse = |status, flag, text| Err(Refusal::client(status, flag, text));
    let Some(announced) = headers.get(CONTENT_LENGTH) else {
        return refuse(StatusCode::LENGTH_REQUIRED, "CLM", "Content length is required for this request");
    };
    match announced.to_str().ok().and_then(|text| text.parse::<u64>().ok()) {
        None => refuse(StatusCode::BAD_REQUEST, "IHD", "content length is not a valid Integer"),
        Some(length) if length > limit => refuse(StatusCode::BAD_REQUEST, "BTL", "Request is too large"),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn announced_lengths_are_judged() {
        for (announced, refused) in [
            (None, Some((411, "CLM"))),
            (Some("ten"), Some((400, "IHD"))),
            (Some("-1"), Some((400, "IHD"))),
            (Some("11"), Some((400, "BTL"))),
            (Some("10"), None),
            (Some("0"), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(text) = announced {
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static(text));
            }
            let found = judge(&headers, 10).err().map(|refusal| (refusal.status.as_u16(), refusal.flag));
            assert_eq!(found, refused, "{announced:?}");
        }
    }
}
