//! Subscribers that came with a key, a token or a certificate, for as long as they are connected: when the key is revoked,
//! expires or loses its right, or what they have shown beside it ends or is taken back, they are sent away within a second,
//! whether or not they take what is sent to them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use streams::feed::Confirmer;
use streams::{CloseReason, Subscriber};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::shown::{Shown, Still};
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
    /// Somebody changed a key, a policy, a certificate or an OAuth client.
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
    /// `None`: nobody had to say who is calling.
    known: ArcSwapOption<Known>,
    /// It is this key whose rights count, and not only that there is such a key.
    counts: bool,
    shown: Shown,
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
        f.debug_struct("Entry").field("api", &self.shown.api().id).finish_non_exhaustive()
    }
}

/// A subscriber's place among them; `None` inside for one that has shown nothing.
pub(crate) struct Subscription {
    gate: Arc<Gate>,
    leave: Leave,
    watched: Option<(u64, Arc<Entry>)>,
    /// Of the keys that were needed beside that one.
    beside: Vec<u64>,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("watched", &self.watched).finish_non_exhaustive()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let Some((id, _)) = &self.watched else { return };
        let mut turns = self.gate.watched.turns.lock();
        turns.remove(*id);
        self.beside.iter().for_each(|id| turns.remove(*id));
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
        let watch = |caller: Option<&Arc<Caller>>, counts: bool| {
            let shown = Shown::of(exchange, caller.map(|caller| &**caller));
            if caller.is_none() && !shown.is_something() {
                return None;
            }
            let known = caller.map(|caller| Known::new(Arc::clone(caller), &shown.api().id));
            let entry = Arc::new(Entry {
                known: ArcSwapOption::new(known.map(Arc::new)),
                counts,
                shown,
                method: exchange.head.method.as_str().into(),
                paths: [
                    query::decode_path(exchange.path_in_api()).into(),
                    query::decode_path(exchange.head.uri.path()).into(),
                ],
                leave: leave.clone(),
            });
            let id = gate.watched.turns.lock().add(Arc::clone(&entry), Instant::now());
            gate.watched.ends(entry.until());
            Some((id, entry))
        };
        let watched = watch(exchange.caller.as_ref(), true);
        let beside =
            exchange.beside.iter().filter_map(|caller| Some(watch(Some(caller), false)?.0)).collect();
        Self { gate, leave, watched, beside }
    }

    fn received<T>(&self, ask: impl FnOnce(&Received) -> T) -> Option<T> {
        let (_, entry) = self.watched.as_ref()?;
        entry.known.load().as_ref()?.grant.received().map(ask)
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
        let Some(known) = entry.known.load_full() else { return Ok(Passed::Yes) };
        match known.grant.received() {
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
    /// Unix seconds at which it is over by itself; `i64::MAX`: never.
    fn until(&self) -> i64 {
        let expires = self.known.load().as_ref().map_or(0, |known| known.caller.expires);
        if self.counts && expires > 0 { self.shown.until.min(expires) } else { self.shown.until }
    }

    /// Whether the key still may subscribe to this.
    fn allows(&self, known: &Known) -> bool {
        let Known { caller, grant } = known;
        if !self.counts {
            return true;
        }
        !caller.common().is_inactive
            && !caller.is_expired(unix_now())
            && grant.terms.allowed
            && grant.terms.opens_version(&self.shown.api().version)
            && grant.terms.urls.allow(&self.method, &[&self.paths[0], &self.paths[1]])
            // What is under way was admitted by these; whoever comes again is by the new ones.
            && self.known.load().as_ref().is_none_or(|before| grant.terms.graph == before.grant.terms.graph)
    }

    /// Whether this still may be subscribed, by the key and by what was shown beside it.
    async fn holds(&self, gate: &Gate, known: Option<&Known>) -> Still {
        if known.is_some_and(|known| !self.allows(known)) {
            return Still::Over;
        }
        self.shown.still(gate, known.map(|known| &*known.caller)).await
    }

    fn close(&self) {
        match &self.leave {
            Leave::Feed(confirmer) => confirmer.close(CloseReason::Revoked),
            Leave::Told(token) => token.cancel(),
        }
    }
}

/// A caller and its subscribers; no caller: those without one.
type OfOne = (Option<Arc<Caller>>, Vec<(u64, Arc<Entry>)>);

impl Watched {
    /// These keys changed, or everything may have.
    pub(crate) fn doubt(&self, gate: &Gate, names: Option<&[String]>) {
        let hashes: Vec<String> =
            names.into_iter().flatten().map(|name| store_name(&gate.settings.keys, name)).collect();
        let meant = |name: &str| {
            names.is_none_or(|names| names.iter().any(|other| other == name))
                || hashes.iter().any(|hash| hash == name)
        };
        self.doubt_those(|entry| match entry.known.load().as_ref() {
            Some(known) => meant(&known.caller.name),
            None => names.is_none(),
        });
    }

    /// The certificate of this id was added or removed.
    pub(crate) fn doubt_certificate(&self, id: &str) {
        self.doubt_those(|entry| entry.shown.depends_on_certificate(id));
    }

    /// Certificates or OAuth clients changed; nobody says which.
    pub(crate) fn doubt_papers(&self) {
        self.doubt_those(|entry| entry.shown.depends_on_papers());
    }

    fn doubt_those(&self, meant: impl Fn(&Entry) -> bool) {
        if self.turns.lock().doubt(meant) {
            self.doubt.notify_one();
        }
    }

    /// The issuer of a token has taken it back; it is named by its SHA-256.
    pub(crate) fn token_is_withdrawn(&self, digest: &[u8; 32]) {
        for entry in self.turns.lock().iter().filter(|entry| entry.shown.is_token(digest)) {
            entry.close();
        }
    }

    fn ends(&self, until: i64) {
        self.soonest.fetch_min(until, Ordering::AcqRel);
    }

    /// Sends away whose time is over. Looks at all of them only when somebody's is.
    fn send_expired_away(&self) {
        let now = unix_now();
        if now < self.soonest.load(Ordering::Acquire) {
            return;
        }
        // Before the walk: who comes meanwhile is seen by it, or says when it ends after this.
        self.soonest.store(i64::MAX, Ordering::Release);
        for entry in self.turns.lock().iter() {
            let until = entry.until();
            if until <= now {
                entry.close();
            } else {
                self.ends(until);
            }
        }
    }

    /// Those whose sessions are to be read now, by key; so many keys at most.
    fn due(&self, most: usize) -> Vec<OfOne> {
        let mut asked: HashMap<Option<Arc<str>>, OfOne> = HashMap::new();
        let (mut turns, now) = (self.turns.lock(), Instant::now());
        while let Some((id, entry)) = turns.take(now) {
            let caller = entry.known.load().as_ref().map(|known| Arc::clone(&known.caller));
            let name = caller.as_ref().map(|caller| Arc::clone(&caller.name));
            let room = asked.len() < most;
            match asked.get_mut(&name) {
                Some((_, entries)) => entries.push((id, entry)),
                None if room => {
                    asked.insert(name, (caller, vec![(id, entry)]));
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
        let callers: Vec<Arc<Caller>> = asked.iter().filter_map(|(caller, _)| caller.clone()).collect();
        let answer = match callers.is_empty() {
            true => Ok(Vec::new()),
            false => gate.callers.again(gate, &callers).await,
        };
        let Ok(callers) = answer else {
            // Nobody is sent away because the store is; it is asked again with the next tick.
            let mut turns = self.turns.lock();
            asked.iter().flat_map(|(_, entries)| entries).for_each(|(id, _)| turns.failed(*id));
            return;
        };
        let mut callers = callers.into_iter();
        let (mut done, mut unknown) = (Vec::new(), Vec::new());
        for (caller, entries) in &asked {
            let now = caller.as_ref().map(|_| callers.next().flatten());
            for (id, entry) in entries {
                let known = match &now {
                    None => None,
                    Some(Some(caller)) => Some(Known::new(Arc::clone(caller), &entry.shown.api().id)),
                    Some(None) => {
                        entry.close();
                        done.push(*id);
                        continue;
                    }
                };
                let still = entry.holds(gate, known.as_ref()).await;
                match still {
                    Still::Good => {
                        entry.known.store(known.map(Arc::new));
                        self.ends(entry.until());
                    }
                    Still::Over => entry.close(),
                    Still::Unknown => {}
                }
                if still == Still::Unknown { unknown.push(*id) } else { done.push(*id) }
            }
        }
        let (mut turns, now) = (self.turns.lock(), Instant::now());
        done.into_iter().for_each(|id| turns.done(id, now));
        unknown.into_iter().for_each(|id| turns.failed(id));
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
