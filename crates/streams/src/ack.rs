//! The promise that a batch was delivered, or must come again.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::message::Message;

/// Whose doing a nack is; it decides what a waiting producer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NackKind {
    /// An output or processor refused the messages.
    Failed,
    /// The stream is being stopped.
    Stopping,
    /// Nobody resolved the ack before it was dropped.
    Dropped,
}

/// Most texts kept beside the first: those that decide what is dropped, not a log.
const MOST_TEXTS: usize = 15;

/// Why a batch must come again.
#[derive(Debug, Clone)]
pub struct NackReason {
    kind: NackKind,
    text: Arc<str>,
    // Further texts, where messages failed for several reasons; at most `MOST_TEXTS`.
    more: Vec<Arc<str>>,
    // Places in the batch as its input numbered it; `None`: all of it.
    failed: Option<BTreeSet<u32>>,
}

impl NackReason {
    /// The whole batch failed, with these words for logs and for a waiting producer.
    pub fn failed(text: impl Into<Arc<str>>) -> NackReason {
        NackReason { kind: NackKind::Failed, text: text.into(), more: Vec::new(), failed: None }
    }

    /// The stream stops before the batch was delivered.
    pub fn stopping() -> NackReason {
        NackReason { kind: NackKind::Stopping, ..NackReason::failed("the stream is stopping") }
    }

    fn dropped() -> NackReason {
        // A message on which a component panics may do so again: that is a failure, for which outputs have their rules.
        if std::thread::panicking() {
            return NackReason::failed("a component panicked while it held the batch");
        }
        NackReason { kind: NackKind::Dropped, ..NackReason::failed("the batch was dropped before delivery") }
    }

    /// Only these messages failed. When one of them cannot be told apart any more, all of the batch has.
    pub fn only<'a>(mut self, messages: impl IntoIterator<Item = &'a Message>) -> NackReason {
        self.failed = messages.into_iter().map(Message::place).collect();
        self
    }

    /// One more text that a message failed with.
    pub(crate) fn add_text(&mut self, text: &Arc<str>) {
        if self.more.len() < MOST_TEXTS && !self.texts().any(|known| **text == *known) {
            self.more.push(text.clone());
        }
    }

    /// Every text that a message failed with, the first one first.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.text).chain(&self.more).map(|text| &**text)
    }

    /// Whose doing it is.
    pub fn kind(&self) -> NackKind {
        self.kind
    }

    /// What happened, for people.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether this message of the batch must come again.
    pub(crate) fn concerns(&self, place: Option<u32>) -> bool {
        match (&self.failed, place) {
            (Some(places), Some(place)) => places.contains(&place),
            _ => true,
        }
    }

    /// Both failures in one; the first one's words stay. Where one was no failure but an interruption, so are both:
    /// whoever gives up what failed must not give up what was never tried to its end.
    fn merge(self, later: NackReason) -> NackReason {
        let failed = match (self.failed, later.failed) {
            (Some(mut places), Some(more)) => {
                places.extend(more);
                Some(places)
            }
            _ => None,
        };
        let kind = if self.kind == NackKind::Failed { later.kind } else { self.kind };
        let mut both = NackReason { failed, kind, ..self };
        both.add_text(&later.text);
        later.more.iter().for_each(|text| both.add_text(text));
        both
    }

    /// The same failure seen from another batch, where these places failed; `None`: all of it.
    pub(crate) fn at_places(&self, failed: Option<BTreeSet<u32>>) -> NackReason {
        NackReason { failed, ..self.clone() }
    }
}

impl fmt::Display for NackReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What became of a batch: delivered, or to come again.
pub type Outcome = Result<(), NackReason>;

type Resolve = Box<dyn FnOnce(Outcome) + Send>;

/// Resolved exactly once: by [`Ack::done`], or as a nack when it is dropped unresolved.
pub struct Ack(Option<Resolve>);

impl Ack {
    /// Calls `resolve` exactly once. It must not block: it runs wherever the batch ends.
    pub fn new(resolve: impl FnOnce(Outcome) + Send + 'static) -> Ack {
        Ack(Some(Box::new(resolve)))
    }

    /// For a batch that nobody waits for.
    pub fn none() -> Ack {
        Ack(None)
    }

    /// Resolves the ack.
    pub fn done(mut self, outcome: Outcome) {
        if let Some(resolve) = self.0.take() {
            resolve(outcome);
        }
    }

    /// Splits the ack for `parts` derived batches: it is acked when all of them are, and nacked, after the last of
    /// them resolved, when any was (streams contract 5.1). No parts means that the batch was filtered away, which
    /// is success.
    pub fn share(self, parts: usize) -> Vec<Ack> {
        match parts {
            0 => {
                self.done(Ok(()));
                Vec::new()
            }
            1 => vec![self],
            _ if self.0.is_none() => (0..parts).map(|_| Ack::none()).collect(),
            _ => {
                let shared = Arc::new(Mutex::new(Shared { left: parts, outcome: Ok(()), ack: Some(self) }));
                (0..parts)
                    .map(|_| {
                        let shared = shared.clone();
                        Ack::new(move |outcome| Shared::resolve(&shared, outcome))
                    })
                    .collect()
            }
        }
    }
}

#[derive(Debug)]
struct Shared {
    left: usize,
    outcome: Outcome,
    ack: Option<Ack>,
}

impl Shared {
    fn resolve(shared: &Mutex<Shared>, outcome: Outcome) {
        let mut state = shared.lock();
        state.left -= 1;
        state.outcome = match (std::mem::replace(&mut state.outcome, Ok(())), outcome) {
            (Err(first), Err(later)) => Err(first.merge(later)),
            (Err(reason), Ok(())) | (Ok(()), Err(reason)) => Err(reason),
            (Ok(()), Ok(())) => Ok(()),
        };
        if state.left > 0 {
            return;
        }
        let outcome = std::mem::replace(&mut state.outcome, Ok(()));
        let ack = state.ack.take();
        // Resolving runs the input's code: never under our lock.
        drop(state);
        if let Some(ack) = ack {
            ack.done(outcome);
        }
    }
}

/// Shares an ack among parts whose number is not known yet: it is acked when the group was closed and all parts are
/// acked, nacked, after the last part, when any part was or the group was dropped before it was closed.
#[derive(Debug)]
pub struct AckGroup {
    // The group itself holds one share until it is closed.
    shared: Arc<Mutex<Shared>>,
    open: bool,
}

impl AckGroup {
    /// A group without parts.
    pub fn new(ack: Ack) -> AckGroup {
        let shared = Shared { left: 1, outcome: Ok(()), ack: Some(ack) };
        AckGroup { shared: Arc::new(Mutex::new(shared)), open: true }
    }

    /// One more part.
    pub fn part(&mut self) -> Ack {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        state.left += 1;
        drop(state);
        Ack::new(move |outcome| Shared::resolve(&shared, outcome))
    }

    /// No more parts will come.
    pub fn close(&mut self) {
        self.end(Ok(()));
    }

    /// No more parts will come, and what was not given out has failed.
    pub fn fail(&mut self, reason: NackReason) {
        self.end(Err(reason));
    }

    fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.open, false) {
            Shared::resolve(&self.shared, outcome);
        }
    }
}

impl Drop for AckGroup {
    fn drop(&mut self) {
        self.end(Err(NackReason::dropped()));
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if let Some(resolve) = self.0.take() {
            resolve(Err(NackReason::dropped()));
        }
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Ack(open)" } else { "Ack(resolved)" })
    }
}

/// A batch with its ack, as it moves from component to component.
#[derive(Debug)]
pub struct Transaction {
    /// The messages.
    pub batch: crate::message::Batch,
    /// Their promise.
    pub ack: Ack,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::number;
    use crate::testing::Random;

    /// An ack whose outcomes are collected.
    fn watched() -> (Ack, Arc<Mutex<Vec<Outcome>>>) {
        let seen: Arc<Mutex<Vec<Outcome>>> = Arc::default();
        let ack = Ack::new({
            let seen = seen.clone();
            move |outcome| seen.lock().push(outcome)
        });
        (ack, seen)
    }

    #[test]
    fn what_was_interrupted_did_not_fail() {
        let kinds = |one: NackReason, other: NackReason| {
            (one.clone().merge(other.clone()).kind(), other.merge(one).kind())
        };
        let failed = || NackReason::failed("x");
        assert_eq!(kinds(failed(), failed()), (NackKind::Failed, NackKind::Failed));
        let stopping = NackReason::stopping();
        assert_eq!(kinds(failed(), stopping), (NackKind::Stopping, NackKind::Stopping));
    }

    #[test]
    fn dropped_is_nacked_and_done_is_done_once() {
        let (ack, seen) = watched();
        drop(ack);
        assert_eq!(seen.lock()[0].as_ref().map_err(NackReason::kind), Err(NackKind::Dropped));
        let (ack, seen) = watched();
        ack.done(Ok(()));
        assert_eq!(seen.lock().len(), 1);
        assert!(seen.lock()[0].is_ok());
        let (ack, seen) = watched();
        assert!(ack.share(0).is_empty());
        assert!(seen.lock()[0].is_ok(), "filtered away is delivered");
    }

    #[test]
    fn shares_resolve_once_after_the_last_and_fail_when_any_does() {
        for seed in 0..500 {
            let mut random = Random::new(seed);
            let (ack, seen) = watched();
            let mut open = vec![ack];
            let mut any_failed = false;
            while !open.is_empty() {
                assert!(seen.lock().is_empty(), "seed {seed}: resolved before its last part");
                let ack = open.swap_remove(random.below(open.len()));
                match random.below(6) {
                    0 | 1 if open.len() < 20 => open.extend(ack.share(1 + random.below(3))),
                    2 => {
                        any_failed = true;
                        drop(ack);
                    }
                    3 => {
                        any_failed = true;
                        ack.done(Err(NackReason::failed("no")));
                    }
                    _ => ack.done(Ok(())),
                }
            }
            let seen = seen.lock();
            assert_eq!(seen.len(), 1, "seed {seed}");
            assert_eq!(seen[0].is_err(), any_failed, "seed {seed}");
        }
    }

    #[test]
    fn a_group_waits_for_its_parts_and_its_end() {
        for (first, end, acked) in [(true, "close", true), (false, "close", false), (true, "drop", false)] {
            let (ack, seen) = watched();
            let mut group = AckGroup::new(ack);
            group.part().done(if first { Ok(()) } else { Err(NackReason::failed("no")) });
            let last = group.part();
            assert!(seen.lock().is_empty());
            if end == "close" {
                group.close()
            }
            drop(group);
            assert!(seen.lock().is_empty(), "its last part is not resolved");
            last.done(Ok(()));
            assert_eq!(seen.lock().iter().map(Result::is_ok).collect::<Vec<_>>(), [acked], "{first} {end}");
        }
    }

    #[test]
    fn partial_failures_add_up() {
        let mut batch: Vec<Message> = (0..5).map(|index| Message::new(index.to_string())).collect();
        number(&mut batch);
        let failed =
            |reason: &NackReason| batch.iter().filter(|message| reason.concerns(message.place())).count();
        let (ack, seen) = watched();
        let mut parts = ack.share(3).into_iter();
        parts.next().unwrap().done(Err(NackReason::failed("first").only([&batch[1]])));
        parts.next().unwrap().done(Ok(()));
        parts.next().unwrap().done(Err(NackReason::failed("second").only([&batch[3]])));
        let reason = seen.lock().remove(0).unwrap_err();
        assert_eq!((reason.text(), failed(&reason)), ("first", 2));

        // A message that is no longer of this batch, or a failure of all, fails all.
        let stranger = Message::new("");
        for whole in [NackReason::failed("x").only([&batch[0], &stranger]), NackReason::failed("x")] {
            assert_eq!(failed(&whole), 5);
            assert_eq!(failed(&NackReason::failed("y").only([&batch[0]]).merge(whole)), 5);
        }
    }
}
