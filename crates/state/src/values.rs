//! What the store answers.

use std::time::{Duration, SystemTime};

/// The store cannot be asked now. Nothing is known about the session or counter that was meant: the gateway answers
/// 503 with `Retry-After`, never 403 (a stranger and an unknown are not the same).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("state store unavailable: {0}")]
pub struct Unavailable(pub String);

/// A quota window (contract 6.6). Refused requests count too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaCount {
    /// Requests counted in this window.
    pub used: i64,
    /// When the window ends, in Unix seconds; 0 when it never does.
    pub renews_at: i64,
}

impl QuotaCount {
    /// What the limit leaves, for the `X-RateLimit-Remaining` header.
    pub fn remaining(&self, max: i64) -> i64 {
        (max - self.used).max(0)
    }
}

/// What the background probe last saw. Reading it costs nothing and never waits.
#[derive(Clone, Debug)]
pub struct Health {
    /// Whether calls are being answered.
    pub connected: bool,
    /// Since when that is so.
    pub since: SystemTime,
    /// Why not, if not. Carries no secret.
    pub error: Option<String>,
}

impl Health {
    pub(crate) fn up() -> Health {
        Health { connected: true, since: SystemTime::now(), error: None }
    }

    pub(crate) fn down(error: impl Into<String>) -> Health {
        Health { connected: false, since: SystemTime::now(), error: Some(error.into()) }
    }
}

/// Unix seconds now.
pub(crate) fn unix_now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs() as i64)
}

/// Unix milliseconds now.
pub(crate) fn unix_millis() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_millis() as u64)
}

/// Whole seconds, rounded up; 0 only for zero.
pub(crate) fn seconds_up(duration: Duration) -> i64 {
    let whole = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    whole.saturating_add(i64::from(duration.subsec_nanos() > 0))
}
