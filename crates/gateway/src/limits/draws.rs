//! All counters of a request at once: on this node, and in one round trip to the state store.
//!
//! What is decided is apart from the asking: [`Plan::begin`] counts on this node and says what to draw from the store,
//! [`Step::answered`] takes what the store said. Neither waits nor looks at a clock. What is counted while the request
//! passes (sentinel) is drawn aside, from all counters at the same time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use state::{Draw, Drawn, Meter, Smoothed, Steps, Tally, Unavailable};

use super::counter::{Around, Counter, Place, share_of};
use super::window::{Taken, Window};
use crate::auth::Quota;
use crate::clock::{unix_after, unix_now};
use crate::gate::Gate;

/// What a request has to pass, in this order.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) key: Option<&'a Counter>,
    pub(super) quota: Option<(Quota<'a>, &'a str)>,
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
    /// Smoothing moved what the key, and what all callers of the API, may send: up or down, and to what.
    pub(super) moved: SmallVec<[(bool, f64); 2]>,
    /// Something was decided on this node alone, the state store being away.
    pub(super) alone: bool,
}

impl Told {
    /// Counts it among the decisions that were made alone: once, however many limits and tries there were.
    pub(super) fn count(&self, gate: &Gate) {
        if self.alone {
            gate.metrics.degraded_limits.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A plan half-way.
#[derive(Debug)]
pub(super) struct Step<'a> {
    plan: &'a Plan<'a>,
    pub(super) told: Told,
    /// What to draw from the store, and for whom; nothing where it need not be asked.
    pub(super) draws: SmallVec<[Draw<'a>; 3]>,
    which: SmallVec<[Which; 3]>,
    /// Counted on this node; given back when something else refuses.
    held: SmallVec<[(Held<'a>, Taken); 3]>,
    /// Counted in the store once the request has passed.
    pub(super) afterwards: SmallVec<[&'a Counter; 2]>,
}

#[derive(Debug)]
enum Held<'a> {
    Of(&'a Window),
    Found(Arc<Window>),
}

impl Plan<'_> {
    /// Counts the request against everything, or against nothing where something refuses. Two refusals count: that of a
    /// quota (contract 6.6), and of a rolling window where `counts_refused` asks for it.
    pub(super) async fn draw(&self, gate: &Gate, now: Instant, counts_refused: bool) -> Told {
        let around = Around::of(gate, now);
        let mut step = self.begin(&around, counts_refused);
        if !step.draws.is_empty() {
            let answer = gate.state.draw(&step.draws, unix_now()).await;
            if let Err(away) = &answer {
                tracing::debug!(%away, "limits are counted on this node alone");
            }
            step.answered(&Around::of(gate, now), answer);
        }
        if step.told.refused.is_none() {
            count_afterwards(gate, &step.afterwards).await;
        }
        step.told
    }

    /// Counts what is counted on this node, and says what the store is to be asked.
    pub(super) fn begin<'a>(&'a self, around: &Around<'_>, counts_refused: bool) -> Step<'a> {
        let mut step = Step {
            plan: self,
            told: Told::default(),
            draws: SmallVec::new(),
            which: SmallVec::new(),
            held: SmallVec::new(),
            afterwards: SmallVec::new(),
        };
        if let Some(counter) = self.key {
            let taken = step.count(around, counter, Which::Key, counts_refused);
            if taken.is_some_and(|taken| !taken.allowed) {
                step.told.key = taken;
                step.told.refused = Some(Which::Key);
                return step;
            }
            step.told.key = taken;
        }
        if let Some((quota, name)) = self.quota {
            let (limit, per) = (quota.max as f64, quota.renewal);
            let found = (*name == *quota.name()).then_some(quota.found);
            step.draws.push(Draw {
                meter: Meter::Quota,
                name,
                limit,
                per,
                cost: 1,
                counts_refused: true,
                found,
                steps: None,
            });
            step.which.push(Which::Quota);
        }
        if let Some(counter) = self.api {
            step.told.api = step.count(around, counter, Which::Api, counts_refused);
            if step.told.api.is_some_and(|taken| !taken.allowed) {
                // The key's limits come first, so they are asked whether they would refuse; nothing is drawn.
                step.draws.iter_mut().for_each(|draw| draw.cost = 0);
            }
        }
        if step.draws.is_empty() {
            step.settle();
        }
        step
    }
}

impl<'a> Step<'a> {
    /// What can be said without the store; else the store is to be asked.
    fn count(
        &mut self,
        around: &Around<'_>,
        counter: &'a Counter,
        of: Which,
        counts_refused: bool,
    ) -> Option<Taken> {
        match counter.place(around) {
            place @ (Place::Here | Place::Alone) => {
                self.told.alone |= place == Place::Alone;
                let taken = counter.take_here(around);
                if taken.allowed {
                    self.held.push((Held::Of(counter.window(around.windows)), taken));
                }
                Some(taken)
            }
            Place::Afterwards => {
                self.afterwards.push(counter);
                let blocked = counter.window(around.windows).blocked_for(around.now);
                Some(Taken::told(blocked.is_none(), 0, blocked.unwrap_or_default()))
            }
            Place::Shared(meter) => {
                let rolls = meter == Meter::Rolling;
                self.draws.push(Draw {
                    meter,
                    name: &counter.name,
                    limit: counter.rate.requests,
                    per: counter.rate.per,
                    cost: 1,
                    counts_refused: counts_refused && rolls,
                    found: None,
                    steps: counter.smoothing(around.settings).filter(|_| rolls),
                });
                self.which.push(of);
                None
            }
        }
    }

    /// Takes what the store said.
    pub(super) fn answered(&mut self, around: &Around<'_>, answer: Result<Tally, Unavailable>) {
        match answer {
            Ok(tally) => {
                for ((of, draw), drawn) in self.which.iter().zip(&self.draws).zip(&tally.0) {
                    match of {
                        Which::Quota => {
                            let used = i64::try_from(drawn.used).unwrap_or(i64::MAX);
                            let remaining = (draw.limit as i64).saturating_sub(used).max(0);
                            self.told.quota = Some(QuotaLeft { remaining, renews_at: drawn.renews_at });
                        }
                        Which::Key => self.told.key = Some(shared(draw, drawn)),
                        Which::Api => self.told.api = Some(shared(draw, drawn)),
                    }
                    if let Some(Smoothed { allowed, moved: Some(up) }) = drawn.smoothed {
                        tracing::debug!(counter = draw.name, allowed, "the allowance of a rate limit moved");
                        self.told.moved.push((up, allowed));
                    }
                }
                self.told.refused = tally.refused().and_then(|place| self.which.get(place).copied());
            }
            Err(_) => self.alone(around),
        }
        self.settle();
    }

    /// The store is away: limits go on for this node alone, up to its share.
    fn alone(&mut self, around: &Around<'_>) {
        self.told.alone = true;
        for of in self.which.clone() {
            let (held, taken) = match of {
                Which::Quota => {
                    let Some((quota, name)) = self.plan.quota else { continue };
                    let (window, taken) = around.take_of_quota(name, (quota.max, quota.renewal), 1);
                    let remaining = i64::try_from(taken.remaining).unwrap_or(i64::MAX);
                    self.told.quota = Some(QuotaLeft { remaining, renews_at: unix_after(taken.resets_in) });
                    (Held::Found(window), taken)
                }
                Which::Key => {
                    let Some(counter) = self.plan.key else { continue };
                    let taken = counter.take_here(around);
                    self.told.key = Some(taken);
                    (Held::Of(counter.window(around.windows)), taken)
                }
                Which::Api => {
                    let Some(counter) = self.plan.api else { continue };
                    let taken = counter.take_here(around);
                    self.told.api = Some(taken);
                    (Held::Of(counter.window(around.windows)), taken)
                }
            };
            if !taken.allowed {
                self.told.refused = Some(of);
                return;
            }
            self.held.push((held, taken));
        }
    }

    /// Whoever is refused by one limit is counted by none.
    fn settle(&mut self) {
        if self.told.refused.is_none() && self.told.api.is_some_and(|taken| !taken.allowed) {
            self.told.refused = Some(Which::Api);
        }
        if self.told.refused.is_some() {
            for (held, taken) in self.held.drain(..) {
                match held {
                    Held::Of(window) => window.give_back(&taken),
                    Held::Found(window) => window.give_back(&taken),
                }
            }
        }
    }
}

fn shared(draw: &Draw<'_>, drawn: &Drawn) -> Taken {
    let limit = drawn.smoothed.map_or(draw.limit, |smoothed| smoothed.allowed);
    let remaining = (limit as u64).saturating_sub(drawn.used);
    Taken::told(!drawn.exceeded, remaining, drawn.resets_in)
}

/// Counts a request that has passed, aside, everywhere at the same time: each counter by itself, for one that is full
/// keeps it out of no other. So many counts may be under way; beyond them the request waits for its own, so that the
/// store sets the pace.
async fn count_afterwards(gate: &Gate, counters: &[&Counter]) {
    if counters.is_empty() {
        return;
    }
    let (state, share) = (gate.state.clone(), gate.nodes.share());
    let counts = counters.iter().map(|counter| {
        let steps = counter.smoothing(&gate.settings.limits);
        let (counter, state) = (Counter::clone(counter), state.clone());
        let window = Arc::clone(counter.window(&gate.windows));
        async move {
            let answer = state.draw(&[afterwards(&counter, steps)], unix_now()).await;
            if let Err(away) = &answer {
                tracing::debug!(%away, "a request that passed is counted on this node alone");
            }
            counted(&window, answer, (counter.rate.requests, counter.rate.per), share, Instant::now());
        }
    });
    let all = futures_util::future::join_all(counts.collect::<SmallVec<[_; 2]>>());
    match Arc::clone(&gate.counts).try_acquire_owned() {
        Ok(permit) => drop(tokio::spawn(async move {
            all.await;
            drop(permit);
        })),
        Err(_) => drop(all.await),
    }
}

/// What is drawn for a request that has passed.
pub(super) fn afterwards(counter: &Counter, steps: Option<Steps>) -> Draw<'_> {
    let (name, limit, per) = (&counter.name, counter.rate.requests, counter.rate.per);
    Draw { meter: Meter::Rolling, name, limit, per, cost: 1, counts_refused: true, found: None, steps }
}

/// Takes what the store said of a request that had passed already: where the window is full, the next is refused.
pub(super) fn counted(
    window: &Window,
    answer: Result<Tally, Unavailable>,
    (requests, per): (f64, Duration),
    share: f64,
    now: Instant,
) {
    match answer {
        Ok(tally) => {
            // It is asked again when the oldest leaves the window.
            let Some(drawn) = tally.0.first() else { return };
            let full = match drawn.smoothed {
                // What it has moved to is what the next may use.
                Some(smoothed) => drawn.used as f64 + 1.0 > smoothed.allowed,
                None => drawn.exceeded || drawn.used as f64 + 1.0 > requests,
            };
            if full {
                window.block(drawn.resets_in, now);
            }
        }
        // Nobody passes uncounted: this node counts against its share.
        Err(_) => {
            let taken = window.take(share_of(requests, share), per, now);
            if taken.remaining == 0 {
                window.block(taken.resets_in, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use apidef::Smoothing;
    use futures_util::FutureExt;
    use state::State;

    use super::*;
    use crate::limits::{Rate, Windows, alone_name};
    use crate::settings::{LimitSettings, Limiter};

    const PER: Duration = Duration::from_secs(3600);

    /// One request against all three limits; `None` where the store is away.
    fn ask(around: &Around<'_>, plan: &Plan<'_>, store: Option<&State>) -> Option<Which> {
        let mut step = plan.begin(around, false);
        if !step.draws.is_empty() {
            let answer = store.map(|store| store.draw(&step.draws, unix_now()).now_or_never().unwrap());
            step.answered(around, answer.unwrap_or_else(|| Err(Unavailable("away".to_owned()))));
        }
        step.told.refused
    }

    #[test]
    fn whoever_is_refused_by_one_limit_is_counted_by_none() {
        use Which::{Api, Key, Quota};
        let per_node = Limiter::PerNode;
        // Limiter, store; limits of key, quota and API -> refusals in a row, then what is used of key, quota and API.
        for (limiter, is_up, limits, refusals, used) in [
            (per_node, true, [9, 9, 2], [None, None, Some(Api), Some(Api)], [2, 2, 2]),
            (per_node, false, [9, 9, 2], [None, None, Some(Api), Some(Api)], [2, 2, 2]),
            (Limiter::Rolling, true, [9, 9, 2], [None, None, Some(Api), Some(Api)], [2, 2, 2]),
            (Limiter::FixedWindow, true, [9, 9, 2], [None, None, Some(Api), Some(Api)], [2, 2, 2]),
            (Limiter::Rolling, false, [9, 9, 2], [None, None, Some(Api), Some(Api)], [2, 2, 2]),
            (Limiter::Sentinel, false, [9, 9, 2], [None, None, Some(Api), Some(Api)], [2, 2, 2]),
            (per_node, true, [2, 9, 9], [None, None, Some(Key), Some(Key)], [2, 2, 2]),
            (Limiter::Sentinel, false, [2, 9, 9], [None, None, Some(Key), Some(Key)], [2, 2, 2]),
            // The refusals of a quota count for it (contract 6.6), where the store has it.
            (per_node, true, [9, 2, 9], [None, None, Some(Quota), Some(Quota)], [2, 4, 2]),
            (Limiter::Rolling, true, [9, 2, 9], [None, None, Some(Quota), Some(Quota)], [2, 4, 2]),
            (per_node, false, [9, 2, 9], [None, None, Some(Quota), Some(Quota)], [2, 2, 2]),
            // The key's limits come before the API's, wherever they count.
            (per_node, true, [9, 2, 2], [None, None, Some(Quota), Some(Quota)], [2, 2, 2]),
            (per_node, true, [2, 2, 2], [None, None, Some(Key), Some(Key)], [2, 2, 2]),
        ] {
            let case = format!("{limiter:?} {is_up} {limits:?}");
            let windows = Windows::default();
            let settings = LimitSettings { limiter, ..LimitSettings::default() };
            let now = Instant::now();
            let around =
                Around { settings: &settings, windows: &windows, nodes: 1, share: 1.0, store_up: is_up, now };
            let store = State::embedded(None).unwrap();
            let counter = |name: &str, limit: i64| {
                let numbers = (limit as f64, PER.as_secs_f64());
                Counter::new(name, Rate::new(numbers, &Smoothing::default()).unwrap())
            };
            let (key, api) = (counter("key", limits[0]), counter("api", limits[2]));
            let found = state::Found::under("q".into());
            let quota = crate::auth::Quota { max: limits[1], renewal: PER, found: &found };
            let plan = Plan { key: Some(&key), quota: Some((quota, "q")), api: Some(&api) };
            let seen = [(); 4].map(|()| ask(&around, &plan, is_up.then_some(&store)));
            assert_eq!(seen, refusals, "{case}");
            // What is used of one: what more fits into a limit of a hundred.
            let left = |counter: &Counter| {
                let rate = Arc::new(Rate { requests: 100.0, ..Rate::clone(&counter.rate) });
                let wide = Counter { rate, ..counter.clone() };
                let plan = Plan { key: Some(&wide), quota: None, api: None };
                (0..200).filter(|_| ask(&around, &plan, is_up.then_some(&store)).is_none()).count()
            };
            let of_quota = match is_up {
                true => store.peek_quota("q").now_or_never().unwrap().unwrap().unwrap().used as usize,
                false => {
                    let window = windows.get(&alone_name("q").into());
                    100 - (0..200).filter(|_| window.take(100.0, PER, now).allowed).count()
                }
            };
            assert_eq!([100 - left(&key), of_quota, 100 - left(&api)], used, "{case}");
        }
    }

    #[test]
    fn what_is_decided_alone_is_said_and_only_that() {
        use Limiter::{FixedWindow, PerNode, Rolling, Sentinel};
        // Limiter, whether the store answers; limits of key and quota -> decided alone, windows that this node needs.
        for (limiter, is_up, key, quota, alone, windows) in [
            (PerNode, true, true, false, false, 1),
            (PerNode, true, true, true, false, 1),
            (PerNode, false, true, false, false, 1),
            (PerNode, false, true, true, true, 2),
            (PerNode, false, false, true, true, 1),
            (Rolling, true, true, true, false, 0),
            (FixedWindow, true, true, true, false, 0),
            (Rolling, false, true, true, true, 2),
            (Sentinel, true, true, true, false, 1),
            (Sentinel, false, true, false, true, 1),
            (Sentinel, false, true, true, true, 2),
            // Nothing was to be counted.
            (Sentinel, false, false, false, false, 0),
        ] {
            let case = format!("{limiter:?} {is_up} {key} {quota}");
            let all = Windows::default();
            let settings = LimitSettings { limiter, ..LimitSettings::default() };
            let now = Instant::now();
            let around =
                Around { settings: &settings, windows: &all, nodes: 1, share: 1.0, store_up: is_up, now };
            let counter = Counter::new("k", Rate::new((9.0, 60.0), &Smoothing::default()).unwrap());
            let found = state::Found::under("q".into());
            let of_quota = Quota { max: 9, renewal: PER, found: &found };
            let plan =
                Plan { key: key.then_some(&counter), quota: quota.then_some((of_quota, "q")), api: None };
            let store = State::embedded(None).unwrap();
            let mut step = plan.begin(&around, false);
            if !step.draws.is_empty() {
                let answer = store.draw(&step.draws, unix_now()).now_or_never().unwrap();
                step.answered(&around, if is_up { answer } else { Err(Unavailable("away".to_owned())) });
            }
            assert_eq!((step.told.alone, all.count()), (alone, windows), "{case}");
        }
    }

    #[test]
    fn what_passed_uncounted_is_counted_on_the_node() {
        let window = Arc::new(Window::default());
        let now = Instant::now();
        for passed in 1..=5 {
            assert_eq!(window.blocked_for(now), None, "{passed}");
            counted(&window, Err(Unavailable(String::new())), (10.0, PER), 0.5, now);
        }
        assert_eq!(window.blocked_for(now), Some(PER), "its share of ten is five");
    }
}
