//! What one session may do with one API, compiled from its access rights.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apidef::{Session, UrlRules};

use super::callers::GrantSettings;
use crate::limits::{Taken, Window};

/// Rights and limits of a session for one API.
#[derive(Debug)]
pub(crate) struct Grant {
    /// Whether the API may be called at all.
    pub(crate) allowed: bool,
    /// Paths and methods that may be called.
    pub(crate) urls: Urls,
    /// `None` = unlimited.
    pub(crate) rate: Option<RateGrant>,
    pub(crate) quota: QuotaGrant,
}

/// Which paths and methods a grant covers.
#[derive(Debug)]
pub(crate) enum Urls {
    All,
    Only(UrlRules),
    /// The rules cannot be understood; nothing is allowed rather than everything.
    None,
}

#[derive(Debug)]
pub(crate) struct RateGrant {
    /// Name of the counter, without the store's prefix.
    pub(crate) name: String,
    pub(crate) requests: f64,
    pub(crate) per: Duration,
    pub(crate) window: Arc<Window>,
}

impl RateGrant {
    /// Counts one request in the window of this node.
    pub(crate) fn take_here(&self) -> Taken {
        self.window.take(self.requests as u64, self.per, Instant::now())
    }
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
        let limit = session.limit_of(api);
        Self {
            allowed,
            urls: access.map_or(Urls::All, |access| match UrlRules::compile(&access.allowed_urls, settings.matching) {
                Ok(rules) if rules.is_empty() => Urls::All,
                Ok(rules) => Urls::Only(rules),
                Err(fault) => {
                    tracing::warn!(api, fault = %fault.message, "the allowed urls of a key allow nothing");
                    Urls::None
                }
            }),
            rate: (limit.rate > 0.0 && limit.per > 0.0).then(|| RateGrant {
                window: settings.windows.get(&counter),
                requests: limit.rate,
                per: Duration::try_from_secs_f64(limit.per).unwrap_or(Duration::MAX),
                name: counter.clone(),
            }),
            quota: QuotaGrant {
                name: counter,
                max: limit.quota_max,
                renewal: Duration::from_secs(u64::try_from(limit.quota_renewal_rate).unwrap_or(0)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use apidef::PathMatching;

    use super::*;
    use crate::limits::Windows;

    fn settings() -> GrantSettings {
        GrantSettings { windows: Arc::new(Windows::default()), matching: PathMatching::default() }
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
        let grant = |api: &str| Grant::compile(&session, "hash", api, &settings());
        let (a, b, c) = (grant("a"), grant("b"), grant("c"));
        assert_eq!((a.allowed, a.quota.max, a.quota.name.as_str()), (true, 100, "hash"));
        assert_eq!(a.rate.map(|rate| rate.requests), Some(5.0));
        assert_eq!((b.quota.max, b.quota.name.as_str(), b.quota.renewal.as_secs()), (7, "b-hash", 9));
        assert_eq!(b.rate.map(|rate| rate.requests), Some(2.0));
        assert!(!c.allowed);
    }
}
