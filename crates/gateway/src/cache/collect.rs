//! An answer on its way to its client, collected beside: the client waits for nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body::Body as _;
use smallvec::SmallVec;

use super::entry::Entry;
use super::flights::{Flight, Outcome};
use super::rules::{Place, Rules};
use super::vary::{Varies, varies};
use super::wire::clean;
use crate::body::Body;
use crate::chain::has_an_end;
use crate::clock::unix_millis;
use crate::exchange::Exchange;
use crate::gate::Gate;

/// An exchange whose answer is to be kept, if it is one that may.
#[derive(Debug)]
pub(crate) struct Keep {
    pub(super) rules: Arc<Rules>,
    pub(super) place: Arc<Place>,
    pub(super) key: Arc<str>,
    /// As the client sent it.
    pub(super) method: Method,
    /// The request as it was when the answer was looked for.
    pub(super) request: HeaderMap,
    /// Who waits for it.
    pub(super) flight: Option<Flight>,
    /// See `Cache::drops`.
    pub(super) drops: u64,
}

impl Keep {
    /// Nobody is to wait any longer.
    fn pass(self) {
        if let Some(flight) = self.flight {
            flight.tell(Outcome::Passed);
        }
    }

    /// It is given to nobody else.
    fn refuse(self, gate: &Gate) {
        gate.cache.pass(&self.key);
        self.pass();
    }
}

/// The answer is none to be kept, whatever becomes of it on its way.
pub(crate) fn refuse(exchange: &mut Exchange) {
    let gate = Arc::clone(&exchange.gate);
    exchange.keeping.drain(..).for_each(|keep| keep.refuse(&gate));
}

/// There is no answer. What failed for one may go well for the next, and all of them may try.
pub(crate) fn pass(exchange: &mut Exchange) {
    exchange.keeping.drain(..).for_each(Keep::pass);
}

/// Prepares an answer to be kept, for each API on the way that keeps it.
pub(crate) fn keep(exchange: &mut Exchange, mut response: Response<Body>) -> Response<Body> {
    let gate = &exchange.gate;
    let mut of = SmallVec::new();
    for keep in exchange.keeping.drain(..) {
        let life = keep.rules.life(&keep.place, response.status(), response.headers());
        let varies = varies(response.headers(), &keep.request);
        match life
            .filter(|_| varies != Varies::Always && may_be_kept(&keep.method, &response, gate.cache.longest))
        {
            Some(life) => {
                let millis = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
                let varies = if let Varies::By(digest) = varies { Some(digest) } else { None };
                of.push(Wanted { keep, varies, expires: unix_millis().saturating_add(millis) });
            }
            None => keep.refuse(gate),
        }
    }
    if !of.is_empty() {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = match response.body().size_hint().exact() {
            Some(bytes) => BytesMut::with_capacity(usize::try_from(bytes).unwrap_or(0)),
            None => BytesMut::new(),
        };
        let collected = Collected { gate: Arc::clone(gate), status, headers, body, counted: 0, of };
        response.body_mut().collect(Box::new(collected));
    }
    response
}

/// Whether others may have an answer at all: whole, with an end that can be seen, short enough, and nobody's own.
fn may_be_kept(method: &Method, response: &Response<Body>, longest: usize) -> bool {
    let (status, headers) = (response.status(), response.headers());
    let bodiless = *method == Method::HEAD || status == StatusCode::NO_CONTENT;
    !(status.is_informational()
        || matches!(status, StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED)
        || headers.contains_key(header::SET_COOKIE)
        || headers.contains_key(header::CONTENT_RANGE)
        || is_multipart_stream(headers))
        && (bodiless || has_an_end(method, response))
        && response.body().tells_its_end()
        && response.body().size_hint().lower() <= longest as u64
}

/// Parts that replace each other have no end.
fn is_multipart_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    kind.len() >= 25 && kind[..25].eq_ignore_ascii_case(b"multipart/x-mixed-replace")
}

#[derive(Debug)]
struct Wanted {
    keep: Keep,
    varies: Option<[u8; 16]>,
    expires: i64,
}

/// Bytes of answers that are collected at once; what would be more is not kept.
const COLLECTED: usize = 256 << 20;

/// What has come of an answer.
pub(crate) struct Collected {
    gate: Arc<Gate>,
    status: StatusCode,
    headers: HeaderMap,
    body: BytesMut,
    /// Bytes of it that are counted in `Cache::collecting`.
    counted: usize,
    of: SmallVec<[Wanted; 1]>,
}

impl Collected {
    /// More of the body; false when it is too long.
    pub(crate) fn add(&mut self, data: &Bytes) -> bool {
        let cache = &self.gate.cache;
        let fits = self.body.len() + data.len() <= cache.longest
            && cache.collecting.load(Ordering::Relaxed) + data.len() <= COLLECTED;
        if fits {
            cache.collecting.fetch_add(data.len(), Ordering::Relaxed);
            self.counted += data.len();
            self.body.extend_from_slice(data);
        } else {
            self.give_up();
        }
        fits
    }

    /// The answer is none to be kept after all.
    pub(crate) fn give_up(&mut self) {
        self.body = BytesMut::new();
        for wanted in std::mem::take(&mut self.of) {
            wanted.keep.refuse(&self.gate);
        }
    }

    /// It is complete.
    pub(crate) fn complete(mut self) {
        let cache = &self.gate.cache;
        let body = std::mem::take(&mut self.body);
        // What grew has room that it does not need any more.
        let body = if body.capacity() > body.len() { Bytes::copy_from_slice(&body) } else { body.freeze() };
        for Wanted { keep, varies, expires } in std::mem::take(&mut self.of) {
            let mut headers = self.headers.clone();
            clean(&mut headers, &keep.method);
            let entry = Entry { status: self.status, headers, body: body.clone(), expires, varies };
            let entry = Arc::new(entry);
            let Keep { key, method, flight, drops, .. } = keep;
            if let Some(flight) = &flight {
                flight.tell(Outcome::Kept(Arc::clone(&entry)));
            }
            // What was asked for before something was dropped may be what was dropped.
            let counted = Arc::clone(&cache.drops);
            let still = move || drops == counted.load(Ordering::Relaxed);
            if still() {
                cache.store.put(&key, &entry, &method, flight, still);
            }
        }
    }
}

impl Drop for Collected {
    fn drop(&mut self) {
        self.gate.cache.collecting.fetch_sub(self.counted, Ordering::Relaxed);
    }
}
