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

/// So many messages are mapped before other tasks have their turn.
const MESSAGES_A_TURN: usize = 64;
/// A payload of this many bytes takes its time in any case.
const LARGE: usize = 256 * 1024;
/// What is called slow, for one message.
const SLOW: Duration = Duration::from_millis(5);

impl Map {
    /// Runs the mapping on one message; where that takes long, other tasks go on meanwhile.
    fn one(&self, batch: &Batch, index: usize, size: usize) -> Result<Outcome, MapError> {
        let run = || (self.run)(&self.mapping, &View(batch), index);
        if size < LARGE && !self.slow.load(Relaxed) {
            return run();
        }
        in_place(run).unwrap_or_else(run)
    }
}

#[async_trait]
impl Processor for Map {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        let mut mapped = Batch::with_capacity(batch.len());
        let mut began = Instant::now();
        for (index, message) in batch.iter().enumerate() {
            if index % MESSAGES_A_TURN == MESSAGES_A_TURN - 1 {
                tokio::task::yield_now().await;
                began = Instant::now();
            }
            match self.one(&batch, index, message.bytes().len()) {
                Ok(outcome) => mapped.extend(edit(message, outcome)),
                Err(fault) => {
                    let mut message = message.clone();
                    message.set_error(fault.to_string());
                    mapped.push(message);
                }
            }
        }
        let messages = u32::try_from(batch.len().min(MESSAGES_A_TURN)).unwrap_or(1).max(1);
        self.slow.store(began.elapsed() > SLOW * messages, Relaxed);
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
