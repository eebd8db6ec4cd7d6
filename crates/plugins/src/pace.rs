//! Whether calls are tried at once: not where that went wrong lately, since it costs an engine each time.

use std::sync::atomic::{AtomicU32, Ordering};

/// After the first call that went wrong, so many are not tried.
const FEWEST: u32 = 100;
/// After many of them. Code that always asks for something outside is tried so rarely that it costs nothing.
const MOST: u32 = 100_000;
/// Each time it goes wrong again, so many times as many are not tried.
const FACTOR: u32 = 8;

/// What a late call counts for, when a call in time counts one against it. So one in [`LATE`] may be late: whoever shares
/// the machine makes a call late now and then.
const LATE: u32 = 8;
/// Late calls that were not made up for are as bad as one that was put off.
const TOO_LATE: u32 = 3 * LATE;

/// What became of a call that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tried {
    InTime,
    /// It came to its end, but took longer than it should.
    Late,
    /// It is to be done again elsewhere.
    PutOff,
}

/// What is known of the calls of one pool. Calls that count at the same time may be off by one.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Calls that are not to be tried.
    apart: AtomicU32,
    /// How many these are the next time.
    next: AtomicU32,
    /// What late calls count for, as far as it is not made up for.
    lateness: AtomicU32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { apart: AtomicU32::new(0), next: AtomicU32::new(FEWEST), lateness: AtomicU32::new(0) }
    }
}

impl Pace {
    /// Whether a call is to be tried; counts it.
    pub(crate) fn may_try(&self) -> bool {
        // Most often nothing is to be written.
        self.apart.load(Ordering::Relaxed) == 0 || !lower(&self.apart, 0)
    }

    /// What became of one that was tried.
    pub(crate) fn tried(&self, tried: Tried) {
        let went_wrong = match tried {
            Tried::InTime => false,
            Tried::Late => self.lateness.fetch_add(LATE, Ordering::Relaxed) + LATE > TOO_LATE,
            Tried::PutOff => true,
        };
        if went_wrong {
            let apart = self.next.load(Ordering::Relaxed);
            self.next.store(apart.saturating_mul(FACTOR).min(MOST), Ordering::Relaxed);
            self.lateness.store(0, Ordering::Relaxed);
            self.apart.store(apart, Ordering::Relaxed);
        } else if tried == Tried::InTime {
            for (count, least) in [(&self.next, FEWEST), (&self.lateness, 0)] {
                if count.load(Ordering::Relaxed) > least {
                    lower(count, least);
                }
            }
        }
    }
}

/// Takes one away, down to `least`; whether there was one to take.
fn lower(count: &AtomicU32, least: u32) -> bool {
    let one_less = |count: u32| count.checked_sub(1).filter(|count| *count >= least);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_tried(pace: &Pace) -> u32 {
        let mut count = 0;
        while !pace.may_try() {
            count += 1;
        }
        count
    }

    #[test]
    fn what_goes_wrong_is_tried_ever_more_rarely_and_what_goes_well_is_trusted_again() {
        let pace = Pace::default();
        assert_eq!(not_tried(&pace), 0);
        for expected in [100, 800, 6_400, 51_200, 100_000, 100_000] {
            pace.tried(Tried::PutOff);
            assert_eq!(not_tried(&pace), expected);
        }
        for _ in 0..MOST {
            assert!(pace.may_try());
            pace.tried(Tried::InTime);
        }
        pace.tried(Tried::PutOff);
        assert_eq!(not_tried(&pace), FEWEST);
    }

    #[test]
    fn a_call_that_is_late_now_and_then_is_forgiven() {
        let pace = Pace::default();
        for round in 0..1000 {
            pace.tried(Tried::Late);
            (0..LATE).for_each(|_| pace.tried(Tried::InTime));
            assert!(pace.may_try(), "{round}");
        }
        // Every second one is not.
        let late = (0..).take_while(|_| {
            pace.tried(Tried::Late);
            pace.tried(Tried::InTime);
            pace.may_try()
        });
        assert_eq!(late.count(), 3);
    }

    #[test]
    fn calls_that_count_at_the_same_time_end_it_all_the_same() {
        for _ in 0..200 {
            let pace = Pace::default();
            pace.tried(Tried::PutOff);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| (0..50).filter(|_| pace.may_try()).count());
                }
            });
            assert!(pace.may_try(), "{pace:?}");
        }
    }
}
