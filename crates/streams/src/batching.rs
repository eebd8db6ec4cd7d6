//! Batching policies (streams contract 5.4).

use std::sync::Arc;
use std::time::Duration;

use bloblang::{Mapping, Value};
use document::Fault;
use tokio::time::Instant;

use crate::ack::{Ack, Outcome, Transaction};
use crate::build::{BuildContext, Stage};
use crate::message::{Batch, View};
use crate::metrics::{Mechanism, Probe};
use crate::node::Node;
use crate::pipeline::process;
use crate::source::sleep_until;
use crate::stall::Stall;

/// When gathered messages are flushed as one batch.
#[derive(Debug)]
pub struct Policy {
    count: usize,
    bytes: usize,
    period: Option<Duration>,
    jitter: f64,
    check: Option<Mapping>,
    stages: Arc<[Stage]>,
    stall: Arc<Stall>,
}

impl Policy {
    /// Reads a policy; `None` when nothing would ever be gathered.
    pub(crate) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Option<Policy>, Fault> {
        let mut policy = Policy {
            count: node.count("count")?,
            bytes: usize::try_from(node.size("byte_size")?.unwrap_or(0)).unwrap_or(usize::MAX),
            period: node.duration("period")?,
            jitter: node.float("jitter")?,
            check: node.mapping("check", context)?,
            stages: context.stages(&node.get("processors"))?.into(),
            stall: context.watch.stall.clone(),
        };
        // What only a period or a check can end is bounded by `MOST` and `MOST_BYTES`.
        if policy.count == 0 && policy.bytes == 0 && policy.period.is_none() && policy.check.is_none() {
            // Nothing is gathered, but its processors run on every batch.
            policy.count = 1;
        }
        Ok((policy.count != 1 || !policy.stages.is_empty()).then_some(policy))
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
    /// When the last batch was added.
    added: Instant,
    // What says that it is enough, once something does.
    enough: Option<Mechanism>,
}

/// Most messages gathered whatever the policy says: a bound for policies that only have a period or a check.
const MOST: usize = 100_000;
/// How long nothing may have come before it counts as stalled: what is on its way still joins its batch.
const STALLED: Duration = Duration::from_millis(100);
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
        let (batch, sources, added) = (Batch::new(), Vec::new(), Instant::now());
        Gather { policy, batch, bytes: 0, sources, deadline: None, added, enough: None }
    }

    /// Returns when what is gathered now must be flushed, however little it is; never when it is nothing.
    pub(crate) fn due(&self) -> impl Future<Output = ()> + use<> {
        let waits = !self.batch.is_empty();
        let (deadline, added, stall) = (self.deadline, self.added, self.policy.stall.clone());
        async move {
            if !waits {
                return std::future::pending().await;
            }
            tokio::select! {
                () = sleep_until(deadline) => {}
                () = stalled(&stall, added) => {}
            }
        }
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
        self.added = Instant::now();
        let mut checked = false;
        self.sources.push(Source { ack, places: batch.iter().map(|message| message.place()).collect() });
        for mut message in batch {
            message.set_place(u32::try_from(self.batch.len()).unwrap_or(u32::MAX));
            self.bytes += message.bytes().len();
            self.batch.push(message);
            checked |= self.check();
        }
        let reached =
            |limit: usize, most: usize, value: usize| (limit > 0 && value >= limit) || value >= most;
        self.enough = if reached(self.policy.count, MOST, self.batch.len()) {
            Some(Mechanism::Count)
        } else if reached(self.policy.bytes, MOST_BYTES, self.bytes) {
            Some(Mechanism::Size)
        } else {
            checked.then_some(Mechanism::Check)
        };
        self.enough.is_some()
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

    /// What was gathered, after the policy's processors: nothing, one batch or several. It is counted at `probe`.
    pub(crate) async fn flush(&mut self, probe: &Probe) -> Vec<Transaction> {
        match self.take(probe) {
            Some((transaction, stages)) => process(&stages, transaction).await,
            None => Vec::new(),
        }
    }

    /// What was gathered, and the policy's processors, which are still to be run.
    pub(crate) fn take(&mut self, probe: &Probe) -> Option<(Transaction, Arc<[Stage]>)> {
        let due = self.deadline.take().is_some_and(|deadline| Instant::now() >= deadline);
        let enough = self.enough.take().unwrap_or(if due { Mechanism::Period } else { Mechanism::End });
        self.bytes = 0;
        if self.batch.is_empty() {
            return None;
        }
        probe.batch_created(enough);
        let batch = std::mem::take(&mut self.batch);
        let sources = std::mem::take(&mut self.sources);
        let ack = Ack::new(move |outcome| resolve(sources, &outcome));
        Some((Transaction { batch, ack }, self.policy.stages.clone()))
    }
}

/// Returns when nothing more comes because somebody waits for the acks of what has come.
async fn stalled(stall: &Stall, added: Instant) {
    loop {
        stall.begins().await;
        tokio::time::sleep_until(added + STALLED).await;
        if stall.is_on() {
            return;
        }
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

#[cfg(test)]
mod tests {
    use bloblang::Environment;

    use super::*;
    use crate::bloblangs;
    use crate::exporter::SampleValue;
    use crate::message::Message;
    use crate::metrics::ComponentKind;

    fn policy(count: usize, bytes: usize, period: u64, check: Option<&str>) -> Policy {
        Policy {
            count,
            bytes,
            period: (period > 0).then(|| Duration::from_secs(period)),
            jitter: 0.0,
            check: check.map(|text| bloblangs::mapping(&Environment::default(), text, "").unwrap()),
            stages: Arc::default(),
            stall: Arc::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn batches_are_counted_by_what_has_ended_them() {
        let check = Some("content() == \"now\"");
        for (policy, texts, wait, mechanism) in [
            (policy(2, 0, 0, None), &["a", "b"][..], 0, "count"),
            (policy(9, 4, 0, None), &["ab", "cd"], 0, "size"),
            (policy(9, 0, 0, check), &["a", "now"], 0, "check"),
            (policy(0, 0, 0, check), &["a", "b", "now"], 0, "check"),
            (policy(0, 0, 0, check), &["a", "b"], 0, "end"),
            (policy(9, 0, 2, None), &["a"], 2, "period"),
            (policy(9, 0, 2, check), &["a"], 1, "end"),
            (policy(9, 0, 0, None), &["a"], 0, "end"),
        ] {
            let probe = Probe::new(ComponentKind::Output, "test", "root".into(), None);
            let mut gather = Gather::new(policy);
            let mut enough = false;
            for text in texts {
                assert!(!enough, "{mechanism}");
                enough = gather.add(Transaction { batch: vec![Message::new(*text)], ack: Ack::none() });
            }
            assert_eq!(enough, !matches!(mechanism, "period" | "end"), "{mechanism}");
            tokio::time::advance(Duration::from_secs(wait)).await;
            assert_eq!(gather.flush(&probe).await.len(), 1);
            assert!(gather.flush(&probe).await.is_empty(), "nothing is no batch");
            let created: Vec<_> = (probe.series().into_iter())
                .filter(|series| series.name == "batch_created" && series.value == SampleValue::Counter(1))
                .map(|series| series.part)
                .collect();
            assert_eq!(created, [Some(("mechanism", mechanism))]);
        }
    }
}
