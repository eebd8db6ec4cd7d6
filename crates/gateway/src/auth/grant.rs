//! What one session may do with one API: the terms of its profile, and counters of its own.

use std::sync::Arc;
use std::time::Duration;

use apidef::{CallKind, Session};
use state::near;

use super::terms::{Allowance, Terms, scope};
use crate::exchange::Exchange;
use crate::limits::{Counter, Received};
use crate::query;

/// Rights and limits of a session for one API. There may be a million: what they have in common is in the terms.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) terms: Arc<Terms>,
    /// `None` = unlimited.
    rate: Option<Counter>,
    quota: state::Found,
    /// `None`: nothing more is counted.
    more: Option<Box<More>>,
}

/// Counters that few have.
#[derive(Debug)]
struct More {
    /// Of the endpoints of the terms, in their order; `None` = unlimited.
    endpoints: Box<[Option<Counter>]>,
    /// Of the calls that the terms limit, in their order; `None` = unlimited.
    calls: Box<[Option<Counter>]>,
    /// What subscribers may receive; `None` = everything.
    received: Option<Received>,
}

/// So much of a quota, and where it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota<'a> {
    /// Zero or less = unlimited.
    pub(crate) max: i64,
    /// Zero = never renews.
    pub(crate) renewal: Duration,
    /// What the store found under its name.
    pub(crate) found: &'a state::Found,
}

impl<'a> Quota<'a> {
    /// Name of the counter, without the store's prefix.
    pub(crate) fn name(&self) -> &'a str {
        self.found.name()
    }
}

impl Grant {
    /// The name under which a session's use of an API is counted: its own, or one for each scope (contract 6.4).
    pub(crate) fn counter(session: &Session, name: &str, api: &str) -> String {
        match scope(session, api) {
            "" => name.to_owned(),
            scope => format!("{scope}-{name}"),
        }
    }

    /// `name`: of the session.
    pub(super) fn new(terms: Arc<Terms>, name: &Arc<str>) -> Self {
        let name = match &*terms.scope {
            "" => Arc::clone(name),
            scope => format!("{scope}-{name}").into(),
        };
        Self {
            rate: terms.rate.counter(&name),
            more: More::new(&terms, &name).map(Box::new),
            quota: state::Found::under(name),
            terms,
        }
    }

    /// What the names of all its counters begin with.
    pub(crate) fn name(&self) -> &str {
        self.quota.name()
    }

    pub(crate) fn quota(&self) -> Quota<'_> {
        Quota { max: self.terms.quota_max, renewal: self.terms.quota_renewal, found: &self.quota }
    }

    /// Asks the memory for what guards are about to read of it.
    pub(super) fn ask_for(&self) {
        near::ask_for(&self.terms);
        near::ask_for(&self.quota);
    }

    /// Asks the memory for where it is counted, when its own parts are there.
    pub(super) fn ask_for_more(&self) {
        if let Some(rate) = &self.rate {
            rate.ask_for();
        }
        self.quota.ask_for();
    }

    /// What subscribers may receive; `None` = everything.
    pub(crate) fn received(&self) -> Option<&Received> {
        self.more.as_ref()?.received.as_ref()
    }

    /// Requests, and in how many seconds, where no path says otherwise; 0 = any number.
    pub(crate) fn rate(&self) -> (f64, f64) {
        self.terms.rate.numbers
    }

    /// The rate that limits this exchange: of its path and method, else of the API or the session (contract 6.5).
    pub(crate) fn rate_for(&self, exchange: &Exchange) -> Option<&Counter> {
        if self.terms.endpoints.is_empty() {
            return self.rate.as_ref();
        }
        let method = exchange.head.method.as_str();
        let (within, whole) =
            (query::decode_path(exchange.path_in_api()), query::decode_path(exchange.head.uri.path()));
        self.rate_of(method, &[&within, &whole])
    }

    fn rate_of(&self, method: &str, paths: &[&str]) -> Option<&Counter> {
        let endpoint = self.terms.endpoint(method, paths);
        let counter = endpoint.and_then(|place| self.more.as_ref()?.endpoints.get(place));
        counter.unwrap_or(&self.rate).as_ref()
    }

    /// The rate that limits calls of this name, beside that of the API or the session (contract 6.1).
    pub(crate) fn rate_of_call(&self, kind: CallKind, name: &str) -> Option<&Counter> {
        let place = self.terms.calls.as_ref()?.rate(kind, name)?;
        self.more.as_ref()?.calls.get(place)?.as_ref()
    }

    /// What tells one of the session's counters from its others.
    pub(crate) fn suffix_of<'a>(&self, counter: &'a Counter) -> &'a str {
        counter.name.strip_prefix(self.name()).unwrap_or_default()
    }
}

impl More {
    /// `None` where there is none of it. `name`: what those of the counters begin with.
    fn new(terms: &Terms, name: &str) -> Option<Self> {
        let counter = |suffix: &str, rate: &Allowance| rate.counter(&format!("{name}{suffix}").into());
        let endpoints = terms.endpoints.iter();
        let more = Self {
            endpoints: endpoints.map(|endpoint| counter(&endpoint.suffix, &endpoint.rate)).collect(),
            calls: terms.calls.as_ref().map_or_else(Box::default, |calls| {
                calls.rates.iter().map(|(suffix, rate)| counter(suffix, rate)).collect()
            }),
            received: terms.subscriptions.as_ref().and_then(|limits| Received::compile(limits, name)),
        };
        let any = !more.endpoints.is_empty() || !more.calls.is_empty() || more.received.is_some();
        any.then_some(more)
    }
}

#[cfg(test)]
mod tests {
    use apidef::PathMatching;

    use super::*;
    use crate::limits::Context;

    fn context() -> Context {
        Context { matching: PathMatching::default(), hashed: true }
    }

    fn grant(session: &Session, api: &str) -> Grant {
        Grant::new(Arc::new(Terms::compile(session, api, &context())), &"hash".into())
    }

    #[test]
    fn c6_5_row_6_limits_of_the_api_come_before_those_of_the_session() {
        let session: Session = serde_json::from_value(serde_json::json!({
            "rate": 5, "per": 10, "quota_max": 100, "quota_renewal_rate": 60,
            "access_rights": {
                "a": {},
                "b": {"allowance_scope": "b", "limit": {"rate": 2, "per": 1, "quota_max": 7, "quota_renewal_rate": 9}}
            }
        }))
        .unwrap();
        let (a, b, c) = (grant(&session, "a"), grant(&session, "b"), grant(&session, "c"));
        assert_eq!((a.terms.allowed, a.quota().max, a.name()), (true, 100, "hash"));
        assert_eq!(a.rate.map(|counter| counter.rate.requests), Some(5.0));
        assert_eq!((b.quota().max, b.name(), b.quota().renewal.as_secs()), (7, "b-hash", 9));
        assert_eq!(b.rate.map(|counter| counter.rate.requests), Some(2.0));
        assert!(!c.terms.allowed);
    }

    #[test]
    fn limits_of_paths_come_before_those_of_the_api() {
        let session: Session = serde_json::from_value(serde_json::json!({
            "rate": 5, "per": 10, "access_rights": {"a": {"endpoints": [
                {"path": "/x/{id}", "methods": [
                    {"name": "GET", "limit": {"rate": 2, "per": 1}}, {"name": "PUT", "limit": {}},
                    {"name": "POST", "limit": {"rate": -1, "per": 1}}]},
                {"path": "/x/*", "methods": [{"name": "GET", "limit": {"rate": 9, "per": 1}}]},
                {"path": "/(", "methods": [{"name": "GET", "limit": {"rate": 9, "per": 1}}]}]}}
        }))
        .unwrap();
        let grant = grant(&session, "a");
        for (method, path, rate, named) in [
            ("GET", "/x/7", Some(2.0), true),
            ("GET", "/x/", Some(9.0), true),
            ("PUT", "/x/7", Some(5.0), false),
            ("POST", "/x/7", None, false),
            ("GET", "/y", Some(5.0), false),
        ] {
            let counter = grant.rate_of(method, &[path, "/whole"]);
            assert_eq!(counter.map(|counter| counter.rate.requests), rate, "{method} {path}");
            let suffix = counter.map_or("", |counter| grant.suffix_of(counter));
            assert_eq!(suffix.len(), if named { 9 } else { 0 }, "{suffix}");
        }
    }
}
