//! What is sent again (`x-sluicegate.upstream.retries`): what nothing of was sent, and else only what does the same when it
//! is done twice. And only a part of all requests, so that an upstream in trouble is not asked the more the worse it gets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use apidef::Retries;
use http::{Method, Response, StatusCode};
use http_body::Body as _;
use tokio::time::Instant;

use super::destination::Tried;
use super::{Failure, Limit, Upstream};
use crate::body::{Body, RequestBody};
use crate::exchange::Exchange;
use crate::respond::Refusal;

/// Before the first retry to a server that was just asked; twice as long before each other.
const PAUSE: Duration = Duration::from_millis(25);
/// A retry, in the units in which the budget counts.
const RETRY: u64 = 1000;
/// Retries that may come at once, where none came for a while.
const SAVED: u64 = 10 * RETRY;

/// How an API sends again.
pub(super) struct Retrying {
    attempts: u8,
    statuses: Box<[u16]>,
    methods: Box<[Box<str>]>,
    largest_body: usize,
    budget: Budget,
}

/// Retries that are left: every request earns a part of one.
struct Budget {
    left: AtomicU64,
    earned: u64,
}

impl Budget {
    fn new(part: f64) -> Self {
        Self { left: AtomicU64::new(SAVED), earned: (part * RETRY as f64) as u64 }
    }

    fn earn(&self) {
        let more = |left: u64| (left < SAVED).then(|| (left + self.earned).min(SAVED));
        // Full already where nothing was changed.
        let _full = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    fn spend(&self) -> bool {
        let less = |left: u64| left.checked_sub(RETRY);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

impl Retrying {
    pub(super) fn new(model: &Retries) -> Self {
        let Retries { attempts, statuses, methods, largest_body, budget } = model;
        Self {
            attempts: *attempts,
            statuses: statuses.clone(),
            methods: methods.clone(),
            largest_body: *largest_body,
            budget: Budget::new(*budget),
        }
    }

    /// Whether a method may be sent twice (RFC 9110 section 9.2.2, or since the definition says so).
    fn repeats(&self, method: &Method) -> bool {
        method.is_idempotent() || self.methods.iter().any(|named| **named == *method.as_str())
    }

    /// Whether a body is known to be short enough to be kept.
    fn keeps(&self, body: &RequestBody) -> bool {
        body.size_hint().upper().is_some_and(|length| length <= self.largest_body as u64)
    }

    /// Whether an answer or a failure is not the last word. `whole`: the request can be sent again as it was.
    fn persists(&self, whole: bool, answer: &Result<Response<Body>, Failure>) -> bool {
        match answer {
            Ok(response) => whole && self.distrusts(response.status()),
            // Nothing was sent.
            Err(Failure::Dial(_)) => true,
            Err(failure) => whole && failure.may_pass() && failure.is_of_upstream(),
        }
    }

    fn distrusts(&self, status: StatusCode) -> bool {
        self.statuses.contains(&status.as_u16())
    }
}

/// Asks until there is an answer to go by, all within the time that one request has.
pub(super) async fn ask(
    upstream: &Upstream,
    retrying: &Retrying,
    exchange: &mut Exchange,
    limit: Limit,
) -> Result<Response<Body>, Refusal> {
    let asked = Instant::now();
    retrying.budget.earn();
    let whole = retrying.repeats(exchange.method()) && retrying.keeps(&exchange.body);
    if whole {
        // Before the upstream is asked at all: what broke on its way here is not its fault.
        exchange.buffer_body(retrying.largest_body).await?;
    }
    let headers = exchange.head.headers.clone();
    let mut tried = Tried::default();
    let mut attempt: u8 = 0;
    loop {
        let body = if whole { exchange.body.again() } else { None };
        let answer = upstream.attempt(exchange, limit, asked, &mut tried).await;
        if attempt == retrying.attempts || !retrying.persists(whole, &answer) {
            return answer.map_err(super::refuse);
        }
        // Another server is asked at once.
        let pause = if tried.others { Duration::ZERO } else { PAUSE.saturating_mul(1_u32 << attempt.min(8)) };
        if Instant::now() + pause >= asked + limit.time || !retrying.budget.spend() {
            return answer.map_err(super::refuse);
        }
        attempt += 1;
        tracing::debug!(attempt, status = ?answer.as_ref().map(Response::status), "a request is sent again");
        drop(answer);
        tokio::time::sleep(pause).await;
        exchange.head.headers.clone_from(&headers);
        if let Some(body) = body {
            exchange.body = body;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_requests_is_sent_again_once_the_savings_are_gone() {
        let budget = Budget::new(0.25);
        let retried = (0..100).filter(|_| {
            budget.earn();
            budget.spend()
        });
        // Ten that were saved, a quarter of a hundred, and none of what was earned while all was saved.
        assert_eq!(retried.count(), 34);
        for _ in 0..1000 {
            budget.earn();
        }
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
    }

    #[test]
    fn only_what_may_be_done_twice_is_sent_again() {
        let retrying = Retrying::new(&Retries {
            attempts: 1,
            statuses: [503].into(),
            methods: ["POST".into()].into(),
            largest_body: 3,
            budget: 0.5,
        });
        for (method, repeats) in
            [(Method::GET, true), (Method::PUT, true), (Method::POST, true), (Method::PATCH, false)]
        {
            assert_eq!(retrying.repeats(&method), repeats, "{method}");
        }
        assert!(retrying.keeps(&RequestBody::none()));
        assert!(retrying.keeps(&RequestBody::full("abc".into())));
        assert!(!retrying.keeps(&RequestBody::full("abcd".into())));
        assert!(retrying.distrusts(StatusCode::SERVICE_UNAVAILABLE) && !retrying.distrusts(StatusCode::OK));
    }
}
