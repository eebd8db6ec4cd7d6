//! Rolling rate windows of one node in constant memory per name.
//!
//! A window of length `per` is kept as [`SLICES`] equal slices, and the oldest slice counts whole. So never more than the
//! limit passes in any `per`, and a place in the window may be freed late by at most `per / SLICES`.

use std::time::Duration;

use parking_lot::Mutex;

use super::counters::nanos;
use crate::smoothing::Allowance;
use crate::{Draw, Drawn, Smoothed, draw::fits};

const SLICES: usize = 32;

/// All windows. Times are nanoseconds since the beginning.
#[derive(Debug, Default)]
pub(super) struct Rates {
    windows: papaya::HashMap<Box<str>, Mutex<Window>>,
}

#[derive(Debug)]
struct Window {
    per_nanos: u64,
    /// Number of the slice that was counted last.
    newest: u64,
    /// Ring: the slice of number `n` is at `n % counts.len()`. One more than [`SLICES`]: the newest is not full yet.
    counts: [u32; SLICES + 1],
    allowance: Allowance,
}

impl Window {
    fn new(per_nanos: u64) -> Window {
        Window { per_nanos, newest: 0, counts: [0; SLICES + 1], allowance: Allowance::default() }
    }

    /// The same counts in slices of another length. A slice goes where its middle was, so that periods which take turns
    /// neither hold places for ever nor free them all.
    fn with_period(&self, per_nanos: u64, now: u64) -> Window {
        let mut other = Window { allowance: self.allowance, ..Window::new(per_nanos) };
        let slots = self.counts.len() as u64;
        other.newest = now / other.slice_nanos();
        for number in self.newest.saturating_sub(slots - 1)..=self.newest {
            let middle = number.saturating_mul(self.slice_nanos()).saturating_add(self.slice_nanos() / 2);
            let slice = (middle / other.slice_nanos()).min(other.newest);
            if slice.saturating_add(slots) > other.newest {
                let count = self.counts[(number % slots) as usize];
                let held = &mut other.counts[(slice % slots) as usize];
                *held = held.saturating_add(count);
            }
        }
        other
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

    fn draw(&mut self, draw: &Draw<'_>, now: u64) -> Drawn {
        self.advance(now);
        let before: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        let limit = draw.steps.map_or(draw.limit, |steps| self.allowance.of(&steps, draw.limit));
        let exceeded = !fits(before, limit);
        let counted = draw.cost > 0 && (!exceeded || draw.counts_refused);
        if counted {
            let newest = (self.newest % self.counts.len() as u64) as usize;
            self.counts[newest] = self.counts[newest].saturating_add(1);
        }
        let most = (draw.limit as u64).max(1);
        if counted && before >= most {
            // No more is kept than the limit needs: the newest.
            self.forget_oldest();
        }
        let resets_in = if before == 0 && !counted {
            draw.per
        } else {
            Duration::from_nanos(self.frees_at().saturating_sub(now))
        };
        let used = (before + u64::from(counted)).min(most.max(before));
        let smoothed = draw.steps.map(|steps| match draw.cost {
            0 => Smoothed { allowed: limit, moved: None },
            _ => self.allowance.used(&steps, draw.limit, used, now),
        });
        Drawn { used, resets_in, renews_at: 0, exceeded, smoothed }
    }

    fn give_back(&mut self) {
        // The slice that was counted last; where others have counted meanwhile, theirs is as good.
        let slots = self.counts.len() as u64;
        let held = (self.newest.saturating_sub(slots - 1)..=self.newest)
            .rev()
            .find(|slice| self.counts[(slice % slots) as usize] > 0);
        if let Some(slice) = held {
            self.counts[(slice % slots) as usize] -= 1;
        }
    }

    fn forget_oldest(&mut self) {
        let slots = self.counts.len() as u64;
        let oldest = self.oldest();
        let held = &mut self.counts[(oldest % slots) as usize];
        *held = held.saturating_sub(1);
    }

    /// The oldest slice that holds something, or the newest.
    fn oldest(&self) -> u64 {
        let slots = self.counts.len() as u64;
        (self.newest.saturating_sub(slots - 1)..=self.newest)
            .find(|slice| self.counts[(slice % slots) as usize] > 0)
            .unwrap_or(self.newest)
    }

    /// When the oldest slice that holds something leaves the window.
    fn frees_at(&self) -> u64 {
        self.oldest().saturating_add(self.counts.len() as u64).saturating_mul(self.slice_nanos())
    }
}

impl Rates {
    pub(super) fn draw(&self, draw: &Draw<'_>, now: u64) -> Drawn {
        let per_nanos = nanos(draw.per);
        let windows = self.windows.pin();
        let window = match windows.get(draw.name) {
            Some(window) => window,
            None => windows.get_or_insert_with(draw.name.into(), || Mutex::new(Window::new(per_nanos))),
        };
        let mut window = window.lock();
        if window.per_nanos != per_nanos {
            *window = window.with_period(per_nanos, now);
        }
        window.draw(draw, now)
    }

    pub(super) fn give_back(&self, name: &str) {
        if let Some(window) = self.windows.pin().get(name) {
            window.lock().give_back();
        }
    }

    /// Forgets windows in which nothing is counted any more, and whose allowance nobody has asked for in a while.
    pub(super) fn sweep(&self, now: u64) {
        let windows = self.windows.pin();
        windows.retain(|_, window| {
            let window = window.lock();
            let asked = window.newest.saturating_mul(window.slice_nanos());
            now / window.slice_nanos() <= window.newest.saturating_add(SLICES as u64)
                || now < asked.saturating_add(window.allowance.remembered())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Meter;

    const SECOND: u64 = 1_000_000_000;

    fn draw(name: &str, limit: f64, per: Duration) -> Draw<'_> {
        Draw {
            meter: Meter::Rolling,
            name,
            limit,
            per,
            cost: 1,
            counts_refused: false,
            found: None,
            steps: None,
        }
    }

    #[test]
    fn the_limit_holds_in_every_window_and_refused_draws_keep_nobody_out() {
        let per = Duration::from_secs(1);
        // Steps between requests in nanoseconds, over 10 s; limit 10 a second.
        for step in [1_000_000, 7_654_321, 33_000_000, 99_000_000, 100_000_000, 250_000_000] {
            let rates = Rates::default();
            let mut times: Vec<u64> = Vec::new();
            for index in 0..10 * SECOND / step {
                let now = index * step;
                if !rates.draw(&draw("k", 10.0, per), now).exceeded {
                    times.push(now);
                }
                let inside = times.iter().filter(|time| **time + SECOND > now).count();
                assert!(inside <= 10, "{inside} in one window at {now}, step {step}");
            }
            // A place is freed late by one slice of 32 at most, and found with the next request.
            let longest = per.as_nanos() as u64 * 33 / 32 + step;
            let least = (10 * SECOND / step).min(10 * (10 * SECOND / longest));
            assert!(times.len() as u64 >= least, "{} < {least}, step {step}", times.len());
        }
    }

    #[test]
    fn a_burst_then_room_again() {
        let rates = Rates::default();
        let per = Duration::from_secs(1);
        for asked in 1..=5 {
            let count = rates.draw(&draw("k", 3.0, per), 0);
            assert_eq!((count.used, count.exceeded), (asked.min(3), asked > 3));
            assert!(count.resets_in >= per && count.resets_in < per * 34 / 32, "{count:?}");
        }
        assert!(rates.draw(&draw("k", 3.0, per), SECOND - 1).exceeded);
        assert!(!rates.draw(&draw("k", 3.0, per), SECOND * 33 / 32).exceeded, "refused draws do not count");
        rates.give_back("k");
        assert_eq!(rates.draw(&draw("k", 3.0, per), 2 * SECOND).used, 1);
    }

    #[test]
    fn another_period_keeps_what_was_counted() {
        let rates = Rates::default();
        let per = Duration::from_secs(1);
        // Asked at which tenth of a second, in periods -> what is used; three a period.
        for (tenth, periods, used) in [
            (0, 8, 1),
            (20, 8, 2),
            (21, 8, 3),
            // The first has left the shorter window; the others have not.
            (23, 1, 3),
            (23, 4, 3),
            (24, 1, 3),
            // All have left it.
            (45, 1, 1),
        ] {
            let count = rates.draw(&draw("k", 3.0, per * periods), tenth * SECOND / 10);
            assert_eq!(count.used, used, "at {tenth} in {periods}");
        }
    }

    #[test]
    fn periods_that_take_turns_count_as_the_shorter_one() {
        let (short, long) = (SECOND, 3 * SECOND);
        let rates = Rates::default();
        let mut times: Vec<u64> = Vec::new();
        for tick in 0..6000 {
            let now = 100 * SECOND + tick * SECOND / 100;
            let period = Duration::from_nanos(if tick % 2 == 0 { short } else { long });
            if !rates.draw(&draw("turns", 5.0, period), now).exceeded {
                times.push(now);
            }
        }
        // What a draw of the shorter period finds too old is gone for the longer one, too, as in Redis. A count moves
        // by half a slice of the longer period when the period changes.
        let slice = long / SLICES as u64;
        let inside =
            |from: u64, period: u64| times.iter().filter(move |time| (from..from + period).contains(*time));
        let busiest = times.iter().map(|from| inside(*from, short - slice).count()).max().unwrap();
        assert!(busiest <= 5, "{busiest} in one period");
        // Nobody is held longer than that: five in each period and the slices that it may be late by.
        let least = 5 * 60 * SECOND / (short + 2 * slice + SECOND / 50);
        assert!(times.len() as u64 >= least, "{} < {least}", times.len());
    }

    #[test]
    fn refused_draws_count_where_that_is_asked_for() {
        let rates = Rates::default();
        let counting = Draw { counts_refused: true, ..draw("k", 2.0, Duration::from_secs(1)) };
        for index in 0..50 {
            // Faster than the window empties: once over the limit, for ever.
            let count = rates.draw(&counting, index * SECOND / 10);
            assert_eq!(count.exceeded, index >= 2, "{index}");
        }
    }

    #[test]
    fn fractional_and_huge_limits() {
        let rates = Rates::default();
        let second = Duration::from_secs(1);
        assert!(!rates.draw(&draw("a", 1.5, second), 0).exceeded);
        assert!(rates.draw(&draw("a", 1.5, second), 0).exceeded);
        assert!(rates.draw(&draw("b", 0.5, second), 0).exceeded);
        assert!(!rates.draw(&draw("c", f64::INFINITY, Duration::from_nanos(1)), u64::MAX).exceeded);
    }
}
