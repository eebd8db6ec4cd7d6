//! Rate windows that live in this process.
//!
//! A window begins with the first request after the last one ended, as the original's in-memory limiter counts
//! (contract 6.5, "single node always in-memory"). Unlike there, refused requests are not counted, so a client that
//! insists is served again as soon as the window ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quick_cache::sync::Cache;

use super::smoothing::{Allowance, Steps};

/// How many windows are kept; the least used are forgotten first, which gives their key a fresh window.
const KEPT: usize = 200_000;

/// What a window lasts whose end no clock can tell.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// One window; shared by all exchanges that are counted together.
#[derive(Debug)]
pub(crate) struct Window(Mutex<Count>);

#[derive(Debug)]
struct Count {
    ends: Instant,
    used: u64,
    /// Where the shared count has refused, and refusals are not asked about one by one.
    blocked_until: Option<Instant>,
    allowance: Allowance,
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
}

impl Window {
    fn new() -> Self {
        let ends = Instant::now();
        Self(Mutex::new(Count { ends, used: 0, blocked_until: None, allowance: Allowance::default() }))
    }

    /// Counts a request against `limit` for each `per`; refused ones do not count.
    pub(crate) fn take(&self, limit: f64, per: Duration, now: Instant) -> Taken {
        self.take_many(limit, per, 1, now)
    }

    /// As [`Window::take`], as much as `cost` at once: admitted when at least one is left.
    pub(crate) fn take_many(&self, limit: f64, per: Duration, cost: u64, now: Instant) -> Taken {
        let mut count = self.0.lock();
        if now >= count.ends {
            count.ends = now.checked_add(per).unwrap_or(now + FOREVER);
            count.used = 0;
        }
        let allowed = count.used as f64 + 1.0 <= limit;
        if allowed {
            count.used = count.used.saturating_add(cost);
        }
        let remaining = (limit.max(0.0) as u64).saturating_sub(count.used);
        Taken { allowed, remaining, resets_in: count.ends - now }
    }

    /// Takes back what was counted.
    pub(crate) fn give_back(&self, cost: u64) {
        let mut count = self.0.lock();
        count.used = count.used.saturating_sub(cost);
    }

    /// How long refusals hold without a count.
    pub(crate) fn blocked_for(&self, now: Instant) -> Option<Duration> {
        self.0
            .lock()
            .blocked_until
            .map(|until| until.saturating_duration_since(now))
            .filter(|left| !left.is_zero())
    }

    /// Refuses without a count for so long.
    pub(crate) fn block(&self, wait: Duration, now: Instant) {
        self.0.lock().blocked_until = now.checked_add(wait);
    }

    /// What smoothing allows of `limit` now.
    pub(crate) fn smoothed(&self, steps: &Steps, limit: f64) -> f64 {
        self.0.lock().allowance.of(steps, limit)
    }

    /// Lets smoothing see what is used of the shared window.
    pub(crate) fn smooth(&self, steps: &Steps, limit: f64, used: u64, now: Instant) -> Option<f64> {
        self.0.lock().allowance.used(steps, limit, used as f64, now)
    }
}

/// All windows of the gate, by name. They outlive the sessions and APIs that use them, so that a changed key or
/// definition does not hand out a fresh allowance.
#[derive(Debug)]
pub(crate) struct Windows(Cache<Box<str>, Arc<Window>>);

impl Default for Windows {
    fn default() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl Windows {
    /// The window of this name.
    pub(crate) fn get(&self, name: &str) -> Arc<Window> {
        if let Some(window) = self.0.get(name) {
            return window;
        }
        let window = Arc::new(Window::new());
        self.0.insert(name.into(), Arc::clone(&window));
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_admits_its_limit_and_begins_anew_with_the_first_request_after_it() {
        let window = Window::new();
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
    fn a_window_without_end_does_not_overflow() {
        let taken = Window::new().take(1.0, Duration::MAX, Instant::now());
        assert!(taken.allowed && taken.resets_in > Duration::from_secs(1 << 30));
    }

    #[test]
    fn concurrent_requests_never_pass_the_limit() {
        let window = Arc::new(Window::new());
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
