//! What one session may do with one API, compiled from its access rights.

use std::time::Duration;

use apidef::{PathMatching, Session, UrlRules, keys, path_pattern};
use regex::Regex;

use crate::exchange::Exchange;
use crate::limits::{Context, Counter, Pattern, Received};
use crate::query;

/// Rights and limits of a session for one API.
#[derive(Debug)]
pub(crate) struct Grant {
    /// Whether the API may be called at all.
    pub(crate) allowed: bool,
    /// Which of the versions may be called that the API serves itself; `None` = all of them.
    versions: Option<Box<[Box<str>]>>,
    /// Paths and methods that may be called.
    pub(crate) urls: Urls,
    /// `None` = unlimited.
    rate: Option<Counter>,
    endpoints: Box<[Endpoint]>,
    /// Which part of a counter's name is that of the session.
    name: Box<str>,
    pub(crate) quota: QuotaGrant,
    /// How long to wait between tries, and how many, where the rate is used up.
    pub(crate) throttle: Option<(Duration, u32)>,
    /// Gives the name of the counters for each request.
    pub(crate) pattern: Option<Pattern>,
    pub(crate) at_once: OwnAtOnce,
    /// What subscribers may receive; `None` = everything.
    pub(crate) received: Option<Received>,
}

/// Which paths and methods a grant covers.
#[derive(Debug)]
pub(crate) enum Urls {
    All,
    Only(UrlRules),
    /// The rules cannot be understood; nothing is allowed rather than everything.
    None,
}

impl Urls {
    /// Whether the method may be called at any of these spellings of a path.
    pub(crate) fn allow(&self, method: &str, paths: &[&str]) -> bool {
        match self {
            Self::All => true,
            Self::Only(rules) => rules.allows(method, paths),
            Self::None => false,
        }
    }
}

/// The limit of one path and method, instead of the API's.
#[derive(Debug)]
struct Endpoint {
    method: Box<str>,
    path: Regex,
    /// `None` = unlimited.
    rate: Option<Counter>,
}

/// How much may be under way at once; 0 = any number.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OwnAtOnce {
    pub(crate) requests: u32,
    pub(crate) subscribers: u32,
}

#[derive(Debug)]
pub(crate) struct QuotaGrant {
    /// Name of the counter, without the store's prefix.
    pub(crate) name: String,
    /// Zero or less = unlimited.
    pub(crate) max: i64,
    /// Zero = never renews.
    pub(crate) renewal: Duration,
}

impl Grant {
    /// The name under which a session's use of an API is counted: its own, or one for each scope (contract 6.4).
    pub(crate) fn counter(session: &Session, name: &str, api: &str) -> String {
        match session.access_rights.get(api).map(|access| access.allowance_scope.as_str()) {
            None | Some("") => name.to_owned(),
            Some(scope) => format!("{scope}-{name}"),
        }
    }

    pub(super) fn compile(session: &Session, name: &str, api: &str, context: &Context) -> Self {
        let access = session.access_rights.get(api);
        // A key without any access rights is a master key (contract 4.4 row 20).
        let allowed = session.access_rights.is_empty() || access.is_some();
        let counter = Self::counter(session, name, api);
        let limit = session.limit_of(api);
        let at_most = |number: i64| u32::try_from(number.max(0)).unwrap_or(u32::MAX);
        let tries = at_most(limit.throttle_retry_limit);
        let interval = Duration::try_from_secs_f64(limit.throttle_interval).unwrap_or_default();
        let received = Received::compile(&limit.subscriptions, &counter);
        Self {
            allowed,
            versions: access.map(|access| access.versions.iter().map(|version| version.as_str().into()).collect()),
            urls: access.map_or(Urls::All, |access| match UrlRules::compile(&access.allowed_urls, context.matching) {
                Ok(rules) if rules.is_empty() => Urls::All,
                Ok(rules) => Urls::Only(rules),
                Err(fault) => {
                    tracing::warn!(api, fault = %fault.message, "the allowed urls of a key allow nothing");
                    Urls::None
                }
            }),
            rate: Counter::new(counter.as_str(), (limit.rate, limit.per), &limit.smoothing),
            endpoints: access.map(|access| endpoints(&access.endpoints, &counter, context)).unwrap_or_default(),
            name: counter.as_str().into(),
            quota: QuotaGrant {
                name: counter,
                max: limit.quota_max,
                renewal: Duration::from_secs(u64::try_from(limit.quota_renewal_rate).unwrap_or(0)),
            },
            throttle: (tries > 0 && !interval.is_zero()).then_some((interval, tries)),
            pattern: Pattern::of(session),
            received,
            at_once: OwnAtOnce {
                requests: at_most(limit.concurrency.requests),
                subscribers: at_most(limit.concurrency.subscribers),
            },
        }
    }

    /// Whether a version may be called; an API without versions of its own has the empty one.
    pub(crate) fn opens_version(&self, version: &str) -> bool {
        let named = |versions: &[Box<str>]| versions.iter().any(|named| **named == *version);
        version.is_empty() || self.versions.as_deref().is_none_or(named)
    }

    /// The rate that limits this exchange: of its path and method, else of the API or the session (contract 6.5).
    pub(crate) fn rate_for(&self, exchange: &Exchange) -> Option<&Counter> {
        if self.endpoints.is_empty() {
            return self.rate.as_ref();
        }
        let method = exchange.head.method.as_str();
        let (within, whole) =
            (query::decode_path(exchange.path_in_api()), query::decode_path(exchange.head.uri.path()));
        self.rate_of(method, &[&within, &whole])
    }

    fn rate_of(&self, method: &str, paths: &[&str]) -> Option<&Counter> {
        let fits = |endpoint: &&Endpoint| {
            *endpoint.method == *method && paths.iter().any(|path| endpoint.path.is_match(path))
        };
        match self.endpoints.iter().find(fits) {
            Some(endpoint) => endpoint.rate.as_ref(),
            None => self.rate.as_ref(),
        }
    }

    /// What tells one of the session's counters from its others.
    pub(crate) fn suffix_of<'a>(&self, counter: &'a Counter) -> &'a str {
        counter.name.strip_prefix(&*self.name).unwrap_or_default()
    }
}

/// Endpoints that limit something: an empty limit says nothing.
fn endpoints(written: &[apidef::Endpoint], name: &str, context: &Context) -> Box<[Endpoint]> {
    let mut endpoints = Vec::new();
    for endpoint in written {
        let matching = PathMatching { ..context.matching };
        let path = match path_pattern(&endpoint.path, matching) {
            Ok(path) => path,
            Err(error) => {
                tracing::warn!(path = endpoint.path, %error, "a rate limit of a path in a key cannot be used");
                continue;
            }
        };
        for method in endpoint.methods.iter().filter(|method| method.limit != apidef::RateLimit::default()) {
            let limit = &method.limit;
            let of = keys::hash(&format!("{}:{}", method.name, endpoint.path), None);
            let rate = Counter::new(format!("{name}-{of}"), (limit.rate, limit.per), &limit.smoothing);
            endpoints.push(Endpoint { method: method.name.to_uppercase().into(), path: path.clone(), rate });
        }
    }
    endpoints.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context { matching: PathMatching::default(), hashed: true }
    }

    #[test]
    fn limits_of_the_api_come_before_those_of_the_session() {
        let session: Session = serde_json::from_value(serde_json::json!({
            "rate": 5, "per": 10, "quota_max": 100, "quota_renewal_rate": 60,
            "access_rights": {
                "a": {},
                "b": {"allowance_scope": "b", "limit": {"rate": 2, "per": 1, "quota_max": 7, "quota_renewal_rate": 9}}
            }
        }))
        .unwrap();
        let grant = |api: &str| Grant::compile(&session, "hash", api, &context());
        let (a, b, c) = (grant("a"), grant("b"), grant("c"));
        assert_eq!((a.allowed, a.quota.max, a.quota.name.as_str()), (true, 100, "hash"));
        assert_eq!(a.rate.map(|rate| rate.requests), Some(5.0));
        assert_eq!((b.quota.max, b.quota.name.as_str(), b.quota.renewal.as_secs()), (7, "b-hash", 9));
        assert_eq!(b.rate.map(|rate| rate.requests), Some(2.0));
        assert!(!c.allowed);
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
        let grant = Grant::compile(&session, "hash", "a", &context());
        for (method, path, rate, named) in [
            ("GET", "/x/7", Some(2.0), true),
            ("GET", "/x/", Some(9.0), true),
            ("PUT", "/x/7", Some(5.0), false),
            ("POST", "/x/7", None, false),
            ("GET", "/y", Some(5.0), false),
        ] {
            let counter = grant.rate_of(method, &[path, "/whole"]);
            assert_eq!(counter.map(|counter| counter.requests), rate, "{method} {path}");
            let suffix = counter.map_or("", |counter| grant.suffix_of(counter));
            assert_eq!(suffix.len(), if named { 9 } else { 0 }, "{suffix}");
        }
    }
}
