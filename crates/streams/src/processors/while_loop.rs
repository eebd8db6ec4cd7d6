//! Processors again and again (streams contract 3.6).

use async_trait::async_trait;
use bloblang::{Mapping, Value};
use document::Fault;

use crate::build::{BuildContext, Stage};
use crate::component::Processor;
use crate::message::{Batch, View};
use crate::node::Node;
use crate::pipeline::run_stages;
use crate::registry::{Default, Field, Kind, ProcessorSpec};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "while",
    summary: "Runs processors on a batch again and again while a check is true for its first message.",
    config: Kind::Object(&[
        Field::new(
            "at_least_once",
            Kind::Bool,
            Default::Bool(false),
            "Whether they run once before the check is looked at.",
        ),
        Field::new("max_loops", Kind::Int, Default::Int(0), "Most rounds; 0: no limit.").advanced(),
        Field::new(
            "check",
            Kind::Bloblang,
            Default::Text(""),
            "A query on the first message of the batch. One that fails is not true.",
        ),
        Field::required("processors", Kind::List(&Kind::Processor), "The processors."),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let most = node.count("max_loops")?;
    let check = node.mapping("check", context)?;
    if check.is_none() && most == 0 {
        return Err(node.fault("`while` would never end").hint("add `check` or `max_loops`"));
    }
    let stages = context.stages(&node.get("processors"))?;
    Ok(Box::new(While { first: node.boolean("at_least_once")?, most, check, stages }))
}

struct While {
    first: bool,
    most: usize,
    check: Option<Mapping>,
    stages: Vec<Stage>,
}

impl While {
    fn goes_on(&self, batches: &[Batch]) -> bool {
        let Some(batch) = batches.iter().find(|batch| !batch.is_empty()) else { return false };
        let Some(check) = &self.check else { return true };
        match check.query(&View(batch), 0) {
            Ok(value) => matches!(value, Value::Bool(true)),
            Err(fault) => {
                tracing::debug!(%fault, "the check of a loop failed");
                false
            }
        }
    }
}

#[async_trait]
impl Processor for While {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        let mut batches = vec![batch];
        let mut rounds = 0;
        while (self.most == 0 || rounds < self.most)
            && ((rounds == 0 && self.first) || self.goes_on(&batches))
        {
            let mut next = Vec::with_capacity(batches.len());
            for batch in batches {
                next.extend(run_stages(&self.stages, batch).await);
            }
            batches = next;
            rounds += 1;
            // A loop that never ends must let others run, and be cut when the stream ends.
            tokio::task::consume_budget().await;
        }
        batches
    }
}
