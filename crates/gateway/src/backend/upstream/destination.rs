//! The servers behind an upstream: one, or several that share its requests (contract 4.6, "Load balancing").

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use apidef::{Balancing, Ejection, HashOn, Scheme, Target};
use http::header::HeaderValue;
use http::{Response, StatusCode};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::connect::{Connector, DialError, Origin};
use super::forward::Forward;
use super::pool::Pool;
use super::security::Security;
use super::{Failure, balance, identity};
use crate::auth::places::cookie_value;
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::uptime::HostState;

/// How many servers are tried for one request, where connections cannot be opened.
const MOST_TRIED: usize = 4;
/// How long one is left out to which no connection could be opened.
const REST: Duration = Duration::from_secs(5);
/// However often a server has failed, it is left out for no more than so many times its time.
const LONGEST_EJECTION: u32 = 10;

/// One server.
pub(super) struct Destination {
    pub(super) target: Target,
    pub(super) host: HeaderValue,
    /// Who the gate is there, where its URL says so.
    pub(super) basic: Option<HeaderValue>,
    pub(super) pool: Arc<Pool>,
    /// Requests are handed to a proxy.
    pub(super) forward: Option<Box<Forward>>,
    /// It is left out until then.
    rests: Mutex<Option<Instant>>,
    /// Failures one after the other.
    failures: AtomicU32,
    /// How often it was left out because of them, without a good answer in between.
    ejections: AtomicU32,
    under_way: AtomicUsize,
    /// What probes find.
    host_state: Arc<HostState>,
}

/// The servers that were asked for one request.
#[derive(Default)]
pub(super) struct Tried {
    pub(super) numbers: Vec<usize>,
    /// Whether there are others beside them.
    pub(super) others: bool,
}

/// A request on its way to a server, or its answer on the way back.
pub(crate) struct UnderWay(Arc<Destination>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a server answered.
pub(super) trait Answered {
    fn status(&self) -> StatusCode;
}

impl<B> Answered for Response<B> {
    fn status(&self) -> StatusCode {
        self.status()
    }
}

/// All servers of an upstream.
pub(super) struct Destinations {
    servers: Box<[Arc<Destination>]>,
    /// Whose turn it is, by number; each as often as its weight says.
    round: Box<[usize]>,
    /// What each server is hashed as, and its weight.
    names: Box<[u64]>,
    weights: Box<[u32]>,
    next: AtomicUsize,
    limit: Duration,
    balancing: Balancing,
    ejection: Option<Ejection>,
    /// Those that probes find down are not asked.
    skip_down: bool,
}

impl std::fmt::Debug for Destinations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.servers.iter().map(|server| &server.target)).finish()
    }
}

impl Destination {
    /// `chosen`: requests chose it, so that the egress policy is asked.
    pub(super) fn new(
        target: &Target,
        model: &apidef::Upstream,
        gate: &Gate,
        chosen: bool,
    ) -> Result<Self, String> {
        let (manner, settings) = (&model.manner, &gate.upstream);
        let (security, client) = match target.scheme {
            Scheme::Https => {
                let security = Security::of(&manner.tls, target, &settings.common);
                (security.clone(), Some(security.client(settings, &gate.certificates)?))
            }
            Scheme::Http | Scheme::H2c => (Security::default(), None),
        };
        let proxy = manner.proxy.clone().map(Arc::new);
        // A proxy is believed as upstreams of the gate are, unless the API takes any certificate.
        let lenient = manner.tls.insecure_skip_verify || settings.common.insecure_skip_verify;
        let proxy_tls = if lenient { &settings.insecure_tls } else { &settings.tls };
        let forward = proxy.as_deref().map(|proxy| Forward::new(proxy, target)).transpose()?.flatten();
        let origin = Origin { proxy, lenient_proxy: lenient, ..Origin::new(target, security) };
        let connector = Connector::new(origin, client, settings.timeout, &settings.names)?
            .through(&proxy_tls.upgrades)?;
        let connector = if chosen { connector.under(&settings.egress) } else { connector };
        let host = HeaderValue::try_from(&*target.authority)
            .map_err(|_| format!("target host `{}` cannot be sent as a Host header", target.authority))?;
        let basic = target.basic().map(|basic| identity::secret(&basic.0)).transpose()?;
        Ok(Self {
            host,
            basic,
            pool: gate.pools.get(connector, settings.keep.clone()),
            forward: forward.map(Box::new),
            target: target.clone(),
            rests: Mutex::default(),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            under_way: AtomicUsize::new(0),
            host_state: gate.hosts.get(target),
        })
    }

    fn is_resting(&self, now: Instant) -> bool {
        self.rests.lock().is_some_and(|until| now < until)
    }

    fn rest(&self, until: Instant) {
        *self.rests.lock() = Some(until);
    }
}

impl Destinations {
    pub(super) fn new(model: &apidef::Upstream, gate: &Gate) -> Result<Self, String> {
        Self::of(&model.targets, model, gate, None)
    }

    /// With these targets. Servers that were there before go on as they are.
    pub(super) fn of(
        all: &[Target],
        model: &apidef::Upstream,
        gate: &Gate,
        before: Option<&Self>,
    ) -> Result<Self, String> {
        let mut targets: Vec<&Target> = Vec::new();
        let mut round = Vec::with_capacity(all.len());
        for target in all {
            let known = targets.iter().position(|known| *known == target);
            round.push(known.unwrap_or(targets.len()));
            if known.is_none() {
                targets.push(target);
            }
        }
        if targets.is_empty() {
            // The one server has every turn: upgrades are reached for as with several.
            targets.push(&model.target);
            round.push(0);
        }
        let mut weights = vec![0; targets.len()];
        for number in &round {
            weights[*number] += 1;
        }
        let server = |target: &&Target| {
            let known =
                before.and_then(|before| before.servers.iter().find(|known| known.target == **target));
            known.map_or_else(
                || Destination::new(target, model, gate, false).map(Arc::new),
                |known| Ok(Arc::clone(known)),
            )
        };
        Ok(Self {
            servers: targets.iter().map(server).collect::<Result<_, _>>()?,
            names: targets.iter().map(|target| balance::number(target.to_string().as_bytes())).collect(),
            weights: weights.into(),
            round: round.into(),
            next: AtomicUsize::new(0),
            limit: gate.upstream.timeout,
            balancing: model.care.balancing.clone(),
            ejection: model.care.ejection,
            skip_down: model.skip_down,
        })
    }

    /// The only one there is, where there is nothing to choose.
    pub(super) fn sole(&self) -> Option<&Arc<Destination>> {
        match &*self.servers {
            [sole] if !self.skip_down => Some(sole),
            _ => None,
        }
    }

    /// Whether there are servers beside those that were tried.
    fn has_others(&self, tried: &[usize]) -> bool {
        (0..self.servers.len()).any(|number| !tried.contains(&number))
    }

    /// What requests have in common that go to the same server; `None` where they do not, or this one has nothing of it.
    pub(super) fn key(&self, exchange: &Exchange) -> Option<u64> {
        let Balancing::Hash(on) = &self.balancing else { return None };
        let headers = &exchange.head.headers;
        match on {
            HashOn::Address => Some(match exchange.client_address()? {
                IpAddr::V4(address) => balance::number(&address.octets()),
                IpAddr::V6(address) => balance::number(&address.octets()),
            }),
            HashOn::Key => Some(balance::number(exchange.caller.as_ref()?.name.as_bytes())),
            HashOn::Path => Some(balance::number(exchange.remaining_path().as_bytes())),
            HashOn::Header(name) => Some(balance::number(headers.get(&**name)?.as_bytes())),
            HashOn::Cookie(name) => {
                Some(balance::number(cookie_value(headers, |cookie| cookie == &**name)?.as_bytes()))
            }
        }
    }

    /// The next one to which there is a connection, beside those that were tried. Where none can be opened, nothing of the
    /// request was sent, so that the one behind it may have it.
    pub(super) async fn reach<'d, T, F>(
        &'d self,
        key: Option<u64>,
        tried: &mut Tried,
        open: impl Fn(&'d Pool) -> F,
    ) -> Result<(&'d Arc<Destination>, T), Failure>
    where
        F: Future<Output = Result<T, DialError>>,
    {
        let deadline = Instant::now() + self.limit;
        // Whoever does not answer must not use up the time of the others.
        let each = if self.servers.len() == 1 { self.limit } else { self.limit / 2 };
        if !self.has_others(&tried.numbers) {
            tried.numbers.clear();
        }
        if self.skip_down && self.servers.iter().all(|server| server.host_state.is_down()) {
            return Err(Failure::AllDown);
        }
        let mut failed = None;
        for _ in 0..MOST_TRIED {
            let Some(number) = self.choose(key, &tried.numbers, Instant::now()) else { break };
            tried.numbers.push(number);
            tried.others = self.has_others(&tried.numbers);
            let destination = &self.servers[number];
            let until = (Instant::now() + each).min(deadline);
            match tokio::time::timeout_at(until, open(&destination.pool)).await {
                Ok(Ok(reached)) => return Ok((destination, reached)),
                Ok(Err(error)) => failed = Some(error),
                Err(_) => failed = Some(destination.pool.timed_out()),
            }
            destination.rest(Instant::now() + REST);
            if Instant::now() >= deadline {
                break;
            }
        }
        Err(failed.unwrap_or_else(|| self.servers[0].pool.timed_out()).into())
    }

    /// Whose turn it is of those that were not tried; those that rest only where no other is left.
    fn choose(&self, key: Option<u64>, tried: &[usize], now: Instant) -> Option<usize> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let choose = |resting: bool| {
            let fits = |number: usize| {
                let server = &self.servers[number];
                let is_down = self.skip_down && server.host_state.is_down();
                !is_down && !tried.contains(&number) && (resting || !server.is_resting(now))
            };
            match (&self.balancing, key) {
                (Balancing::Hash(_), Some(key)) => balance::hashed(&self.names, &self.weights, key, fits),
                (Balancing::LeastRequests, _) => {
                    let under_way = |number: usize| self.servers[number].under_way.load(Ordering::Relaxed);
                    balance::least(&self.weights, start, under_way, fits)
                }
                _ => balance::turns(&self.round, start, fits),
            }
        };
        choose(false).or_else(|| choose(true))
    }

    /// Counts a request to a server, where that makes a difference.
    pub(super) fn count(&self, destination: &Arc<Destination>) -> Option<UnderWay> {
        (self.balancing == Balancing::LeastRequests).then(|| {
            destination.under_way.fetch_add(1, Ordering::Relaxed);
            UnderWay(Arc::clone(destination))
        })
    }

    /// Tells what came of asking a server: one that fails again and again is left out for a while.
    pub(super) fn tell(&self, destination: &Destination, answer: &Result<impl Answered, Failure>) {
        let Some(ejection) = self.ejection.filter(|_| self.servers.len() > 1) else { return };
        let good = match answer {
            Ok(answer) => !answer.status().is_server_error(),
            Err(failure) => !failure.is_of_upstream(),
        };
        if good {
            if destination.failures.load(Ordering::Relaxed) != 0 {
                destination.failures.store(0, Ordering::Relaxed);
            }
            if destination.ejections.load(Ordering::Relaxed) != 0 && !destination.is_resting(Instant::now()) {
                destination.ejections.store(0, Ordering::Relaxed);
            }
            return;
        }
        if destination.failures.fetch_add(1, Ordering::Relaxed) + 1 < ejection.failures {
            return;
        }
        let now = Instant::now();
        let resting = self.servers.iter().filter(|server| server.is_resting(now)).count();
        if destination.is_resting(now) || (resting + 1) as f64 > ejection.most * self.servers.len() as f64 {
            return;
        }
        destination.failures.store(0, Ordering::Relaxed);
        let times = destination.ejections.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let rest = ejection.rest.saturating_mul(times.min(LONGEST_EJECTION));
        destination.rest(now + rest);
        tracing::warn!(server = %destination.target, ?rest, "a target fails again and again and is left out");
    }
}
