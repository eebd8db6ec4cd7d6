//! Draws from counters in Redis.

use std::{sync::atomic::Ordering, time::Duration};

use redis::{RedisResult, ScriptInvocation};

use super::{QUOTA, RATE, Redis, link::Connection, millis, renews_at};
use crate::smoothing::{REMEMBERED, Smoothed, Steps};
use crate::{Draw, Drawn, Meter, Tally, Unavailable};

/// What the script answers: which key refused, the time, and two numbers for each that was looked at.
type Answer = Vec<i64>;

/// How what is allowed of a draw moves, and where it lies.
struct Rule<'d> {
    place: usize,
    steps: &'d Steps,
    key: String,
}

type Rules<'d> = Vec<Rule<'d>>;

/// Those of the draws that have one. A window whose name leaves no place for what is allowed of it is not smoothed.
fn rules<'d>(draws: &'d [Draw<'_>], is_cluster: bool) -> Rules<'d> {
    let rule = |(place, draw): (usize, &'d Draw<'_>)| {
        let steps = draw.steps.as_ref().filter(|_| draw.meter == Meter::Rolling)?;
        Some(Rule { place, steps, key: allowance(draw.name, is_cluster)? })
    };
    draws.iter().enumerate().filter_map(rule).collect()
}

impl Redis {
    pub(crate) async fn draw(&self, draws: &[Draw<'_>], now: i64) -> Result<Tally, Unavailable> {
        let member = format!("{:x}-{:x}", self.node, self.requests.fetch_add(1, Ordering::Relaxed));
        if draws.len() > 1 && self.link.is_cluster() {
            return self.draw_apart(draws, now, &member).await;
        }
        let rules = &rules(draws, self.link.is_cluster());
        let answer = self.link.run(|connection| self.call(connection, (draws, rules), &member)).await?;
        let mut tally = Tally(Vec::with_capacity(draws.len()));
        for place in 0..draws.len() {
            let Some(drawn) = read(&answer, rules, place, now) else { break };
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
        let rules: Vec<Rules<'_>> = draws.chunks(1).map(|draw| rules(draw, true)).collect();
        let mut calls = Vec::with_capacity(draws.len());
        for asked in draws.chunks(1).zip(&rules) {
            calls.push(self.link.run(move |connection| self.call(connection, asked, member)));
        }
        let answers = futures_util::future::join_all(calls).await;
        let answers = || answers.iter().zip(&rules);
        let ends: Vec<i64> = answers()
            .map(|(answer, rules)| answer.as_ref().map_or(-1, |answer| ends(answer, rules)))
            .collect();
        let drawn: Vec<_> = answers()
            .map(|(answer, rules)| {
                let drawn = read(answer.as_ref().map_err(Clone::clone)?, rules, 0, now);
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
        let nothing =
            Drawn { used: 0, resets_in: Duration::ZERO, renews_at: 0, exceeded: false, smoothed: None };
        Ok(Tally(drawn.into_iter().take(refused + 1).map(|drawn| drawn.unwrap_or(nothing)).collect()))
    }

    async fn call(
        &self,
        mut connection: Connection,
        (draws, rules): (&[Draw<'_>], &Rules<'_>),
        member: &str,
    ) -> RedisResult<Answer> {
        let mut call = self.scripts.draw.prepare_invoke();
        call.arg(member).arg(draws.len());
        for draw in draws {
            add(&mut call, draw);
        }
        for Rule { place, steps, key } in rules {
            call.key(key).arg(place + 1).arg(steps.threshold).arg(steps.trigger).arg(steps.step);
            // As long as it may not move it has to be remembered, too.
            let delay = u64::try_from(steps.delay.as_millis()).unwrap_or(u64::MAX);
            call.arg(delay).arg(millis(REMEMBERED + steps.delay));
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

/// Where lies what is allowed of a rolling window. In a cluster it lies where the window does: a key is placed by what stands
/// between the first braces with something in them, else by its whole. `None`: no other key can be placed there.
fn allowance(name: &str, is_cluster: bool) -> Option<String> {
    let plain = || format!("{RATE}{name}-allowance");
    if !is_cluster {
        return Some(plain());
    }
    let tag = name.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    match tag {
        Some(tag) if !tag.is_empty() => Some(plain()),
        _ if name.contains('}') => None,
        _ => Some(format!("{{{RATE}{name}}}-allowance")),
    }
}

/// Where numbers of the draws begin in an answer: behind two for each that has a rule.
fn first(rules: &Rules<'_>) -> usize {
    2 + rules.len() * 2
}

/// When the window of the only draw of an answer ends, by the server's clock; -1: never.
fn ends(answer: &Answer, rules: &Rules<'_>) -> i64 {
    match (answer.get(1), answer.get(first(rules) + 1)) {
        (Some(time), Some(left)) if *left >= 0 => time.saturating_add(*left),
        _ => -1,
    }
}

/// What an answer says of the draw at a place; `None` where that was not looked at.
fn read(answer: &Answer, rules: &Rules<'_>, place: usize, now: i64) -> Option<Drawn> {
    let number = |at: usize| answer.get(at).copied();
    let first = first(rules);
    let (used, left) = (number(first + place * 2)?, number(first + 1 + place * 2)?);
    let rule = rules.iter().position(|rule| rule.place == place);
    let smoothed = rule.and_then(|rule| {
        let (allowed, moved) = (number(2 + rule * 2)?, number(3 + rule * 2)?);
        Some(Smoothed { allowed: allowed as f64 / 1000.0, moved: (moved != 0).then_some(moved > 0) })
    });
    Some(Drawn {
        used: u64::try_from(used).unwrap_or(0),
        resets_in: Duration::from_millis(u64::try_from(left).unwrap_or(0)),
        renews_at: renews_at(left, now),
        exceeded: number(0) == i64::try_from(place + 1).ok(),
        smoothed,
    })
}
