//! Processors on a copy, whose result is put into the original (streams contract 3.6).

use async_trait::async_trait;
use bloblang::{Mapping, Text, Value};
use document::Fault;

use crate::build::{BuildContext, Stage};
use crate::component::Processor;
use crate::message::{Batch, Message, View};
use crate::node::Node;
use crate::pipeline::run_stages;
use crate::processors::mapping::{apply, edit};
use crate::registry::{Default, Field, Kind, ProcessorSpec};

pub(crate) const FIELDS: &[Field] = &[
    Field::new(
        "request_map",
        Kind::Bloblang,
        Default::Text(""),
        "A mapping that makes the copy; empty: a whole copy. A message that it deletes is passed over.",
    ),
    Field::required(
        "processors",
        Kind::List(&Kind::Processor),
        "Run on all copies as one batch; they must give as many messages as they got.",
    ),
    Field::new(
        "result_map",
        Kind::Bloblang,
        Default::Text(""),
        "A mapping with the result as `this` and the original as `root`; empty: the result is not used.",
    ),
];

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "branch",
    summary: "Runs processors on a copy of each message and maps the result into the original. Where anything fails the original stays as it was, flagged.",
    config: Kind::Object(FIELDS),
    build: |node, context| Ok(Box::new(Branch::build(node, context)?)),
};

pub(crate) struct Branch {
    request: Option<Mapping>,
    stages: Vec<Stage>,
    result: Option<Mapping>,
}

/// What a branch has to say about one message.
pub(super) enum Answer {
    /// It was not asked for, or the request map deleted its copy.
    Skipped,
    Failed(String),
    /// The result, to be mapped.
    Made(Message),
}

impl Branch {
    pub(crate) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Branch, Fault> {
        let stages = context.stages(&node.get("processors"))?;
        if stages.is_empty() {
            return Err(node.field_fault("processors", "a branch needs at least one processor"));
        }
        Ok(Branch {
            request: node.mapping("request_map", context)?,
            stages,
            result: node.mapping("result_map", context)?,
        })
    }

    /// What of a document the request map reads; an empty path is all of it.
    pub(super) fn reads(&self) -> Vec<Vec<Text>> {
        self.request.as_ref().map_or_else(|| vec![Vec::new()], Mapping::reads)
    }

    /// What of a document the result map writes.
    pub(super) fn writes(&self) -> Vec<Vec<Text>> {
        self.result.as_ref().map(Mapping::writes).unwrap_or_default()
    }

    /// Runs the branch on copies of those messages that `wants` names by their positions; one answer for each message.
    pub(super) async fn ask(&self, batch: &[Message], wants: impl Fn(usize) -> bool) -> Vec<Answer> {
        let mut answers: Vec<Answer> = Vec::with_capacity(batch.len());
        let (mut copies, mut asked) = (Batch::new(), Vec::new());
        for (index, message) in batch.iter().enumerate() {
            if !wants(index) {
                answers.push(Answer::Skipped);
                continue;
            }
            let copy = match &self.request {
                Some(map) => apply(map, batch, index),
                None => Ok(Some(message.clone())),
            };
            answers.push(match copy {
                Ok(Some(mut copy)) => {
                    copy.clear_error();
                    copies.push(copy);
                    asked.push(index);
                    Answer::Skipped
                }
                Ok(None) => Answer::Skipped,
                Err(fault) => Answer::Failed(format!("the request map failed: {fault}")),
            });
        }
        if copies.is_empty() {
            return answers;
        }
        let made: Batch = run_stages(&self.stages, copies).await.into_iter().flatten().collect();
        if made.len() != asked.len() {
            // Nobody knows which result belongs to which message.
            let text = format!("the branch was given {} messages and made {}", asked.len(), made.len());
            asked.into_iter().for_each(|index| answers[index] = Answer::Failed(text.clone()));
            return answers;
        }
        for (index, message) in asked.into_iter().zip(made) {
            answers[index] = match message.error() {
                Some(text) => Answer::Failed(format!("a processor of the branch failed: {text}")),
                None => Answer::Made(message),
            };
        }
        answers
    }

    /// The batch as the result map sees it: results where there are any, else the originals.
    pub(super) fn results(batch: &[Message], answers: &[Answer]) -> Batch {
        (answers.iter().zip(batch))
            .map(|(answer, original)| match answer {
                Answer::Made(message) => message.clone(),
                _ => original.clone(),
            })
            .collect()
    }

    /// The original with its result mapped into it; `None` when the result map deletes it.
    pub(super) fn result(
        &self,
        results: &[Message],
        index: usize,
        original: &Message,
    ) -> Result<Option<Message>, String> {
        let Some(map) = &self.result else { return Ok(Some(original.clone())) };
        let base = original.value().cloned().unwrap_or(Value::Nothing);
        let outcome = map
            .overlay(&View(results), index, base)
            .map_err(|fault| format!("the result map failed: {fault}"))?;
        Ok(edit(original, outcome))
    }
}

#[async_trait]
impl Processor for Branch {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        let answers = self.ask(&batch, |_| true).await;
        let results = Branch::results(&batch, &answers);
        let mut kept = Batch::with_capacity(batch.len());
        for (index, (mut original, answer)) in batch.into_iter().zip(answers).enumerate() {
            match answer {
                Answer::Skipped => kept.push(original),
                Answer::Failed(text) => {
                    original.set_error(text);
                    kept.push(original);
                }
                Answer::Made(_) => match self.result(&results, index, &original) {
                    Ok(merged) => kept.extend(merged),
                    Err(text) => {
                        original.set_error(text);
                        kept.push(original);
                    }
                },
            }
        }
        if kept.is_empty() { Vec::new() } else { vec![kept] }
    }
}
