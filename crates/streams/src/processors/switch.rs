//! Processors for messages that meet a condition (streams contract 3.6).

use async_trait::async_trait;
use bloblang::{Mapping, Value};
use document::Fault;

use crate::build::{BuildContext, Stage};
use crate::component::Processor;
use crate::message::{Batch, View};
use crate::node::Node;
use crate::pipeline::run_stages;
use crate::processors::order::Order;
use crate::registry::{Default, Field, Kind, ProcessorSpec};

const CASE: &[Field] = &[
    Field::new(
        "check",
        Kind::Bloblang,
        Default::Text(""),
        "A query; true for the messages that this case takes. Empty: all. A message on which it fails is flagged and passed on.",
    ),
    Field::required("processors", Kind::List(&Kind::Processor), "What changes these messages."),
    Field::new(
        "fallthrough",
        Kind::Bool,
        Default::Bool(false),
        "Whether the processors of the next case run on these messages, too, whatever its check.",
    ),
];

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "switch",
    summary: "Runs the processors of the first case whose check is true for a message; those of one case run on one batch. Other messages pass unchanged. The order of the batch is kept.",
    config: Kind::List(&Kind::Object(CASE)),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let mut cases = Vec::new();
    for case in node.members() {
        let stages = context.stages(&case.get("processors"))?;
        if stages.is_empty() {
            return Err(case
                .field_fault("processors", "a case needs at least one processor")
                .hint("write `noop: {}` for a case that changes nothing"));
        }
        cases.push(Case {
            check: case.mapping("check", context)?,
            stages,
            falls_through: case.boolean("fallthrough")?,
        });
    }
    Ok(Box::new(Switch { cases }))
}

struct Case {
    check: Option<Mapping>,
    stages: Vec<Stage>,
    falls_through: bool,
}

struct Switch {
    cases: Vec<Case>,
}

#[async_trait]
impl Processor for Switch {
    async fn process(&self, mut batch: Batch) -> Vec<Batch> {
        let order = Order::mark(&mut batch);
        let mut done = Batch::new();
        let mut carried = Batch::new();
        let mut left = batch;
        for case in &self.cases {
            let (taken, rest) = case.take(left, &mut done);
            left = rest;
            carried.extend(taken);
            if carried.is_empty() {
                continue;
            }
            let taken = std::mem::take(&mut carried);
            let processed = run_stages(&case.stages, taken).await.into_iter().flatten();
            if case.falls_through { carried.extend(processed) } else { done.extend(processed) }
        }
        done.extend(carried);
        done.extend(left);
        order.restore(&mut done);
        if done.is_empty() { Vec::new() } else { vec![done] }
    }
}

impl Case {
    /// Those that this case takes, and the others; those on which the check fails go to `done`.
    fn take(&self, batch: Batch, done: &mut Batch) -> (Batch, Batch) {
        let Some(check) = &self.check else { return (batch, Batch::new()) };
        let results: Vec<_> = (0..batch.len()).map(|index| check.query(&View(&batch), index)).collect();
        let (mut taken, mut rest) = (Batch::new(), Batch::new());
        for (mut message, result) in batch.into_iter().zip(results) {
            match result {
                Ok(Value::Bool(true)) => taken.push(message),
                Ok(_) => rest.push(message),
                Err(fault) => {
                    message.set_error(format!("the check of a case failed: {fault}"));
                    done.push(message);
                }
            }
        }
        (taken, rest)
    }
}
