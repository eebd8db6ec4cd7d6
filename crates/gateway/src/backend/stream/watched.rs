//! Subscribers that came with a key, for as long as they are connected: when the key is revoked, expires or loses its
//! right, they are sent away within a second.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use streams::feed::Confirmer;
use streams::{CloseReason, Subscriber};
use tokio::sync::Notify;

use crate::auth::{Caller, store_name};
use crate::clock::unix_now;
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::limits::{AtLimit, Passed, Received};
use crate::query;

/// How often expiry is looked at.
const TICK: Duration = Duration::from_millis(400);
/// How often a session is read again although nobody said that it changed: one may end in the store by itself.
const READ_AGAIN: Duration = Duration::from_secs(10);
/// Longest time until a limit is looked at again: an admin may have raised or reset it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How soon a subscriber that waits for its limit notices that it was closed.
const LOOK_FOR_CLOSE: Duration = Duration::from_millis(250);
/// Sessions that are read at the same time.
const AT_ONCE: usize = 64;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    entries: Mutex<HashMap<u64, Arc<Entry>>>,
    next: AtomicU64,
    /// Somebody changed a key or a policy.
    doubt: Notify,
}

/// One subscriber and what it was let in with.
pub(super) struct Entry {
    caller: ArcSwap<Caller>,
    read_at: Mutex<Instant>,
    doubted: AtomicBool,
    api: Box<str>,
    method: Box<str>,
    /// Below the listen path, and whole.
    paths: [Box<str>; 2],
    confirmer: Confirmer,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("api", &self.api).finish_non_exhaustive()
    }
}

/// A subscriber's place among them; `None` inside for one without a key.
pub(super) struct Subscription {
    gate: Arc<Gate>,
    watched: Option<(u64, Arc<Entry>)>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some((id, _)) = &self.watched {
            self.gate.watched.entries.lock().remove(id);
        }
    }
}

impl Subscription {
    /// Watches over a subscriber for as long as this lives.
    pub(super) fn begin(exchange: &Exchange, subscriber: &Subscriber) -> Self {
        let gate = Arc::clone(&exchange.gate);
        let watched = exchange.caller.as_ref().map(|caller| {
            let entry = Arc::new(Entry {
                caller: ArcSwap::new(Arc::clone(caller)),
                read_at: Mutex::new(Instant::now()),
                // It may have changed between the look-up and now.
                doubted: AtomicBool::new(true),
                api: exchange.api.model.id.clone(),
                method: exchange.head.method.as_str().into(),
                paths: [
                    query::decode_path(exchange.path_in_api()).into(),
                    query::decode_path(exchange.head.uri.path()).into(),
                ],
                confirmer: subscriber.confirmer(),
            });
            let id = gate.watched.next.fetch_add(1, Ordering::Relaxed);
            gate.watched.entries.lock().insert(id, Arc::clone(&entry));
            (id, entry)
        });
        Self { gate, watched }
    }

    /// Whether what it receives is limited, and counted before it is sent.
    pub(super) fn is_limited(&self) -> bool {
        self.watched.as_ref().is_some_and(|(_, entry)| entry.with_limits(|received| received.is_some()))
    }

    /// Draws messages that are about to be sent; otherwise how long until it is worth to look again.
    pub(super) async fn look(&self, messages: u64, bytes: u64) -> Result<Passed, Duration> {
        let Some((_, entry)) = &self.watched else { return Ok(Passed::Yes) };
        let grant = entry.caller.load().grant(&entry.api);
        match &grant.received {
            None => Ok(Passed::Yes),
            Some(received) => received.look(&self.gate, messages, bytes).await,
        }
    }

    /// Waits for the next look; tells whether the subscriber was closed meanwhile.
    pub(super) async fn wait(&self, wait: Duration) -> bool {
        let closed = || self.watched.as_ref().is_some_and(|(_, entry)| entry.confirmer.closed().is_some());
        let until = Instant::now() + wait.min(LOOK_AGAIN);
        while !closed() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            tokio::time::sleep(left.min(LOOK_FOR_CLOSE)).await;
        }
        true
    }

    /// Passes messages on, now or later.
    pub(super) async fn pass(&self, messages: u64, bytes: u64) -> Passed {
        loop {
            match self.look(messages, bytes).await {
                Ok(passed) => return passed,
                Err(wait) if self.wait(wait).await => return Passed::Closed,
                Err(_) => {}
            }
        }
    }

    /// Whether a subscriber that is sent away at its limit may come in.
    pub(super) async fn has_room(&self) -> Result<(), Duration> {
        let closes = |received: &Option<Received>| {
            received.as_ref().is_some_and(|received| received.at_limit == AtLimit::Close)
        };
        if !self.watched.as_ref().is_some_and(|(_, entry)| entry.with_limits(closes)) {
            return Ok(());
        }
        match self.look(0, 0).await {
            Ok(Passed::Limited(wait)) => Err(wait),
            _ => Ok(()),
        }
    }
}

impl Entry {
    fn with_limits<T>(&self, ask: impl FnOnce(&Option<Received>) -> T) -> T {
        ask(&self.caller.load().grant(&self.api).received)
    }

    /// Whether the caller may still be subscribed.
    fn holds(&self, caller: &Caller) -> bool {
        let grant = caller.grant(&self.api);
        !caller.session.is_inactive
            && !caller.session.is_expired(unix_now())
            && grant.allowed
            && grant.urls.allow(&self.method, &[&self.paths[0], &self.paths[1]])
    }

    fn close(&self) {
        self.confirmer.close(CloseReason::Revoked);
    }
}

impl Watched {
    /// These keys changed, or everything may have.
    pub(crate) fn doubt(&self, gate: &Gate, names: Option<&[String]>) {
        let hashes: Vec<String> =
            names.into_iter().flatten().map(|name| store_name(&gate.settings.keys, name)).collect();
        let meant = |name: &str| {
            names.is_none_or(|names| names.iter().any(|other| other == name))
                || hashes.iter().any(|hash| hash == name)
        };
        let mut any = false;
        for entry in self.entries.lock().values() {
            if meant(&entry.caller.load().name) {
                entry.doubted.store(true, Ordering::Release);
                any = true;
            }
        }
        if any {
            self.doubt.notify_one();
        }
    }

    /// Sends away who has expired, and those whose sessions are to be read again.
    async fn look(&self, gate: &Gate) {
        let entries: Vec<Arc<Entry>> = self.entries.lock().values().cloned().collect();
        let now = unix_now();
        let mut asked: HashMap<Arc<str>, Vec<Arc<Entry>>> = HashMap::new();
        for entry in entries {
            let caller = entry.caller.load_full();
            if caller.session.is_expired(now) {
                entry.close();
                continue;
            }
            let old = entry.read_at.lock().elapsed() > READ_AGAIN;
            if entry.doubted.swap(false, Ordering::AcqRel) || old {
                asked.entry(Arc::clone(&caller.name)).or_default().push(entry);
            }
        }
        let looks = asked.into_values().map(|entries| async move {
            let Some(first) = entries.first() else { return };
            let caller = first.caller.load_full();
            let outcome = gate.callers.again(gate, &caller).await;
            for entry in entries {
                match &outcome {
                    Ok(Some(fresh)) if entry.holds(fresh) => {
                        entry.caller.store(Arc::clone(fresh));
                        *entry.read_at.lock() = Instant::now();
                    }
                    Ok(_) => entry.close(),
                    // Nobody is sent away because the store is; it is asked again with the next tick.
                    Err(_) => entry.doubted.store(true, Ordering::Release),
                }
            }
        });
        stream::iter(looks).buffer_unordered(AT_ONCE).collect::<()>().await;
    }
}

/// Watches until the gate closes.
pub(crate) async fn watch(gate: Arc<Gate>) {
    loop {
        tokio::select! {
            () = gate.watched.doubt.notified() => {}
            () = tokio::time::sleep(TICK) => {}
            () = gate.closed() => return,
        }
        gate.watched.look(&gate).await;
    }
}
