//! Fixed windows of one node: a window begins with the first draw after the last one ended.

use std::time::Duration;

use parking_lot::Mutex;

use super::counters::nanos;
use crate::{Draw, Drawn};

/// All windows. Times are nanoseconds since the beginning.
#[derive(Debug, Default)]
pub(super) struct Fixed {
    windows: papaya::HashMap<Box<str>, Mutex<Window>>,
}

#[derive(Debug, Default)]
struct Window {
    began: u64,
    ends: u64,
    /// With which it was begun, in nanoseconds.
    per: u64,
    used: u64,
}

impl Fixed {
    pub(super) fn draw(&self, draw: &Draw<'_>, now: u64) -> Drawn {
        let windows = self.windows.pin();
        let window = match windows.get(draw.name) {
            Some(window) => window,
            None => windows.get_or_insert_with(draw.name.into(), Mutex::default),
        };
        let mut window = window.lock();
        let per = nanos(draw.per);
        let longest = now.saturating_add(per);
        if now >= window.ends {
            if draw.cost == 0 {
                // A look begins no window.
                return Drawn {
                    used: 0,
                    resets_in: draw.per,
                    renews_at: 0,
                    exceeded: !draw.fits(0),
                    smoothed: None,
                };
            }
            *window = Window { began: now, ends: longest, per, used: 0 };
        }
        if window.per != per {
            // A window that was begun with a longer period does not keep its end.
            (window.ends, window.per) = (window.ends.min(longest), per);
        }
        let exceeded = !draw.fits(window.used);
        if !exceeded || draw.counts_refused {
            window.used = window.used.saturating_add(draw.cost);
        }
        let resets_in = Duration::from_nanos(window.ends - now);
        Drawn { used: window.used, resets_in, renews_at: 0, exceeded, smoothed: None }
    }

    /// Takes a draw of this moment back, unless another window has begun since.
    pub(super) fn give_back(&self, name: &str, cost: u64, now: u64) {
        if let Some(window) = self.windows.pin().get(name) {
            let mut window = window.lock();
            if window.began <= now {
                window.used = window.used.saturating_sub(cost);
            }
        }
    }

    /// Forgets windows that have ended.
    pub(super) fn sweep(&self, now: u64) {
        self.windows.pin().retain(|_, window| now < window.lock().ends);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Meter;

    #[test]
    fn a_window_ends_and_begins_with_the_next_draw() {
        let fixed = Fixed::default();
        // now, cost -> used, exceeded; limit 10 in 100 ns
        for (now, cost, used, exceeded) in [
            (5, 4, 4, false),
            (6, 5, 9, false),
            (7, 50, 59, false), // one was left
            (8, 1, 59, true),
            (104, 1, 59, true),
            (105, 1, 1, false),
            (900, 2, 2, false),
        ] {
            let per = Duration::from_nanos(100);
            let draw = Draw {
                meter: Meter::Fixed,
                name: "k",
                limit: 10.0,
                per,
                cost,
                counts_refused: false,
                found: None,
                steps: None,
            };
            let drawn = fixed.draw(&draw, now);
            assert_eq!((drawn.used, drawn.exceeded), (used, exceeded), "at {now}");
        }
        // Of the window that ended nothing is taken from the one that runs.
        for (drawn_at, used) in [(105, 2), (899, 2), (900, 1)] {
            fixed.give_back("k", 1, drawn_at);
            assert_eq!(
                fixed.windows.pin().get("k").map(|window| window.lock().used),
                Some(used),
                "{drawn_at}"
            );
        }
    }

    #[test]
    fn a_shorter_period_ends_the_running_window_sooner() {
        let fixed = Fixed::default();
        // now, period -> refused, until the window ends; limit 1
        for (now, per, exceeded, left) in [
            (0, 1000, false, 1000),
            (10, 1000, true, 990),
            (20, 50, true, 50),
            (70, 50, false, 50),
            (80, 500, true, 40),
        ] {
            let per = Duration::from_nanos(per);
            let draw = Draw {
                meter: Meter::Fixed,
                name: "k",
                limit: 1.0,
                per,
                cost: 1,
                counts_refused: false,
                found: None,
                steps: None,
            };
            let drawn = fixed.draw(&draw, now);
            assert_eq!((drawn.exceeded, drawn.resets_in.as_nanos()), (exceeded, left), "at {now}");
        }
    }
}
