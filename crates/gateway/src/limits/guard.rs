//! Rate and quota of the calling key, and the rate of the API or of its path (contract 4.4 rows 22 and 25, 6.5, 6.6).

use std::net::IpAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

use apidef::{Api, PathMatching, call_at, keys};
use http::StatusCode;

use super::Budget;
use super::counter::{Counter, Rate};
use super::draws::{Plan, QuotaLeft, Told, Which};
use super::window::Taken;
use crate::auth::Grant;
use crate::clock::unix_after;
use crate::events;
use crate::events::monitor::{self, Whose};
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::respond::Refusal;
use crate::route::{Collector, PerPath, Written};
use crate::settings::LimitHeaders;

/// Most requests of one key that wait out its rate.
const WAITING_OF_ONE: u32 = 100;

/// Counts the exchange against everything that limits it.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Rates of keys count.
    key_rate: bool,
    /// Quotas of keys count.
    key_quota: bool,
    global: Option<Counter>,
    endpoints: PerPath<Counter>,
    /// Those of keys have been asked before, apart.
    later: bool,
}

/// What compiling limits needs of the gate.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) matching: PathMatching,
    /// Names of counters are hashed, as those of keys are.
    pub(crate) hashed: bool,
}

impl Context {
    pub(crate) fn of(gate: &Gate) -> Self {
        Self { matching: gate.settings.path_matching, hashed: gate.settings.keys.hashed }
    }
}

impl Limits {
    /// `None` where nothing limits the API. Where its rates are switched off, so are those of its paths.
    pub(crate) fn compile(api: &Api, keyed: bool, context: &Context, patterns: &Collector) -> Option<Self> {
        let rates = !api.limits.rate_limit_disabled;
        let endpoints = of_endpoints(api, context, patterns, false);
        let limits = Self {
            key_rate: keyed && rates,
            key_quota: keyed && !api.limits.quota_disabled,
            global: api
                .limits
                .global
                .as_ref()
                .filter(|_| rates)
                .and_then(|rate| counter(api, "", rate, context)),
            endpoints,
            later: false,
        };
        let any =
            limits.key_rate || limits.key_quota || limits.global.is_some() || !limits.endpoints.is_empty();
        any.then_some(limits)
    }

    /// Those of keys and those of the API apart, for what is asked of tokens stands between the two (contract 4.4 rows 22 to
    /// 25): a request that is refused there spends nothing of the API's.
    pub(crate) fn apart(self) -> (Option<Self>, Option<Self>) {
        if !self.are_of_keys() {
            return (None, Some(self));
        }
        if self.global.is_none() && self.endpoints.is_empty() {
            return (Some(self), None);
        }
        let of_api = Self { key_rate: false, key_quota: false, later: true, ..self };
        let (key_rate, key_quota) = (self.key_rate, self.key_quota);
        let of_keys = Self { key_rate, key_quota, global: None, endpoints: PerPath::default(), later: false };
        (Some(of_keys), Some(of_api))
    }

    /// Whether limits of keys count, and not those of the API alone.
    pub(crate) fn are_of_keys(&self) -> bool {
        self.key_rate || self.key_quota
    }

    pub(crate) async fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let gate = &*exchange.gate;
        if !self.later {
            gate.nodes.count();
        }
        let grant = exchange.grant.as_deref();
        let custom =
            grant.and_then(|grant| grant.terms.pattern.as_ref()).and_then(|pattern| pattern.name(exchange));
        let key = grant.filter(|_| self.key_rate).and_then(|grant| grant.rate_for(exchange));
        let renamed = match (&custom, key) {
            (Some(custom), Some(key)) => {
                let suffix = grant.map_or("", |grant| grant.suffix_of(key));
                Some(key.renamed(format!("{custom}{suffix}")))
            }
            _ => None,
        };
        let quota = grant.map(Grant::quota).filter(|quota| self.key_quota && quota.max > 0);
        let quota = quota.map(|quota| (quota, custom.as_deref().unwrap_or(quota.name())));
        let plan = Plan { key: renamed.as_ref().or(key), quota, api: self.of_api(exchange) };
        let mut told = plan.draw(gate, Instant::now(), gate.settings.limits.counts_refused).await;
        if told.refused == Some(Which::Key)
            && let Some(grant) = grant
            && let Some(throttle) = grant.terms.throttle
        {
            told = wait_out(gate, &plan, told, throttle, grant.name()).await;
        }
        told.count(gate);
        for (up, allowance) in &told.moved {
            events::smoothed(exchange, *up, *allowance);
        }
        if told.refused.is_none()
            && let (Some((quota, _)), Some(left)) = (plan.quota, told.quota)
            && monitor::is_watched(exchange)
        {
            let own =
                exchange.caller.as_deref().map_or(&[][..], |caller| &caller.common().monitor.trigger_limits);
            monitor::counted(exchange, Whose::Key, quota.max, left.remaining, own);
        }
        let outcome = told.refused.map_or(Ok(()), |which| Err(refusal(gate, which, &told)));
        let budget = budget(gate, &plan, &told, grant.filter(|_| self.key_quota));
        exchange.budget = if self.later { std::mem::take(&mut exchange.budget).and(budget) } else { budget };
        outcome
    }

    /// The limit over all callers: of the path, else of the API.
    fn of_api(&self, exchange: &Exchange) -> Option<&Counter> {
        self.endpoints.find(exchange).or(self.global.as_ref())
    }
}

/// How many connections an API may be asked for: all together, and from one address.
#[derive(Debug)]
pub(crate) struct ConnectionRates {
    of_all: Option<Counter>,
    per_address: Option<Counter>,
}

impl ConnectionRates {
    /// `None` where nothing limits them.
    pub(crate) fn new(api: &Api, per_address: Option<&apidef::Rate>, context: &Context) -> Option<Self> {
        let rates = !api.limits.rate_limit_disabled;
        let of_all =
            api.limits.global.as_ref().filter(|_| rates).and_then(|rate| counter(api, "", rate, context));
        let per_address = per_address.filter(|_| rates).and_then(|rate| counter(api, "-ip", rate, context));
        (of_all.is_some() || per_address.is_some()).then_some(Self { of_all, per_address })
    }

    /// Whether one more may come from there; counts it.
    pub(crate) async fn admit(&self, gate: &Gate, address: IpAddr) -> bool {
        gate.nodes.count();
        let own = self.per_address.as_ref().map(|counter| {
            let name = format!("{}-{address}", counter.name);
            counter.renamed(name)
        });
        let plan = Plan { key: own.as_ref(), quota: None, api: self.of_all.as_ref() };
        let told = plan.draw(gate, Instant::now(), gate.settings.limits.counts_refused).await;
        told.count(gate);
        told.refused.is_none()
    }
}

/// What counts against a rate of an API, or of a part of it.
fn counter(api: &Api, suffix: &str, rate: &apidef::Rate, context: &Context) -> Option<Counter> {
    let name = format!("apilimiter-{}{}{suffix}", api.org_id, api.id);
    let name = if context.hashed { keys::hash(&name, None) } else { name };
    let numbers = (rate.requests, rate.per.as_secs_f64());
    Some(Counter::new(name, Rate::new(numbers, &rate.smoothing)?))
}

/// The counters of single paths, or those of calls of MCP, where the API is one; none where its rates are switched off.
pub(super) fn of_endpoints(
    api: &Api,
    context: &Context,
    patterns: &Collector,
    calls: bool,
) -> PerPath<Counter> {
    let wanted = |endpoint: &&apidef::EndpointRate| {
        !api.limits.rate_limit_disabled && (api.mcp && call_at(&endpoint.path).is_some()) == calls
    };
    let endpoints = api.limits.endpoints.iter().filter(wanted).filter_map(|endpoint| {
        let apidef::EndpointRate { method, path, ignore_case, rate } = endpoint;
        let of = keys::hash(&format!("{method}:{path}"), None);
        let counter = counter(api, &format!("-{of}"), rate, context)?;
        Some((Written { method, path, ignore_case: *ignore_case }, counter))
    });
    PerPath::new(patterns, endpoints)
}

/// Where the key's rate refuses and the key may wait, tries again for as long as it may (contract 6.5, throttling).
/// Beyond the bound of those who wait, of all keys or of this one, nobody waits; nor when the gate closes.
async fn wait_out(
    gate: &Gate,
    plan: &Plan<'_>,
    mut told: Told,
    (interval, tries): (Duration, u32),
    key: &str,
) -> Told {
    let Ok(_place) = gate.waiting.try_acquire() else { return told };
    let Some(_place_of_key) = gate.at_once.enter(("waits", key), WAITING_OF_ONE) else {
        return told;
    };
    let mut closed = pin!(gate.closed());
    for _ in 0..tries {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = &mut closed => break,
        }
        let (alone, mut moved) = (told.alone, std::mem::take(&mut told.moved));
        told = plan.draw(gate, Instant::now(), false).await;
        // What earlier tries did has been done.
        told.alone |= alone;
        moved.append(&mut told.moved);
        told.moved = moved;
        if told.refused != Some(Which::Key) {
            break;
        }
    }
    told
}

pub(super) fn refusal(gate: &Gate, which: Which, told: &Told) -> Refusal {
    let refusal = match which {
        Which::Key => Refusal::client(StatusCode::TOO_MANY_REQUESTS, "RLT", "Rate Limit Exceeded"),
        Which::Quota => Refusal::client(StatusCode::FORBIDDEN, "QEX", "Quota exceeded"),
        Which::Api => Refusal::client(StatusCode::TOO_MANY_REQUESTS, "RLT", "API Rate Limit Exceeded"),
    };
    let wait = match which {
        Which::Key => told.key,
        Which::Api => told.api,
        Which::Quota => None,
    };
    match wait {
        // The original does not say; those who ask for the newer fields are told.
        Some(taken) if gate.settings.limits.standard_headers => {
            refusal.retry_after(seconds_up(taken.resets_in))
        }
        _ => refusal,
    }
}

fn seconds_up(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

fn budget(gate: &Gate, plan: &Plan<'_>, told: &Told, quota_of: Option<&Grant>) -> Budget {
    let mut budget = Budget::default();
    // What the key's limit says comes before what the API's says.
    let rate = plan.key.zip(told.key).or(plan.api.zip(told.api));
    budget.rate = rate.map(|(counter, taken)| {
        let remaining = i64::try_from(taken.remaining).unwrap_or(i64::MAX);
        [counter.rate.requests as i64, remaining, unix_after(taken.resets_in)]
    });
    budget.quota =
        plan.quota.zip(told.quota).map(|((quota, _), left)| [quota.max, left.remaining, left.renews_at]);
    match gate.settings.limit_headers {
        LimitHeaders::RateLimits => {
            if let Some((counter, taken)) = rate {
                budget.limit = counter.rate.requests as i64;
                budget.remaining = i64::try_from(taken.remaining).unwrap_or(i64::MAX);
                budget.reset = unix_after(taken.resets_in);
                budget.on_refusals = true;
            }
        }
        LimitHeaders::Quotas => {
            if let Some(grant) = quota_of {
                let unlimited = QuotaLeft { remaining: grant.quota().max.min(0), renews_at: 0 };
                let left = told.quota.unwrap_or(unlimited);
                budget.limit = grant.quota().max;
                budget.remaining = left.remaining;
                budget.reset = left.renews_at;
            }
        }
    }
    if gate.settings.limits.standard_headers {
        let mut add = |name, counter: Option<&Counter>, taken: Option<Taken>| {
            if let (Some(counter), Some(taken)) = (counter, taken) {
                budget.standard.push(super::headers::Line {
                    name,
                    limit: counter.rate.requests as u64,
                    window: counter.rate.per.as_secs(),
                    remaining: taken.remaining,
                    reset: u64::from(seconds_up(taken.resets_in)),
                });
            }
        };
        add("key", plan.key, told.key);
        add("api", plan.api, told.api);
        if let (Some((quota, _)), Some(left)) = (plan.quota, told.quota) {
            budget.standard.push(super::headers::Line {
                name: "quota",
                limit: quota.max.unsigned_abs(),
                window: quota.renewal.as_secs(),
                remaining: left.remaining.unsigned_abs(),
                reset: u64::try_from(left.renews_at - crate::clock::unix_now()).unwrap_or(0),
            });
        }
    }
    budget
}
