//! What the subscribers of one key may receive, all together: messages and bytes in a window, and in a quota window.
//!
//! What is counted is drawn before it is sent, from counters of the same kinds as those of requests. A draw is admitted
//! when anything is left, so a message that is larger than the rest of a window still passes, and the next one waits.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use apidef::{Smoothing, Subscriptions};
use state::{Draw, Meter};

use super::counter::{Counter, Place, share_of};
use super::guard::Context;
use crate::clock::unix_now;
use crate::gate::Gate;

/// What happens to what is over the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtLimit {
    /// It is sent later.
    Delay,
    /// It is not sent.
    Drop,
    /// The subscriber is sent away.
    Close,
}

/// Limits of a key, compiled.
#[derive(Debug)]
pub(crate) struct Received {
    messages: Option<Counter>,
    bytes: Option<Counter>,
    quotas: Vec<Quota>,
    pub(crate) at_limit: AtLimit,
}

#[derive(Debug)]
struct Quota {
    name: String,
    max: i64,
    renewal: Duration,
    of: Of,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Messages,
    Bytes,
}

/// What became of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    /// They may be sent.
    Yes,
    /// They are not for this subscriber.
    Dropped,
    /// The subscriber goes, and may come back after so long.
    Limited(Duration),
    /// The subscriber was closed while it waited.
    Closed,
}

impl Received {
    /// `None` where nothing is limited.
    pub(crate) fn compile(limits: &Subscriptions, name: &str, context: &Context) -> Option<Self> {
        let per = if limits.per > 0.0 { limits.per } else { 1.0 };
        let counter = |kind: &str, most: f64| {
            Counter::new(&context.windows, format!("{kind}-{name}"), (most, per), &Smoothing::default())
        };
        let renewal = Duration::from_secs(u64::try_from(limits.quota_renewal_rate).unwrap_or(0));
        let quotas =
            [("messages", limits.quota_messages, Of::Messages), ("bytes", limits.quota_bytes, Of::Bytes)];
        let quotas: Vec<Quota> = quotas
            .into_iter()
            .filter(|(_, max, _)| *max > 0)
            .map(|(kind, max, of)| Quota { name: format!("{kind}-{name}"), max, renewal, of })
            .collect();
        let (messages, bytes) = (counter("messages", limits.messages), counter("bytes", limits.bytes));
        if messages.is_none() && bytes.is_none() && quotas.is_empty() {
            return None;
        }
        let at_limit = match limits.at_limit.as_str() {
            "drop" => AtLimit::Drop,
            "close" => AtLimit::Close,
            "" | "delay" => AtLimit::Delay,
            other => {
                tracing::warn!(
                    at_limit = other,
                    "a key says `at_limit` that is not delay, drop or close; it delays"
                );
                AtLimit::Delay
            }
        };
        Some(Self { messages, bytes, quotas, at_limit })
    }

    /// Draws what is about to be sent; otherwise how long until it is worth to ask again. Nothing at all may be asked
    /// for, to see whether there is room.
    async fn draw(&self, gate: &Gate, messages: u64, bytes: u64) -> Result<(), Duration> {
        let rates = [(&self.messages, messages), (&self.bytes, bytes)];
        let mut here: Vec<(&Counter, u64)> = Vec::new();
        let mut draws: Vec<Draw<'_>> = Vec::new();
        for (counter, cost) in rates {
            let Some(counter) = counter else { continue };
            if counter.place(gate) == Place::Here {
                if let Err(wait) = take(counter, counter.requests, gate, cost) {
                    give_back(&here);
                    return Err(wait);
                }
                here.push((counter, cost));
            } else {
                let (name, limit, per) = (&*counter.name, counter.requests, counter.per);
                draws.push(Draw { meter: Meter::Fixed, name, limit, per, cost, counts_refused: false });
            }
        }
        for quota in &self.quotas {
            let cost = if quota.of == Of::Messages { messages } else { bytes };
            let (name, limit, per) = (&*quota.name, quota.max as f64, quota.renewal);
            draws.push(Draw { meter: Meter::Quota, name, limit, per, cost, counts_refused: false });
        }
        match gate.state.draw(&draws, unix_now()).await {
            Ok(tally) => match tally.refused().and_then(|place| tally.0.get(place)) {
                None => Ok(()),
                Some(drawn) => {
                    give_back(&here);
                    // One that never renews is asked again now and then: an admin may reset it.
                    Err(if drawn.resets_in.is_zero() { Duration::from_secs(3600) } else { drawn.resets_in })
                }
            },
            Err(away) => {
                gate.metrics.degraded_limits.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%away, "what subscribers receive is counted on this node alone");
                self.draw_alone(gate, &mut here, messages, bytes)
            }
        }
    }

    /// The store is away: this node goes on with its share.
    fn draw_alone<'a>(
        &'a self,
        gate: &Gate,
        here: &mut Vec<(&'a Counter, u64)>,
        messages: u64,
        bytes: u64,
    ) -> Result<(), Duration> {
        for (counter, cost) in [(&self.messages, messages), (&self.bytes, bytes)] {
            if let Some(counter) = counter
                && counter.place(gate) != Place::Here
            {
                if let Err(wait) = take(counter, counter.requests, gate, cost) {
                    give_back(here);
                    return Err(wait);
                }
                here.push((counter, cost));
            }
        }
        for quota in &self.quotas {
            let window = gate.windows.get(&format!("quota-{}", quota.name));
            let renewal = if quota.renewal.is_zero() { Duration::MAX } else { quota.renewal };
            let cost = if quota.of == Of::Messages { messages } else { bytes };
            let share = share_of(quota.max as f64, gate.nodes.share());
            let taken = window.take_many(share, renewal, cost, Instant::now());
            if !taken.allowed {
                give_back(here);
                return Err(taken.resets_in);
            }
        }
        Ok(())
    }

    /// One look: what becomes of messages now, or how long they wait.
    pub(crate) async fn look(&self, gate: &Gate, messages: u64, bytes: u64) -> Result<Passed, Duration> {
        match (self.draw(gate, messages, bytes).await, self.at_limit) {
            (Ok(()), _) => Ok(Passed::Yes),
            (Err(_), AtLimit::Drop) => Ok(Passed::Dropped),
            (Err(wait), AtLimit::Close) => Ok(Passed::Limited(wait)),
            (Err(wait), AtLimit::Delay) => Err(wait),
        }
    }
}

fn take(counter: &Counter, limit: f64, gate: &Gate, cost: u64) -> Result<(), Duration> {
    let share = share_of(limit, gate.nodes.share());
    let taken = counter.window.take_many(share, counter.per, cost, Instant::now());
    if taken.allowed { Ok(()) } else { Err(taken.resets_in) }
}

fn give_back(here: &[(&Counter, u64)]) {
    here.iter().for_each(|(counter, cost)| counter.window.give_back(*cost));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use apidef::PathMatching;

    use super::*;
    use crate::limits::Windows;

    #[test]
    fn what_is_limited() {
        let context = Context {
            windows: Arc::new(Windows::default()),
            matching: PathMatching::default(),
            hashed: false,
        };
        let limits = |text: &str| serde_json::from_str::<Subscriptions>(text).unwrap();
        for (text, limited, at_limit) in [
            ("{}", None, AtLimit::Delay),
            (r#"{"at_limit": "close"}"#, None, AtLimit::Delay),
            (r#"{"messages": -1, "quota_bytes": -1}"#, None, AtLimit::Delay),
            (r#"{"messages": 5}"#, Some((true, false, 0)), AtLimit::Delay),
            (r#"{"bytes": 5, "per": 10, "at_limit": "drop"}"#, Some((false, true, 0)), AtLimit::Drop),
            (
                r#"{"quota_messages": 5, "quota_bytes": 7, "at_limit": "close"}"#,
                Some((false, false, 2)),
                AtLimit::Close,
            ),
            (r#"{"messages": 5, "at_limit": "explode"}"#, Some((true, false, 0)), AtLimit::Delay),
        ] {
            let received = Received::compile(&limits(text), "k", &context);
            let parts = received.as_ref().map(|received| {
                (received.messages.is_some(), received.bytes.is_some(), received.quotas.len())
            });
            assert_eq!(parts, limited, "{text}");
            assert_eq!(received.map_or(AtLimit::Delay, |received| received.at_limit), at_limit, "{text}");
        }
    }
}
