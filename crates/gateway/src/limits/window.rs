//! Rate windows that live in this process.
//!
//! A window begins with the first request after the last one ended, as the original's in-memory limiter counts
//! (contract 6.5, "single node always in-memory"). Unlike there, refused requests are not counted, so a client that
//! insists is served again as soon as the window ends.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// One window; shared by all exchanges that are counted together. There may be a million, so it is to be small.
#[derive(Debug, Default)]
pub(crate) struct Window(Mutex<Count>);

#[derive(Debug, Default)]
struct Count {
    ends: Moment,
    /// With which it was begun.
    per: Moment,
    used: u64,
    /// Where the shared count has refused, and refusals are not asked about one by one.
    blocked_until: Moment,
}

/// Nanoseconds since some time before the first of them, or of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Moment(u64);

/// A day before anybody asked, for whoever asks may have looked at the clock before.
static BEGINNING: LazyLock<Instant> = LazyLock::new(|| {
    let now = Instant::now();
    now.checked_sub(Duration::from_secs(24 * 3600)).unwrap_or(now)
});

impl Moment {
    fn at(now: Instant) -> Self {
        Self::after(now.saturating_duration_since(*BEGINNING))
    }

    fn after(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }

    fn plus(self, duration: Self) -> Self {
        Self(self.0.saturating_add(duration.0))
    }

    /// Until then; nothing where it has been.
    fn from(self, now: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(now.0))
    }
}

/// What a window says about one more request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Whether the request may pass.
    pub(crate) allowed: bool,
    /// How many more may pass in this window.
    pub(crate) remaining: u64,
    /// Time until the window ends.
    pub(crate) resets_in: Duration,
    /// What was taken, for [`Window::give_back`].
    pub(crate) held: u64,
    /// From which window.
    ends: Option<Moment>,
}

impl Taken {
    /// What a counter says that is not counted here.
    pub(super) fn told(allowed: bool, remaining: u64, resets_in: Duration) -> Self {
        Self { allowed, remaining, resets_in, held: 0, ends: None }
    }
}

impl Window {
    /// Counts a request against `limit` for each `per`; refused ones do not count.
    pub(crate) fn take(&self, limit: f64, per: Duration, now: Instant) -> Taken {
        self.take_many(limit, per, 1, now)
    }

    /// As [`Window::take`], as much as `cost` at once: admitted when at least one is left.
    pub(crate) fn take_many(&self, limit: f64, per: Duration, cost: u64, now: Instant) -> Taken {
        let (now, per) = (Moment::at(now), Moment::after(per));
        let longest = now.plus(per);
        let mut count = self.0.lock();
        // A window begins with the first request that counts; `now` may be earlier than the making of it.
        if count.used == 0 || now >= count.ends {
            (count.ends, count.per, count.used) = (longest, per, 0);
        }
        if count.per != per {
            // A window that was begun with a longer period does not keep its end.
            (count.ends, count.per) = (count.ends.min(longest), per);
        }
        let allowed = now >= count.blocked_until && count.used as f64 + 1.0 <= limit;
        if allowed {
            count.used = count.used.saturating_add(cost);
        }
        let remaining = (limit.max(0.0) as u64).saturating_sub(count.used);
        let held = if allowed { cost } else { 0 };
        let free_at = count.blocked_until.max(count.ends);
        Taken { allowed, remaining, resets_in: free_at.from(now), held, ends: Some(count.ends) }
    }

    /// Takes back what was counted, unless its window has ended meanwhile.
    pub(crate) fn give_back(&self, taken: &Taken) {
        let mut count = self.0.lock();
        // A window that was shortened meanwhile is still the same one; a new one ends later.
        if taken.ends.is_some_and(|ends| count.ends <= ends) {
            count.used = count.used.saturating_sub(taken.held);
        }
    }

    /// Whether forgetting it would let anything through that it refuses.
    pub(super) fn is_running(&self, now: Instant) -> bool {
        let (count, now) = (self.0.lock(), Moment::at(now));
        (count.used > 0 && now < count.ends) || now < count.blocked_until
    }

    /// How long refusals hold without a count.
    pub(crate) fn blocked_for(&self, now: Instant) -> Option<Duration> {
        let left = self.0.lock().blocked_until.from(Moment::at(now));
        (!left.is_zero()).then_some(left)
    }

    /// Refuses without a count for so long.
    pub(crate) fn block(&self, wait: Duration, now: Instant) {
        self.0.lock().blocked_until = Moment::at(now).plus(Moment::after(wait));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn c6_5_row_1_a_window_admits_its_limit_and_begins_anew_with_the_first_request_after_it() {
        let window = Window::default();
        let start = Instant::now();
        let per = Duration::from_secs(10);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let taken: Vec<_> = [0, 1, 2, 9, 10, 25, 26, 27, 35]
            .into_iter()
            .map(|seconds| {
                let taken = window.take(2.0, per, at(seconds));
                (seconds, taken.allowed, taken.remaining, taken.resets_in.as_secs())
            })
            .collect();
        assert_eq!(
            taken,
            [
                (0, true, 1, 10),
                (1, true, 0, 9),
                (2, false, 0, 8),
                (9, false, 0, 1),
                (10, true, 1, 10),
                (25, true, 1, 10),
                (26, true, 0, 9),
                (27, false, 0, 8),
                (35, true, 1, 10),
            ]
        );
    }

    #[test]
    fn a_window_that_was_made_after_the_request_counts_it() {
        let before = Instant::now();
        let window = Window::default();
        let per = Duration::from_secs(10);
        assert_eq!(window.take(4.0, per, before).remaining, 3);
        assert_eq!(window.take(4.0, per, before + Duration::from_secs(1)).remaining, 2);
    }

    #[test]
    fn another_period_moves_the_end_of_a_window() {
        let window = Window::default();
        let start = Instant::now();
        // second, period -> allowed, seconds left; limit 1
        for (second, per, allowed, left) in [
            (0, 3600, true, 3600),
            (10, 3600, false, 3590),
            (20, 5, false, 5),
            (24, 3600, false, 1),
            (25, 3600, true, 3600),
            (26, 60, false, 60),
        ] {
            let now = start + Duration::from_secs(second);
            let taken = window.take(1.0, Duration::from_secs(per), now);
            assert_eq!((taken.allowed, taken.resets_in.as_secs()), (allowed, left), "at {second}");
        }
    }

    #[test]
    fn what_is_given_back_is_given_to_its_own_window() {
        let window = Window::default();
        let start = Instant::now();
        let per = Duration::from_secs(10);
        let first = window.take(1.0, per, start);
        assert!(!window.take(1.0, per, start).allowed);
        window.give_back(&first);
        let second = window.take(1.0, per, start);
        assert!(second.allowed, "it was given back");
        assert!(window.take(1.0, per, start + per).allowed);
        window.give_back(&second);
        assert!(!window.take(1.0, per, start + per).allowed, "that window has ended");
    }

    #[test]
    fn a_window_without_end_does_not_overflow() {
        let taken = Window::default().take(1.0, Duration::MAX, Instant::now());
        assert!(taken.allowed && taken.resets_in > Duration::from_secs(1 << 30));
    }

    #[test]
    fn concurrent_requests_never_pass_the_limit() {
        let window = Arc::new(Window::default());
        let now = Instant::now();
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    let window = Arc::clone(&window);
                    scope.spawn(move || {
                        (0..1000).filter(|_| window.take(100.0, Duration::from_secs(60), now).allowed).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 100);
    }
}
