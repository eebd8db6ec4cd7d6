//! A queue in memory (streams contract 3.11).

use std::sync::Arc;

use async_trait::async_trait;
use document::Fault;

use super::held::{Queue, Room};
use crate::ack::{NackReason, Transaction};
use crate::batching::Policy;
use crate::buffer::Buffer;
use crate::build::BuildContext;
use crate::component::WriteError;
use crate::fields::BATCHING;
use crate::metrics::Probe;
use crate::node::Node;
use crate::registry::{BufferSpec, Default, Field, Kind};

const BATCH_POLICY: &[Field] = &[
    Field::new("enabled", Kind::Bool, Default::Bool(false), "Gather what leaves the buffer to batches."),
    BATCHING[0],
    BATCHING[1],
    BATCHING[2],
    BATCHING[3],
    BATCHING[4],
    BATCHING[5],
];

pub(super) static SPEC: BufferSpec = BufferSpec {
    name: "memory",
    summary: "A queue in memory, so that the input goes on reading while the pipeline is slow. It does not weaken delivery: a message is acknowledged when it was delivered, not when the buffer took it. What fails behind the buffer is given out again from the buffer.",
    config: Kind::Object(&[
        Field::new(
            "limit",
            Kind::Size,
            Default::Int(524_288_000),
            "Most payload bytes held, up to 4 GiB. When it is full the input waits. A batch larger than this is refused to its source.",
        ),
        Field::new(
            "spillover",
            Kind::Bool,
            Default::Bool(false),
            "When full, refuse batches to their source instead of making it wait.",
        )
        .advanced(),
        Field::object("batch_policy", BATCH_POLICY, "Batches behind the buffer."),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Option<Box<dyn Buffer>>, Fault> {
    let limit = node.size("limit")?.unwrap_or(0);
    if limit == 0 {
        return Err(node.field_fault("limit", "`limit` must be above 0"));
    }
    let policy = node.get("batch_policy");
    if policy.boolean("enabled")? {
        context.batching = Policy::build(&policy, context)?;
    }
    Ok(Some(Box::new(Memory {
        room: Room::new(limit, context.watch.stall.clone(), context.probe.clone()),
        spillover: node.boolean("spillover")?,
        queue: Queue::new(context.watch.stall.clone()),
        probe: context.probe.clone(),
    })))
}

struct Memory {
    room: Room,
    spillover: bool,
    queue: Queue,
    probe: Arc<Probe>,
}

#[async_trait]
impl Buffer for Memory {
    async fn write(&self, Transaction { batch, ack }: Transaction) -> Result<(), WriteError> {
        let room = if self.spillover { self.room.take(&batch) } else { self.room.wait(&batch).await };
        match room {
            Some(room) => {
                self.queue.push(batch, ack, room);
                Ok(())
            }
            None => {
                let text = if self.spillover {
                    self.probe.spilled.add(1);
                    "the buffer is full"
                } else {
                    "the batch is larger than the buffer"
                };
                ack.done(Err(NackReason::failed(text)));
                Err(WriteError::Failed(text.to_owned()))
            }
        }
    }

    async fn read(&self) -> Option<Transaction> {
        self.queue.read().await
    }

    fn end_of_input(&self) {
        self.queue.end();
    }

    async fn close(&self) {
        self.queue.close().await;
    }
}
