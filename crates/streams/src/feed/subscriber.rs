//! One client of a feed.

use std::collections::VecDeque;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::entry::{Entry, event};
use super::{CloseReason, DeliveryMode, Feed, SlowRule};
use crate::message::Message;

/// Most messages that one poll takes out of a `broadcast` ring.
const TAKE: usize = 64;
/// Most messages that one subscriber takes out of a `shared` queue at once.
const SHARE: usize = 32;

/// What the feed and a subscriber's handles share.
pub(super) struct Member {
    pub(super) id: u64,
    hands: Mutex<Hands>,
    // Whoever watches over the connection beside it, which may be stuck.
    gone: Notify,
}

#[derive(Default)]
struct Hands {
    // Taken out of the feed, not handed out yet.
    taken: VecDeque<Arc<Entry>>,
    // Handed out, not confirmed yet, with their numbers.
    unconfirmed: VecDeque<(u64, Arc<Entry>)>,
    waker: Option<Waker>,
    parked: bool,
    closed: Option<CloseReason>,
    // Since when the oldest unconfirmed message waits; kept only where a rule asks for it.
    holds_since: Option<Instant>,
}

impl Member {
    pub(super) fn new(id: u64) -> Member {
        Member { id, hands: Mutex::default(), gone: Notify::new() }
    }

    pub(super) fn unpark(&self) -> Option<Waker> {
        let mut hands = self.hands.lock();
        hands.parked = false;
        hands.waker.take()
    }

    pub(super) fn is_parked(&self) -> bool {
        self.hands.lock().waker.is_some()
    }

    pub(super) fn close(&self, reason: CloseReason) {
        self.hands.lock().closed.get_or_insert(reason);
        self.gone.notify_waiters();
    }

    /// As [`Member::close`], and lets the connection notice.
    pub(super) fn close_now(&self, reason: CloseReason) {
        let waker = {
            let mut hands = self.hands.lock();
            hands.closed.get_or_insert(reason);
            hands.waker.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        self.gone.notify_waiters();
    }

    pub(super) fn has_held_for(&self, longer: Duration) -> bool {
        self.hands.lock().holds_since.is_some_and(|since| since.elapsed() >= longer)
    }

    /// Takes away everything not confirmed, in order; and whether the member was asleep.
    pub(super) fn clear(&self) -> (Vec<Arc<Entry>>, bool) {
        let mut hands = self.hands.lock();
        let hands = &mut *hands;
        let mut held: Vec<Arc<Entry>> = hands.unconfirmed.drain(..).map(|(_, entry)| entry).collect();
        held.extend(hands.taken.drain(..));
        hands.holds_since = None;
        let parked = hands.parked && hands.waker.take().is_some();
        (held, parked)
    }
}

/// One client's way through a feed. Dropping it leaves the feed.
pub struct Subscriber {
    feed: Arc<Feed>,
    member: Arc<Member>,
    // broadcast: sequence of the next message to take.
    position: u64,
    // broadcast: messages before this one do not wait for this subscriber.
    joined: u64,
    // A notice that must be handed out first: how many messages were missed, where that is known.
    missed: Option<Option<u64>>,
    number: u64,
    reason: Option<CloseReason>,
}

impl Subscriber {
    pub(super) fn new(
        feed: Arc<Feed>,
        member: Arc<Member>,
        position: u64,
        joined: u64,
        missed: Option<Option<u64>>,
    ) -> Subscriber {
        Subscriber { feed, member, position, joined, missed, number: 0, reason: None }
    }

    /// The feed it belongs to.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// The next message, or `None` once there will be none: then [`Subscriber::close_reason`] tells why.
    ///
    /// After one wake many polls are ready: poll until `Pending`, or until the connection has enough to write.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        if let Some(entry) = self.take_in_hand() {
            return Poll::Ready(Some(self.hand_out(entry)));
        }
        let mut wakers = Vec::new();
        let entry = {
            let feed = self.feed.clone();
            let mut state = feed.state.lock();
            if state.cut {
                self.reason = self.reason.or(state.finished);
                return Poll::Ready(None);
            }
            let mut hands = self.member.hands.lock();
            if let Some(reason) = hands.closed {
                self.reason = Some(reason);
                return Poll::Ready(None);
            }
            if feed.options.delivery == DeliveryMode::Broadcast {
                let first = state.first();
                if self.position < first {
                    let missed = first - self.position;
                    feed.skipped.add(missed);
                    if feed.options.slow == SlowRule::Close {
                        hands.closed = Some(CloseReason::Slow);
                        self.reason = Some(CloseReason::Slow);
                        return Poll::Ready(None);
                    }
                    self.position = first;
                    self.missed = Some(Some(missed));
                }
                if let Some(missed) = self.missed.take() {
                    return Poll::Ready(Some(Delivery::missed(missed, self.number)));
                }
                let from = usize::try_from(self.position - first).unwrap_or(usize::MAX);
                hands.taken.extend(state.entries.iter().skip(from).take(TAKE).cloned());
                self.position += hands.taken.len() as u64;
            } else {
                let share = (state.entries.len() / state.members.len().max(1)).clamp(1, SHARE);
                for _ in 0..share {
                    let Some(entry) = state.entries.pop_front() else { break };
                    state.bytes -= entry.size();
                    hands.taken.push_back(entry);
                }
            }
            match hands.taken.pop_front() {
                Some(entry) => {
                    if feed.options.delivery == DeliveryMode::Shared {
                        // Whoever was woken may be busy: the next one is woken as long as something is left.
                        drop(hands);
                        if !state.entries.is_empty() {
                            state.wake(1, &mut wakers);
                        }
                        feed.room.notify_one();
                    }
                    entry
                }
                None => {
                    if state.finished.is_some() {
                        self.reason = state.finished;
                        return Poll::Ready(None);
                    }
                    // An idle subscriber keeps no buffers.
                    hands.taken = VecDeque::new();
                    if !hands.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                        hands.waker = Some(cx.waker().clone());
                    }
                    if !hands.parked {
                        hands.parked = true;
                        drop(hands);
                        state.waiting.push_back(self.member.clone());
                    }
                    return Poll::Pending;
                }
            }
        };
        wakers.into_iter().for_each(Waker::wake);
        Poll::Ready(Some(self.hand_out(entry)))
    }

    fn take_in_hand(&mut self) -> Option<Arc<Entry>> {
        let mut hands = self.member.hands.lock();
        if hands.closed.is_some() || self.missed.is_some() { None } else { hands.taken.pop_front() }
    }

    fn hand_out(&mut self, entry: Arc<Entry>) -> Delivery {
        self.number += 1;
        let mut hands = self.member.hands.lock();
        if self.feed.options.slow == SlowRule::Close && hands.unconfirmed.is_empty() {
            hands.holds_since = Some(Instant::now());
        }
        hands.unconfirmed.push_back((self.number, entry.clone()));
        drop(hands);
        self.feed.delivered.add(1);
        Delivery { content: Content::Message(entry), number: self.number }
    }

    /// [`Subscriber::poll_next`] as a future; cancel safe.
    pub async fn next(&mut self) -> Option<Delivery> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Everything handed out up to and including the delivery of this number has reached the client.
    pub fn confirm(&self, up_to: u64) {
        confirm(&self.feed, &self.member, up_to, self.joined);
    }

    /// A handle that can confirm from elsewhere, such as from the place that sees bytes flushed.
    pub fn confirmer(&self) -> Confirmer {
        Confirmer { feed: self.feed.clone(), member: self.member.clone(), joined: self.joined }
    }

    /// Why there are no more messages; until [`Subscriber::poll_next`] gave `None`, what is known so far.
    pub fn close_reason(&self) -> CloseReason {
        self.reason.unwrap_or_else(|| {
            let closed = self.member.hands.lock().closed;
            closed.or(self.feed.state.lock().finished).unwrap_or(CloseReason::ShuttingDown)
        })
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.feed.leave(&self.member, self.position, self.joined);
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").field("number", &self.number).field("reason", &self.reason).finish()
    }
}

/// Confirms deliveries of one subscriber. Of no effect once the subscriber has left.
#[derive(Clone)]
pub struct Confirmer {
    feed: Arc<Feed>,
    member: Arc<Member>,
    joined: u64,
}

impl Confirmer {
    /// As [`Subscriber::confirm`].
    pub fn confirm(&self, up_to: u64) {
        confirm(&self.feed, &self.member, up_to, self.joined);
    }

    /// Ends the subscription: it gets no more messages, and what it had not confirmed goes the way of all that was not.
    pub fn close(&self, reason: CloseReason) {
        self.member.close_now(reason);
    }

    /// The reason when the feed has closed this one subscriber: its connection should be ended even while a write
    /// is stuck.
    pub fn closed(&self) -> Option<CloseReason> {
        self.member.hands.lock().closed
    }

    /// Resolves once the feed has closed this one subscriber.
    pub async fn until_closed(&self) {
        let mut gone = pin!(self.member.gone.notified());
        // Before the look: what comes after it is heard.
        gone.as_mut().enable();
        if self.closed().is_none() {
            gone.await;
        }
    }
}

impl fmt::Debug for Confirmer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmer").field("member", &self.member.id).finish()
    }
}

fn confirm(feed: &Feed, member: &Member, up_to: u64, joined: u64) {
    let mut settled = Vec::new();
    {
        let mut hands = member.hands.lock();
        while hands.unconfirmed.front().is_some_and(|(number, _)| *number <= up_to) {
            let Some((_, entry)) = hands.unconfirmed.pop_front() else { break };
            let last = match feed.options.delivery {
                DeliveryMode::Shared => true,
                // Who may be skipped is not waited for: it is enough that one who keeps up has it.
                DeliveryMode::Broadcast if feed.options.slow == SlowRule::Skip => {
                    entry.sequence() >= joined && entry.release_all()
                }
                DeliveryMode::Broadcast => entry.sequence() >= joined && entry.release_one(),
            };
            if last {
                settled.push(entry);
            }
        }
        if hands.unconfirmed.is_empty() {
            hands.holds_since = None;
            // An idle subscriber keeps no buffers.
            if hands.unconfirmed.capacity() > 8 {
                hands.unconfirmed = VecDeque::new();
            }
        } else if hands.holds_since.is_some() && !settled.is_empty() {
            hands.holds_since = Some(Instant::now());
        }
    }
    for entry in settled {
        feed.settle(&entry, Ok(()));
    }
}

/// One message for one subscriber, or a notice that it missed some.
#[derive(Clone)]
pub struct Delivery {
    content: Content,
    number: u64,
}

#[derive(Clone)]
enum Content {
    Message(Arc<Entry>),
    Missed { count: Option<u64>, frame: Bytes },
}

static EMPTY: Bytes = Bytes::new();

impl Delivery {
    fn missed(count: Option<u64>, number: u64) -> Delivery {
        let data = match count {
            Some(count) => format!("{{\"missed\":{count}}}"),
            None => "{\"missed\":null}".to_owned(),
        };
        let frame = event(None, Some("missed"), data.as_bytes());
        Delivery { content: Content::Missed { count, frame }, number }
    }

    /// Counts the messages of this subscriber from 1: what [`Subscriber::confirm`] takes.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// `Some` when this is no message but a notice that messages were missed: how many, where that is known. Only
    /// the server-sent form shows it to the client; in the raw forms it is empty and should not be written.
    pub fn missed_messages(&self) -> Option<Option<u64>> {
        match &self.content {
            Content::Message(_) => None,
            Content::Missed { count, .. } => Some(*count),
        }
    }

    /// The message; `None` for a notice.
    pub fn message(&self) -> Option<&Message> {
        match &self.content {
            Content::Message(entry) => Some(&entry.message),
            Content::Missed { .. } => None,
        }
    }

    /// Whether more messages of its batch come after it.
    pub fn is_followed(&self) -> bool {
        matches!(&self.content, Content::Message(entry) if entry.is_followed())
    }

    /// The whole server-sent event, encoded once for all subscribers.
    pub fn event_source(&self) -> &Bytes {
        match &self.content {
            Content::Message(entry) => entry.event_source(),
            Content::Missed { frame, .. } => frame,
        }
    }

    /// The payload alone: for one GET, and for WebSocket frames.
    pub fn raw(&self) -> &Bytes {
        self.message().map_or(&EMPTY, Message::bytes)
    }

    /// The payload and a newline, for the endless `raw_bytes` response.
    pub fn raw_line(&self) -> &Bytes {
        match &self.content {
            Content::Message(entry) => entry.line(),
            Content::Missed { .. } => &EMPTY,
        }
    }

    /// The opaque name of this position, to resume after it; `None` where positions are not kept.
    pub fn token(&self) -> Option<String> {
        match &self.content {
            Content::Message(entry) => entry.token(),
            Content::Missed { .. } => None,
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("number", &self.number)
            .field("missed", &self.missed_messages())
            .finish()
    }
}
