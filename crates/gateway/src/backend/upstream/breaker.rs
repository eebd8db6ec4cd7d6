//! An upstream that fails is left alone for a while (contract 4.6, "Circuit breaker"): it gets time to come back, and its
//! clients an answer at once.

use std::time::Duration;

use apidef::Breaker as Model;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Answers are looked at for this long, in so many pieces.
const WINDOW: Duration = Duration::from_secs(10);
const PIECES: usize = 10;

/// Counts how an upstream answers, and says whether it may be asked.
#[derive(Debug)]
pub(super) struct Breaker {
    model: Model,
    state: Mutex<State>,
}

/// What a breaker does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It leaves the upstream alone.
    Tripped,
    /// It asks the upstream as usual.
    Reset,
}

#[derive(Debug)]
enum State {
    /// Asked as usual.
    Closed(Counts),
    /// Left alone until then.
    Open(Instant),
    /// One request tries it; since when.
    Trying(Instant),
}

/// Good and bad answers of the last seconds, in a ring.
#[derive(Debug, Default)]
struct Counts {
    pieces: [(u32, u32); PIECES],
    /// The piece that counts now, in pieces since the first answer.
    at: u128,
    since: Option<Instant>,
}

/// Leave to ask, which has to be told what came of it; nothing told is a failure to answer that was not the upstream's.
#[derive(Debug)]
pub(super) struct Leave<'b> {
    breaker: &'b Breaker,
    tries: bool,
    told: bool,
}

impl Breaker {
    pub(super) fn new(model: Model) -> Self {
        Self { model, state: Mutex::new(State::Closed(Counts::default())) }
    }

    /// Leave to ask the upstream, unless it is left alone. `true`: it was until now.
    pub(super) fn enter(&self, now: Instant) -> Option<(Leave<'_>, bool)> {
        let mut state = self.state.lock();
        let mut reset = false;
        let tries = match &*state {
            State::Closed(_) => false,
            State::Open(until) if now < *until => return None,
            State::Open(_) if self.model.half_open => {
                *state = State::Trying(now);
                true
            }
            State::Open(_) => {
                *state = State::Closed(Counts::default());
                reset = true;
                false
            }
            // Whoever tries may have been given up; somebody else does it then.
            State::Trying(since) if now - *since < self.model.rest => return None,
            State::Trying(_) => {
                *state = State::Trying(now);
                true
            }
        };
        Some((Leave { breaker: self, tries, told: false }, reset))
    }

    fn tell(&self, good: bool, tries: bool, now: Instant) -> Option<Change> {
        let mut state = self.state.lock();
        match &mut *state {
            State::Closed(counts) => {
                let (answers, failures) = counts.add(good, now);
                let trips = answers >= u64::from(self.model.samples)
                    && failures as f64 >= self.model.threshold * answers as f64
                    && failures > 0;
                if trips {
                    *state = State::Open(now + self.model.rest);
                    tracing::warn!(answers, failures, rest = ?self.model.rest, "an upstream fails and is left alone");
                }
                trips.then_some(Change::Tripped)
            }
            State::Trying(_) if tries && good => {
                *state = State::Closed(Counts::default());
                tracing::info!("an upstream that was left alone answers again");
                Some(Change::Reset)
            }
            State::Trying(_) if tries => {
                *state = State::Open(now + self.model.rest);
                Some(Change::Tripped)
            }
            // Answers to requests from before it was left alone.
            State::Trying(_) | State::Open(_) => None,
        }
    }
}

impl Leave<'_> {
    /// What came of it; tells what that changed.
    pub(super) fn tell(mut self, good: bool, now: Instant) -> Option<Change> {
        self.told = true;
        self.breaker.tell(good, self.tries, now)
    }
}

impl Drop for Leave<'_> {
    /// A try that was given up says nothing: the next request tries again.
    fn drop(&mut self) {
        if self.tries && !self.told {
            let mut state = self.breaker.state.lock();
            if let State::Trying(since) = &*state {
                *state = State::Open(*since);
            }
        }
    }
}

impl Counts {
    /// Counts an answer; all answers of the window, and the failures among them.
    fn add(&mut self, good: bool, now: Instant) -> (u64, u64) {
        let since = *self.since.get_or_insert(now);
        let piece = (now - since).as_millis() * PIECES as u128 / WINDOW.as_millis();
        let passed = usize::try_from(piece.saturating_sub(self.at)).unwrap_or(PIECES).min(PIECES);
        for step in 1..=passed {
            let at = (self.at + step as u128) % PIECES as u128;
            self.pieces[at as usize] = (0, 0);
        }
        self.at = self.at.max(piece);
        let (answers, failures) = &mut self.pieces[(self.at % PIECES as u128) as usize];
        *answers = answers.saturating_add(1);
        *failures = failures.saturating_add(u32::from(!good));
        self.pieces.iter().fold((0, 0), |(all, bad), (answers, failures)| {
            (all + u64::from(*answers), bad + u64::from(*failures))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(threshold: f64, samples: u32, half_open: bool) -> Breaker {
        Breaker::new(Model { threshold, samples, rest: Duration::from_secs(5), half_open })
    }

    type Step = (u64, char);

    /// What comes of requests at these tenths of a second: `+` good, `-` bad, `x` refused, `?` given up.
    fn run(breaker: &Breaker, steps: &[Step]) {
        let start = Instant::now();
        for (tenths, outcome) in steps {
            let now = start + Duration::from_millis(tenths * 100);
            match (breaker.enter(now), outcome) {
                (Some((leave, _)), '+') => drop(leave.tell(true, now)),
                (Some((leave, _)), '-') => drop(leave.tell(false, now)),
                (Some(_given_up), '?') => {}
                (None, 'x') => {}
                (leave, _) => panic!("{tenths}: {outcome}, but {leave:?}"),
            }
        }
    }

    #[tokio::test]
    async fn c4_6_row_15_it_opens_at_its_threshold_and_tries_before_it_closes() {
        let steps: &[(f64, u32, bool, &[Step])] = &[
            (
                0.5,
                4,
                true,
                &[
                    (0, '+'),
                    (1, '-'),
                    (2, '+'),
                    (3, '-'),
                    (4, 'x'),
                    (52, 'x'),
                    (53, '+'),
                    (54, '-'),
                    (55, '+'),
                ],
            ),
            // The try fails, and it is left alone again.
            (
                0.5,
                2,
                true,
                &[(0, '-'), (1, '-'), (2, 'x'), (51, '-'), (52, 'x'), (100, 'x'), (101, '+'), (102, '+')],
            ),
            // The try is given up: the next one tries.
            (1.0, 1, true, &[(0, '-'), (1, 'x'), (50, '?'), (51, '+'), (52, '+')]),
            // Without tries all come back at once.
            (1.0, 2, false, &[(0, '-'), (1, '-'), (2, 'x'), (51, '-'), (51, '+'), (52, '-')]),
            // Too few answers say nothing, and old ones are forgotten.
            (0.5, 3, true, &[(0, '-'), (1, '-'), (120, '-'), (121, '-'), (122, '-'), (123, 'x')]),
            (
                0.9,
                2,
                true,
                &[
                    (0, '-'),
                    (1, '+'),
                    (2, '-'),
                    (3, '-'),
                    (4, '-'),
                    (5, '-'),
                    (6, '-'),
                    (7, '-'),
                    (8, '-'),
                    (9, '-'),
                    (10, 'x'),
                ],
            ),
            (0.1, 5, true, &[(0, '+'), (1, '+'), (2, '+'), (3, '+'), (4, '+'), (5, '+')]),
        ];
        for (threshold, samples, half_open, steps) in steps {
            run(&breaker(*threshold, *samples, *half_open), steps);
        }
    }

    #[tokio::test]
    async fn one_request_tries_and_the_others_are_refused_meanwhile() {
        let breaker = breaker(1.0, 1, true);
        let start = Instant::now();
        let (leave, reset) = breaker.enter(start).unwrap();
        assert_eq!((leave.tell(false, start), reset), (Some(Change::Tripped), false));
        let then = start + Duration::from_secs(5);
        let (trying, _) = breaker.enter(then).unwrap();
        assert!(breaker.enter(then).is_none());
        assert_eq!(trying.tell(true, then), Some(Change::Reset));
        assert!(breaker.enter(then).is_some());
    }
}
