//! Draws from the counters of one node.

use crate::{Draw, Drawn, Meter, Tally, values::seconds_up};

use super::Memory;

impl Memory {
    /// Draws from every counter, or from none. Others may see a draw that is given back a moment later.
    pub(super) fn draw(&self, draws: &[Draw<'_>], now: i64) -> Tally {
        let mut tally = Tally(Vec::with_capacity(draws.len()));
        for draw in draws {
            let drawn = self.draw_one(draw, now);
            tally.0.push(drawn);
            if drawn.exceeded {
                let before = tally.0.len() - 1;
                draws.iter().take(before).for_each(|draw| self.give_back(draw, now));
                break;
            }
        }
        tally
    }

    fn draw_one(&self, draw: &Draw<'_>, now: i64) -> Drawn {
        match draw.meter {
            Meter::Rolling => {
                let count = self.rates.draw(draw);
                Drawn { renews_at: now.saturating_add(seconds_up(count.resets_in)), ..count }
            }
            Meter::Fixed => {
                let count = self.fixed.draw(draw);
                Drawn { renews_at: now.saturating_add(seconds_up(count.resets_in)), ..count }
            }
            Meter::Quota => self.quotas.draw(draw, now),
        }
    }

    fn give_back(&self, draw: &Draw<'_>, now: i64) {
        match draw.meter {
            Meter::Rolling => self.rates.give_back(draw.name),
            Meter::Fixed => self.fixed.give_back(draw.name, draw.cost),
            Meter::Quota => self.quotas.give_back(draw.name, draw.cost, now),
        }
    }
}
