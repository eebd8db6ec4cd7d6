//! Each message to the output whose condition it meets (streams contract 3.10).

use async_trait::async_trait;
use bloblang::{Mapping, Value};
use document::Fault;

use crate::ack::{Ack, AckGroup, NackReason};
use crate::build::BuildContext;
use crate::component::{ConnectError, Output, WriteError};
use crate::message::{Batch, Message, View};
use crate::node::Node;
use crate::outputs::children::Children;
use crate::outputs::retry::{Limits, deliver_until};
use crate::registry::{Default, Field, Kind, OutputSpec};

const CASE: &[Field] = &[
    Field::new(
        "check",
        Kind::Bloblang,
        Default::Text(""),
        "A query; a message for which it is true goes to this output. Empty: every message. A query that fails is not true.",
    ),
    Field::required("output", Kind::Output, "Where these messages go."),
    Field::new(
        "continue",
        Kind::Bool,
        Default::Bool(false),
        "Whether messages that go here are tested by the following cases, too.",
    ),
];

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "switch",
    summary: "Sends each message to the output of the first case whose check is true. Messages that no case takes are acknowledged and dropped, or come again where `strict_mode` is set. Only messages that were not delivered come again.",
    config: Kind::Object(&[
        Field::new(
            "retry_until_success",
            Kind::Bool,
            Default::Bool(false),
            "Writes to the chosen output again, after growing pauses, until it succeeds.",
        ),
        Field::new(
            "strict_mode",
            Kind::Bool,
            Default::Bool(false),
            "Messages that no case takes are not dropped, but fail.",
        )
        .advanced(),
        Field::required(
            "cases",
            Kind::List(&Kind::Object(CASE)),
            "At least two cases, tested in this order.",
        ),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    let mut cases = Vec::new();
    let mut nodes = Vec::new();
    for case in node.items("cases") {
        cases.push(Case { check: case.mapping("check", context)?, goes_on: case.boolean("continue")? });
        nodes.push(context.output(&case.get("output"))?);
    }
    if cases.len() < 2 {
        return Err(node.field_fault("cases", "`cases` needs at least two cases").hint(
            "add one without `check` for everything else, or write the output itself instead of `switch`",
        ));
    }
    Ok(Box::new(Switch {
        cases,
        children: Children::new(nodes),
        retry: node.boolean("retry_until_success")?,
        strict: node.boolean("strict_mode")?,
    }))
}

struct Case {
    check: Option<Mapping>,
    goes_on: bool,
}

struct Switch {
    cases: Vec<Case>,
    children: Children,
    retry: bool,
    strict: bool,
}

impl Switch {
    /// The messages of each case, and those that no case takes.
    fn route(&self, batch: Batch) -> (Vec<Batch>, Batch) {
        let mut routed: Vec<Batch> = self.cases.iter().map(|_| Batch::new()).collect();
        let mut taken = Vec::with_capacity(batch.len());
        for index in 0..batch.len() {
            let mut any = false;
            for (case, to) in self.cases.iter().zip(&mut routed) {
                if !case.takes(&batch, index) {
                    continue;
                }
                any = true;
                to.push(batch[index].clone());
                if !case.goes_on {
                    break;
                }
            }
            taken.push(any);
        }
        let mut taken = taken.into_iter();
        let rest = batch.into_iter().filter(|_| taken.next() == Some(false)).collect();
        (routed, rest)
    }
}

impl Case {
    fn takes(&self, batch: &[Message], index: usize) -> bool {
        let Some(check) = &self.check else { return true };
        match check.query(&View(batch), index) {
            Ok(value) => matches!(value, Value::Bool(true)),
            Err(fault) => {
                tracing::debug!(%fault, "the check of an output case failed");
                false
            }
        }
    }
}

#[async_trait]
impl Output for Switch {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.children.start();
        Ok(())
    }

    async fn write(&self, _: &[Message]) -> Result<(), WriteError> {
        Err(WriteError::Failed("`switch` takes batches with their ack".to_owned()))
    }

    async fn consume(&self, batch: Batch, ack: Ack) -> Result<(), (Batch, Ack)> {
        let (routed, rest) = self.route(batch);
        let mut group = AckGroup::new(ack);
        if self.strict && !rest.is_empty() {
            let reason = NackReason::failed("no case of the switch takes the message").only(&rest);
            group.part().done(Err(reason));
        }
        let parts: Vec<(usize, Batch, Ack)> = (routed.into_iter().enumerate())
            .filter(|(_, part)| !part.is_empty())
            .map(|(child, part)| (child, part, group.part()))
            .collect();
        group.close();
        if self.retry {
            let all = parts.into_iter().map(|(child, part, ack)| async move {
                ack.done(deliver_until(&self.children, child, part, &Limits::ENDLESS).await);
            });
            futures_util::future::join_all(all).await;
        } else {
            for (child, part, ack) in parts {
                self.children.send(child, part, ack).await;
            }
        }
        Ok(())
    }

    fn max_in_flight(&self) -> usize {
        // Handing on keeps order by itself; only waiting for the children needs company.
        if self.retry { self.children.limit() } else { 1 }
    }

    async fn close(&self) {
        self.children.close().await;
    }
}
