//! What the subscribers of one key may receive, all together: messages and bytes in a window, and in a quota window.
//!
//! What is counted is drawn before it is sent, from counters of the same kinds as those of requests. A draw is admitted
//! when anything is left, so a message that is larger than the rest of a window still passes, and the next one waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use apidef::{Smoothing, Subscriptions};
use smallvec::SmallVec;
use state::{Draw, Meter};

use super::counter::{Around, Counter, Place, Rate};
use super::window::{Taken, Window};
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
    pub(crate) fn compile(limits: &Subscriptions, name: &str) -> Option<Self> {
        let per = if limits.per > 0.0 { limits.per } else { 1.0 };
        let [of_messages, of_bytes] = names(name);
        let counter = |name: &str, most: f64| {
            Rate::new((most, per), &Smoothing::default()).map(|rate| Counter::new(name, rate))
        };
        let renewal = Duration::from_secs(u64::try_from(limits.quota_renewal_rate).unwrap_or(0));
        let (messages, bytes) = (counter(&of_messages, limits.messages), counter(&of_bytes, limits.bytes));
        let quotas =
            [(of_messages, limits.quota_messages, Of::Messages), (of_bytes, limits.quota_bytes, Of::Bytes)];
        let quotas: Vec<Quota> = quotas
            .into_iter()
            .filter(|(_, max, _)| *max > 0)
            .map(|(name, max, of)| Quota { name, max, renewal, of })
            .collect();
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
        let around = Around::of(gate, Instant::now());
        let mut held = Vec::new();
        // A look decides nothing.
        let count_alone = || {
            gate.metrics.degraded_limits.fetch_add(u64::from(messages > 0), Ordering::Relaxed);
        };
        let mut alone = false;
        let mut shared: SmallVec<[(&Counter, u64); 2]> = SmallVec::new();
        for (counter, cost) in [(&self.messages, messages), (&self.bytes, bytes)] {
            match counter {
                None => {}
                Some(counter) => match counter.place(&around) {
                    place @ (Place::Here | Place::Alone) => {
                        if place == Place::Alone && !std::mem::replace(&mut alone, true) {
                            count_alone();
                        }
                        let window = Arc::clone(counter.window(&gate.windows));
                        hold(&mut held, window, counter.take_many_here(&around, cost))?;
                    }
                    Place::Shared(_) | Place::Afterwards => shared.push((counter, cost)),
                },
            }
        }
        let mut draws: SmallVec<[Draw<'_>; 4]> = SmallVec::new();
        for (counter, cost) in &shared {
            let (name, limit, per) = (&*counter.name, counter.rate.requests, counter.rate.per);
            draws.push(Draw {
                meter: Meter::Fixed,
                name,
                limit,
                per,
                cost: *cost,
                counts_refused: false,
                found: None,
                steps: None,
            });
        }
        for quota in &self.quotas {
            let cost = if quota.of == Of::Messages { messages } else { bytes };
            let (name, limit, per) = (&*quota.name, quota.max as f64, quota.renewal);
            draws.push(Draw {
                meter: Meter::Quota,
                name,
                limit,
                per,
                cost,
                counts_refused: false,
                found: None,
                steps: None,
            });
        }
        if draws.is_empty() {
            return Ok(());
        }
        match gate.state.draw(&draws, unix_now()).await {
            Ok(tally) => match tally.refused().and_then(|place| tally.0.get(place)) {
                None => Ok(()),
                Some(drawn) => {
                    give_back(&held);
                    // One that never renews is asked again now and then: an admin may reset it.
                    Err(if drawn.resets_in.is_zero() { Duration::from_secs(3600) } else { drawn.resets_in })
                }
            },
            Err(away) => {
                if !alone {
                    count_alone();
                }
                tracing::debug!(%away, "what subscribers receive is counted on this node alone");
                // This node goes on with its share.
                for (counter, cost) in &shared {
                    let taken = counter.take_many_here(&around, *cost);
                    hold(&mut held, Arc::clone(counter.window(&gate.windows)), taken)?;
                }
                for quota in &self.quotas {
                    let cost = if quota.of == Of::Messages { messages } else { bytes };
                    let numbers = (quota.max, quota.renewal);
                    let (window, taken) = around.take_of_quota(&quota.name, numbers, cost);
                    let taken = if taken.allowed { Ok(taken) } else { Err(taken.resets_in) };
                    hold(&mut held, window, taken)?;
                }
                Ok(())
            }
        }
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

/// What was taken on this node for something that may yet be refused.
type Taking = Vec<(Arc<Window>, Taken)>;

/// Notes what was taken; a refusal gives everything back.
fn hold(held: &mut Taking, window: Arc<Window>, taken: Result<Taken, Duration>) -> Result<(), Duration> {
    match taken {
        Ok(taken) => {
            held.push((window, taken));
            Ok(())
        }
        Err(wait) => {
            give_back(held);
            Err(wait)
        }
    }
}

fn give_back(held: &Taking) {
    held.iter().for_each(|(window, taken)| window.give_back(taken));
}

/// The counters of what subscribers of a key receive, by the name of the key's counter; for whoever resets them.
pub(crate) fn names(counter: &str) -> [String; 2] {
    [format!("messages-{counter}"), format!("bytes-{counter}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_limited() {
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
            let received = Received::compile(&limits(text), "k");
            let parts = received.as_ref().map(|received| {
                (received.messages.is_some(), received.bytes.is_some(), received.quotas.len())
            });
            assert_eq!(parts, limited, "{text}");
            assert_eq!(received.map_or(AtLimit::Delay, |received| received.at_limit), at_limit, "{text}");
        }
    }
}
