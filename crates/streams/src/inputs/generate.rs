//! Messages out of nothing but a mapping (streams contract 3.9).

use std::time::Duration;

use async_trait::async_trait;
use bloblang::Mapping;
use document::Fault;
use tokio::time::Instant;

use crate::ack::Ack;
use crate::build::BuildContext;
use crate::component::{ConnectError, Input, ReadError};
use crate::fields::{AUTO_REPLAY_NACKS, BATCHING_FIELD};
use crate::message::{Batch, Message};
use crate::node::Node;
use crate::processors::mapping::apply;
use crate::registry::{Default, Field, InputSpec, Kind};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "generate",
    summary: "Makes messages with a mapping, at an interval.",
    config: Kind::Object(&[
        Field::required(
            "mapping",
            Kind::Bloblang,
            "Makes the payload and metadata of each message; `deleted()` makes none.",
        ),
        Field::new(
            "interval",
            Kind::Text,
            Default::Text("1s"),
            "Pause between batches, as a duration; the first comes at once. Empty: as fast as they are taken. Cron schedules are not offered.",
        ),
        Field::new("count", Kind::Int, Default::Int(0), "Ends after this many messages; 0: never."),
        Field::new("batch_size", Kind::Int, Default::Int(1), "Messages per batch."),
        AUTO_REPLAY_NACKS,
        BATCHING_FIELD,
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let interval = node.text("interval")?;
    let interval = if interval.is_empty() {
        None
    } else if interval.starts_with('@') || interval.contains(' ') {
        return Err(node
            .field_fault("interval", "cron schedules are not offered")
            .hint("write a duration such as `1s` or `5m`"));
    } else {
        node.duration("interval")?
    };
    let batch_size = node.count("batch_size")?;
    if !(1..=10_000).contains(&batch_size) {
        return Err(node.field_fault("batch_size", "`batch_size` must be from 1 to 10000"));
    }
    let Some(mapping) = node.mapping("mapping", context)? else {
        return Err(node.field_fault("mapping", "`mapping` must not be empty"));
    };
    let count = node.count("count")?;
    context.with_batching(node)?;
    let input = Generate { mapping, interval, left: (count > 0).then_some(count), batch_size, next: None };
    context.with_replay(node, input)
}

struct Generate {
    mapping: Mapping,
    interval: Option<Duration>,
    left: Option<usize>,
    batch_size: usize,
    next: Option<Instant>,
}

#[async_trait]
impl Input for Generate {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        loop {
            if self.left == Some(0) {
                return Err(ReadError::End);
            }
            if let Some(interval) = self.interval {
                let due = *self.next.get_or_insert_with(Instant::now);
                tokio::time::sleep_until(due).await;
                // After a stall the next ones keep their distance: no burst makes up for lost time.
                self.next = Some((due + interval).max(Instant::now()));
            } else {
                tokio::task::consume_budget().await;
            }
            let size = self.left.map_or(self.batch_size, |left| left.min(self.batch_size));
            if let Some(left) = &mut self.left {
                *left -= size;
            }
            let mut batch = Batch::with_capacity(size);
            for _ in 0..size {
                match apply(&self.mapping, &[Message::new("")], 0) {
                    Ok(message) => batch.extend(message),
                    Err(fault) => return Err(ReadError::Other(format!("the mapping failed: {fault}"))),
                }
            }
            if !batch.is_empty() {
                return Ok((batch, Ack::none()));
            }
        }
    }

    async fn close(&mut self) {}
}
