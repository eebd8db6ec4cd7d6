//! The counters of one node, with the time passed in.

use std::time::Duration;

use crate::{Draw, Drawn, Meter, Tally, values::seconds_up};

use super::{fixed::Fixed, quotas::Quotas, rates::Rates};

/// All counters of a store that lives in memory. Quotas count wall-clock time, windows the time since a beginning that
/// never changes.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) quotas: Quotas,
    rates: Rates,
    fixed: Fixed,
}

impl Counters {
    /// Draws from every counter, or from none. Others may see a draw that is given back a moment later. `now` is in Unix
    /// seconds.
    pub fn draw(&self, draws: &[Draw<'_>], since: Duration, now: i64) -> Tally {
        let mut tally = Tally(Vec::with_capacity(draws.len()));
        for draw in draws {
            let drawn = self.draw_one(draw, nanos(since), now);
            tally.0.push(drawn);
            if drawn.exceeded {
                let before = tally.0.len() - 1;
                draws.iter().take(before).for_each(|draw| self.give_back(draw, nanos(since), now));
                break;
            }
        }
        tally
    }

    fn draw_one(&self, draw: &Draw<'_>, since: u64, now: i64) -> Drawn {
        match draw.meter {
            Meter::Rolling => {
                let count = self.rates.draw(draw, since);
                Drawn { renews_at: now.saturating_add(seconds_up(count.resets_in)), ..count }
            }
            Meter::Fixed => {
                let count = self.fixed.draw(draw, since);
                Drawn { renews_at: now.saturating_add(seconds_up(count.resets_in)), ..count }
            }
            Meter::Quota => self.quotas.draw(draw, now),
        }
    }

    /// Forgets what has ended.
    pub(super) fn sweep(&self, since: Duration, now: i64) {
        self.quotas.sweep(now);
        self.rates.sweep(nanos(since));
        self.fixed.sweep(nanos(since));
    }

    fn give_back(&self, draw: &Draw<'_>, since: u64, now: i64) {
        match draw.meter {
            Meter::Rolling => self.rates.give_back(draw.name),
            Meter::Fixed => self.fixed.give_back(draw.name, draw.cost, since),
            Meter::Quota => self.quotas.give_back(draw.name, draw.cost, now),
        }
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
