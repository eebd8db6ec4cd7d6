//! One batch for each group (streams contract 3.6).

use async_trait::async_trait;
use bloblang::{Mapping, Template, Value};
use document::Fault;

use crate::build::{BuildContext, Stage};
use crate::component::Processor;
use crate::message::{Batch, View};
use crate::node::Node;
use crate::pipeline::run_stages;
use crate::registry::{Field, Kind, ProcessorSpec};

pub(super) static CHECKS: ProcessorSpec = ProcessorSpec {
    name: "group_by",
    summary: "Makes a batch for each group of messages. A message belongs to the first group whose check is true; those of no group are the last batch.",
    config: Kind::List(&Kind::Object(&[
        Field::required(
            "check",
            Kind::Bloblang,
            "A query; true for the messages of this group. One that fails is not true.",
        ),
        Field::optional("processors", Kind::List(&Kind::Processor), "Run on the batch of this group."),
    ])),
    build: build_checks,
};

pub(super) static VALUE: ProcessorSpec = ProcessorSpec {
    name: "group_by_value",
    summary: "Makes a batch for each value, in the order in which the values come first. Messages on which the value fails are flagged, and a batch of their own.",
    config: Kind::Object(&[Field::required(
        "value",
        Kind::Template,
        "What the messages of a batch have in common.",
    )]),
    build: build_value,
};

fn build_checks(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let mut groups = Vec::new();
    for group in node.members() {
        let Some(check) = group.mapping("check", context)? else {
            return Err(group.field_fault("check", "`check` must not be empty"));
        };
        groups.push((check, context.stages(&group.get("processors"))?));
    }
    Ok(Box::new(Checks { groups }))
}

fn build_value(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    Ok(Box::new(ByValue { value: node.template("value", context)? }))
}

struct Checks {
    groups: Vec<(Mapping, Vec<Stage>)>,
}

#[async_trait]
impl Processor for Checks {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        let group_of = |index| {
            let is = |check: &Mapping| matches!(check.query(&View(&batch), index), Ok(Value::Bool(true)));
            self.groups.iter().position(|(check, _)| is(check)).unwrap_or(self.groups.len())
        };
        let places: Vec<usize> = (0..batch.len()).map(group_of).collect();
        let mut grouped: Vec<Batch> = vec![Batch::new(); self.groups.len() + 1];
        for (message, group) in batch.into_iter().zip(places) {
            grouped[group].push(message);
        }
        let mut made = Vec::new();
        for (index, batch) in grouped.into_iter().enumerate().filter(|(_, batch)| !batch.is_empty()) {
            match self.groups.get(index) {
                Some((_, stages)) => made.extend(run_stages(stages, batch).await),
                None => made.push(batch),
            }
        }
        made
    }
}

struct ByValue {
    value: Template,
}

#[async_trait]
impl Processor for ByValue {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        let values: Vec<_> = (0..batch.len()).map(|index| self.value.render(&View(&batch), index)).collect();
        let mut groups: Vec<Batch> = Vec::new();
        let mut known: std::collections::HashMap<Option<String>, usize> = std::collections::HashMap::new();
        for (mut message, value) in batch.into_iter().zip(values) {
            let value = value.map_err(|fault| message.set_error(format!("the value failed: {fault}"))).ok();
            let group = *known.entry(value).or_insert_with(|| {
                groups.push(Batch::new());
                groups.len() - 1
            });
            groups[group].push(message);
        }
        groups
    }
}
