//! When a certificate is renewed, and how long a failure is waited out. Times are Unix seconds.

use std::time::Duration;

/// The wait after the first failure; it doubles with each. Directories let a name fail some five times an hour.
const FIRST: i64 = 120;
/// The longest wait.
const LONGEST: i64 = 3600;

/// When a certificate that was obtained at `obtained` and ends at `not_after` is to be renewed: so long before its end,
/// or after two thirds of its time where nothing is said. Never before half of it is over, so that a certificate that
/// lives shorter than operators thought is not renewed without end.
pub(super) fn due(obtained: i64, not_after: i64, before: Option<Duration>) -> i64 {
    let life = not_after.saturating_sub(obtained).max(2);
    let wished = match before {
        Some(before) => not_after.saturating_sub(i64::try_from(before.as_secs()).unwrap_or(i64::MAX)),
        None => obtained + life / 3 * 2,
    };
    wished.max(obtained + life / 2)
}

/// How many seconds after so many failures in a row the next try is.
pub(super) fn wait(failures: u32) -> i64 {
    FIRST.checked_shl(failures.saturating_sub(1).min(30)).map_or(LONGEST, |wait| wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    #[test]
    fn a_certificate_is_renewed_before_its_end_and_not_before_half_its_time() {
        let days = |days: u64| Some(Duration::from_secs(days * 86_400));
        // life in days, how long before its end, due after
        for (life, before, after) in [
            (90, None, 60),
            (90, days(30), 60),
            (90, days(10), 80),
            (90, days(80), 45),
            (6, days(30), 3),
            (6, None, 4),
        ] {
            assert_eq!(due(1_000, 1_000 + life * DAY, before), 1_000 + after * DAY, "{life} {before:?}");
        }
        // One that ends at once, or has ended, is not due at once: that would be a loop.
        for not_after in [1_000, 0, i64::MIN] {
            assert_eq!(due(1_000, not_after, None), 1_001, "{not_after}");
        }
    }

    #[test]
    fn waits_double_up_to_an_hour() {
        let waits: Vec<i64> = [1, 2, 3, 4, 5, 6, 7, 60, u32::MAX].into_iter().map(wait).collect();
        assert_eq!(waits, [120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]);
        assert!((1..=5).map(wait).sum::<i64>() >= 3600, "more than five tries an hour");
    }
}
