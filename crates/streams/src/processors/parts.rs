//! Which messages a batch has: choosing, adding, bounding, splitting (streams contract 3.6).

use async_trait::async_trait;
use bloblang::Template;
use document::Fault;

use crate::build::BuildContext;
use crate::component::Processor;
use crate::message::{Batch, Message, View};
use crate::node::Node;
use crate::registry::{Default, Field, Kind, ProcessorSpec};

pub(super) static SELECT: ProcessorSpec = ProcessorSpec {
    name: "select_parts",
    summary: "Keeps the messages at these positions of a batch, in the order of the list; the others are dropped.",
    config: Kind::Object(&[Field::new(
        "parts",
        Kind::List(&Kind::Int),
        Default::Absent,
        "Positions from 0; negative ones count from the end. Those that a batch does not have are passed over.",
    )]),
    build: |node, _| {
        let position =
            |item: &Node<'_>| item.value().as_i64().ok_or_else(|| item.fault("a position is a whole number"));
        let parts = node.items("parts").iter().map(position).collect::<Result<_, _>>()?;
        Ok(Box::new(Parts::Select(parts)))
    },
};

pub(super) static INSERT: ProcessorSpec = ProcessorSpec {
    name: "insert_part",
    summary: "Adds a message to every batch.",
    config: Kind::Object(&[
        Field::new(
            "index",
            Kind::Int,
            Default::Int(-1),
            "Its position; negative ones count from the end, -1 is the last. Beyond the end it is the last, too.",
        ),
        Field::new(
            "content",
            Kind::Template,
            Default::Text(""),
            "Its payload, made with the first message in view.",
        ),
    ]),
    build: |node, context| {
        Ok(Box::new(Parts::Insert(node.integer("index")?, node.template("content", context)?)))
    },
};

pub(super) static BOUNDS: ProcessorSpec = ProcessorSpec {
    name: "bounds_check",
    summary: "Drops messages that are too large or too small, and batches of too many or too few messages.",
    config: Kind::Object(&[
        Field::new("max_part_size", Kind::Size, Default::Int(1 << 30), "Most bytes of a message."),
        Field::new("min_part_size", Kind::Size, Default::Int(1), "Fewest bytes of a message."),
        Field::new("max_parts", Kind::Int, Default::Int(100), "Most messages of a batch.").advanced(),
        Field::new("min_parts", Kind::Int, Default::Int(1), "Fewest messages of a batch.").advanced(),
    ]),
    build: bounds,
};

pub(super) static SPLIT: ProcessorSpec = ProcessorSpec {
    name: "split",
    summary: "Breaks batches up. The whole is acknowledged when all its parts are.",
    config: Kind::Object(&[
        Field::new("size", Kind::Int, Default::Int(1), "Most messages of a new batch; 0: no limit."),
        Field::new(
            "byte_size",
            Kind::Size,
            Default::Int(0),
            "A new batch begins before this many payload bytes are exceeded; 0: no limit.",
        ),
    ]),
    build: |node, _| {
        let most = |count: usize| if count == 0 { usize::MAX } else { count };
        Ok(Box::new(Parts::Split { count: most(node.count("size")?), bytes: most(size(node, "byte_size")?) }))
    },
};

fn size(node: &Node<'_>, name: &str) -> Result<usize, Fault> {
    Ok(usize::try_from(node.size(name)?.unwrap_or(0)).unwrap_or(usize::MAX))
}

fn bounds(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    Ok(Box::new(Parts::Bounds {
        bytes: size(node, "min_part_size")?..=size(node, "max_part_size")?,
        count: node.count("min_parts")?..=node.count("max_parts")?,
    }))
}

enum Parts {
    Select(Vec<i64>),
    Insert(i64, Template),
    Bounds { bytes: std::ops::RangeInclusive<usize>, count: std::ops::RangeInclusive<usize> },
    Split { count: usize, bytes: usize },
}

#[async_trait]
impl Processor for Parts {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        let made = match self {
            Parts::Select(parts) => vec![select(parts, &batch)],
            Parts::Insert(index, content) => vec![insert(*index, content, batch)],
            Parts::Bounds { bytes, count } => {
                if !count.contains(&batch.len()) {
                    tracing::debug!(messages = batch.len(), "a batch is out of bounds, it is dropped");
                    return Vec::new();
                }
                vec![batch.into_iter().filter(|message| bytes.contains(&message.bytes().len())).collect()]
            }
            Parts::Split { count, bytes } => split(*count, *bytes, batch),
        };
        made.into_iter().filter(|batch| !batch.is_empty()).collect()
    }
}

/// A position that may count from the end.
fn position(index: i64, length: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

fn select(parts: &[i64], batch: &[Message]) -> Batch {
    parts.iter().filter_map(|&index| batch.get(position(index, batch.len())?).cloned()).collect()
}

fn insert(index: i64, content: &Template, mut batch: Batch) -> Batch {
    // A new message of the batch: it has no place of its own, so its failure is that of the whole batch.
    let mut message = Message::new("");
    match content.render_bytes(&View(&batch), 0) {
        Ok(bytes) => message.set_bytes(bytes),
        Err(fault) => message.set_error(format!("the content failed: {fault}")),
    }
    if let Some(slot) = batch.first().and_then(Message::reply) {
        message.set_reply(slot.clone());
    }
    // Among the messages that there will be then.
    let at = position(index, batch.len() + 1).unwrap_or(0).min(batch.len());
    batch.insert(at, message);
    batch
}

fn split(count: usize, bytes: usize, batch: Batch) -> Vec<Batch> {
    let mut made: Vec<Batch> = Vec::new();
    let mut held = 0;
    for message in batch {
        let size = message.bytes().len();
        match made.last_mut() {
            Some(last) if last.len() < count && held + size <= bytes => {
                held += size;
                last.push(message);
            }
            _ => {
                held = size;
                made.push(vec![message]);
            }
        }
    }
    made
}
