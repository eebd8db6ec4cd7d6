//! Pauses before what was refused is asked for again.
//!
//! A source that gives a refused message again at once would give it again and again, as fast as the machine can.

use std::time::Duration;

use tokio::time::Instant;

/// The first pause; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const MOST: Duration = Duration::from_secs(5);
/// After so long without a refusal pauses are short again.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// The refusals of late.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    rounds: u32,
    until: Option<Instant>,
}

impl Refusals {
    /// A message was refused: when it may come again. Those that are refused during a pause share it.
    pub(crate) fn refused(&mut self) -> Instant {
        self.refused_at(Instant::now())
    }

    fn refused_at(&mut self, now: Instant) -> Instant {
        if let Some(until) = self.until {
            if now < until {
                return until;
            }
            if now.duration_since(until) > FORGOTTEN {
                self.rounds = 0;
            }
        }
        let pause = FIRST.saturating_mul(1_u32.checked_shl(self.rounds).unwrap_or(u32::MAX)).min(MOST);
        self.rounds = self.rounds.saturating_add(1);
        let until = now + pause;
        self.until = Some(until);
        until
    }

    /// Waits for the end of the pause, if there is one. May be given up and called again.
    pub(crate) async fn wait(&self) {
        if let Some(until) = self.until {
            tokio::time::sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_each_round_and_are_forgotten() {
        let mut refusals = Refusals::default();
        let mut pauses = Vec::new();
        let mut now = Instant::now();
        for _ in 0..8 {
            let until = refusals.refused_at(now);
            assert_eq!(refusals.refused_at(now + FIRST / 2), until, "one round");
            pauses.push((until - now).as_millis());
            now = until;
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        now += FORGOTTEN + Duration::from_millis(1);
        assert_eq!(refusals.refused_at(now) - now, FIRST);
    }
}
