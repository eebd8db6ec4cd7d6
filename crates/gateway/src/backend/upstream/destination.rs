//! The servers behind an upstream: one, or several that are asked in turn (contract 4.6, "Load balancing").

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use apidef::{Scheme, Target};
use http::header::HeaderValue;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::connect::{Connector, DialError, Origin};
use super::forward::Forward;
use super::pool::Pool;
use super::security::Security;
use crate::gate::Gate;

/// How many servers are tried for one request, where connections cannot be opened.
const MOST_TRIED: usize = 4;
/// How long one is left out to which no connection could be opened.
const REST: Duration = Duration::from_secs(5);

/// One server.
pub(super) struct Destination {
    pub(super) target: Target,
    pub(super) host: HeaderValue,
    pub(super) pool: Arc<Pool>,
    /// Requests are handed to a proxy.
    pub(super) forward: Option<Box<Forward>>,
    /// It is left out until then.
    rests: Mutex<Option<Instant>>,
}

/// All servers of an upstream.
pub(super) struct Destinations {
    first: Destination,
    others: Box<[Destination]>,
    /// Whose turn it is, by number; each as often as its weight says.
    round: Box<[usize]>,
    next: AtomicUsize,
    limit: Duration,
}

impl Destination {
    fn new(target: &Target, model: &apidef::Upstream, gate: &Gate) -> Result<Self, String> {
        let (manner, settings) = (&model.manner, &gate.upstream);
        let (security, client) = match target.scheme {
            Scheme::Https => {
                let security = Security::of(&manner.tls, target, &settings.common);
                (security.clone(), Some(security.client(settings, &gate.certificates)?))
            }
            Scheme::Http | Scheme::H2c => (Security::default(), None),
        };
        let proxy = manner.proxy.clone().map(Arc::new);
        let forward = proxy.as_deref().map(|proxy| Forward::new(proxy, target)).transpose()?.flatten();
        let origin = Origin { proxy, ..Origin::new(target, security) };
        let connector = Connector::new(origin, client, settings.timeout)?;
        let host = HeaderValue::try_from(&*target.authority)
            .map_err(|_| format!("target host `{}` cannot be sent as a Host header", target.authority))?;
        Ok(Self {
            host,
            pool: gate.pools.get(connector, settings.keep),
            forward: forward.map(Box::new),
            target: target.clone(),
            rests: Mutex::default(),
        })
    }
}

impl Destinations {
    pub(super) fn new(model: &apidef::Upstream, gate: &Gate) -> Result<Self, String> {
        let mut targets: Vec<&Target> = Vec::new();
        let mut round = Vec::with_capacity(model.targets.len());
        for target in &model.targets {
            let known = targets.iter().position(|known| *known == target);
            round.push(known.unwrap_or(targets.len()));
            if known.is_none() {
                targets.push(target);
            }
        }
        if round.is_empty() {
            // The one server has every turn: upgrades are reached for as with several.
            round.push(0);
        }
        let (first, others) =
            targets.split_first().map_or((&model.target, &[][..]), |(first, others)| (*first, others));
        Ok(Self {
            first: Destination::new(first, model, gate)?,
            others: others
                .iter()
                .map(|target| Destination::new(target, model, gate))
                .collect::<Result<_, _>>()?,
            round: round.into(),
            next: AtomicUsize::new(0),
            limit: gate.upstream.timeout,
        })
    }

    /// The only one there is.
    pub(super) fn sole(&self) -> Option<&Destination> {
        self.others.is_empty().then_some(&self.first)
    }

    /// The first one, for messages.
    pub(super) fn first(&self) -> &Destination {
        &self.first
    }

    /// The next one to which there is a connection. Where none can be opened, nothing of the request was sent, so that
    /// the one behind it may have it.
    pub(super) async fn reach<'d, T, F>(
        &'d self,
        open: impl Fn(&'d Pool) -> F,
    ) -> Result<(&'d Destination, T), DialError>
    where
        F: Future<Output = Result<T, DialError>>,
    {
        let deadline = Instant::now() + self.limit;
        // Whoever does not answer must not use up the time of the others.
        let each = if self.others.is_empty() { self.limit } else { self.limit / 2 };
        let mut tried: Vec<usize> = Vec::new();
        let mut failed = None;
        while let Some(number) = self.turn(&tried, Instant::now()) {
            tried.push(number);
            let destination = self.at(number);
            let until = (Instant::now() + each).min(deadline);
            match tokio::time::timeout_at(until, open(&destination.pool)).await {
                Ok(Ok(reached)) => return Ok((destination, reached)),
                Ok(Err(error)) => failed = Some(error),
                Err(_) => failed = Some(destination.pool.timed_out()),
            }
            *destination.rests.lock() = Some(Instant::now() + REST);
            if tried.len() == MOST_TRIED || Instant::now() >= deadline {
                break;
            }
        }
        Err(failed.unwrap_or_else(|| self.first.pool.timed_out()))
    }

    /// Whose turn it is of those that were not tried; those that rest only where no other is left.
    fn turn(&self, tried: &[usize], now: Instant) -> Option<usize> {
        let start = self.next.fetch_add(1, Ordering::Relaxed) % self.round.len().max(1);
        let (before, from) = self.round.split_at(start.min(self.round.len()));
        let untried = || from.iter().chain(before).copied().filter(|number| !tried.contains(number));
        let rests = |number: &usize| self.at(*number).rests.lock().is_some_and(|until| now < until);
        untried().find(|number| !rests(number)).or_else(|| untried().next())
    }

    fn at(&self, number: usize) -> &Destination {
        number.checked_sub(1).and_then(|other| self.others.get(other)).unwrap_or(&self.first)
    }
}
