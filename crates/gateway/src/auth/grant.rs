//! What one session may do with one API, compiled from its access rights.

use std::sync::Arc;
use std::time::Duration;

use apidef::{AccessDefinition, Session};
use http::Method;
use regex::Regex;

use super::callers::GrantSettings;
use crate::limits::Window;

/// Rights and limits of a session for one API.
#[derive(Debug)]
pub struct Grant {
    /// Whether the API may be called at all.
    pub(crate) allowed: bool,
    /// Paths and methods that may be called; `None` = all.
    pub(crate) urls: Option<Vec<Url>>,
    /// `None` = unlimited.
    pub(crate) rate: Option<RateGrant>,
    pub(crate) quota: QuotaGrant,
}

/// A path that may be called. A pattern that is no valid regular expression allows nothing.
#[derive(Debug)]
pub(crate) struct Url {
    pub(crate) path: Option<Regex>,
    pub(crate) methods: Vec<Method>,
}

#[derive(Debug)]
pub(crate) struct RateGrant {
    /// Name of the counter, without the store's prefix.
    pub(crate) name: String,
    pub(crate) requests: f64,
    pub(crate) per: Duration,
    pub(crate) window: Arc<Window>,
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

    pub(super) fn compile(session: &Session, name: &str, api: &str, settings: &GrantSettings) -> Self {
        let access = session.access_rights.get(api);
        // A key without any access rights is a master key (contract 4.4 row 20).
        let allowed = session.access_rights.is_empty() || access.is_some();
        let counter = Self::counter(session, name, api);
        let (rate, per) = effective_rate(session, access);
        let (max, renewal) = effective_quota(session, access);
        Self {
            allowed,
            urls: access.filter(|access| !access.allowed_urls.is_empty()).map(|access| urls(access, settings)),
            rate: (rate > 0.0 && per > 0.0).then(|| RateGrant {
                window: settings.windows.get(&counter),
                requests: rate,
                per: Duration::try_from_secs_f64(per).unwrap_or(Duration::MAX),
                name: counter.clone(),
            }),
            quota: QuotaGrant {
                name: counter,
                max,
                renewal: Duration::from_secs(u64::try_from(renewal).unwrap_or(0)),
            },
        }
    }
}

/// The API's own limit where it has one, else the session's.
fn effective_rate(session: &Session, access: Option<&AccessDefinition>) -> (f64, f64) {
    match access.map(|access| &access.limit).filter(|limit| limit.rate > 0.0 && limit.per > 0.0) {
        Some(limit) => (limit.rate, limit.per),
        None => (session.rate, session.per),
    }
}

fn effective_quota(session: &Session, access: Option<&AccessDefinition>) -> (i64, i64) {
    match access.map(|access| &access.limit).filter(|limit| limit.quota_max != 0) {
        Some(limit) => (limit.quota_max, limit.quota_renewal_rate),
        None => (session.quota_max, session.quota_renewal_rate),
    }
}

fn urls(access: &AccessDefinition, settings: &GrantSettings) -> Vec<Url> {
    let compile = |pattern: &str| match Regex::new(&path_pattern(pattern, settings)) {
        Ok(regex) => Some(regex),
        Err(error) => {
            tracing::warn!(pattern, %error, "an allowed url of a key is no valid regular expression; it allows nothing");
            None
        }
    };
    access
        .allowed_urls
        .iter()
        .map(|allowed| Url {
            path: compile(&allowed.url),
            methods: allowed.methods.iter().filter_map(|method| method.parse().ok()).collect(),
        })
        .collect()
}

/// The regular expression of an endpoint path (contract 4.3, "Pattern build").
fn path_pattern(path: &str, settings: &GrantSettings) -> String {
    let mut pattern = String::with_capacity(path.len() + 8);
    if settings.prefix_matching && path.starts_with('/') {
        pattern.push('^');
    }
    let mut rest = path;
    loop {
        let open = rest.find('{');
        let wildcard = rest.find("/*");
        match (open, wildcard) {
            (Some(open), wildcard) if wildcard.is_none_or(|wildcard| open < wildcard) => {
                // Only `{name}` is a parameter; `{2,3}` is a repetition of the regular expression.
                let Some(close) = rest[open..].find('}').map(|close| open + close) else { break };
                let name = &rest[open + 1..close];
                pattern.push_str(&rest[..open]);
                if name.starts_with(|first: char| first.is_alphabetic() || first == '_') {
                    pattern.push_str("([^/]+)");
                } else {
                    pattern.push_str(&rest[open..=close]);
                }
                rest = &rest[close + 1..];
            }
            (_, Some(wildcard)) => {
                pattern.push_str(&rest[..wildcard]);
                rest = &rest[wildcard + 2..];
                pattern.push_str(if rest.starts_with('/') { "/[^/]+" } else { "/.*" });
            }
            _ => break,
        }
    }
    pattern.push_str(rest);
    if settings.suffix_matching && !pattern.ends_with('$') {
        pattern.push('$');
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Windows;

    fn settings(prefix: bool, suffix: bool) -> GrantSettings {
        GrantSettings { windows: Arc::new(Windows::default()), prefix_matching: prefix, suffix_matching: suffix }
    }

    #[test]
    fn path_patterns_are_built_as_the_contract_says() {
        let cases = [
            ("/users/{id}", false, false, "/users/([^/]+)"),
            ("/users/*/x", false, false, "/users/[^/]+/x"),
            ("/users/*", false, false, "/users/.*"),
            ("/a{2,3}", false, false, "/a{2,3}"),
            ("/users", true, true, "^/users$"),
            ("users$", true, true, "users$"),
        ];
        for (path, prefix, suffix, pattern) in cases {
            assert_eq!(path_pattern(path, &settings(prefix, suffix)), pattern, "{path}");
        }
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
        let grant = |api: &str| Grant::compile(&session, "hash", api, &settings(false, false));
        let (a, b, c) = (grant("a"), grant("b"), grant("c"));
        assert_eq!((a.allowed, a.quota.max, a.quota.name.as_str()), (true, 100, "hash"));
        assert_eq!(a.rate.map(|rate| rate.requests), Some(5.0));
        assert_eq!((b.quota.max, b.quota.name.as_str(), b.quota.renewal.as_secs()), (7, "b-hash", 9));
        assert_eq!(b.rate.map(|rate| rate.requests), Some(2.0));
        assert!(!c.allowed);
    }
}
