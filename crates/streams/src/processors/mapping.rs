//! Mappings (streams contract 2.14).

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bloblang::{MapError, Mapping, MetadataEdit, Outcome, Root};
use document::Fault;

use crate::bloblangs;
use crate::build::BuildContext;
use crate::component::Processor;
use crate::in_place::in_place;
use crate::message::{Batch, Message, View};
use crate::node::Node;
use crate::registry::{Kind, ProcessorSpec};

pub(super) static MAPPING: ProcessorSpec = ProcessorSpec {
    name: "mapping",
    summary: "Makes a new document of each message with a Bloblang mapping; `deleted()` filters the message. When it fails the message stays as it was, flagged.",
    config: Kind::Bloblang,
    build: build_mapping,
};

pub(super) static BLOBLANG: ProcessorSpec = ProcessorSpec {
    name: "bloblang",
    summary: "The older name of `mapping`.",
    config: Kind::Bloblang,
    build: build_mapping,
};

pub(super) static MUTATION: ProcessorSpec = ProcessorSpec {
    name: "mutation",
    summary: "As `mapping`, but root and `this` are the same document: statements change it in place and see earlier changes.",
    config: Kind::Bloblang,
    build: build_mutation,
};

fn build_mapping(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    Ok(Box::new(Map { mapping: parse(node, context)?, run: Mapping::apply, slow: AtomicBool::new(false) }))
}

fn build_mutation(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    Ok(Box::new(Map { mapping: parse(node, context)?, run: Mapping::mutate, slow: AtomicBool::new(false) }))
}

fn parse(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Mapping, Fault> {
    bloblangs::mapping(&context.settings.environment, &node.as_text()?, node.pointer())
        .map_err(bloblangs::first)
}

type Run = fn(&Mapping, &dyn bloblang::BatchView, usize) -> Result<Outcome, MapError>;

struct Map {
    mapping: Mapping,
    run: Run,
    /// Whether a run took so long that the next ones keep no thread for themselves.
    slow: AtomicBool,
}

/// A payload of this many bytes takes its time in any case.
const LARGE: usize = 256 * 1024;
/// What is called slow, for one message.
const SLOW: Duration = Duration::from_millis(5);
/// Other tasks have their turn after so much time, or so many messages.
const TURN: Duration = Duration::from_millis(2);
const MESSAGES_A_TURN: u32 = 64;
/// The clock is looked at after so many messages at most: looking takes about as long as a part of a small mapping.
const MESSAGES_A_LOOK: u32 = 8;

/// How long the messages of a batch take. The time that other tasks have in between does not count.
struct Pace {
    /// When this turn began, and how many messages it had.
    turn: Instant,
    mapped: u32,
    /// When the clock was last looked at, how many messages there were since, and after how many it is looked at.
    looked: Instant,
    since: u32,
    every: u32,
    /// The longest that a message took, on average between two looks.
    slowest: Duration,
}

impl Pace {
    fn new(now: Instant) -> Pace {
        Pace { turn: now, mapped: 0, looked: now, since: 0, every: 1, slowest: Duration::ZERO }
    }

    /// Counts a message; whether other tasks should have their turn.
    fn mapped(&mut self, now: impl FnOnce() -> Instant) -> bool {
        self.mapped += 1;
        self.since += 1;
        if self.since < self.every {
            return false;
        }
        let now = now();
        let each = (now - self.looked) / self.since;
        self.slowest = self.slowest.max(each);
        self.every = if each * MESSAGES_A_LOOK > TURN { 1 } else { (self.every * 2).min(MESSAGES_A_LOOK) };
        (self.looked, self.since) = (now, 0);
        self.mapped >= MESSAGES_A_TURN || now - self.turn >= TURN
    }

    /// Other tasks had their turn.
    fn resume(&mut self, now: Instant) {
        (self.turn, self.mapped, self.looked) = (now, 0, now);
    }

    /// Whether some of the messages took long.
    fn is_slow(&self) -> bool {
        self.slowest > SLOW
    }
}

impl Map {
    /// Runs the mapping on one message; where that takes long, other tasks go on meanwhile.
    fn one(&self, batch: &Batch, index: usize, slow: bool) -> Result<Outcome, MapError> {
        let run = || (self.run)(&self.mapping, &View(batch), index);
        if !slow && batch[index].bytes().len() < LARGE {
            return run();
        }
        in_place(run).unwrap_or_else(run)
    }
}

#[async_trait]
impl Processor for Map {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        let mut mapped = Batch::with_capacity(batch.len());
        let mut pace = Pace::new(Instant::now());
        let before = self.slow.load(Relaxed);
        for (index, message) in batch.iter().enumerate() {
            match self.one(&batch, index, before || pace.is_slow()) {
                Ok(outcome) => mapped.extend(edit(message, outcome)),
                Err(fault) => {
                    let mut message = message.clone();
                    message.set_error(fault.to_string());
                    mapped.push(message);
                }
            }
            if pace.mapped(Instant::now) {
                tokio::task::yield_now().await;
                pace.resume(Instant::now());
            }
        }
        self.slow.store(pace.is_slow(), Relaxed);
        if mapped.is_empty() { Vec::new() } else { vec![mapped] }
    }
}

/// What a mapping makes of one message; `None` when it deletes it.
pub(crate) fn apply(mapping: &Mapping, batch: &[Message], index: usize) -> Result<Option<Message>, MapError> {
    let outcome = mapping.apply(&View(batch), index)?;
    Ok(edit(&batch[index], outcome))
}

pub(crate) fn edit(message: &Message, outcome: Outcome) -> Option<Message> {
    let mut message = message.clone();
    match outcome.root {
        Root::Deleted => return None,
        Root::Unchanged => {}
        Root::Value(value) => message.set_value(value),
    }
    for edit in outcome.metadata {
        match edit {
            MetadataEdit::Set(key, value) => message.set_meta(key, value),
            MetadataEdit::Delete(key) => message.delete_meta(&key),
            MetadataEdit::Clear => message.clear_meta(),
        }
    }
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    // What each message takes, in microseconds; where other tasks had their turn, and whether it was slow.
    #[test]
    fn turns_and_slowness_go_by_what_messages_take() {
        let rest = |first: &[u64], then: u64, length: usize| {
            let mut all = first.to_vec();
            all.resize(length, then);
            all
        };
        for (took, turns, slow) in [
            (vec![1; 3], 0, false),
            (vec![1; 200], 3, false),
            (vec![6000], 1, true),
            // Slow ones at the beginning of a long batch, and at its end.
            (rest(&[6000; 8], 1, 100), 9, true),
            (rest(&[1; 64], 6000, 72), 2, true),
            // Not slow, but too many of them for one turn.
            (vec![1000; 64], 32, false),
        ] {
            let mut now = Instant::now();
            let (mut pace, mut had) = (Pace::new(now), 0);
            for microseconds in &took {
                now += Duration::from_micros(*microseconds);
                if pace.mapped(|| now) {
                    // However long others take.
                    now += Duration::from_secs(1);
                    pace.resume(now);
                    had += 1;
                }
            }
            assert_eq!((had, pace.is_slow()), (turns, slow), "{took:?}");
        }
    }
}
