//! What an API says of the answers that it keeps, compiled; the guard that gives them (contract 4.4 row 39).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use apidef::Caching;
use http::header::{self, HeaderMap, HeaderName};
use http::{Method, Response, StatusCode};
use regex::Regex;

use super::collect::Keep;
use super::key::{Asked, Whose, key};
use crate::body::Body;
use crate::exchange::Exchange;
use crate::respond::Refusal;
use crate::route::{Collector, PerPath};

/// An upstream says with it that an answer is to be kept …
const KEEP: HeaderName = HeaderName::from_static("x-tyk-cache-action-set");
/// … and with this one, how many seconds, unless the definition names another.
const LIFE: HeaderName = HeaderName::from_static("x-tyk-cache-action-set-ttl");

/// What an API says of its answers.
#[derive(Debug)]
pub(crate) struct Rules {
    api: Box<str>,
    /// For GET, HEAD and OPTIONS, where no path says more.
    all: Option<Arc<Place>>,
    paths: PerPath<Arc<Place>>,
    by_headers: Box<[(HeaderName, Box<str>)]>,
    /// Upstreams see the host that clients name.
    host: bool,
    /// The field with which upstreams say how long, where they say which.
    by_upstream: Option<HeaderName>,
}

/// What counts for one path.
#[derive(Debug, Default)]
pub(crate) struct Place {
    life: Option<Duration>,
    /// Empty: all.
    statuses: Box<[u16]>,
    body_key: Option<Regex>,
}

impl Rules {
    /// `None` where nothing is kept.
    pub(crate) fn new(
        api: &str,
        model: Option<&Caching>,
        host: bool,
        patterns: &Collector,
    ) -> Result<Option<Arc<Self>>, String> {
        let Some(model) = model.filter(|model| model.safe_requests || !model.paths.is_empty()) else {
            return Ok(None);
        };
        let name = |written: &str| {
            HeaderName::try_from(written)
                .map_err(|_| format!("`{written}`, by which answers are kept, is no name of a header"))
        };
        let place = |life: Option<Duration>, statuses: &[u16], body_key: Option<&str>| {
            let statuses = if statuses.is_empty() { &*model.statuses } else { statuses };
            let body_key = body_key.map(apidef::pattern).transpose()?;
            Ok::<_, String>(Arc::new(Place {
                life: life.or(model.life),
                statuses: statuses.into(),
                body_key,
            }))
        };
        let by_headers = model.by_headers.iter().map(|written| Ok((name(written)?, written.clone())));
        let by_upstream = model.by_upstream.as_ref().map(|upstream| match &*upstream.life_header {
            "" => Ok(LIFE),
            written => name(written),
        });
        Ok(Some(Arc::new(Self {
            api: api.into(),
            all: model.safe_requests.then(|| place(None, &[], None)).transpose()?,
            paths: PerPath::try_of(patterns, &model.paths, |at| {
                place(at.value.life, &at.value.statuses, at.value.body_key.as_deref())
            })?,
            by_headers: by_headers.collect::<Result<_, String>>()?,
            host,
            by_upstream: by_upstream.transpose()?,
        })))
    }

    /// The answer that is kept; else takes note that the one that comes may be.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        exchange: &mut Exchange,
    ) -> Result<Option<Response<Body>>, Refusal> {
        let Some(place) = self.place(exchange) else { return Ok(None) };
        let place = Arc::clone(place);
        let body = match exchange.head.method {
            Method::POST | Method::PUT | Method::PATCH if !exchange.body.is_none() => {
                Some(exchange.whole_body().await?)
            }
            _ => None,
        };
        let whose = match &exchange.caller {
            Some(caller) => Whose::Session(&caller.name),
            None => match exchange.client_address() {
                Some(address) => Whose::Address(address),
                None => return Ok(None),
            },
        };
        let head = &exchange.head;
        let body = body.as_deref().map(|body| place.body_key(body));
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let asked = Asked { method: &head.method, target, headers: &head.headers, body };
        let key: Arc<str> = key(&self.api, whose, &asked, &self.by_headers, self.host).into();
        let gate = Arc::clone(&exchange.gate);
        let cache = &gate.cache;
        let drops = cache.drops.load(Ordering::Relaxed);
        let flight = match cache.find(&key, exchange).await {
            Ok(entry) => return Ok(Some(cache.hit(&entry, exchange))),
            Err(flight) => flight,
        };
        cache.misses.fetch_add(1, Ordering::Relaxed);
        let (method, request) = (exchange.head.method.clone(), exchange.head.headers.clone());
        exchange.keeping.push(Keep { rules: Arc::clone(self), place, key, method, request, flight, drops });
        Ok(None)
    }

    /// What counts for a request, if anything of it may be kept.
    fn place(&self, exchange: &Exchange) -> Option<&Arc<Place>> {
        let head = &exchange.head;
        let safe = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let place = self.paths.find(exchange).or_else(|| self.all.as_ref().filter(|_| safe))?;
        let has_body = !exchange.body.is_none();
        let counts = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
        let passes = exchange.streams()
            // Part of an answer, and what is no request for one.
            || head.headers.contains_key(header::RANGE)
            || head.headers.contains_key(header::UPGRADE)
            // A body that the key would not tell apart from another.
            || (has_body && !counts)
            // Credentials that only the upstream knows: what one gets is not for the next at the same address.
            || (exchange.caller.is_none()
                && head.headers.contains_key(header::AUTHORIZATION)
                && !self.by_headers.iter().any(|(name, _)| *name == header::AUTHORIZATION));
        (!passes).then_some(place)
    }

    /// How long an answer is kept; `None`: it is not.
    pub(super) fn life(&self, place: &Place, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
        let mut life = place.life;
        match &self.by_upstream {
            None if !place.statuses.is_empty() && !place.statuses.contains(&status.as_u16()) => return None,
            None => {}
            Some(life_header) => {
                let text = |name: &HeaderName| {
                    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
                };
                if matches!(text(&KEEP), None | Some("" | "0" | "false")) {
                    return None;
                }
                if let Some(seconds) = text(life_header).and_then(|text| text.parse::<i64>().ok()) {
                    life = u64::try_from(seconds).ok().map(Duration::from_secs);
                }
            }
        }
        life.filter(|life| !life.is_zero())
    }
}

impl Place {
    /// What of a body tells it apart from others.
    fn body_key<'b>(&self, body: &'b [u8]) -> &'b [u8] {
        let Some(wanted) = &self.body_key else { return body };
        // What is no text is told apart as a whole.
        let Ok(text) = std::str::from_utf8(body) else { return body };
        wanted.find(text).map_or(body, |found| found.as_str().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apidef::UpstreamCaching;
    use http::HeaderValue;

    fn rules(model: Caching) -> Arc<Rules> {
        let patterns = Collector::new(apidef::PathMatching::default());
        Rules::new("a", Some(&Caching { safe_requests: true, ..model }), false, &patterns).unwrap().unwrap()
    }

    #[test]
    fn c8_6_row_4_how_long_answers_are_kept() {
        let seconds = |seconds: u64| Some(Duration::from_secs(seconds));
        let upstream = |header: &str| Some(UpstreamCaching { life_header: header.into() });
        for (life, statuses, by_upstream, status, fields, kept) in [
            (seconds(5), &[][..], None, 200, &[][..], seconds(5)),
            (seconds(5), &[], None, 500, &[], seconds(5)),
            (seconds(5), &[200, 404], None, 404, &[], seconds(5)),
            (seconds(5), &[200, 404], None, 500, &[], None),
            (None, &[], None, 200, &[], None),
            (seconds(5), &[], None, 200, &[("x-tyk-cache-action-set-ttl", "9")], seconds(5)),
            (seconds(5), &[], upstream(""), 200, &[], None),
            (seconds(5), &[], upstream(""), 200, &[("x-tyk-cache-action-set", "1")], seconds(5)),
            (seconds(5), &[200], upstream(""), 404, &[("x-tyk-cache-action-set", "1")], seconds(5)),
            (
                None,
                &[],
                upstream(""),
                200,
                &[("x-tyk-cache-action-set", "1"), ("x-tyk-cache-action-set-ttl", "9")],
                seconds(9),
            ),
            (
                seconds(5),
                &[],
                upstream("x-life"),
                200,
                &[("x-tyk-cache-action-set", "1"), ("x-tyk-cache-action-set-ttl", "9"), ("x-life", "7")],
                seconds(7),
            ),
            (
                seconds(5),
                &[],
                upstream(""),
                200,
                &[("x-tyk-cache-action-set", "1"), ("x-tyk-cache-action-set-ttl", "soon")],
                seconds(5),
            ),
            (
                seconds(5),
                &[],
                upstream(""),
                200,
                &[("x-tyk-cache-action-set", "1"), ("x-tyk-cache-action-set-ttl", "0")],
                None,
            ),
        ] {
            let rules = rules(Caching { life, statuses: statuses.into(), by_upstream, ..Caching::default() });
            let headers = fields
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let status = StatusCode::from_u16(status).unwrap();
            let place = rules.all.as_ref().unwrap();
            assert_eq!(rules.life(place, status, &headers.collect()), kept, "{status} {fields:?}");
        }
    }

    #[test]
    fn c8_6_bodies_are_told_apart_by_what_the_expression_finds() {
        let place = |wanted: Option<&str>| Place {
            body_key: wanted.map(|wanted| apidef::pattern(wanted).unwrap()),
            ..Place::default()
        };
        for (wanted, body, stands) in [
            (None, &b"id=1&t=2"[..], &b"id=1&t=2"[..]),
            (Some("id=[0-9]+"), b"t=2&id=1&id=3", b"id=1"),
            (Some("id=[0-9]+"), b"t=2", b"t=2"),
            (Some("id=[0-9]+"), b"\xff", b"\xff"),
        ] {
            assert_eq!(place(wanted).body_key(body), stands, "{wanted:?}");
        }
    }
}
