//! Processors again where they fail (streams contract 3.6).

use std::time::Duration;

use async_trait::async_trait;
use document::Fault;
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::build::{BuildContext, Stage};
use crate::component::Processor;
use crate::message::{Batch, Message};
use crate::node::Node;
use crate::pipeline::run_stages;
use crate::registry::{Default, Field, Kind, ProcessorSpec};

const BACKOFF: &[Field] = &[
    Field::new("initial_interval", Kind::Duration, Default::Text("500ms"), "Pause after the first failure."),
    Field::new("max_interval", Kind::Duration, Default::Text("10s"), "Longest pause."),
    Field::new(
        "max_elapsed_time",
        Kind::Duration,
        Default::Text("1m"),
        "Gives up after this long; 0: never.",
    ),
];

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "retry",
    summary: "Runs processors on each message, from the start again while they fail, after growing pauses. Where it gives up the message stays failed. The metadata `retry_count` and `backoff_duration` tell the processors of earlier attempts.",
    config: Kind::Object(&[
        Field::object("backoff", BACKOFF, "The pauses between attempts."),
        Field::required("processors", Kind::List(&Kind::Processor), "The processors."),
        Field::new(
            "parallel",
            Kind::Bool,
            Default::Bool(false),
            "Whether the messages of a batch are processed at the same time.",
        ),
        Field::new(
            "max_retries",
            Kind::Int,
            Default::Int(0),
            "Gives up after this many further attempts; 0: never.",
        ),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let backoff = node.get("backoff");
    let first = backoff.duration("initial_interval")?.unwrap_or(Duration::from_millis(500));
    if first.is_zero() {
        return Err(backoff.field_fault("initial_interval", "`initial_interval` must be above 0"));
    }
    let most = backoff.duration("max_interval")?.unwrap_or(Duration::from_secs(10));
    if most < first {
        return Err(
            backoff.field_fault("max_interval", "`max_interval` must not be below `initial_interval`")
        );
    }
    Ok(Box::new(Retry {
        backoff: Backoff { first, most, factor: 1.5 },
        elapsed: backoff.duration("max_elapsed_time")?.unwrap_or_default(),
        retries: node.count("max_retries")?,
        parallel: node.boolean("parallel")?,
        stages: context.stages(&node.get("processors"))?,
    }))
}

struct Retry {
    backoff: Backoff,
    // Zero: no limit.
    elapsed: Duration,
    // 0: no limit.
    retries: usize,
    parallel: bool,
    stages: Vec<Stage>,
}

impl Retry {
    async fn message(&self, mut message: Message) -> Vec<Batch> {
        message.clear_error();
        let started = Instant::now();
        let mut attempt: u32 = 0;
        loop {
            let made = run_stages(&self.stages, vec![message.clone()]).await;
            if made.iter().flatten().all(|message| message.error().is_none()) {
                return made;
            }
            let pause = self.backoff.pause(attempt);
            attempt = attempt.saturating_add(1);
            let spent = self.retries > 0 && usize::try_from(attempt).is_ok_and(|count| count > self.retries);
            let late = !self.elapsed.is_zero() && started.elapsed() + pause > self.elapsed;
            if spent || late {
                return made;
            }
            tokio::time::sleep(pause).await;
            message.set_meta("retry_count", i64::from(attempt));
            message.set_meta("backoff_duration", format!("{pause:?}"));
        }
    }
}

#[async_trait]
impl Processor for Retry {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        let cap = if self.parallel { batch.len().max(1) } else { 1 };
        let all: Vec<Vec<Batch>> = stream::iter(batch.into_iter().map(|message| self.message(message)))
            .buffered(cap)
            .collect()
            .await;
        let all: Batch = all.into_iter().flatten().flatten().collect();
        if all.is_empty() { Vec::new() } else { vec![all] }
    }
}
