//! Rolling rate windows of one node in constant memory per name.
//!
//! A window of length `per` is kept as [`SLICES`] equal slices, and the oldest slice counts whole. So never more than the
//! limit passes in any `per`, and a place in the window may be freed late by at most `per / SLICES`.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::RateCount;

const SLICES: usize = 32;

/// All windows.
#[derive(Debug)]
pub(super) struct Rates {
    started: Instant,
    windows: papaya::HashMap<Box<str>, Mutex<Window>>,
}

#[derive(Debug)]
struct Window {
    per_nanos: u64,
    /// Number of the slice that was counted last, since `Rates::started`.
    newest: u64,
    /// Ring: the slice of number `n` is at `n % counts.len()`. One more than [`SLICES`]: the newest is not full yet.
    counts: [u32; SLICES + 1],
}

impl Default for Rates {
    fn default() -> Rates {
        Rates { started: Instant::now(), windows: papaya::HashMap::new() }
    }
}

impl Window {
    fn new(per_nanos: u64) -> Window {
        Window { per_nanos, newest: 0, counts: [0; SLICES + 1] }
    }

    fn slice_nanos(&self) -> u64 {
        (self.per_nanos / SLICES as u64).max(1)
    }

    /// Empties the slices that fell out of the window.
    fn advance(&mut self, now: u64) {
        let current = now / self.slice_nanos();
        let passed = current.saturating_sub(self.newest).min(self.counts.len() as u64);
        for step in 1..=passed {
            let emptied = (current - passed + step) % self.counts.len() as u64;
            self.counts[emptied as usize] = 0;
        }
        self.newest = self.newest.max(current);
    }

    fn count(&mut self, limit: f64, now: u64) -> RateCount {
        self.advance(now);
        let before: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        let newest = (self.newest % self.counts.len() as u64) as usize;
        self.counts[newest] = self.counts[newest].saturating_add(1);
        let used = before + 1;
        RateCount {
            used: used.min((limit as u64).saturating_add(1)),
            resets_in: Duration::from_nanos(self.frees_at().saturating_sub(now)),
            exceeded: used as f64 > limit,
        }
    }

    /// When the oldest slice that holds something leaves the window.
    fn frees_at(&self) -> u64 {
        let slots = self.counts.len() as u64;
        let oldest = (self.newest.saturating_sub(slots - 1)..=self.newest)
            .find(|slice| self.counts[(slice % slots) as usize] > 0)
            .unwrap_or(self.newest);
        oldest.saturating_add(slots).saturating_mul(self.slice_nanos())
    }
}

impl Rates {
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn count(&self, name: &str, limit: f64, per: Duration) -> RateCount {
        self.count_at(name, limit, per, self.now())
    }

    fn count_at(&self, name: &str, limit: f64, per: Duration, now: u64) -> RateCount {
        let per_nanos = u64::try_from(per.as_nanos()).unwrap_or(u64::MAX);
        let windows = self.windows.pin();
        let window = match windows.get(name) {
            Some(window) => window,
            None => windows.get_or_insert_with(name.into(), || Mutex::new(Window::new(per_nanos))),
        };
        let mut window = window.lock();
        if window.per_nanos != per_nanos {
            *window = Window::new(per_nanos);
        }
        window.count(limit, now)
    }

    /// Forgets windows in which nothing is counted any more.
    pub(super) fn sweep(&self) {
        let now = self.now();
        let windows = self.windows.pin();
        windows.retain(|_, window| {
            let window = window.lock();
            now / window.slice_nanos() <= window.newest.saturating_add(SLICES as u64)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_limit_holds_in_every_window() {
        let per = Duration::from_secs(1);
        // Steps between requests in nanoseconds, over 10 s; limit 10 a second.
        for step in [1_000_000, 7_654_321, 33_000_000, 99_000_000, 100_000_000, 250_000_000] {
            let rates = Rates::default();
            let mut times: Vec<u64> = Vec::new();
            for index in 0..10 * SECOND / step {
                let now = index * step;
                // Refused requests count too, so ask only when the window (exactly computed) might have room.
                let inside = times.iter().filter(|time| **time + SECOND > now).count();
                if inside < 11 && !rates.count_at("k", 10.0, per, now).exceeded {
                    times.push(now);
                }
                let inside = times.iter().filter(|time| **time + SECOND > now).count();
                assert!(inside <= 10, "{inside} in one window at {now}, step {step}");
            }
            assert!(times.len() >= 10);
        }
    }

    #[test]
    fn a_burst_then_room_again() {
        let rates = Rates::default();
        let per = Duration::from_secs(1);
        for used in 1..=4 {
            let count = rates.count_at("k", 3.0, per, 0);
            assert_eq!((count.used, count.exceeded), (used, used > 3));
            assert!(count.resets_in >= per && count.resets_in < per * 34 / 32, "{count:?}");
        }
        assert!(rates.count_at("k", 3.0, per, SECOND - 1).exceeded);
        // The window that began with the refused request at SECOND - 1.
        assert!(!rates.count_at("k", 3.0, per, 2 * SECOND).exceeded);
        // Another period starts anew.
        assert_eq!(rates.count_at("k", 3.0, per * 2, 2 * SECOND).used, 1);
    }

    #[test]
    fn fractional_and_huge_limits() {
        let rates = Rates::default();
        assert!(!rates.count_at("a", 1.5, Duration::from_secs(1), 0).exceeded);
        assert!(rates.count_at("a", 1.5, Duration::from_secs(1), 0).exceeded);
        assert!(rates.count_at("b", 0.5, Duration::from_secs(1), 0).exceeded);
        assert!(!rates.count_at("c", f64::INFINITY, Duration::from_nanos(1), u64::MAX).exceeded);
    }
}
