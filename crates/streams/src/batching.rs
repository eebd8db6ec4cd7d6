//! Batching policies (streams contract 5.4).

use std::time::Duration;

use bloblang::{Mapping, Value};
use document::Fault;
use tokio::time::Instant;

use crate::ack::{Ack, Outcome, Transaction};
use crate::build::{BuildContext, Stage};
use crate::message::{Batch, View};
use crate::node::Node;
use crate::pipeline::process;

/// When gathered messages are flushed as one batch.
#[derive(Debug)]
pub struct Policy {
    count: usize,
    bytes: usize,
    period: Option<Duration>,
    jitter: f64,
    check: Option<Mapping>,
    stages: Vec<Stage>,
}

impl Policy {
    /// Reads a policy; `None` when nothing would ever be gathered.
    pub(crate) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Option<Policy>, Fault> {
        let policy = Policy {
            count: node.count("count")?,
            bytes: usize::try_from(node.size("byte_size")?.unwrap_or(0)).unwrap_or(usize::MAX),
            period: node.duration("period")?,
            jitter: node.float("jitter")?,
            check: node.mapping("check", context)?,
            stages: context.stages(&node.get("processors"))?,
        };
        let bounded = policy.count > 0 || policy.bytes > 0 || policy.period.is_some();
        if policy.check.is_some() && !bounded {
            return Err(node
                .field_fault("check", "a batch that only `check` can end may grow without bound")
                .hint("add `count`, `byte_size` or `period`"));
        }
        Ok((bounded && policy.count != 1).then_some(policy))
    }
}

/// Gathers batches until its policy says that they are enough.
#[derive(Debug)]
pub(crate) struct Gather {
    policy: Policy,
    batch: Batch,
    bytes: usize,
    sources: Vec<Source>,
    deadline: Option<Instant>,
}

/// Most messages gathered whatever the policy says: a bound for policies that only have a period.
const MOST: usize = 100_000;
/// Most payload bytes gathered whatever the policy says.
const MOST_BYTES: usize = 256 << 20;

#[derive(Debug)]
struct Source {
    ack: Ack,
    // The places that the messages had in their own batch.
    places: Vec<Option<u32>>,
}

impl Gather {
    pub(crate) fn new(policy: Policy) -> Gather {
        Gather { policy, batch: Batch::new(), bytes: 0, sources: Vec::new(), deadline: None }
    }

    /// When what is gathered must be flushed.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Adds a batch; true when it is time to flush.
    pub(crate) fn add(&mut self, transaction: Transaction) -> bool {
        let Transaction { batch, ack } = transaction;
        if self.deadline.is_none()
            && let Some(period) = self.policy.period
        {
            let jitter = 1.0 + self.policy.jitter.clamp(0.0, 1.0) * rand::random::<f64>();
            self.deadline = Some(Instant::now() + period.mul_f64(jitter));
        }
        let mut enough = false;
        self.sources.push(Source { ack, places: batch.iter().map(|message| message.place()).collect() });
        for mut message in batch {
            message.set_place(u32::try_from(self.batch.len()).unwrap_or(u32::MAX));
            self.bytes += message.bytes().len();
            self.batch.push(message);
            enough |= self.check();
        }
        enough
            || (self.policy.count > 0 && self.batch.len() >= self.policy.count)
            || (self.policy.bytes > 0 && self.bytes >= self.policy.bytes)
            || self.batch.len() >= MOST
            || self.bytes >= MOST_BYTES
    }

    /// Whether the check is true for the message just added. A check that fails is not true.
    fn check(&self) -> bool {
        let Some(check) = &self.policy.check else { return false };
        match check.query(&View(&self.batch), self.batch.len() - 1) {
            Ok(value) => matches!(value, Value::Bool(true)),
            Err(fault) => {
                tracing::warn!(%fault, "batching check failed");
                false
            }
        }
    }

    /// What was gathered, after the policy's processors: nothing, one batch or several.
    pub(crate) async fn flush(&mut self) -> Vec<Transaction> {
        self.deadline = None;
        self.bytes = 0;
        if self.batch.is_empty() {
            return Vec::new();
        }
        let batch = std::mem::take(&mut self.batch);
        let sources = std::mem::take(&mut self.sources);
        let ack = Ack::new(move |outcome| resolve(sources, &outcome));
        process(&self.policy.stages, Transaction { batch, ack }).await
    }
}

/// Tells every source what became of its own messages.
fn resolve(sources: Vec<Source>, outcome: &Outcome) {
    let mut start = 0;
    for Source { ack, places } in sources {
        let own = match outcome {
            Ok(()) => Ok(()),
            Err(reason) => {
                let failed: Vec<Option<u32>> = (places.iter().enumerate())
                    .filter(|(index, _)| reason.concerns(u32::try_from(start + index).ok()))
                    .map(|(_, place)| *place)
                    .collect();
                if failed.is_empty() { Ok(()) } else { Err(reason.at_places(failed.into_iter().collect())) }
            }
        };
        start += places.len();
        ack.done(own);
    }
}
