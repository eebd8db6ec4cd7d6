//! Branches that depend on each other (streams contract 3.6).

mod order;
mod record;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use document::Fault;
use futures_util::future::join_all;

use super::branch::{Answer, Branch, FIELDS as BRANCH};
use crate::build::BuildContext;
use crate::component::Processor;
use crate::message::{Batch, Message};
use crate::node::Node;
use crate::registry::{Default, Field, Kind, ProcessorSpec};
use crate::sort::Sort;
use record::{Plan, Record};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "workflow",
    summary: "Runs branches, each after those whose results it reads, and at the same time where none reads another's. Results are mapped into the message in order; what became of each branch is written into it, too.",
    config: Kind::Object(&[
        Field::new(
            "meta_path",
            Kind::Text,
            Default::Text("meta.workflow"),
            "Where in the document it is written which branches `succeeded`, were `skipped` or `failed`, an earlier record going to `previous`. A message that has such a record already passes over the branches that succeeded or were skipped, or runs only those of its list `apply`. Empty: nothing is written, and messages for which a branch failed are flagged.",
        ),
        Field::optional(
            "order",
            Kind::List(&Kind::List(&Kind::Text)),
            "The branches in tiers, one tier after the other; also labels of `branch` processors in `processor_resources`. Without it the order follows from the mappings: a branch runs after those whose result map writes what its request map reads.",
        ),
        Field::optional(
            "branch_resources",
            Kind::List(&Kind::Label(Sort::Processor)),
            "Labels of `branch` processors in `processor_resources` that take part.",
        )
        .advanced(),
        Field::optional("branches", Kind::Map(&Kind::Object(BRANCH)), "The branches by their names."),
    ]),
    build,
};

/// A branch with its name.
struct Named {
    name: String,
    branch: Branch,
}

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let mut all = Vec::new();
    let written = node.get("branches");
    for name in written.value().as_object().into_iter().flat_map(|members| members.keys()) {
        let at = written.get(name);
        let at = Node::new(at.value(), Kind::Object(BRANCH), at.pointer());
        all.push(Named { name: name.clone(), branch: Branch::build(&at, context)? });
    }
    for label in node.items("branch_resources") {
        add_resource(&mut all, &label, context)?;
    }
    let tiers = match node.items("order") {
        tiers if !tiers.is_empty() => {
            for name in tiers.iter().flat_map(Node::members) {
                let text = name.as_text()?;
                if !all.iter().any(|named| *named.name == *text) {
                    add_resource(&mut all, &name, context)?;
                }
            }
            order::written(node, &tiers, &all)?
        }
        _ => order::derived(node, &all)?,
    };
    if all.is_empty() {
        return Err(node.fault("a workflow needs at least one branch").hint("add one to `branches`"));
    }
    let path = node.text("meta_path")?.into_owned();
    Ok(Box::new(Workflow { path: (!path.is_empty()).then_some(path), all, tiers }))
}

fn add_resource(all: &mut Vec<Named>, label: &Node<'_>, context: &mut BuildContext<'_>) -> Result<(), Fault> {
    let name = label.as_text()?.into_owned();
    if all.iter().any(|named| named.name == name) {
        return Err(label.fault(format!("there are two branches `{name}`")));
    }
    let branch = context.branch_resource(label)?;
    all.push(Named { name, branch });
    Ok(())
}

struct Workflow {
    path: Option<String>,
    all: Vec<Named>,
    /// Positions in `all`.
    tiers: Vec<Vec<usize>>,
}

#[async_trait]
impl Processor for Workflow {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        let plans: Vec<Plan> = batch.iter().map(|message| Plan::of(message, self.path.as_deref())).collect();
        let mut records: Vec<Record> = batch.iter().map(|_| Record::default()).collect();
        let mut deleted = vec![false; batch.len()];
        let mut batch = batch;
        for tier in &self.tiers {
            let asked = tier.iter().map(|&at| {
                let named = &self.all[at];
                let wants = |index: usize| !deleted[index] && plans[index].wants(&named.name);
                named.branch.ask(&batch, wants)
            });
            let answers = join_all(asked).await;
            for (&at, answers) in tier.iter().zip(answers) {
                self.merge(&self.all[at], answers, &mut batch, &mut records, &mut deleted);
            }
        }
        let mut kept = Batch::with_capacity(batch.len());
        for (index, mut message) in batch.into_iter().enumerate() {
            if !deleted[index] {
                records[index].finish(&mut message, self.path.as_deref(), &plans[index]);
                kept.push(message);
            }
        }
        if kept.is_empty() { Vec::new() } else { vec![kept] }
    }
}

impl Workflow {
    /// Maps the results of one branch into the messages.
    fn merge(
        &self,
        named: &Named,
        answers: Vec<Answer>,
        batch: &mut [Message],
        records: &mut [Record],
        deleted: &mut [bool],
    ) {
        let results = Branch::results(batch, &answers);
        for (index, answer) in answers.into_iter().enumerate() {
            if deleted[index] {
                continue;
            }
            match answer {
                Answer::Skipped => records[index].skip(&named.name),
                Answer::Failed(text) => records[index].fail(&named.name, text),
                Answer::Made(_) => match named.branch.result(&results, index, &batch[index]) {
                    Ok(Some(merged)) => {
                        batch[index] = merged;
                        records[index].succeed(&named.name);
                    }
                    // The result map deleted the message: the other branches have no place to write to.
                    Ok(None) => deleted[index] = true,
                    Err(text) => records[index].fail(&named.name, text),
                },
            }
        }
    }
}
