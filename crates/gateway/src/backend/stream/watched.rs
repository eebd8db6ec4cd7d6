//! Subscribers that came with a key, for as long as they are connected: when the key is revoked, expires or loses its
//! right, they are sent away within a second, whether or not they take what is sent to them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use streams::feed::Confirmer;
use streams::{CloseReason, Subscriber};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::subscribe::LAST_WORDS;
use super::turns::Turns;
use crate::auth::{Caller, Grant, store_name};
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
/// Sessions that are read in one round trip.
const TOGETHER: usize = 256;
/// Round trips under way at the same time. Whose turn does not come is read with the next one that ends.
const AT_ONCE: usize = 16;

/// All of them.
#[derive(Debug)]
pub(crate) struct Watched {
    turns: Mutex<Turns<Entry>>,
    /// Unix seconds at which the first of them expires; sooner at most.
    soonest: AtomicI64,
    /// Somebody changed a key or a policy.
    doubt: Notify,
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            turns: Mutex::new(Turns::new(READ_AGAIN)),
            soonest: AtomicI64::new(i64::MAX),
            doubt: Notify::new(),
        }
    }
}

/// One subscriber and what it was let in with.
pub(super) struct Entry {
    known: ArcSwap<Known>,
    api: Box<str>,
    method: Box<str>,
    /// Below the listen path, and whole.
    paths: [Box<str>; 2],
    leave: Leave,
}

/// How a subscriber learns that it is sent away.
#[derive(Clone)]
enum Leave {
    /// By its feed.
    Feed(Confirmer),
    /// It has none, and waits for this.
    Told(CancellationToken),
}

impl Leave {
    async fn told(&self) {
        match self {
            Self::Feed(confirmer) => confirmer.until_closed().await,
            Self::Told(token) => token.cancelled().await,
        }
    }
}

/// What is known of the caller.
struct Known {
    caller: Arc<Caller>,
    grant: Arc<Grant>,
}

impl Known {
    fn new(caller: Arc<Caller>, api: &str) -> Self {
        Self { grant: caller.grant(api), caller }
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("api", &self.api).finish_non_exhaustive()
    }
}

/// A subscriber's place among them; `None` inside for one without a key.
pub(crate) struct Subscription {
    gate: Arc<Gate>,
    leave: Leave,
    watched: Option<(u64, Arc<Entry>)>,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("watched", &self.watched).finish_non_exhaustive()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some((id, _)) = &self.watched {
            self.gate.watched.turns.lock().remove(*id);
        }
    }
}

impl Subscription {
    /// Watches over a subscriber for as long as this lives.
    pub(super) fn begin(exchange: &Exchange, subscriber: &Subscriber) -> Self {
        Self::with(exchange, Leave::Feed(subscriber.confirmer()))
    }

    /// Watches over a client that is sent what no feed has.
    pub(crate) fn of(exchange: &Exchange) -> Self {
        Self::with(exchange, Leave::Told(CancellationToken::new()))
    }

    fn with(exchange: &Exchange, leave: Leave) -> Self {
        let gate = Arc::clone(&exchange.gate);
        let watched = exchange.caller.as_ref().map(|caller| {
            let api = &exchange.api.model.id;
            let entry = Arc::new(Entry {
                known: ArcSwap::from_pointee(Known::new(Arc::clone(caller), api)),
                api: api.clone(),
                method: exchange.head.method.as_str().into(),
                paths: [
                    query::decode_path(exchange.path_in_api()).into(),
                    query::decode_path(exchange.head.uri.path()).into(),
                ],
                leave: leave.clone(),
            });
            let id = gate.watched.turns.lock().add(Arc::clone(&entry), Instant::now());
            gate.watched.expires(caller);
            (id, entry)
        });
        Self { gate, leave, watched }
    }

    fn received<T>(&self, ask: impl FnOnce(&Received) -> T) -> Option<T> {
        let (_, entry) = self.watched.as_ref()?;
        entry.known.load().grant.received().map(ask)
    }

    /// Whether what it receives is limited, and counted before it is sent.
    pub(super) fn is_limited(&self) -> bool {
        self.received(|_| ()).is_some()
    }

    /// Resolves when the subscriber is sent away.
    pub(crate) async fn closed(&self) {
        self.leave.told().await;
    }

    /// Ends the connection of a client that is sent away and asks for nothing more: its stream would stay open for ever.
    pub(crate) fn cut_where_stuck(self: &Arc<Self>, cut: Arc<Notify>) -> AbortHandle {
        let (subscription, leave) = (Arc::downgrade(self), self.leave.clone());
        let watch = async move {
            leave.told().await;
            tokio::time::sleep(LAST_WORDS).await;
            // It is still there, so nobody has asked for its last words.
            if subscription.strong_count() > 0 {
                cut.notify_one();
            }
        };
        tokio::spawn(watch).abort_handle()
    }

    /// Draws messages that are about to be sent; otherwise how long until it is worth to look again.
    pub(super) async fn look(&self, messages: u64, bytes: u64) -> Result<Passed, Duration> {
        let Some((_, entry)) = &self.watched else { return Ok(Passed::Yes) };
        let grant = Arc::clone(&entry.known.load().grant);
        match grant.received() {
            None => Ok(Passed::Yes),
            Some(received) => received.look(&self.gate, messages, bytes).await,
        }
    }

    /// Waits for the next look; tells whether the subscriber was closed meanwhile.
    pub(super) async fn wait(&self, wait: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.closed() => true,
            () = tokio::time::sleep(wait.min(LOOK_AGAIN)) => false,
        }
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
        if self.received(|received| received.at_limit) != Some(AtLimit::Close) {
            return Ok(());
        }
        match self.look(0, 0).await {
            Ok(Passed::Limited(wait)) => Err(wait),
            _ => Ok(()),
        }
    }
}

impl Entry {
    /// Whether this still may be subscribed.
    fn holds(&self, known: &Known) -> bool {
        let Known { caller, grant } = known;
        !caller.common().is_inactive
            && !caller.is_expired(unix_now())
            && grant.terms.allowed
            && grant.terms.urls.allow(&self.method, &[&self.paths[0], &self.paths[1]])
            // What is under way was admitted by these; whoever comes again is by the new ones.
            && grant.terms.graph == self.known.load().grant.terms.graph
    }

    fn close(&self) {
        match &self.leave {
            Leave::Feed(confirmer) => confirmer.close(CloseReason::Revoked),
            Leave::Told(token) => token.cancel(),
        }
    }
}

/// A caller and its subscribers.
type OfOne = (Arc<Caller>, Vec<(u64, Arc<Entry>)>);

impl Watched {
    /// These keys changed, or everything may have.
    pub(crate) fn doubt(&self, gate: &Gate, names: Option<&[String]>) {
        let hashes: Vec<String> =
            names.into_iter().flatten().map(|name| store_name(&gate.settings.keys, name)).collect();
        let meant = |name: &str| {
            names.is_none_or(|names| names.iter().any(|other| other == name))
                || hashes.iter().any(|hash| hash == name)
        };
        if self.turns.lock().doubt(|entry| meant(&entry.known.load().caller.name)) {
            self.doubt.notify_one();
        }
    }

    fn expires(&self, caller: &Caller) {
        if caller.expires > 0 {
            self.soonest.fetch_min(caller.expires, Ordering::AcqRel);
        }
    }

    /// Sends away who has expired. Looks at all of them only when somebody has.
    fn send_expired_away(&self) {
        let now = unix_now();
        if now < self.soonest.load(Ordering::Acquire) {
            return;
        }
        // Before the walk: who comes meanwhile is seen by it, or says when it expires after this.
        self.soonest.store(i64::MAX, Ordering::Release);
        for entry in self.turns.lock().iter() {
            let known = entry.known.load();
            if known.caller.is_expired(now) {
                entry.close();
            } else {
                self.expires(&known.caller);
            }
        }
    }

    /// Those whose sessions are to be read now, by key; so many keys at most.
    fn due(&self, most: usize) -> Vec<OfOne> {
        let mut asked: HashMap<Arc<str>, OfOne> = HashMap::new();
        let (mut turns, now) = (self.turns.lock(), Instant::now());
        while let Some((id, entry)) = turns.take(now) {
            let caller = Arc::clone(&entry.known.load().caller);
            let room = asked.len() < most;
            match asked.get_mut(&caller.name) {
                Some((_, entries)) => entries.push((id, entry)),
                None if room => {
                    asked.insert(Arc::clone(&caller.name), (caller, vec![(id, entry)]));
                }
                None => {
                    turns.put_back(id);
                    break;
                }
            }
        }
        asked.into_values().collect()
    }

    /// Reads the sessions of some keys in one round trip, and sends away who may not receive any more.
    async fn read(&self, gate: &Gate, asked: Vec<OfOne>) {
        let callers: Vec<Arc<Caller>> = asked.iter().map(|(caller, _)| Arc::clone(caller)).collect();
        let answer = gate.callers.again(gate, &callers).await;
        let ids = asked.iter().flat_map(|(_, entries)| entries).map(|(id, _)| *id);
        let Ok(callers) = answer else {
            // Nobody is sent away because the store is; it is asked again with the next tick.
            let mut turns = self.turns.lock();
            ids.for_each(|id| turns.failed(id));
            return;
        };
        for ((_, entries), caller) in asked.iter().zip(callers) {
            for (_, entry) in entries {
                let known = caller.as_ref().map(|caller| Known::new(Arc::clone(caller), &entry.api));
                match known.filter(|known| entry.holds(known)) {
                    Some(known) => {
                        self.expires(&known.caller);
                        entry.known.store(Arc::new(known));
                    }
                    None => entry.close(),
                }
            }
        }
        let (mut turns, now) = (self.turns.lock(), Instant::now());
        ids.for_each(|id| turns.done(id, now));
    }
}

/// Watches until the gate closes. A slow store keeps nobody from being sent away whose time is up.
pub(crate) async fn watch(gate: Arc<Gate>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut reading = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = gate.watched.doubt.notified() => {}
            _ = tick.tick() => gate.watched.turns.lock().tick(),
            Some(()) = reading.next(), if !reading.is_empty() => {}
            () = gate.closed() => return,
        }
        gate.watched.send_expired_away();
        let room = AT_ONCE.saturating_sub(reading.len()) * TOGETHER;
        let mut due = gate.watched.due(room);
        while !due.is_empty() {
            let rest = due.split_off(due.len().min(TOGETHER));
            reading.push(gate.watched.read(&gate, std::mem::replace(&mut due, rest)));
        }
    }
}
