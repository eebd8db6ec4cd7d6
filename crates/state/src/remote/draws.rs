//! Draws from counters in Redis.

use std::{sync::atomic::Ordering, time::Duration};

use redis::{RedisResult, ScriptInvocation};

use super::{QUOTA, RATE, Redis, link::Connection, millis, renews_at};
use crate::{Draw, Drawn, Meter, Tally, Unavailable};

/// What the script answers: which key refused, the time, and two numbers for each that was looked at.
type Answer = Vec<i64>;

impl Redis {
    pub(crate) async fn draw(&self, draws: &[Draw<'_>], now: i64) -> Result<Tally, Unavailable> {
        let member = format!("{:x}-{:x}", self.node, self.requests.fetch_add(1, Ordering::Relaxed));
        if draws.len() > 1 && self.link.is_cluster() {
            return self.draw_apart(draws, now, &member).await;
        }
        let answer = self.link.run(|connection| self.call(connection, draws, &member)).await?;
        let mut tally = Tally(Vec::with_capacity(draws.len()));
        for place in 0..draws.len() {
            let Some(drawn) = read(&answer, place, now) else { break };
            tally.0.push(drawn);
            if drawn.exceeded {
                break;
            }
        }
        Ok(tally)
    }

    /// One script for each draw, at the same time: in a cluster the counters lie on different nodes, any of which may be
    /// away. A refusal holds whatever became of the others, and what was drawn for nothing is given back.
    async fn draw_apart(&self, draws: &[Draw<'_>], now: i64, member: &str) -> Result<Tally, Unavailable> {
        let mut calls = Vec::with_capacity(draws.len());
        for draw in draws.chunks(1) {
            calls.push(self.link.run(move |connection| self.call(connection, draw, member)));
        }
        let answers = futures_util::future::join_all(calls).await;
        let ends: Vec<i64> = answers.iter().map(|answer| answer.as_ref().map_or(-1, ends)).collect();
        let drawn: Vec<_> = answers
            .into_iter()
            .map(|answer| {
                let drawn = read(&answer?, 0, now);
                drawn.ok_or_else(|| Unavailable("Redis answers a draw with something else".to_owned()))
            })
            .collect();
        let refused = drawn.iter().position(|drawn| drawn.as_ref().is_ok_and(|drawn| drawn.exceeded));
        if refused.is_none() && drawn.iter().all(Result::is_ok) {
            return Ok(Tally(drawn.into_iter().flatten().collect()));
        }
        let counted = |place: usize| match &drawn[place] {
            // A look leaves nothing to be given back.
            Ok(_) if draws[place].cost == 0 => false,
            Ok(drawn) => !drawn.exceeded || (draws[place].counts_refused && refused != Some(place)),
            Err(_) => false,
        };
        let back = (0..draws.len()).filter(|place| counted(*place));
        let back: Vec<(&Draw<'_>, i64)> = back.map(|place| (&draws[place], ends[place])).collect();
        // The refusal stands also where this fails: what stays drawn is gone with its window.
        if let Err(away) = self.give_back(&back, member).await {
            tracing::debug!(%away, "what was drawn for a refused request is not given back");
        }
        let Some(refused) = refused else {
            return Err(drawn
                .into_iter()
                .find_map(Result::err)
                .unwrap_or_else(|| Unavailable(String::new())));
        };
        // Of a counter that could not be asked before the one that refused, nothing is known.
        let nothing = Drawn { used: 0, resets_in: Duration::ZERO, renews_at: 0, exceeded: false };
        Ok(Tally(drawn.into_iter().take(refused + 1).map(|drawn| drawn.unwrap_or(nothing)).collect()))
    }

    async fn call(
        &self,
        mut connection: Connection,
        draws: &[Draw<'_>],
        member: &str,
    ) -> RedisResult<Answer> {
        let mut call = self.scripts.draw.prepare_invoke();
        call.arg(member);
        for draw in draws {
            add(&mut call, draw);
        }
        call.invoke_async(&mut connection).await
    }

    /// `draws`: with the ends of their windows.
    async fn give_back(&self, draws: &[(&Draw<'_>, i64)], member: &str) -> Result<(), Unavailable> {
        let mut calls = Vec::with_capacity(draws.len());
        for (draw, ends) in draws {
            let mut call = self.scripts.give_back.key(key(draw));
            call.arg(member).arg(meter(draw.meter)).arg(draw.cost).arg(ends);
            calls.push(
                self.link.run(|mut connection| async move { call.invoke_async::<()>(&mut connection).await }),
            );
        }
        // Each as far as it goes: what lies on a node that is away cannot keep the rest.
        futures_util::future::join_all(calls).await.into_iter().collect()
    }
}

fn add(call: &mut ScriptInvocation<'_>, draw: &Draw<'_>) {
    call.key(key(draw));
    call.arg(meter(draw.meter)).arg(draw.limit.clamp(0.0, 9e15)).arg(per_millis(draw.per));
    call.arg(draw.cost).arg(u8::from(draw.counts_refused));
}

fn per_millis(per: Duration) -> u64 {
    if per.is_zero() { 0 } else { millis(per) }
}

fn meter(meter: Meter) -> &'static str {
    match meter {
        Meter::Rolling => "r",
        Meter::Fixed | Meter::Quota => "c",
    }
}

/// Fixed windows have names of their own: other gateways keep lists under those of rolling ones.
fn key(draw: &Draw<'_>) -> String {
    match draw.meter {
        Meter::Rolling => format!("{RATE}{}", draw.name),
        Meter::Fixed => format!("{RATE}{}-window", draw.name),
        Meter::Quota => format!("{QUOTA}{}", draw.name),
    }
}

/// When the window of the only draw of an answer ends, by the server's clock; -1: never.
fn ends(answer: &Answer) -> i64 {
    match answer[..] {
        [_, time, _, left] if left >= 0 => time.saturating_add(left),
        _ => -1,
    }
}

/// What an answer says of the draw at a place; `None` where that was not looked at.
fn read(answer: &Answer, place: usize, now: i64) -> Option<Drawn> {
    let number = |at: usize| answer.get(at).copied();
    let (used, left) = (number(2 + place * 2)?, number(3 + place * 2)?);
    Some(Drawn {
        used: u64::try_from(used).unwrap_or(0),
        resets_in: Duration::from_millis(u64::try_from(left).unwrap_or(0)),
        renews_at: renews_at(left, now),
        exceeded: number(0) == i64::try_from(place + 1).ok(),
    })
}
