//! Writes again what an output did not deliver (streams contract 3.10).

use std::time::Duration;

use async_trait::async_trait;
use document::Fault;
use tokio::time::Instant;

use crate::ack::{Ack, NackKind, Outcome};
use crate::backoff::Backoff;
use crate::build::BuildContext;
use crate::component::{ConnectError, Output, WriteError};
use crate::message::{Batch, Message};
use crate::node::Node;
use crate::outputs::children::Children;
use crate::registry::{Default, Field, Kind, OutputSpec};

const BACKOFF: &[Field] = &[
    Field::new("initial_interval", Kind::Duration, Default::Text("500ms"), "Pause after the first failure."),
    Field::new("max_interval", Kind::Duration, Default::Text("3s"), "Longest pause."),
    Field::new(
        "max_elapsed_time",
        Kind::Duration,
        Default::Text("0s"),
        "Gives a batch up after this long; 0: never.",
    ),
];

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "retry",
    summary: "Writes what its output did not deliver again, after growing pauses, and only what failed. Without a limit it does so for ever; a batch that is given up comes again from the input.",
    config: Kind::Object(&[
        Field::new(
            "max_retries",
            Kind::Int,
            Default::Int(0),
            "Gives a batch up after this many attempts more than the first; 0: never.",
        )
        .advanced(),
        Field::object("backoff", BACKOFF, "The pauses between attempts.").advanced(),
        Field::required("output", Kind::Output, "The output."),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    let backoff = node.get("backoff");
    let limits = Limits {
        backoff: Backoff {
            first: backoff.duration("initial_interval")?.unwrap_or(Duration::from_millis(500)),
            most: backoff.duration("max_interval")?.unwrap_or(Duration::from_secs(3)),
            factor: 1.5,
        },
        retries: node.count("max_retries")?,
        elapsed: backoff.duration("max_elapsed_time")?.unwrap_or_default(),
    };
    if limits.backoff.first.is_zero() {
        return Err(backoff.field_fault("initial_interval", "`initial_interval` must be above 0"));
    }
    if limits.backoff.most < limits.backoff.first {
        return Err(
            backoff.field_fault("max_interval", "`max_interval` must not be below `initial_interval`")
        );
    }
    let child = context.output(&node.get("output"))?;
    Ok(Box::new(Retry { children: Children::new(vec![child]), limits }))
}

/// When a batch is given up, and how long to wait between attempts.
pub(super) struct Limits {
    backoff: Backoff,
    // 0: none.
    retries: usize,
    elapsed: Duration,
}

impl Limits {
    pub(super) const ENDLESS: Limits =
        Limits { backoff: crate::backoff::FAN_OUT, retries: 0, elapsed: Duration::ZERO };

    fn exhausted(&self, attempts: usize, since: Instant) -> bool {
        (self.retries > 0 && attempts > self.retries)
            || (!self.elapsed.is_zero() && since.elapsed() >= self.elapsed)
    }
}

/// Delivers a batch to a child again and again, only what failed, until it succeeds or is given up.
pub(super) async fn deliver_until(
    children: &Children,
    child: usize,
    batch: Batch,
    limits: &Limits,
) -> Outcome {
    let started = Instant::now();
    let mut left = batch;
    let mut attempts = 0;
    loop {
        let Err(reason) = children.deliver(child, left.clone()).await else { return Ok(()) };
        left.retain(|message| reason.concerns(message.place()));
        attempts += 1;
        if reason.kind() != NackKind::Failed || limits.exhausted(attempts, started) {
            return Err(reason.only(&left));
        }
        tracing::debug!(%reason, attempts, "an output failed, it is written to again");
        let pause = limits.backoff.pause(u32::try_from(attempts - 1).unwrap_or(u32::MAX));
        tokio::time::sleep(pause).await;
    }
}

struct Retry {
    children: Children,
    limits: Limits,
}

#[async_trait]
impl Output for Retry {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.children.start();
        Ok(())
    }

    async fn write(&self, _: &[Message]) -> Result<(), WriteError> {
        Err(WriteError::Failed("`retry` takes batches with their ack".to_owned()))
    }

    async fn consume(&self, batch: Batch, ack: Ack) -> Result<(), (Batch, Ack)> {
        ack.done(deliver_until(&self.children, 0, batch, &self.limits).await);
        Ok(())
    }

    fn max_in_flight(&self) -> usize {
        self.children.limit()
    }

    async fn close(&self) {
        self.children.close().await;
    }
}
