//! Documents of several inputs put together by an id (streams contract 3.9).

use std::collections::HashMap;
use std::sync::Arc;

use bloblang::{Array, Object, Value};
use document::Fault;

use crate::message::Message;
use crate::node::Node;
use crate::registry::{Default, Field, Kind};

/// Of one iteration so many payload bytes are kept: 1 GiB.
const MOST_BYTES: usize = 1 << 30;

pub(super) const FIELDS: &[Field] = &[
    Field::new(
        "type",
        Kind::Choice(&["none", "full-outer", "outer", "full-outter", "outter"]),
        Default::Text("none"),
        "`full-outer` gives a document for every id, once all inputs have ended; `outer` gives one for each message of the last input. `full-outter` and `outter` are older spellings.",
    ),
    Field::new(
        "id_path",
        Kind::Text,
        Default::Text(""),
        "The dot path of the id. Messages without one, or that are no JSON objects, are left out.",
    ),
    Field::new(
        "iterations",
        Kind::Int,
        Default::Int(1),
        "Reads all inputs this many times, each time for another part of the ids, so that less is kept in memory at once.",
    ),
    Field::new(
        "merge_strategy",
        Kind::Choice(&["array", "replace", "keep"]),
        Default::Text("array"),
        "What becomes of a field that several documents have: a list of all its values, the later one, or the earlier one.",
    ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strategy {
    Array,
    Replace,
    Keep,
}

/// How documents are joined.
pub(super) struct Join {
    /// Only ids of the last input count.
    outer: bool,
    id: String,
    pub(super) iterations: usize,
    strategy: Strategy,
}

impl Join {
    /// Reads the field `sharded_join`; `None`: nothing is joined.
    pub(super) fn build(node: &Node<'_>) -> Result<Option<Join>, Fault> {
        let kind = node.text("type")?;
        if kind == "none" || node.value().is_null() {
            return Ok(None);
        }
        let id = node.text("id_path")?.into_owned();
        if id.is_empty() {
            return Err(node.fault("a join needs the path of the id").hint("write `id_path`"));
        }
        let iterations = node.count("iterations")?;
        if !(1..=1_000_000).contains(&iterations) {
            return Err(node.field_fault("iterations", "`iterations` must be from 1 to 1000000"));
        }
        let strategy = match &*node.text("merge_strategy")? {
            "replace" => Strategy::Replace,
            "keep" => Strategy::Keep,
            _ => Strategy::Array,
        };
        Ok(Some(Join { outer: kind.starts_with("out"), id, iterations, strategy }))
    }
}

/// The documents of one iteration.
pub(super) struct Shard {
    at: usize,
    joined: HashMap<String, Message>,
    /// Ids in the order in which they came first.
    order: Vec<String>,
    bytes: usize,
}

impl Shard {
    pub(super) fn new(at: usize) -> Shard {
        Shard { at, joined: HashMap::new(), order: Vec::new(), bytes: 0 }
    }

    /// Takes one message in; gives what is to be handed on at once. `last` says that it is of the last input.
    ///
    /// # Errors
    /// When more would be kept than there is room for.
    pub(super) fn add(
        &mut self,
        join: &Join,
        message: &Message,
        last: bool,
    ) -> Result<Option<Message>, String> {
        let Some(id) = id_of(join, message) else {
            tracing::debug!(path = %join.id, "a message without an id is left out of a join");
            return Ok(None);
        };
        if shard_of(&id, join.iterations) != self.at {
            return Ok(None);
        }
        let known = self.joined.get(&id);
        let made = match known {
            Some(known) => joined(join, known, message)?,
            None => message.clone(),
        };
        if join.outer && last {
            return Ok(Some(made));
        }
        self.bytes += message.bytes().len();
        if self.bytes > MOST_BYTES {
            return Err(format!("a join keeps at most {MOST_BYTES} bytes at once; raise `iterations`"));
        }
        if self.joined.insert(id.clone(), made).is_none() {
            self.order.push(id);
        }
        Ok(None)
    }

    /// What is handed on when all inputs have ended.
    pub(super) fn finish(mut self, join: &Join) -> std::vec::IntoIter<Message> {
        if join.outer {
            return Vec::new().into_iter();
        }
        let order = std::mem::take(&mut self.order);
        let documents: Vec<Message> = order.iter().filter_map(|id| self.joined.remove(id)).collect();
        documents.into_iter()
    }
}

/// The text of the id of a message.
fn id_of(join: &Join, message: &Message) -> Option<String> {
    let document = message.value().ok()?;
    document.as_object()?;
    match document.at(&join.id)? {
        Value::Null | Value::Object(_) | Value::Array(_) => None,
        id => Some(id.to_text()),
    }
}

/// FNV-1a: the same in every run, so that a document is always of the same iteration.
fn shard_of(id: &str, iterations: usize) -> usize {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    usize::try_from(hash % iterations.max(1) as u64).unwrap_or(0)
}

/// Both documents in one; payload aside it is the later message.
fn joined(join: &Join, earlier: &Message, later: &Message) -> Result<Message, String> {
    let (Ok(old), Ok(new)) = (earlier.value(), later.value()) else { return Ok(later.clone()) };
    let id = new.at(&join.id).unwrap_or(Value::Null);
    let mut merged = merge(old, new, join.strategy, 0);
    // The id is no field that several documents have: it is what they are one by.
    merged.set_at(&join.id, id)?;
    let mut message = later.clone();
    message.set_value(merged);
    Ok(message)
}

/// Objects are merged this deep; below, they are values.
const DEEPEST: usize = 100;

fn merge(old: &Value, new: &Value, strategy: Strategy, depth: usize) -> Value {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) if depth < DEEPEST => {
            let mut merged: Object = (**old).clone();
            for (name, value) in new.iter() {
                let value = match old.get(name) {
                    Some(known) => merge(known, value, strategy, depth + 1),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(Arc::new(merged))
        }
        _ => match strategy {
            Strategy::Replace => new.clone(),
            Strategy::Keep => old.clone(),
            Strategy::Array => {
                let items = |value: &Value| match value {
                    Value::Array(items) => items.to_vec(),
                    other => vec![other.clone()],
                };
                let mut all = items(old);
                all.extend(items(new));
                Value::Array(Arc::new(Array::from(all)))
            }
        },
    }
}
