//! Several inputs as one (streams contract 2.12).

use async_trait::async_trait;
use document::Fault;
use tokio::sync::{mpsc, watch};

use crate::ack::{Ack, Transaction};
use crate::build::{BuildContext, InputNode};
use crate::component::{ConnectError, Input, ReadError};
use crate::fields::BATCHING_FIELD;
use crate::message::Batch;
use crate::node::Node;
use crate::registry::{Default, Field, InputSpec, Kind};
use crate::source::{self, Phase};
use crate::task::Tasks;

pub(super) static SPEC: InputSpec = InputSpec {
    name: "broker",
    summary: "Merges several inputs, read in parallel, without order between them. Ends when all have ended.",
    config: Kind::Object(&[
        Field::new(
            "copies",
            Kind::Int,
            Default::Int(1),
            "Makes every input this many times. The metrics of copies have the paths that they would have if the list was written so many times.",
        )
        .advanced(),
        Field::required("inputs", Kind::List(&Kind::Input), "The inputs."),
        BATCHING_FIELD,
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let copies = node.count("copies")?;
    if !(1..=1024).contains(&copies) {
        return Err(node.field_fault("copies", "`copies` must be from 1 to 1024"));
    }
    let children = context.copies(&node.items("inputs"), copies, |context, child| context.input(child))?;
    if children.is_empty() {
        return Err(node.field_fault("inputs", "`inputs` must name at least one input"));
    }
    context.with_batching(node)?;
    let (phase, _) = watch::channel(Phase::Running);
    Ok(Box::new(Broker { children, tasks: Tasks::default(), merged: None, phase }))
}

struct Broker {
    // Until they are started.
    children: Vec<InputNode>,
    // Ends them when the broker is dropped.
    tasks: Tasks,
    merged: Option<mpsc::Receiver<Transaction>>,
    phase: watch::Sender<Phase>,
}

#[async_trait]
impl Input for Broker {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        if self.merged.is_none() {
            let (sender, receiver) = mpsc::channel(1);
            for child in self.children.drain(..) {
                let (probe, phase) = (child.probe.clone(), self.phase.subscribe());
                self.tasks.spawn(probe, source::run(child, sender.clone(), phase));
            }
            self.merged = Some(receiver);
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        let Some(merged) = &mut self.merged else { return Err(ReadError::NotConnected) };
        match merged.recv().await {
            Some(Transaction { batch, ack }) => Ok((batch, ack)),
            None => Err(ReadError::End),
        }
    }

    fn drain(&mut self) -> bool {
        self.phase.send_replace(Phase::Stopping);
        true
    }

    async fn close(&mut self) {
        // What nobody reads any more is nacked before the children leave their sources.
        self.merged = None;
        self.phase.send_replace(Phase::Drained);
        self.tasks.finish().await;
    }
}
