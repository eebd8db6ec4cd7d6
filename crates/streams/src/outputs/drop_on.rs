//! Drops what an output does not take (streams contract 3.10).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use document::{Fault, pointer_join};
use regex::Regex;

use crate::ack::{Ack, NackKind, NackReason, Transaction};
use crate::build::BuildContext;
use crate::component::{ConnectError, Output, WriteError};
use crate::message::{Batch, Message};
use crate::metrics::Probe;
use crate::node::Node;
use crate::outputs::children::Children;
use crate::registry::{Default, Field, Kind, OutputSpec};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "drop_on",
    summary: "Drops messages, as if they were delivered, where its output fails or takes too long. Each drop is logged and counted as an error.",
    config: Kind::Object(&[
        Field::new("error", Kind::Bool, Default::Bool(false), "Drops whatever the output does not deliver."),
        Field::optional(
            "error_patterns",
            Kind::List(&Kind::Text),
            "Drops what the output does not deliver where the reason matches one of these regular expressions. A batch that failed for several reasons is dropped only when all of them match.",
        ),
        Field::optional(
            "back_pressure",
            Kind::Duration,
            "Drops a batch that the output does not take within this time.",
        ),
        Field::required("output", Kind::Output, "The output."),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    let place = pointer_join(node.pointer(), "error_patterns");
    let patterns = (node.texts("error_patterns")?.iter().enumerate())
        .map(|(index, text)| {
            Regex::new(text).map_err(|fault| {
                let text = format!("not a regular expression: {fault}");
                Fault::error(pointer_join(&place, &index.to_string()), text)
            })
        })
        .collect::<Result<Vec<Regex>, Fault>>()?;
    let (errors, wait) = (node.boolean("error")?, node.duration("back_pressure")?);
    if !errors && patterns.is_empty() && wait.is_none() {
        return Err(node.fault("`drop_on` needs a condition").hint("set `error` or `back_pressure`"));
    }
    let probe = context.probe.clone();
    let child = context.output(&node.get("output"))?;
    Ok(Box::new(DropOn {
        when: Arc::new(When { errors, patterns, probe }),
        wait,
        children: Children::new(vec![child]),
    }))
}

struct When {
    errors: bool,
    patterns: Vec<Regex>,
    probe: Arc<Probe>,
}

impl When {
    fn drops(&self, reason: &NackReason) -> bool {
        // What was only interrupted has not failed.
        reason.kind() == NackKind::Failed
            && (self.errors
                || reason.texts().all(|text| self.patterns.iter().any(|pattern| pattern.is_match(text))))
    }

    fn count(&self, why: &str) {
        self.probe.errors.add(1);
        tracing::warn!(path = %self.probe.path, why, "messages are dropped");
    }
}

struct DropOn {
    when: Arc<When>,
    wait: Option<Duration>,
    children: Children,
}

#[async_trait]
impl Output for DropOn {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.children.start();
        Ok(())
    }

    async fn write(&self, _: &[Message]) -> Result<(), WriteError> {
        Err(WriteError::Failed("`drop_on` takes batches with their ack".to_owned()))
    }

    async fn consume(&self, batch: Batch, ack: Ack) -> Result<(), (Batch, Ack)> {
        // Without a child that runs the ack is dropped, which is a nack.
        let Some(sender) = self.children.sender(0) else { return Ok(()) };
        let permit = match self.wait {
            None => sender.reserve().await,
            Some(wait) => match tokio::time::timeout(wait, sender.reserve()).await {
                Ok(permit) => permit,
                Err(_) => {
                    self.when.count("the output does not take them in time");
                    ack.done(Ok(()));
                    return Ok(());
                }
            },
        };
        let when = self.when.clone();
        let ack = Ack::new(move |outcome| match outcome {
            Err(reason) if when.drops(&reason) => {
                when.count(reason.text());
                ack.done(Ok(()));
            }
            outcome => ack.done(outcome),
        });
        // A child that is gone drops the batch, which is a nack and no failure.
        if let Ok(permit) = permit {
            permit.send(Transaction { batch, ack });
        }
        Ok(())
    }

    async fn close(&self) {
        self.children.close().await;
    }
}
