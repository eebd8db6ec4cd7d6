//! Batching of what one partition gives (streams contract 2.6, 5.4).

use std::sync::Arc;
use std::time::Duration;

use bloblang::{Mapping, Value};
use document::Fault;
use streams::{Batch, BuildContext, Message, Node, View};
use tokio::time::Instant;

use super::partition::Partition;

/// When gathered messages are enough.
pub(super) struct Rules {
    count: usize,
    bytes: usize,
    period: Option<Duration>,
    jitter: f64,
    check: Option<Mapping>,
    /// Most messages that can gather: more of one partition are never on their way.
    most: usize,
}

impl Rules {
    /// Reads the field `batching`; `None` when every message goes alone. Its processors run on what comes out.
    pub(super) fn read(
        node: &Node<'_>,
        context: &mut BuildContext<'_>,
        limit: usize,
    ) -> Result<Option<Rules>, Fault> {
        let batching = node.get("batching");
        context.after_batching(&batching.get("processors"))?;
        let count = batching.count("count")?;
        let rules = Rules {
            count,
            bytes: usize::try_from(batching.size("byte_size")?.unwrap_or(0)).unwrap_or(usize::MAX),
            period: batching.duration("period")?,
            jitter: batching.float("jitter")?.clamp(0.0, 1.0),
            check: batching.mapping("check", context)?,
            most: limit.max(count),
        };
        let gathers = count > 1 || rules.bytes > 0 || rules.period.is_some() || rules.check.is_some();
        Ok((gathers && count != 1).then_some(rules))
    }

    /// How many messages of one partition must be able to be on their way.
    pub(super) fn most(&self) -> usize {
        self.most
    }
}

/// Messages of one partition that wait until they are enough.
pub(super) struct Gather {
    pub(super) partition: Arc<Partition>,
    first: u64,
    last: u64,
    batch: Batch,
    bytes: usize,
    pub(super) deadline: Option<Instant>,
}

/// A batch with the sequence numbers of its first and last message.
pub(super) struct Gathered {
    pub(super) batch: Batch,
    pub(super) partition: Arc<Partition>,
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Gather {
    /// Begins with the message of this sequence number.
    pub(super) fn new(rules: &Rules, partition: Arc<Partition>, first: u64) -> Gather {
        let jitter = 1.0 + rules.jitter * rand::random::<f64>();
        Gather {
            partition,
            first,
            last: first,
            batch: Batch::new(),
            bytes: 0,
            deadline: rules.period.map(|period| Instant::now() + period.mul_f64(jitter)),
        }
    }

    /// Adds the partition's next message; whether they are enough now.
    pub(super) fn add(&mut self, rules: &Rules, message: Message, sequence: u64) -> bool {
        self.last = sequence;
        self.bytes += message.bytes().len();
        self.batch.push(message);
        (rules.count > 0 && self.batch.len() >= rules.count)
            || (rules.bytes > 0 && self.bytes >= rules.bytes)
            || self.batch.len() >= rules.most
            || rules.check.as_ref().is_some_and(|check| self.passes(check))
    }

    fn passes(&self, check: &Mapping) -> bool {
        match check.query(&View(&self.batch), self.batch.len() - 1) {
            Ok(value) => matches!(value, Value::Bool(true)),
            Err(fault) => {
                tracing::warn!(%fault, "batching check failed");
                false
            }
        }
    }

    pub(super) fn flush(self) -> Gathered {
        Gathered { batch: self.batch, partition: self.partition, first: self.first, last: self.last }
    }
}

/// Messages of one partition that were admitted one after the other.
pub(super) struct Run {
    partition: Arc<Partition>,
    /// The sequence number of the first message that is left.
    first: u64,
    messages: std::vec::IntoIter<Message>,
}

impl Run {
    pub(super) fn new(partition: Arc<Partition>, first: u64, messages: Batch) -> Run {
        Run { partition, first, messages: messages.into_iter() }
    }

    /// Whether no message is left.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.as_slice().is_empty()
    }

    /// The next message alone.
    pub(super) fn one(&mut self) -> Option<Gathered> {
        let message = self.messages.next()?;
        let sequence = self.first;
        self.first += 1;
        Some(Gathered {
            batch: vec![message],
            partition: self.partition.clone(),
            first: sequence,
            last: sequence,
        })
    }

    /// All that is left, as one batch.
    pub(super) fn rest(&mut self) -> Option<Gathered> {
        let batch: Batch = std::mem::take(&mut self.messages).collect();
        let first = self.first;
        self.first += batch.len() as u64;
        let last = self.first.checked_sub(1)?;
        (!batch.is_empty()).then(|| Gathered { batch, partition: self.partition.clone(), first, last })
    }

    /// Moves messages to what is gathered of their partition, until some are enough.
    pub(super) fn gather(&mut self, rules: &Rules, gathering: &mut Vec<Gather>) -> Option<Gathered> {
        let same = |gather: &Gather| Arc::ptr_eq(&gather.partition, &self.partition);
        let mut at = gathering.iter().position(same);
        while let Some(message) = self.messages.next() {
            let sequence = self.first;
            self.first += 1;
            let index = at.unwrap_or_else(|| {
                gathering.push(Gather::new(rules, self.partition.clone(), sequence));
                gathering.len() - 1
            });
            at = Some(index);
            if gathering[index].add(rules, message, sequence) {
                return Some(gathering.swap_remove(index).flush());
            }
        }
        None
    }
}
