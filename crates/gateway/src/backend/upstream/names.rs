//! The addresses that the names of upstreams stand for, kept for a while (`dns_cache`, contract 1).
//!
//! Only who asks for a name first waits for its addresses: those that are asked for again are looked up aside when their
//! time is over, and stay as they are while that fails.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Most names that are kept; what is more is looked up each time. Names can come from requests, by way of rewritten URLs.
const MOST_NAMES: usize = 10_000;
/// For how long a failure is believed: those who wait for the same name share it.
const FAILED_FOR: Duration = Duration::from_secs(1);
/// After which time a look-up that failed, or led to no connection, may be made anew.
const AGAIN: Duration = Duration::from_secs(5);
/// For how long a name is looked up again and again that fails and that nobody asks for.
const LONGEST_WANTED: Duration = Duration::from_secs(3600);
/// However the machine looks up names, nobody waits for it longer.
const LONGEST: Duration = Duration::from_secs(30);

/// What becomes of names with several addresses (`dns_cache.multiple_ips_handle_strategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeveralAddresses {
    /// They are kept, and tried in the order in which they came.
    First,
    /// They are kept, and one after the other is tried from a random one on.
    Random,
    /// They are looked up each time.
    Anew,
}

/// How addresses are kept.
#[derive(Debug, Clone, Copy)]
pub struct KeepNames {
    /// For how long; `None` keeps them until no connection comes about.
    pub ttl: Option<Duration>,
    /// What becomes of names with several of them.
    pub several: SeveralAddresses,
}

type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
type LookUp = Box<dyn Fn(&str) -> Looking + Send + Sync>;

/// See the module.
pub struct Names {
    keep: Option<KeepNames>,
    known: Mutex<HashMap<Box<str>, Arc<Name>>>,
    look_up: LookUp,
}

/// One name.
#[derive(Default)]
struct Name {
    found: Mutex<Found>,
    /// Held by who looks it up first.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Found {
    /// Empty: not known yet.
    addresses: Vec<SocketAddr>,
    looked_at: Option<Instant>,
    /// When they are to be looked up again.
    due: Option<Instant>,
    /// Whether that is under way.
    refreshing: bool,
    /// Somebody asked since they were looked up, the last time then.
    wanted: Option<Instant>,
    /// They are not kept.
    several: bool,
    failure: Option<(Instant, io::ErrorKind, String)>,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").field("keep", &self.keep).field("known", &self.known.lock().len()).finish()
    }
}

impl Names {
    /// As the machine looks them up: its files and its name servers.
    pub fn new(keep: Option<KeepNames>) -> Arc<Self> {
        Self::with(
            keep,
            Box::new(|host: &str| {
                let host = host.to_owned();
                Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.collect()) })
            }),
        )
    }

    fn with(keep: Option<KeepNames>, look_up: LookUp) -> Arc<Self> {
        Arc::new(Self { keep, known: Mutex::default(), look_up })
    }

    /// What a host stands for, in the order in which it is to be tried: families take turns (RFC 8305, section 4).
    ///
    /// # Errors
    /// Names that are unknown, or whose servers are away, while nothing is known of them.
    pub(super) async fn find(self: &Arc<Self>, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let mut found = match self.keep {
            Some(keep) => self.kept(keep, host).await?,
            None => self.look_up(host).await?,
        };
        if found.len() > 1 && self.keep.is_some_and(|keep| keep.several == SeveralAddresses::Random) {
            let first = rand::random_range(0..found.len());
            found.rotate_left(first);
        }
        let mut found = families_in_turn(found);
        found.iter_mut().for_each(|address| address.set_port(port));
        Ok(found)
    }

    /// None of the addresses of a host could be connected to: they may have changed.
    pub(super) fn doubt(self: &Arc<Self>, host: &str) {
        let Some(name) = self.known.lock().get(host).map(Arc::clone) else { return };
        let is_old = name.found.lock().looked_at.is_some_and(|at| at.elapsed() >= AGAIN);
        if is_old {
            self.refresh(host, &name);
        }
    }

    /// Looks up what is asked for and old, and forgets what nobody asks for; called every few seconds.
    pub fn sweep(self: &Arc<Self>) {
        let now = Instant::now();
        let mut old = Vec::new();
        self.known.lock().retain(|host, name| {
            // Somebody waits for it.
            if Arc::strong_count(name) > 1 {
                return true;
            }
            let found = name.found.lock();
            let is_due = found.due.is_some_and(|due| now >= due);
            let is_wanted = found.wanted.is_some_and(|at| now - at < LONGEST_WANTED);
            if found.addresses.is_empty() {
                return found.several && is_wanted;
            }
            if is_due && is_wanted {
                old.push((host.clone(), Arc::clone(name)));
            }
            is_wanted || !is_due
        });
        for (host, name) in old {
            self.refresh(&host, &name);
        }
    }

    async fn kept(self: &Arc<Self>, keep: KeepNames, host: &str) -> io::Result<Vec<SocketAddr>> {
        let known = {
            let mut known = self.known.lock();
            match known.get(host) {
                Some(name) => Some(Arc::clone(name)),
                None if known.len() < MOST_NAMES => {
                    let name = Arc::<Name>::default();
                    known.insert(host.into(), Arc::clone(&name));
                    Some(name)
                }
                None => None,
            }
        };
        let Some(name) = known else { return self.look_up(host).await };
        if let Some(found) = self.at_hand(host, &name) {
            return found;
        }
        // Only what will be kept is worth waiting for.
        let is_several = name.found.lock().several;
        let mut looking = if is_several { None } else { Some(name.looking.lock().await) };
        if let Some(found) = self.at_hand(host, &name) {
            return found;
        }
        if name.found.lock().several {
            looking = None;
        }
        let found = self.learn(keep, host, &name).await;
        drop(looking);
        found
    }

    /// What is known of a name.
    fn at_hand(self: &Arc<Self>, host: &str, name: &Arc<Name>) -> Option<io::Result<Vec<SocketAddr>>> {
        let mut found = name.found.lock();
        found.wanted = Some(Instant::now());
        if found.addresses.is_empty() {
            let (_, kind, text) = found.failure.as_ref().filter(|(at, ..)| at.elapsed() < FAILED_FOR)?;
            return Some(Err(io::Error::new(*kind, text.clone())));
        }
        let addresses = found.addresses.clone();
        let is_due = found.due.is_some_and(|due| Instant::now() >= due);
        drop(found);
        if is_due {
            self.refresh(host, name);
        }
        Some(Ok(addresses))
    }

    /// Looks up a name that is known, aside.
    fn refresh(self: &Arc<Self>, host: &str, name: &Arc<Name>) {
        let Some(keep) = self.keep else { return };
        if std::mem::replace(&mut name.found.lock().refreshing, true) {
            return;
        }
        let (names, name, host) = (Arc::clone(self), Arc::clone(name), Box::<str>::from(host));
        tokio::spawn(async move {
            let is_first = name.found.lock().failure.is_none();
            if let Err(error) = names.learn(keep, &host, &name).await
                && is_first
            {
                tracing::warn!(%host, %error, "the addresses of an upstream cannot be looked up again: those that are known stay");
            }
            name.found.lock().refreshing = false;
        });
    }

    /// Looks a name up and keeps what is found.
    async fn learn(&self, keep: KeepNames, host: &str, name: &Name) -> io::Result<Vec<SocketAddr>> {
        let answer = self.look_up(host).await;
        let now = Instant::now();
        let mut found = name.found.lock();
        found.looked_at = Some(now);
        match &answer {
            Ok(addresses) => {
                found.several = keep.several == SeveralAddresses::Anew && addresses.len() > 1;
                found.addresses = if found.several { Vec::new() } else { addresses.clone() };
                found.due = keep.ttl.map(|ttl| now + ttl);
                found.wanted = None;
                found.failure = None;
            }
            Err(error) => {
                found.due = Some(now + AGAIN);
                found.failure = Some((now, error.kind(), error.to_string()));
            }
        }
        answer
    }

    async fn look_up(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        let found = tokio::time::timeout(LONGEST, (self.look_up)(host)).await.map_err(|_| {
            io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", LONGEST.as_secs()))
        })??;
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(found)
    }
}

/// The same addresses, by turns of each family, that of the first one first.
fn families_in_turn(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = found.first().map(SocketAddr::is_ipv6) else { return found };
    let (ahead, behind): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.is_ipv6() == first);
    let (mut ahead, mut behind) = (ahead.into_iter(), behind.into_iter());
    let mut turns = Vec::with_capacity(ahead.len() + behind.len());
    loop {
        let pair = (ahead.next(), behind.next());
        if pair == (None, None) {
            return turns;
        }
        turns.extend(pair.0);
        turns.extend(pair.1);
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
