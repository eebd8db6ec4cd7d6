//! The edge towards subscribers: one stream of messages, handed to any number of them.
//!
//! `shared`: every message goes to exactly one subscriber, whichever asks first, over all endpoints of the feed. It is
//! acked when that subscriber confirms it, and goes to another one when its subscriber leaves without confirming.
//! With nobody subscribed the queue fills to its bound, then the stream waits.
//!
//! `broadcast`: every message goes to every subscriber, out of one bounded ring in which each has a position. A
//! message is acked when every subscriber that was there when it came has confirmed it, was moved on or was closed by
//! the slow rule, or left. With nobody subscribed it is acked as soon as it stands in the ring.
//!
//! Lock order: the feed's state, then one member. Acks are resolved and payloads encoded under neither.

mod entry;
mod options;
mod subscriber;
#[cfg(test)]
mod tests;
mod token;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::ack::{Ack, NackReason};
use crate::message::Batch;
use crate::metrics::Count;
use entry::{Entry, Place};
use subscriber::Member;

pub use options::{DeliveryMode, FeedOptions, SlowRule, SocketMessage, StreamFormat};
pub use subscriber::{Confirmer, Delivery, Subscriber};

/// Where a subscriber begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum From {
    /// With the next message.
    #[default]
    Live,
    /// After the message that this token names ([`Delivery::token`], `Last-Event-ID`). When it is no longer in the
    /// ring, the subscriber gets a notice of what it missed and goes on with the oldest message kept. `shared` feeds
    /// keep no positions: there it means `Live`.
    Resume(String),
}

/// Why a subscriber gets no more messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The API was changed; a new connection gets the new rules.
    Changed,
    /// The API or its stream was removed.
    Removed,
    /// The gate stops.
    ShuttingDown,
    /// The subscriber did not keep up.
    Slow,
    /// The stream has ended: its input had no more to give.
    Ended,
    /// The subscriber may not receive this any more: its key was revoked, expired or lost its right.
    Revoked,
    /// The subscriber has received what it may for now.
    Limited,
}

/// A hub of one `http_server` output. See the module's words.
pub struct Feed {
    /// Delivery, formats, times.
    pub options: FeedOptions,
    /// Messages taken from the stream.
    pub published: Count,
    /// Messages handed to subscribers; in `broadcast` each counts once per subscriber.
    pub delivered: Count,
    /// Messages that slow subscribers were moved past, once per subscriber.
    pub skipped: Count,
    epoch: u64,
    state: Mutex<State>,
    // Messages that are not acked yet.
    unsettled: AtomicUsize,
    // Waked when the publisher may find room.
    room: Notify,
    // Waked when the last message was settled or the last subscriber left.
    quiet: Notify,
}

#[derive(Default)]
struct State {
    // broadcast: the ring; shared: what waits for a taker.
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    // Sequence of the next message; the ring's first is `next - entries.len()`.
    next: u64,
    members: HashMap<u64, Arc<Member>>,
    next_member: u64,
    // Members whose connection sleeps until there is something for it, first come first served.
    waiting: VecDeque<Arc<Member>>,
    // How many of `waiting` are gone already.
    stale: usize,
    // What `close` will tell, where it is not the end of the input.
    ending: Option<CloseReason>,
    // Who is not here when the stream ends is waited for no longer.
    hurried: bool,
    finished: Option<CloseReason>,
    cut: bool,
}

impl State {
    fn first(&self) -> u64 {
        self.next - self.entries.len() as u64
    }

    /// Takes up to `most` sleeping members out, for waking without the lock.
    fn wake(&mut self, most: usize, wakers: &mut Vec<Waker>) {
        let mut woken = 0;
        while woken < most {
            let Some(member) = self.waiting.pop_front() else { break };
            match member.unpark() {
                Some(waker) => {
                    wakers.push(waker);
                    woken += 1;
                }
                None => self.stale = self.stale.saturating_sub(1),
            }
        }
    }

    /// Forgets members that left, once they are the greater part: amortised constant work per member.
    fn sweep(&mut self) {
        if self.stale > 64 && self.stale * 2 > self.waiting.len() {
            self.waiting.retain(|member| member.is_parked());
            self.stale = 0;
        }
    }
}

impl Feed {
    /// A feed without messages. `epoch` tells its tokens from those of other feeds and earlier runs: any random number.
    pub fn new(options: FeedOptions, epoch: u64) -> Arc<Feed> {
        Arc::new(Feed {
            options,
            published: Count::default(),
            delivered: Count::default(),
            skipped: Count::default(),
            epoch,
            state: Mutex::new(State::default()),
            unsettled: AtomicUsize::new(0),
            room: Notify::new(),
            quiet: Notify::new(),
        })
    }

    fn broadcasts(&self) -> bool {
        self.options.delivery == DeliveryMode::Broadcast
    }

    /// Adds a subscriber. It costs a few hundred bytes while it waits.
    pub fn subscribe(self: &Arc<Feed>, from: From) -> Subscriber {
        let mut state = self.state.lock();
        let id = state.next_member;
        state.next_member += 1;
        let member = Arc::new(Member::new(id));
        let joined = state.next;
        let (position, missed) = match (&from, self.broadcasts()) {
            (From::Resume(token), true) => match token::decode(token) {
                Some((epoch, last)) if epoch == self.epoch && last < state.next => {
                    let first = state.first();
                    let wanted = last + 1;
                    (wanted.max(first), (wanted < first).then(|| Some(first - wanted)))
                }
                _ => (state.first(), Some(None)),
            },
            _ => (state.next, None),
        };
        state.members.insert(id, member.clone());
        drop(state);
        Subscriber::new(self.clone(), member, position, joined, missed)
    }

    /// How many subscribers there are now.
    pub fn subscribers(&self) -> usize {
        self.state.lock().members.len()
    }

    /// Messages that are not acked yet: handed out, or waiting.
    pub fn unsettled(&self) -> usize {
        self.unsettled.load(Ordering::Relaxed)
    }

    /// Messages kept now (at most [`FeedOptions::ring`]).
    pub fn queued(&self) -> usize {
        self.state.lock().entries.len()
    }

    /// Takes a batch from the stream; returns when all of it stands in the queue or ring. Acks are resolved later, by
    /// subscribers. Dropping the future nacks what is not yet in.
    pub(crate) async fn publish(&self, batch: Batch, ack: Ack) {
        let count = batch.len();
        let acks = ack.share(count);
        let mut entries: VecDeque<Arc<Entry>> = VecDeque::with_capacity(count);
        for (index, (message, ack)) in batch.into_iter().zip(acks).enumerate() {
            let place = match count {
                1 => Place::Alone,
                _ if index + 1 == count => Place::Last,
                _ => Place::Before,
            };
            entries.push_back(Arc::new(Entry::new(
                message,
                ack,
                place,
                self.broadcasts().then_some(self.epoch),
            )));
        }
        let mut settled = Vec::new();
        let mut refused: Vec<Arc<Entry>> = Vec::new();
        let mut wakers = Vec::new();
        loop {
            let full = {
                let mut state = self.state.lock();
                if state.cut || state.finished.is_some() {
                    drop(state);
                    for entry in entries {
                        entry.resolve(Err(NackReason::stopping()));
                    }
                    return;
                }
                let nobody = state.hurried && state.members.is_empty() && !self.broadcasts();
                if nobody {
                    refused.extend(entries.drain(..));
                }
                let before = entries.len();
                while let Some(entry) = entries.pop_front() {
                    if let Err(entry) = self.push(&mut state, entry, &mut settled) {
                        entries.push_front(entry);
                        break;
                    }
                }
                let pushed = before - entries.len();
                self.published.add(pushed as u64);
                let most = if self.broadcasts() { usize::MAX } else { pushed };
                if pushed > 0 {
                    state.wake(most, &mut wakers);
                }
                if state.ending.is_some() && state.members.is_empty() && !self.broadcasts() {
                    refused.extend(entries.drain(..));
                }
                !entries.is_empty()
            };
            for entry in settled.drain(..) {
                self.settle(&entry, Ok(()));
            }
            for entry in refused.drain(..) {
                entry.resolve(Err(NackReason::stopping()));
            }
            wakers.drain(..).for_each(Waker::wake);
            if !full {
                return;
            }
            self.wait_for_room().await;
        }
    }

    async fn wait_for_room(&self) {
        let closes = !self.broadcasts() && self.options.slow == SlowRule::Close;
        if !closes {
            return self.room.notified().await;
        }
        let wait = self.options.socket.write_wait;
        if tokio::time::timeout(wait, self.room.notified()).await.is_err() {
            self.close_holders(wait);
        }
    }

    /// Puts one entry in, making room by the slow rule; gives it back when there is none.
    fn push(
        &self,
        state: &mut State,
        entry: Arc<Entry>,
        settled: &mut Vec<Arc<Entry>>,
    ) -> Result<(), Arc<Entry>> {
        let size = entry.size();
        while !state.entries.is_empty()
            && (state.entries.len() >= self.options.ring.max(1)
                || state.bytes + size > self.options.ring_bytes)
        {
            if !self.broadcasts() {
                return Err(entry);
            }
            let waits = self.options.slow == SlowRule::Wait;
            if waits && state.entries.front().is_some_and(|oldest| oldest.is_pending()) {
                return Err(entry);
            }
            if let Some(oldest) = state.entries.pop_front() {
                state.bytes -= oldest.size();
                if oldest.release_all() {
                    settled.push(oldest);
                }
            }
        }
        entry.set_sequence(state.next);
        self.unsettled.fetch_add(1, Ordering::Relaxed);
        if self.broadcasts() && !entry.expect(state.members.len()) {
            settled.push(entry.clone());
        }
        state.next += 1;
        state.bytes += size;
        state.entries.push_back(entry);
        Ok(())
    }

    /// Resolves the ack of an entry and tells who waits for that.
    fn settle(&self, entry: &Entry, outcome: crate::ack::Outcome) {
        if !entry.resolve(outcome) {
            return;
        }
        if self.unsettled.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.quiet.notify_waiters();
        }
        if self.broadcasts() && self.options.slow == SlowRule::Wait {
            self.room.notify_one();
        }
    }

    /// `shared` with `slow_subscriber: close`: closes whoever has held a message for `longer` without confirming,
    /// so that its messages go to others.
    fn close_holders(&self, longer: Duration) {
        let holders: Vec<Arc<Member>> = {
            let state = self.state.lock();
            state.members.values().filter(|member| member.has_held_for(longer)).cloned().collect()
        };
        for member in holders {
            member.close(CloseReason::Slow);
            self.leave(&member, 0, 0);
        }
    }

    /// Takes a member out: what it had not confirmed is released (`broadcast`) or goes to others (`shared`).
    fn leave(&self, member: &Arc<Member>, position: u64, joined: u64) {
        let mut settled = Vec::new();
        let mut wakers = Vec::new();
        let mut refused = Vec::new();
        {
            let mut state = self.state.lock();
            if state.members.remove(&member.id).is_none() {
                return;
            }
            let (held, parked) = member.clear();
            if parked {
                state.stale += 1;
                state.sweep();
            }
            if self.broadcasts() {
                let first = state.first();
                let rest = usize::try_from(position.max(joined).saturating_sub(first)).unwrap_or(usize::MAX);
                let rest = state.entries.iter().skip(rest).cloned();
                settled = held
                    .into_iter()
                    .filter(|entry| entry.sequence() >= joined)
                    .chain(rest)
                    .filter(|entry| entry.release_one())
                    .collect();
            } else if state.cut || ((state.finished.is_some() || state.hurried) && state.members.is_empty()) {
                refused = held;
                refused.extend(state.entries.drain(..));
            } else {
                let count = held.len().max(usize::from(!state.entries.is_empty()));
                for entry in held.into_iter().rev() {
                    state.bytes += entry.size();
                    state.entries.push_front(entry);
                }
                state.wake(count, &mut wakers);
            }
        }
        for entry in settled {
            self.settle(&entry, Ok(()));
        }
        for entry in refused {
            self.settle(&entry, Err(NackReason::stopping()));
        }
        wakers.into_iter().for_each(Waker::wake);
        self.room.notify_one();
        self.quiet.notify_waiters();
    }

    /// No more messages come: subscribers get what is left, then the end with this reason.
    pub fn finish(&self, reason: CloseReason) {
        let mut wakers = Vec::new();
        let mut refused = Vec::new();
        {
            let mut state = self.state.lock();
            state.finished.get_or_insert(reason);
            state.wake(usize::MAX, &mut wakers);
            if !self.broadcasts() && state.members.is_empty() {
                refused.extend(state.entries.drain(..));
                state.bytes = 0;
            }
        }
        for entry in refused {
            self.settle(&entry, Err(NackReason::stopping()));
        }
        self.room.notify_one();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Says why the stream will end, before it does.
    pub(crate) fn ends_with(&self, reason: CloseReason) {
        self.state.lock().ending = Some(reason);
        // A publisher that waits for subscribers which will not come gives up.
        self.room.notify_one();
    }

    /// The stream ends: what waits for subscribers that are not here is nacked, as is all that comes later while nobody
    /// is. An output below another one is closed only when its acks have come back.
    pub(crate) fn hurry(&self) {
        let mut refused = Vec::new();
        {
            let mut state = self.state.lock();
            state.hurried = true;
            if !self.broadcasts() && state.members.is_empty() {
                refused.extend(state.entries.drain(..));
                state.bytes = 0;
            }
        }
        for entry in refused {
            self.settle(&entry, Err(NackReason::stopping()));
        }
        self.room.notify_one();
    }

    /// The stream has delivered all it had: subscribers take what is left.
    pub(crate) async fn close(&self) {
        let reason = self.state.lock().ending.unwrap_or(CloseReason::Ended);
        self.finish(reason);
        self.drained().await;
    }

    /// Waits, after [`Feed::finish`], until everything is settled or nobody is left to take it.
    pub async fn drained(&self) {
        loop {
            let quiet = self.quiet.notified();
            tokio::pin!(quiet);
            quiet.as_mut().enable();
            if self.unsettled() == 0 || self.subscribers() == 0 {
                return;
            }
            quiet.await;
        }
    }

    /// Ends at once: what is not confirmed is nacked, subscribers get the end.
    pub fn cut(&self, reason: CloseReason) {
        let mut wakers = Vec::new();
        let mut refused: Vec<Arc<Entry>>;
        {
            let mut state = self.state.lock();
            state.finished.get_or_insert(reason);
            state.cut = true;
            state.wake(usize::MAX, &mut wakers);
            refused = state.entries.drain(..).collect();
            state.bytes = 0;
            for member in state.members.values() {
                refused.extend(member.clear().0);
            }
        }
        for entry in refused {
            self.settle(&entry, Err(NackReason::stopping()));
        }
        self.room.notify_one();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("options", &self.options).field("unsettled", &self.unsettled()).finish()
    }
}
