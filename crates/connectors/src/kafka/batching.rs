//! Batching of what one partition gives (streams contract 2.6, 5.4).

use std::sync::Arc;
use std::time::Duration;

use bloblang::{Mapping, Value};
use document::Fault;
use streams::{Batch, BuildContext, Node, View};
use tokio::time::Instant;

use super::consumer::Item;
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
    /// Reads the field `batching`; `None` when every message goes alone.
    pub(super) fn read(
        node: &Node<'_>,
        context: &BuildContext<'_>,
        limit: usize,
    ) -> Result<Option<Rules>, Fault> {
        let batching = node.get("batching");
        if !batching.items("processors").is_empty() {
            return Err(batching
                .field_fault("processors", "an input's batches are processed by the processors of the input")
                .hint("move them to `processors` beside `kafka`"));
        }
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
    pub(super) fn new(rules: &Rules, item: &Item) -> Gather {
        let jitter = 1.0 + rules.jitter * rand::random::<f64>();
        Gather {
            partition: item.partition.clone(),
            first: item.sequence,
            last: item.sequence,
            batch: Batch::new(),
            bytes: 0,
            deadline: rules.period.map(|period| Instant::now() + period.mul_f64(jitter)),
        }
    }

    /// Adds the partition's next message; whether they are enough now.
    pub(super) fn add(&mut self, rules: &Rules, item: Item) -> bool {
        self.last = item.sequence;
        self.bytes += item.message.bytes().len();
        self.batch.push(item.message);
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
