//! The store that nodes share: Redis, in the key layout of contract 5.1.

mod cluster;
mod draws;
mod link;
mod lists;
mod records;
mod scripts;
pub(crate) mod settings;
mod steps;
mod subscription;
pub(crate) mod tls;

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use apidef::Session;
use redis::{FromRedisValue, RedisResult, cmd};
use tokio::{
    sync::{broadcast, watch},
    task::JoinHandle,
};

use crate::stored::{Stored, read};
use crate::{
    Health, QuotaCount, RedisSettings, SettingsError, Signal, Unavailable,
    signal::CHANNEL,
    trust::Trust,
    values::{seconds_up, unix_now},
};
use cluster::{Node, masters};
use link::{Connection, Link};
use scripts::Scripts;

const SESSION: &str = "apikey-";
const QUOTA: &str = "quota-";
const RATE: &str = "rate-limit-";

/// Keys looked at in one step of a walk over all keys.
const SCAN_STEP: usize = 1000;
/// Signals kept for a receiver that is slow; older ones are dropped (it sees that it lagged).
const SIGNAL_BACKLOG: usize = 1024;

/// See the module.
pub(crate) struct Redis {
    link: Arc<Link>,
    scripts: Scripts,
    trust: Trust,
    signals: broadcast::Sender<Signal>,
    /// Makes members of rate windows unique among nodes, and within this one.
    node: u64,
    requests: AtomicU64,
    tasks: [JoinHandle<()>; 2],
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("health", &self.link.health()).finish_non_exhaustive()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Redis {
    /// Starts the tasks that connect and subscribe. Needs a runtime.
    pub(crate) fn start(settings: RedisSettings) -> Result<Redis, SettingsError> {
        let link = Link::new(settings.plan()?);
        let signals = broadcast::Sender::new(SIGNAL_BACKLOG);
        let trust = Trust {
            secret: settings.signal_secret,
            key: settings.signal_key,
            unsigned_allowed: settings.unsigned_signals,
        };
        let keep = tokio::spawn(Arc::clone(&link).keep());
        let node = rand::random();
        let listener = subscription::Listener {
            link: Arc::clone(&link),
            trust: trust.clone(),
            node,
            signals: signals.clone(),
        };
        let listen = tokio::spawn(listener.run());
        Ok(Redis {
            link,
            scripts: Scripts::new(),
            trust,
            signals,
            node,
            requests: AtomicU64::new(0),
            tasks: [keep, listen],
        })
    }

    pub(crate) async fn session(&self, name: &str) -> Result<Option<Arc<Session>>, Unavailable> {
        let key = format!("{SESSION}{name}");
        let text: Option<Vec<u8>> = self
            .link
            .run(|mut connection| async move { cmd("GET").arg(key).query_async(&mut connection).await })
            .await?;
        Ok(text.and_then(|text| read(&text)))
    }

    pub(crate) async fn first_session(
        &self,
        names: &[&str],
    ) -> Result<Option<(usize, Arc<Session>)>, Unavailable> {
        if names.is_empty() {
            return Ok(None);
        }
        let mut found = self.many_sessions(names).await?.into_iter().enumerate();
        Ok(found.find_map(|(place, session)| session.map(|session| (place, session))))
    }

    /// See [`State::find_session`](crate::State::find_session).
    pub(crate) async fn find_session<T>(
        &self,
        names: &[&str],
        mut read: impl FnMut(&Arc<str>, &Stored, u64) -> Option<T>,
    ) -> Result<Option<T>, Unavailable> {
        if names.is_empty() {
            return Ok(None);
        }
        let mut texts = names.iter().zip(self.texts(names).await?);
        Ok(texts.find_map(|(name, text)| read(&Arc::from(*name), &Stored::new(&text?), 0)))
    }

    /// `names` is not empty.
    pub(crate) async fn many_sessions(
        &self,
        names: &[&str],
    ) -> Result<Vec<Option<Arc<Session>>>, Unavailable> {
        let texts = self.texts(names).await?;
        Ok(texts.into_iter().map(|text| text.and_then(|text| read(&text))).collect())
    }

    /// Sessions as they are stored; `names` is not empty.
    async fn texts(&self, names: &[&str]) -> Result<Vec<Option<Vec<u8>>>, Unavailable> {
        let keys: Vec<String> = names.iter().map(|name| format!("{SESSION}{name}")).collect();
        self.link
            .run(|mut connection| async move { cmd("MGET").arg(keys).query_async(&mut connection).await })
            .await
    }

    pub(crate) async fn put_session(
        &self,
        name: &str,
        session: &Session,
        ttl: Option<Duration>,
        only_existing: bool,
    ) -> Result<bool, Unavailable> {
        let text = serde_json::to_vec(session)
            .map_err(|error| Unavailable(format!("session cannot be written: {error}")))?;
        let mut set = cmd("SET");
        set.arg(format!("{SESSION}{name}")).arg(text);
        if let Some(ttl) = ttl {
            set.arg("PX").arg(millis(ttl));
        }
        if only_existing {
            set.arg("XX");
        }
        let done: Option<String> =
            self.link.run(|mut connection| async move { set.query_async(&mut connection).await }).await?;
        Ok(done.is_some())
    }

    pub(crate) async fn delete_session(&self, name: &str) -> Result<bool, Unavailable> {
        let key = format!("{SESSION}{name}");
        let deleted: i64 = self
            .link
            .run(|mut connection| async move { cmd("DEL").arg(key).query_async(&mut connection).await })
            .await?;
        Ok(deleted > 0)
    }

    pub(crate) async fn session_names(&self, prefix: &str) -> Result<Vec<String>, Unavailable> {
        let keys = self.scan(&format!("{SESSION}{}*", escape_glob(prefix))).await?;
        Ok(keys.iter().filter_map(|key| key.strip_prefix(SESSION)).map(str::to_owned).collect())
    }

    /// All keys of a pattern, sorted.
    async fn scan(&self, pattern: &str) -> Result<Vec<String>, Unavailable> {
        let mut found = Vec::new();
        for node in self.nodes().await? {
            let mut cursor: u64 = 0;
            loop {
                let mut scan = cmd("SCAN");
                scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(SCAN_STEP);
                let node = node.clone();
                let step =
                    self.link.run(|connection| async move { at(connection, node, scan).await }).await?;
                let (next, keys): (u64, Vec<String>) = step;
                found.extend(keys);
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The nodes that hold keys: the masters of a cluster, or just the one connection there is.
    async fn nodes(&self) -> Result<Vec<Option<Node>>, Unavailable> {
        self.link
            .run(|mut connection| async move {
                if matches!(connection, Connection::Single(_)) {
                    return Ok(vec![None]);
                }
                let slots = cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await?;
                let nodes: BTreeSet<Node> = masters(slots).into_iter().map(|master| master.node).collect();
                Ok(nodes.into_iter().map(Some).collect())
            })
            .await
    }

    pub(crate) async fn reset_quota(&self, name: &str) -> Result<(), Unavailable> {
        let keys = [format!("{QUOTA}{name}"), format!("{QUOTA}{name}-lock"), format!("{RATE}{name}.BLOCKED")];
        self.link
            .run(|mut connection| async move { cmd("DEL").arg(&keys).query_async::<()>(&mut connection).await })
            .await
    }

    pub(crate) async fn peek_quota(&self, name: &str) -> Result<Option<QuotaCount>, Unavailable> {
        let key = format!("{QUOTA}{name}");
        let mut both = redis::pipe();
        both.cmd("GET").arg(&key).cmd("PTTL").arg(&key);
        let (used, left): (Option<i64>, i64) =
            self.link.run(|mut connection| async move { both.query_async(&mut connection).await }).await?;
        Ok(used.map(|used| QuotaCount { used, renews_at: renews_at(left, unix_now()) }))
    }

    pub(crate) fn is_up(&self) -> bool {
        self.link.is_up()
    }

    pub(crate) fn health(&self) -> Health {
        self.link.health()
    }

    pub(crate) fn health_changes(&self) -> watch::Receiver<Health> {
        self.link.health_changes()
    }

    pub(crate) async fn publish(&self, signal: Signal) -> Result<(), Unavailable> {
        let Some(message) = signal.encode(&self.trust, self.node) else {
            self.signals.send(signal).ok();
            return Ok(());
        };
        self.link
            .run(|mut connection| async move {
                cmd("PUBLISH").arg(CHANNEL).arg(message).query_async::<()>(&mut connection).await
            })
            .await
    }

    pub(crate) fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }
}

/// Runs a command at one node of a cluster, or on the one connection there is.
async fn at<T: FromRedisValue>(
    mut connection: Connection,
    node: Option<Node>,
    command: redis::Cmd,
) -> RedisResult<T> {
    match (&mut connection, node) {
        (Connection::Cluster(cluster), Some(node)) => {
            Ok(redis::from_redis_value(cluster.at(command, &node).await?)?)
        }
        _ => command.query_async(&mut connection).await,
    }
}

/// Redis has no zero lifetime.
fn millis(ttl: Duration) -> u64 {
    // A lifetime beyond the range of Redis (which counts in i64 from now) is as good as ever.
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, i64::MAX as u64 / 4)
}

/// From the milliseconds that are left (negative: no end) to Unix seconds (0: no end).
fn renews_at(left_millis: i64, now: i64) -> i64 {
    match u64::try_from(left_millis) {
        Ok(left) => now.saturating_add(seconds_up(Duration::from_millis(left))),
        Err(_) => 0,
    }
}

fn escape_glob(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
