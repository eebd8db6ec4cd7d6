//! Somebody elsewhere who fails is left alone for a while, and for longer with each failure in a row.

use std::time::{Duration, Instant};

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// Failures in a row, and when the last one was.
#[derive(Debug, Default)]
pub(super) struct Failures {
    in_a_row: u32,
    last: Option<Instant>,
}

impl Failures {
    pub(super) fn add(&mut self, now: Instant) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.last = Some(now);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether there are more of them than so many.
    pub(super) fn exceed(&self, borne: u32) -> bool {
        self.in_a_row > borne
    }

    /// Whether it is to be left alone still: for 1, 2, 4 ... seconds after each failure beyond so many.
    pub(super) fn pause(&self, borne: u32, now: Instant) -> bool {
        let Some(beyond) = self.in_a_row.checked_sub(borne).filter(|beyond| *beyond > 0) else {
            return false;
        };
        let pause = Duration::from_secs(1 << (beyond - 1).min(8)).min(LONGEST);
        self.last.is_some_and(|last| now.saturating_duration_since(last) < pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_failures_in_a_row_and_end_with_a_success() {
        let start = Instant::now();
        let after = |seconds: f64| start + Duration::from_secs_f64(seconds);
        for (failures, borne, pause) in
            [(1, 0, 1), (2, 0, 2), (3, 0, 4), (5, 0, 16), (6, 0, 30), (99, 0, 30), (4, 3, 1), (5, 3, 2)]
        {
            let mut all = Failures::default();
            (0..failures).for_each(|_| all.add(start));
            let pause = f64::from(pause);
            assert!(all.pause(borne, after(pause - 0.01)), "{failures} {borne}");
            assert!(!all.pause(borne, after(pause)), "{failures} {borne}");
            all.clear();
            assert!(!all.pause(borne, start) && !all.exceed(0));
        }
        let mut few = Failures::default();
        (0..3).for_each(|_| few.add(start));
        assert!(!few.pause(3, start) && !few.exceed(3) && few.exceed(2));
    }
}
