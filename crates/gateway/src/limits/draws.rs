//! All counters of a request at once: on this node, and in one round trip to the state store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use state::{Draw, Drawn, Meter};

use super::counter::{Counter, Place};
use super::window::Taken;
use crate::auth::QuotaGrant;
use crate::clock::{unix_after, unix_now};
use crate::gate::Gate;

/// What a request has to pass, in this order.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) key: Option<&'a Counter>,
    pub(super) quota: Option<(&'a QuotaGrant, &'a str)>,
    pub(super) api: Option<&'a Counter>,
}

/// The limit that refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Key,
    Quota,
    Api,
}

/// What is left of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QuotaLeft {
    pub(super) remaining: i64,
    pub(super) renews_at: i64,
}

/// What the counters said, as far as they were asked.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) key: Option<Taken>,
    pub(super) quota: Option<QuotaLeft>,
    pub(super) api: Option<Taken>,
    pub(super) refused: Option<Which>,
}

impl Plan<'_> {
    /// Counts the request against everything, or against nothing where something refuses. Two refusals count: that of a
    /// quota (contract 6.6), and of a rolling window where `counts_refused` asks for it.
    pub(super) async fn draw(&self, gate: &Gate, counts_refused: bool) -> Told {
        let mut told = Told::default();
        let place = |counter: Option<&Counter>| counter.map(|counter| counter.place(gate));
        let (key, api) = (place(self.key), place(self.api));
        if let Some(counter) = self.key
            && let Some(taken) = before(gate, counter, key)
        {
            told.key = Some(taken);
            if !taken.allowed {
                told.refused = Some(Which::Key);
                return told;
            }
        }
        self.draw_shared(gate, (key, api), counts_refused, &mut told).await;
        if told.refused.is_none()
            && told.api.is_none()
            && let Some(counter) = self.api
            && let Some(taken) = before(gate, counter, api)
        {
            told.api = Some(taken);
            told.refused = (!taken.allowed).then_some(Which::Api);
        }
        match told.refused {
            None => {
                for (counter, place) in [(self.key, key), (self.api, api)] {
                    if let (Some(counter), Some(Place::Afterwards)) = (counter, place) {
                        afterwards(gate, counter).await;
                    }
                }
            }
            Some(_) => {
                if let (Some(counter), Some(Place::Here)) = (self.key, key) {
                    counter.window.give_back(1);
                }
            }
        }
        told
    }

    async fn draw_shared(
        &self,
        gate: &Gate,
        (key, api): (Option<Place>, Option<Place>),
        counts_refused: bool,
        told: &mut Told,
    ) {
        let mut draws: Vec<Draw<'_>> = Vec::new();
        let mut which = Vec::new();
        let mut rate = |counter: Option<&'_ Counter>, place, of: Which| {
            let (Some(counter), Some(Place::Shared(meter))) = (counter, place) else { return None };
            which.push(of);
            let counts_refused = counts_refused && meter == Meter::Rolling;
            let limit = if meter == Meter::Rolling { counter.allowed(gate) } else { counter.requests };
            Some((meter, limit, counts_refused))
        };
        if let Some((meter, limit, counts_refused)) = rate(self.key, key, Which::Key)
            && let Some(Counter { name, per, .. }) = self.key
        {
            draws.push(Draw { meter, name, limit, per: *per, cost: 1, counts_refused });
        }
        if let Some((quota, name)) = self.quota {
            let (limit, per) = (quota.max as f64, quota.renewal);
            draws.push(Draw { meter: Meter::Quota, name, limit, per, cost: 1, counts_refused: true });
            which.push(Which::Quota);
        }
        let shared_api = match (self.api, api) {
            (Some(counter), Some(Place::Shared(meter))) => {
                let limit = if meter == Meter::Rolling { counter.allowed(gate) } else { counter.requests };
                let counts_refused = counts_refused && meter == Meter::Rolling;
                let Counter { name, per, .. } = counter;
                draws.push(Draw { meter, name, limit, per: *per, cost: 1, counts_refused });
                which.push(Which::Api);
                Some(counter)
            }
            _ => None,
        };
        if draws.is_empty() {
            return;
        }
        match gate.state.draw(&draws, unix_now()).await {
            Ok(tally) => {
                for ((of, draw), drawn) in which.iter().zip(&draws).zip(&tally.0) {
                    match of {
                        Which::Quota => {
                            let (max, used) =
                                (draw.limit as i64, i64::try_from(drawn.used).unwrap_or(i64::MAX));
                            let remaining = (max - used).max(0);
                            told.quota = Some(QuotaLeft { remaining, renews_at: drawn.renews_at });
                        }
                        Which::Key => told.key = self.key.map(|counter| shared(gate, counter, draw, drawn)),
                        Which::Api => told.api = self.api.map(|counter| shared(gate, counter, draw, drawn)),
                    }
                }
                told.refused = tally.refused().and_then(|place| which.get(place).copied());
            }
            Err(away) => {
                gate.metrics.degraded_limits.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%away, "limits are counted on this node alone");
                let key = self.key.filter(|_| which.contains(&Which::Key));
                self.alone(gate, key, shared_api, told);
            }
        }
    }

    /// The store is away: limits go on for this node alone, up to its share.
    fn alone(&self, gate: &Gate, key: Option<&Counter>, api: Option<&Counter>, told: &mut Told) {
        if let Some(counter) = key {
            let taken = counter.take_here(gate);
            told.key = Some(taken);
            if !taken.allowed {
                told.refused = Some(Which::Key);
                return;
            }
        }
        if let Some((quota, name)) = self.quota {
            let window = gate.windows.get(&format!("quota-{name}"));
            let renewal = if quota.renewal.is_zero() { Duration::MAX } else { quota.renewal };
            let share = super::counter::share_of(quota.max as f64, gate.nodes.share());
            let taken = window.take(share, renewal, Instant::now());
            let remaining = i64::try_from(taken.remaining).unwrap_or(i64::MAX);
            told.quota = Some(QuotaLeft { remaining, renews_at: unix_after(taken.resets_in) });
            if !taken.allowed {
                told.refused = Some(Which::Quota);
                if let Some(counter) = key {
                    counter.window.give_back(1);
                }
                return;
            }
        }
        if let Some(counter) = api {
            let taken = counter.take_here(gate);
            told.api = Some(taken);
            if !taken.allowed {
                told.refused = Some(Which::Api);
                if let Some(counter) = key {
                    counter.window.give_back(1);
                }
            }
        }
    }
}

/// What can be said without the store; `None` where it counts.
fn before(gate: &Gate, counter: &Counter, place: Option<Place>) -> Option<Taken> {
    match place? {
        Place::Here => Some(counter.take_here(gate)),
        Place::Shared(_) => None,
        Place::Afterwards => {
            let blocked = counter.window.blocked_for(Instant::now());
            Some(Taken { allowed: blocked.is_none(), remaining: 0, resets_in: blocked.unwrap_or_default() })
        }
    }
}

fn shared(gate: &Gate, counter: &Counter, draw: &Draw<'_>, drawn: &Drawn) -> Taken {
    counter.used(gate, drawn.used);
    Taken {
        allowed: !drawn.exceeded,
        remaining: (draw.limit as u64).saturating_sub(drawn.used),
        resets_in: drawn.resets_in,
    }
}

/// Counts a request that has passed, aside. So many counts may be under way; beyond them the request waits for its own,
/// so that the store sets the pace.
async fn afterwards(gate: &Gate, counter: &Counter) {
    let (name, per, requests) = (Arc::clone(&counter.name), counter.per, counter.allowed(gate));
    let (state, window) = (gate.state.clone(), Arc::clone(&counter.window));
    let count = async move {
        let draw =
            Draw { meter: Meter::Rolling, name: &name, limit: requests, per, cost: 1, counts_refused: true };
        match state.draw(&[draw], unix_now()).await {
            Ok(tally) => {
                // Full: the next would be refused. It is asked again when the oldest leaves the window.
                if let Some(drawn) = tally.0.first()
                    && (drawn.exceeded || drawn.used as f64 + 1.0 > requests)
                {
                    window.block(drawn.resets_in, Instant::now());
                }
            }
            Err(away) => tracing::debug!(%away, "a request passed uncounted"),
        }
    };
    match Arc::clone(&gate.counts).try_acquire_owned() {
        Ok(permit) => drop(tokio::spawn(async move {
            count.await;
            drop(permit);
        })),
        Err(_) => count.await,
    }
}
