//! Draws from counters in Redis.

use std::{sync::atomic::Ordering, time::Duration};

use redis::{RedisResult, ScriptInvocation};

use super::{QUOTA, RATE, Redis, link::Connection, millis, renews_at};
use crate::{Draw, Drawn, Meter, Tally, Unavailable};

/// What the script answers: which key refused, and two numbers for each that was looked at.
type Answer = Vec<i64>;

impl Redis {
    pub(crate) async fn draw(&self, draws: &[Draw<'_>], now: i64) -> Result<Tally, Unavailable> {
        let member = format!("{:x}-{:x}", self.node, self.requests.fetch_add(1, Ordering::Relaxed));
        let member = &member;
        let answers = self
            .link
            .run(|connection| async move {
                match connection {
                    // One script for all; in a cluster one for each, at the same time, for they lie on different nodes.
                    Connection::Cluster(_) if draws.len() > 1 => {
                        let calls = draws
                            .iter()
                            .map(|draw| self.call(connection.clone(), std::slice::from_ref(draw), member));
                        futures_util::future::try_join_all(calls).await
                    }
                    connection => Ok(vec![self.call(connection, draws, member).await?]),
                }
            })
            .await?;
        let tally = read(&answers, draws, now);
        if answers.len() > 1
            && let Some(refused) = tally.refused()
        {
            let drawn = |(_, answer): &(&Draw<'_>, &Answer)| answer.first() == Some(&0);
            let back: Vec<&Draw<'_>> =
                draws.iter().zip(&answers).filter(drawn).map(|(draw, _)| draw).collect();
            debug_assert!(back.len() < draws.len(), "{refused} refused");
            self.give_back(&back, member).await?;
        }
        Ok(tally)
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

    async fn give_back(&self, draws: &[&Draw<'_>], member: &str) -> Result<(), Unavailable> {
        self.link
            .run(|connection| async move {
                let calls = draws.iter().map(|draw| {
                    let mut connection = connection.clone();
                    let mut call = self.scripts.give_back.key(key(draw));
                    call.arg(member).arg(meter(draw.meter)).arg(draw.cost);
                    async move { call.invoke_async::<()>(&mut connection).await }
                });
                futures_util::future::try_join_all(calls).await.map(drop)
            })
            .await
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

fn read(answers: &[Answer], draws: &[Draw<'_>], now: i64) -> Tally {
    let mut tally = Tally::default();
    // A cluster gives one answer for each draw, else one answer tells of all.
    let each = answers.len() == draws.len() && draws.len() > 1;
    for place in 0..draws.len() {
        let (answer, index) = if each { (&answers[place], 0) } else { (&answers[0], place) };
        let number = |at: usize| answer.get(at).copied();
        let (Some(used), Some(left)) = (number(1 + index * 2), number(2 + index * 2)) else { break };
        let exceeded = number(0) == i64::try_from(index + 1).ok();
        tally.0.push(Drawn {
            used: u64::try_from(used).unwrap_or(0),
            resets_in: Duration::from_millis(u64::try_from(left).unwrap_or(0)),
            renews_at: renews_at(left, now),
            exceeded,
        });
        if exceeded {
            break;
        }
    }
    tally
}
