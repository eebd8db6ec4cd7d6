//! The wall clock, as the contract writes times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Unix time in seconds.
pub(crate) fn unix_now() -> i64 {
    unix_after(Duration::ZERO)
}

/// Unix time in seconds after `wait` has passed.
pub(crate) fn unix_after(wait: Duration) -> i64 {
    let then = SystemTime::now() + wait;
    then.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
