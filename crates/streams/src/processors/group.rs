//! Lists of processors that run on messages by what happened to them (streams contract 3.6).

use async_trait::async_trait;
use document::Fault;
use futures_util::{StreamExt, stream};

use crate::build::{BuildContext, Stage};
use crate::component::Processor;
use crate::message::{Batch, Message};
use crate::node::Node;
use crate::pipeline::run_stages;
use crate::processors::order::Order;
use crate::registry::{Default, Field, Kind, ProcessorSpec};

const LIST: Kind = Kind::List(&Kind::Processor);

pub(super) static PROCESSORS: ProcessorSpec = ProcessorSpec {
    name: "processors",
    summary: "A list of processors as one.",
    config: LIST,
    build: |node, context| Ok(Box::new(Group { stages: context.stages(node)?, how: How::All })),
};

pub(super) static TRY: ProcessorSpec = ProcessorSpec {
    name: "try",
    summary: "A list of processors; a message on which one fails, or that had failed before, skips the rest of them.",
    config: LIST,
    build: |node, context| Ok(Box::new(Group { stages: context.stages(node)?, how: How::Try })),
};

pub(super) static CATCH: ProcessorSpec = ProcessorSpec {
    name: "catch",
    summary: "A list of processors for the messages that have failed; afterwards they count as failed no more. An empty list only takes the failure away.",
    config: LIST,
    build: |node, context| Ok(Box::new(Group { stages: context.stages(node)?, how: How::Catch })),
};

pub(super) static FOR_EACH: ProcessorSpec = ProcessorSpec {
    name: "for_each",
    summary: "Runs its list of processors on each message as a batch of its own, one after the other.",
    config: LIST,
    build: |node, context| Ok(Box::new(Group { stages: context.stages(node)?, how: How::Each(1) })),
};

pub(super) static PARALLEL: ProcessorSpec = ProcessorSpec {
    name: "parallel",
    summary: "Runs processors on each message as a batch of its own, several at the same time. The order is kept.",
    config: Kind::Object(&[
        Field::new("cap", Kind::Int, Default::Int(0), "Most messages at the same time; 0: all of a batch."),
        Field::required("processors", LIST, "The processors."),
    ]),
    build: parallel,
};

fn parallel(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let cap = match node.count("cap")? {
        0 => usize::MAX,
        cap => cap,
    };
    Ok(Box::new(Group { stages: context.stages(&node.get("processors"))?, how: How::Each(cap) }))
}

enum How {
    All,
    Try,
    Catch,
    /// So many at the same time.
    Each(usize),
}

struct Group {
    stages: Vec<Stage>,
    how: How,
}

#[async_trait]
impl Processor for Group {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        match self.how {
            How::All => run_stages(&self.stages, batch).await,
            How::Try => try_all(&self.stages, batch).await,
            How::Catch => catch(&self.stages, batch).await,
            How::Each(cap) => each(&self.stages, batch, cap).await,
        }
    }
}

/// One after the other, each with those that have not failed so far.
async fn try_all(stages: &[Stage], batch: Batch) -> Vec<Batch> {
    let mut batches = vec![batch];
    for stage in stages {
        let mut next = Vec::with_capacity(batches.len());
        for batch in batches {
            next.extend(
                aside(batch, |message| message.error().is_some(), |right| stage.process(right)).await,
            );
        }
        batches = next;
    }
    batches
}

async fn catch(stages: &[Stage], batch: Batch) -> Vec<Batch> {
    aside(
        batch,
        |message| message.error().is_none(),
        async |failed| {
            let mut batches = run_stages(stages, failed).await;
            batches.iter_mut().flatten().for_each(Message::clear_error);
            batches
        },
    )
    .await
}

/// Runs `process` without the messages that are `passed` over, which keep their place in the batch.
async fn aside<F: Future<Output = Vec<Batch>>>(
    mut batch: Batch,
    passed: impl Fn(&Message) -> bool,
    process: impl FnOnce(Batch) -> F,
) -> Vec<Batch> {
    match batch.iter().filter(|message| passed(message)).count() {
        0 => return process(batch).await,
        all if all == batch.len() => return vec![batch],
        _ => {}
    }
    let order = Order::mark(&mut batch);
    let (mut whole, part): (Batch, Batch) = batch.into_iter().partition(passed);
    whole.extend(process(part).await.into_iter().flatten());
    order.restore(&mut whole);
    vec![whole]
}

async fn each(stages: &[Stage], batch: Batch, cap: usize) -> Vec<Batch> {
    let cap = cap.min(batch.len()).max(1);
    let results: Vec<Vec<Batch>> =
        stream::iter(batch.into_iter().map(|message| run_stages(stages, vec![message])))
            .buffered(cap)
            .collect()
            .await;
    let all: Batch = results.into_iter().flatten().flatten().collect();
    if all.is_empty() { Vec::new() } else { vec![all] }
}
