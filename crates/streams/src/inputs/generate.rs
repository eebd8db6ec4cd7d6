//! Messages out of nothing but a mapping (streams contract 3.9).

use std::time::Duration;

use async_trait::async_trait;
use bloblang::Mapping;
use document::Fault;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::ack::Ack;
use crate::build::BuildContext;
use crate::component::{ConnectError, Input, ReadError};
use crate::fields::{AUTO_REPLAY_NACKS, BATCHING_FIELD};
use crate::inputs::schedule::Schedule;
use crate::message::{Batch, Message};
use crate::node::Node;
use crate::processors::mapping::apply;
use crate::registry::{Default, Field, InputSpec, Kind};
use crate::source::sleep_until;

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
            "Pause between batches, as a duration; the first comes at once. Or a cron schedule of five fields, six with seconds first, `@daily` and its like or `@every 5m`, in UTC or behind a time zone as in `TZ=Europe/Berlin 0 9 * * *`; the first batch comes when it says. Empty: as fast as they are taken.",
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
    let schedule = match &*interval {
        "" => None,
        text => Some(Schedule::parse(text).map_err(|fault| node.field_fault("interval", fault))?),
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
    let left = (count > 0).then_some(count);
    let pace = schedule.map(|schedule| Pace { schedule, due: None, tick: None });
    let input = Generate { mapping, pace, left, batch_size, fault: None };
    context.with_replay(node, input)
}

struct Generate {
    mapping: Mapping,
    /// None: as fast as batches are taken.
    pace: Option<Pace>,
    left: Option<usize>,
    batch_size: usize,
    /// Why the last batch is shorter; told next.
    fault: Option<String>,
}

struct Pace {
    schedule: Schedule,
    /// The next time, while it is waited for.
    due: Option<Instant>,
    /// The latest point in time of a cron schedule.
    tick: Option<Timestamp>,
}

impl Pace {
    /// Waits for the next time; false when there is none. Cancel safe.
    async fn wait(&mut self) -> bool {
        let pause = match &self.schedule {
            Schedule::Every(pause) => {
                let due = *self.due.get_or_insert_with(Instant::now);
                tokio::time::sleep_until(due).await;
                *pause
            }
            Schedule::After(pause) => {
                let due = *self.due.get_or_insert_with(|| Instant::now() + *pause);
                tokio::time::sleep_until(due).await;
                *pause
            }
            Schedule::Cron(ticks) => {
                if self.due.is_none() {
                    let now = Timestamp::now();
                    let Some(tick) = ticks.next(now, self.tick) else { return false };
                    let pause = Duration::try_from(tick.duration_since(now)).unwrap_or_default();
                    self.due = Some(Instant::now() + pause);
                    self.tick = Some(tick);
                }
                sleep_until(self.due).await;
                self.due = None;
                return true;
            }
        };
        // After a stall the next ones keep their distance: no burst makes up for lost time.
        self.due = self.due.map(|due| (due + pause).max(Instant::now()));
        true
    }
}

#[async_trait]
impl Input for Generate {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        loop {
            if let Some(fault) = self.fault.take() {
                return Err(ReadError::Other(fault));
            }
            if self.left == Some(0) {
                return Err(ReadError::End);
            }
            match &mut self.pace {
                Some(pace) => {
                    if !pace.wait().await {
                        return Err(ReadError::End);
                    }
                }
                None => tokio::task::consume_budget().await,
            }
            let size = self.left.map_or(self.batch_size, |left| left.min(self.batch_size));
            let mut batch = Batch::with_capacity(size);
            for _ in 0..size {
                if let Some(left) = &mut self.left {
                    *left -= 1;
                }
                match apply(&self.mapping, &[Message::new("")], 0) {
                    Ok(message) => batch.extend(message),
                    // What was made before is not thrown away.
                    Err(fault) => {
                        self.fault = Some(format!("the mapping failed: {fault}"));
                        break;
                    }
                }
            }
            if !batch.is_empty() {
                return Ok((batch, Ack::none()));
            }
        }
    }

    async fn close(&mut self) {}
}
