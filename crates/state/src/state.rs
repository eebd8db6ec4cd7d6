//! The one handle that the rest of the gateway holds.

use std::{path::PathBuf, sync::Arc, time::Duration};

use apidef::Session;
use tokio::sync::{broadcast, watch};

use crate::{
    Draw, Health, OpenError, QuotaCount, RedisSettings, SettingsError, Signal, Stored, Tally, Unavailable,
    embedded::Embedded, remote::Redis,
};

/// Sessions, counters and signals, embedded or in Redis. Cloning costs one reference count.
///
/// Names are what stands behind the prefix in the store: the hashed or raw key, without `apikey-`, `quota-` or
/// `rate-limit-`.
#[derive(Clone, Debug)]
pub struct State(Kind);

/// What a collection is in a shared store; others read them too (contract 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A list without doubles, in the order of insertion.
    List,
    /// A set.
    Set,
    /// A set sorted by score.
    Scored,
}

#[derive(Clone, Debug)]
enum Kind {
    Embedded(Arc<Embedded>),
    Redis(Arc<Redis>),
}

/// Runs the same method of whichever store is in use.
macro_rules! either {
    ($self:ident, $store:ident => $call:expr) => {
        match &$self.0 {
            Kind::Embedded($store) => $call,
            Kind::Redis($store) => $call,
        }
    };
}

impl State {
    /// Opens the store of one node in `dir` (created if missing), or in memory only.
    ///
    /// Blocking: reads every session from the file. Meant for the start of the process.
    pub fn embedded(dir: Option<PathBuf>) -> Result<State, OpenError> {
        Ok(State(Kind::Embedded(Arc::new(Embedded::open(dir.as_deref())?))))
    }

    /// Connects to Redis in the background and for ever; returns at once, connected or not. Needs a Tokio runtime.
    ///
    /// Blocking only for the certificate files that `settings.tls` may name.
    pub fn redis(settings: RedisSettings) -> Result<State, SettingsError> {
        Ok(State(Kind::Redis(Arc::new(Redis::start(settings)?))))
    }

    /// `"embedded"` or `"redis"`.
    pub fn kind(&self) -> &'static str {
        match self.0 {
            Kind::Embedded(_) => "embedded",
            Kind::Redis(_) => "redis",
        }
    }

    /// Whether other nodes may have the same one.
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Kind::Redis(_))
    }

    /// The session of this name, if there is one that has not outlived its lifetime. A stored session that cannot be
    /// read counts as absent (and is logged).
    pub async fn session(&self, name: &str) -> Result<Option<Arc<Session>>, Unavailable> {
        either!(self, store => store.session(name).await)
    }

    /// The first of these names that has a session, and its place in `names`; one round trip (contract 5.1, lookup).
    pub async fn first_session(&self, names: &[&str]) -> Result<Option<(usize, Arc<Session>)>, Unavailable> {
        either!(self, store => store.first_session(names).await)
    }

    /// The first of these names under which there is a session that `read` can read, given the name, its text and when it
    /// ends (Unix milliseconds, `u64::MAX` = never; where others may change it, too, that is not told: 0); one round trip.
    pub async fn find_session<T>(
        &self,
        names: &[&str],
        read: impl FnMut(&Arc<str>, &Stored, u64) -> Option<T>,
    ) -> Result<Option<T>, Unavailable> {
        either!(self, store => store.find_session(names, read).await)
    }

    /// A number that another one takes the place of once a session was stored or deleted. `None`: others may do so, too.
    pub fn session_changes(&self) -> Option<u64> {
        match &self.0 {
            Kind::Embedded(store) => Some(store.session_changes()),
            Kind::Redis(_) => None,
        }
    }

    pub(crate) async fn many_sessions(
        &self,
        names: &[&str],
    ) -> Result<Vec<Option<Arc<Session>>>, Unavailable> {
        either!(self, store => store.many_sessions(names).await)
    }

    /// Stores a session; `ttl` is its lifetime (contract 6.2), `None` for ever. Durable when it returns (embedded:
    /// committed to disk).
    pub async fn put_session(
        &self,
        name: &str,
        session: &Session,
        ttl: Option<Duration>,
    ) -> Result<(), Unavailable> {
        either!(self, store => store.put_session(name, session, ttl, false).await).map(|_| ())
    }

    /// Stores a session only if one of this name is there, so that a key deleted meanwhile stays deleted; tells whether
    /// it was (contract 6.2, SET XX).
    pub async fn update_session(
        &self,
        name: &str,
        session: &Session,
        ttl: Option<Duration>,
    ) -> Result<bool, Unavailable> {
        either!(self, store => store.put_session(name, session, ttl, true).await)
    }

    /// Deletes a session; tells whether there was one.
    pub async fn delete_session(&self, name: &str) -> Result<bool, Unavailable> {
        either!(self, store => store.delete_session(name).await)
    }

    /// Names of sessions that begin with `prefix`, sorted. Walks over all of them: for the admin API only.
    pub async fn session_names(&self, prefix: &str) -> Result<Vec<String>, Unavailable> {
        either!(self, store => store.session_names(prefix).await)
    }

    /// The record under this key. Records are what is neither session nor counter: clients and tokens of the OAuth
    /// server, certificates. Their keys are those of the store, whole (contract 5.1).
    pub async fn record(&self, key: &str) -> Result<Option<Arc<[u8]>>, Unavailable> {
        either!(self, store => store.record(key).await)
    }

    /// The records under these keys, in their order; one round trip, in a cluster several at the same time.
    pub async fn many_records(&self, keys: &[String]) -> Result<Vec<Option<Arc<[u8]>>>, Unavailable> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        either!(self, store => store.many_records(keys).await)
    }

    /// Stores a record; durable when it returns.
    pub async fn put_record(
        &self,
        key: &str,
        value: &[u8],
        ttl: Option<Duration>,
    ) -> Result<(), Unavailable> {
        either!(self, store => store.put_record(key, value, ttl).await)
    }

    /// Deletes a record; tells whether there was one.
    pub async fn delete_record(&self, key: &str) -> Result<bool, Unavailable> {
        either!(self, store => store.delete_record(key).await)
    }

    /// Takes a record away: of several who ask for it at once, one gets it.
    pub async fn take_record(&self, key: &str) -> Result<Option<Arc<[u8]>>, Unavailable> {
        either!(self, store => store.take_record(key).await)
    }

    /// Stores a record where there is none; tells whether it did.
    pub async fn put_new_record(
        &self,
        key: &str,
        value: &[u8],
        ttl: Option<Duration>,
    ) -> Result<bool, Unavailable> {
        either!(self, store => store.put_new_record(key, value, ttl).await)
    }

    /// Appends to a list that others read and empty; it is gone after `life` where none of them comes. Whether there is one:
    /// what is embedded has no readers.
    pub async fn hand_over(&self, list: &str, value: &[u8], life: Duration) -> Result<bool, Unavailable> {
        match &self.0 {
            Kind::Embedded(_) => Ok(false),
            Kind::Redis(store) => store.append(list, value, life).await.map(|()| true),
        }
    }

    /// Adds members to a sorted set that other nodes read, each at its time, and takes out what stands at `since` or before;
    /// the set is gone after `life` where nothing is added. What is embedded has no other nodes: nothing happens.
    pub async fn add_times(
        &self,
        set: &str,
        members: &[(f64, String)],
        since: f64,
        life: Duration,
    ) -> Result<(), Unavailable> {
        match &self.0 {
            Kind::Embedded(_) => Ok(()),
            Kind::Redis(_) if members.is_empty() => Ok(()),
            Kind::Redis(store) => store.add_times(set, members, since, life).await,
        }
    }

    /// How many members of such a set stand after `since`, and the newest of them, `most` at most.
    pub async fn times(&self, set: &str, since: f64, most: usize) -> Result<(u64, Vec<String>), Unavailable> {
        match &self.0 {
            Kind::Embedded(_) => Ok((0, Vec::new())),
            Kind::Redis(store) => store.times(set, since, most).await,
        }
    }

    /// Writes a record and reads it again: a store can answer and take nothing (a replica, or one that is full). What
    /// fails here takes the connection away from nobody.
    pub async fn probe(&self, key: &str, life: Duration) -> Result<(), Unavailable> {
        match &self.0 {
            Kind::Embedded(_) => Ok(()),
            Kind::Redis(store) => store.probe(key, life).await,
        }
    }

    /// Adds to the number in a record, where none counts as 0; gives the sum. Its lifetime stays.
    pub async fn add_to_record(&self, key: &str, by: i64) -> Result<i64, Unavailable> {
        either!(self, store => store.add_to_record(key, by).await)
    }

    /// How long a record is kept still: `None` = there is none, `Some(None)` = for ever.
    pub async fn record_life(&self, key: &str) -> Result<Option<Option<Duration>>, Unavailable> {
        either!(self, store => store.record_life(key).await)
    }

    /// Keys of records that begin with `prefix`, sorted. Walks over all keys: for the admin API only.
    pub async fn record_keys(&self, prefix: &str) -> Result<Vec<String>, Unavailable> {
        either!(self, store => store.record_keys(prefix).await)
    }

    /// Puts a member into a collection, or gives it another score. Collections have no lifetime.
    pub async fn add_member(
        &self,
        key: &str,
        sort: Sort,
        member: &str,
        score: f64,
    ) -> Result<(), Unavailable> {
        either!(self, store => store.add_member(key, sort, member, score).await)
    }

    /// Takes a member out of a collection; tells whether it was in it.
    pub async fn remove_member(&self, key: &str, sort: Sort, member: &str) -> Result<bool, Unavailable> {
        match &self.0 {
            Kind::Embedded(store) => store.remove_member(key, member).await,
            Kind::Redis(store) => store.remove_member(key, sort, member).await,
        }
    }

    /// Takes what has a score of `until` or less out of a sorted collection.
    pub async fn remove_scored(&self, key: &str, until: f64) -> Result<(), Unavailable> {
        either!(self, store => store.remove_scored(key, until).await)
    }

    /// Members of a collection, lists in their order, others by score; scores count for [`Sort::Scored`] only.
    pub async fn members(&self, key: &str, sort: Sort) -> Result<Vec<(String, f64)>, Unavailable> {
        match &self.0 {
            Kind::Embedded(store) => store.members(key).await,
            Kind::Redis(store) => store.members(key, sort).await,
        }
    }

    /// Draws from every counter in order, or from none: the first that refuses ends it. One round trip. `now` is in
    /// Unix seconds.
    ///
    /// In a Redis cluster the counters lie on different nodes. One that refuses is believed also while another is away;
    /// what was drawn for nothing is given back then, in a second round trip, and until that has arrived others may be
    /// refused for it.
    pub async fn draw(&self, draws: &[Draw<'_>], now: i64) -> Result<Tally, Unavailable> {
        if draws.is_empty() {
            return Ok(Tally::default());
        }
        either!(self, store => store.draw(draws, now).await)
    }

    /// Starts a quota's window anew, as an admin's update of a key does (contract 6.6, reset).
    pub async fn reset_quota(&self, name: &str) -> Result<(), Unavailable> {
        either!(self, store => store.reset_quota(name).await)
    }

    /// The running window of a quota without counting; `None` when none runs.
    pub async fn peek_quota(&self, name: &str) -> Result<Option<QuotaCount>, Unavailable> {
        either!(self, store => store.peek_quota(name).await)
    }

    /// Whether the store answers, as last seen; one load of a pointer.
    pub fn is_up(&self) -> bool {
        match &self.0 {
            Kind::Embedded(_) => true,
            Kind::Redis(store) => store.is_up(),
        }
    }

    /// Whether the store answers, as last seen, and why not. Never waits.
    pub fn health(&self) -> Health {
        either!(self, store => store.health())
    }

    /// Changes of [`State::health`], for readiness and for a reload when the store comes back.
    pub fn health_changes(&self) -> watch::Receiver<Health> {
        either!(self, store => store.health_changes())
    }

    /// Tells every node, this one included.
    pub async fn publish(&self, signal: Signal) -> Result<(), Unavailable> {
        either!(self, store => store.publish(signal).await)
    }

    /// Signals from now on. A receiver that lags loses the oldest: treat that as [`Signal::Missed`].
    pub fn signals(&self) -> broadcast::Receiver<Signal> {
        either!(self, store => store.signals())
    }

    /// Forgets what has ended, where nothing else does (memory without a file). To be called every few seconds.
    pub fn tidy(&self) {
        if let Kind::Embedded(store) = &self.0 {
            store.tidy();
        }
    }

    /// Leaves what the memory holds to the end of the process, which frees it at once instead of one by one; a file is
    /// written and closed as ever when the store is dropped.
    pub fn leave_memory(&self) {
        if let Kind::Embedded(store) = &self.0 {
            store.leave_memory();
        }
    }

    /// Writes what is still in memory (embedded: quota counters). Call it before the process ends.
    pub async fn flush(&self) -> Result<(), Unavailable> {
        match &self.0 {
            Kind::Embedded(store) => store.flush().await,
            Kind::Redis(_) => Ok(()),
        }
    }
}
