//! The store of one node: memory that answers, one file that remembers.

mod counters;
mod file;
mod fixed;
mod quota_log;
mod quotas;
mod rates;
mod records;
mod steps;
mod writer;

use std::{
    collections::HashSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use apidef::Session;
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

pub use counters::Counters;
pub use file::OpenError;
pub(crate) use quotas::Window as QuotaWindow;

use crate::{
    Draw, Health, QuotaCount, Signal, Stored, Tally, Unavailable,
    values::{unix_millis, unix_now},
};
use records::Records;
use writer::Writer;

/// Signals kept for a receiver that is slow; older ones are dropped (it sees that it lagged).
const SIGNAL_BACKLOG: usize = 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Embedded {
    memory: Arc<Memory>,
    /// `None` for memory only.
    writer: Option<Writer>,
    /// Held while a record is looked at and changed.
    steps: tokio::sync::Mutex<()>,
    signals: broadcast::Sender<Signal>,
}

/// What answers; the file follows it.
#[derive(Debug)]
pub(super) struct Memory {
    /// Whatever else is named like a session shares its name.
    sessions: papaya::HashMap<Arc<str>, Held>,
    /// How often one of them was put there or taken away; counted when that is done.
    session_changes: AtomicU64,
    /// What sessions have in common, each text once.
    common: Mutex<HashSet<Arc<[u8]>>>,
    counters: Counters,
    /// When they began.
    started: Instant,
    records: Records,
    health: watch::Sender<Health>,
}

/// A session and when it ends. As text, which is a tenth of what the session takes: a million keys are to fit into
/// memory, and who calls often is kept read elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Held {
    stored: Stored,
    /// Unix milliseconds; `u64::MAX` is never.
    expires_at: u64,
}

impl Held {
    fn new(session: &Session, ttl: Option<Duration>) -> Result<Held, Unavailable> {
        let text = serde_json::to_vec(session)
            .map_err(|error| Unavailable(format!("session cannot be written: {error}")))?;
        Ok(Held { stored: Stored::new(&text), expires_at: expires_at(ttl) })
    }

    fn alive(&self, now_millis: u64) -> bool {
        now_millis < self.expires_at
    }
}

/// When something with this lifetime ends, in Unix milliseconds.
fn expires_at(ttl: Option<Duration>) -> u64 {
    let lifetime = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
    lifetime.map_or(u64::MAX, |lifetime| unix_millis().saturating_add(lifetime))
}

/// Sessions and records that have ended.
#[derive(Debug, Default)]
struct Ended {
    sessions: Vec<Arc<str>>,
    records: Vec<Box<str>>,
}

impl Memory {
    fn new() -> Memory {
        Memory {
            sessions: papaya::HashMap::new(),
            session_changes: AtomicU64::new(0),
            common: Mutex::default(),
            counters: Counters::default(),
            started: Instant::now(),
            records: Records::default(),
            health: watch::Sender::new(Health::up()),
        }
    }

    /// Puts a session into its place, or empties it; returns the one that was there.
    fn set_session(&self, name: Arc<str>, held: Option<Held>) -> Option<Held> {
        let sessions = self.sessions.pin();
        let before = match held {
            Some(held) => sessions.insert(name, held),
            None => sessions.remove(&name),
        };
        let before = before.cloned();
        self.session_changes.fetch_add(1, Ordering::Release);
        before
    }

    /// The same session, sharing what it has in common with others.
    fn sharing(&self, held: Held) -> Held {
        let mut all = self.common.lock();
        let common = match all.get(held.stored.common()) {
            Some(common) => Arc::clone(common),
            None => {
                all.insert(Arc::clone(held.stored.common()));
                return held;
            }
        };
        Held { stored: held.stored.sharing(common), ..held }
    }

    /// Forgets counters that have ended, and texts that no session has; returns what else has ended.
    fn sweep(&self) -> Ended {
        self.common.lock().retain(|text| Arc::strong_count(text) > 1);
        self.counters.sweep(self.started.elapsed(), unix_now());
        let now = unix_millis();
        let sessions = self.sessions.pin();
        let sessions = sessions.iter().filter(|(_, held)| !held.alive(now)).map(|(name, _)| name.clone());
        Ended { sessions: sessions.collect(), records: self.records.ended() }
    }

    /// Forgets these unless they were renewed since they were found ended.
    fn forget(&self, ended: &Ended) {
        let now = unix_millis();
        let sessions = self.sessions.pin();
        for name in &ended.sessions {
            sessions.remove_if(name, |_, held| !held.alive(now)).ok();
        }
        for key in &ended.records {
            self.records.forget_ended(key);
        }
    }
}

impl Embedded {
    /// Blocking: opens the file and reads it whole.
    pub(crate) fn open(dir: Option<&Path>) -> Result<Embedded, OpenError> {
        let memory = Arc::new(Memory::new());
        let writer = dir.map(|dir| Writer::start(dir, Arc::clone(&memory))).transpose()?;
        Ok(Embedded {
            memory,
            writer,
            steps: tokio::sync::Mutex::default(),
            signals: broadcast::Sender::new(SIGNAL_BACKLOG),
        })
    }

    /// See [`State::leave_memory`](crate::State::leave_memory).
    pub(crate) fn leave_memory(&self) {
        std::mem::forget(Arc::clone(&self.memory));
    }

    /// Forgets what has ended. With a file its writer does so itself.
    pub(crate) fn tidy(&self) {
        if self.writer.is_some() {
            return;
        }
        self.memory.forget(&self.memory.sweep());
        // Nobody writes down what changed.
        self.memory.counters.quotas.take_changed();
    }

    pub(crate) async fn session(&self, name: &str) -> Result<Option<Arc<Session>>, Unavailable> {
        Ok(self.find(name))
    }

    fn find(&self, name: &str) -> Option<Arc<Session>> {
        let sessions = self.memory.sessions.pin();
        sessions.get(name).filter(|held| held.alive(unix_millis())).and_then(|held| held.stored.session())
    }

    pub(crate) async fn first_session(
        &self,
        names: &[&str],
    ) -> Result<Option<(usize, Arc<Session>)>, Unavailable> {
        Ok(names.iter().enumerate().find_map(|(place, name)| self.find(name).map(|session| (place, session))))
    }

    /// See [`State::find_session`](crate::State::find_session).
    pub(crate) async fn find_session<T>(
        &self,
        names: &[&str],
        mut read: impl FnMut(&Arc<str>, &Stored, u64) -> Option<T>,
    ) -> Result<Option<T>, Unavailable> {
        let sessions = self.memory.sessions.pin();
        let now = unix_millis();
        Ok(names.iter().find_map(|name| {
            let (name, held) = sessions.get_key_value(*name).filter(|(_, held)| held.alive(now))?;
            read(name, &held.stored, held.expires_at)
        }))
    }

    pub(crate) fn session_changes(&self) -> u64 {
        self.memory.session_changes.load(Ordering::Acquire)
    }

    pub(crate) async fn many_sessions(
        &self,
        names: &[&str],
    ) -> Result<Vec<Option<Arc<Session>>>, Unavailable> {
        Ok(names.iter().map(|name| self.find(name)).collect())
    }

    pub(crate) async fn put_session(
        &self,
        name: &str,
        session: &Session,
        ttl: Option<Duration>,
        only_existing: bool,
    ) -> Result<bool, Unavailable> {
        let held = self.memory.sharing(Held::new(session, ttl)?);
        match &self.writer {
            Some(writer) => writer.put(name, held, only_existing).await,
            None if only_existing => {
                let now = unix_millis();
                let sessions = self.memory.sessions.pin();
                let alive = |held: &Held| held.alive(now);
                let put = sessions
                    .update(name.into(), |old| if alive(old) { held.clone() } else { old.clone() })
                    .is_some_and(alive);
                self.memory.session_changes.fetch_add(1, Ordering::Release);
                Ok(put)
            }
            None => {
                self.memory.set_session(name.into(), Some(held));
                Ok(true)
            }
        }
    }

    pub(crate) async fn delete_session(&self, name: &str) -> Result<bool, Unavailable> {
        match &self.writer {
            Some(writer) => writer.delete(name).await,
            None => {
                let now = unix_millis();
                Ok(self.memory.set_session(name.into(), None).is_some_and(|held| held.alive(now)))
            }
        }
    }

    pub(crate) async fn session_names(&self, prefix: &str) -> Result<Vec<String>, Unavailable> {
        let now = unix_millis();
        let sessions = self.memory.sessions.pin();
        let wanted = sessions.iter().filter(|(name, held)| name.starts_with(prefix) && held.alive(now));
        let mut names: Vec<String> = wanted.map(|(name, _)| name.to_string()).collect();
        names.sort_unstable();
        Ok(names)
    }

    pub(crate) async fn draw(&self, draws: &[Draw<'_>], now: i64) -> Result<Tally, Unavailable> {
        Ok(self.memory.counters.draw(draws, self.memory.started.elapsed(), now))
    }

    pub(crate) async fn reset_quota(&self, name: &str) -> Result<(), Unavailable> {
        self.memory.counters.quotas.reset(name);
        Ok(())
    }

    pub(crate) async fn peek_quota(&self, name: &str) -> Result<Option<QuotaCount>, Unavailable> {
        Ok(self.memory.counters.quotas.peek(name, unix_now()))
    }

    pub(crate) fn health(&self) -> Health {
        self.memory.health.borrow().clone()
    }

    pub(crate) fn health_changes(&self) -> watch::Receiver<Health> {
        self.memory.health.subscribe()
    }

    pub(crate) async fn publish(&self, signal: Signal) -> Result<(), Unavailable> {
        // An error says that nobody listens, which is nobody's fault.
        self.signals.send(signal).ok();
        Ok(())
    }

    pub(crate) fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }

    pub(crate) async fn flush(&self) -> Result<(), Unavailable> {
        match &self.writer {
            Some(writer) => writer.flush().await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_alone_forgets_what_has_ended() {
        let store = Embedded::open(None).unwrap();
        let ended = Some(Duration::from_millis(1));
        store.put_session("ends", &Session::default(), ended, false).await.unwrap();
        store.put_session("stays", &Session::default(), None, false).await.unwrap();
        let per = Duration::from_secs(60);
        let draw = Draw {
            meter: crate::Meter::Quota,
            name: "window",
            limit: 1.0,
            per,
            cost: 1,
            counts_refused: true,
            found: None,
            steps: None,
        };
        store.draw(&[draw], 0).await.unwrap();
        while store.find("ends").is_some() {
            tokio::task::yield_now().await;
        }
        store.tidy();
        let kept: Vec<Arc<str>> = store.memory.sessions.pin().keys().cloned().collect();
        assert_eq!(kept, [Arc::<str>::from("stays")]);
        assert!(store.memory.counters.quotas.take_changed().is_empty());
    }
}
