//! Inputs one after the other (streams contract 3.9).

use async_trait::async_trait;
use document::Fault;

use crate::ack::{Ack, Transaction};
use crate::backoff::REPLAY;
use crate::build::BuildContext;
use crate::component::{ConnectError, Input, ReadError};
use crate::inputs::child::Child;
use crate::inputs::join::{self, Join, Shard};
use crate::message::{Batch, Message};
use crate::node::Node;
use crate::rebuild::Blueprint;
use crate::registry::{Field, InputSpec, Kind};
use crate::replay::Replay;

pub(super) static SPEC: InputSpec = InputSpec {
    name: "sequence",
    summary: "Reads its inputs one after the other: the next one starts when the one before has ended.",
    config: Kind::Object(&[
        Field::object(
            "sharded_join",
            join::FIELDS,
            "Joins the documents of the inputs by an id, in memory: a message is acknowledged to its input when it was taken in, and what was not handed on when the gate ends is read again by inputs that begin anew.",
        ).advanced(),
        Field::required("inputs", Kind::List(&Kind::Input), "The inputs, in this order."),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let join = Join::build(&node.get("sharded_join"))?;
    let mut children = Vec::new();
    let mut blueprints = Vec::new();
    for child in node.items("inputs") {
        let before = context.gathered.probes.len();
        let built = context.input(&child)?;
        if !children.is_empty() {
            // Until it is their turn they have nothing to connect to.
            context.gathered.probes.iter().skip(before).for_each(|probe| probe.rest(true));
        }
        children.push(Child::new(built));
        if join.as_ref().is_some_and(|join| join.iterations > 1) {
            blueprints.push(Blueprint::of(&child, context));
        }
    }
    if children.is_empty() {
        return Err(node.field_fault("inputs", "`inputs` must name at least one input"));
    }
    let sequence = Sequence { children, now: 0, stopping: false };
    let Some(join) = join else { return Ok(Box::new(sequence)) };
    context.replays.set(true);
    let joining = Joining {
        sequence,
        join,
        blueprints,
        iteration: 0,
        shard: Shard::new(0),
        ready: Vec::new().into_iter(),
        too_much: None,
    };
    // What was joined is nowhere else any more.
    Ok(Box::new(Replay::with_backoff(
        joining,
        REPLAY,
        Some(context.probe.clone()),
        context.watch.stall.clone(),
    )))
}

struct Sequence {
    children: Vec<Child>,
    now: usize,
    stopping: bool,
}

impl Sequence {
    /// The next batch; `None` when all have ended. Cancel safe.
    async fn next(&mut self) -> Option<Transaction> {
        while let Some(child) = self.children.get_mut(self.now) {
            // One that has not begun when the stream stops does not begin any more.
            if !self.stopping {
                child.start();
            }
            if let Some(transaction) = child.read().await {
                return Some(transaction);
            }
            self.now += 1;
        }
        None
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.children.iter().for_each(Child::stop);
    }

    async fn close(&mut self) {
        for child in &mut self.children {
            child.close().await;
        }
    }
}

#[async_trait]
impl Input for Sequence {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        match self.next().await {
            Some(Transaction { batch, ack }) => Ok((batch, ack)),
            None => Err(ReadError::End),
        }
    }

    fn drain(&mut self) -> bool {
        self.stop();
        true
    }

    async fn close(&mut self) {
        Sequence::close(self).await;
    }
}

/// A sequence whose documents are joined.
struct Joining {
    sequence: Sequence,
    join: Join,
    /// The inputs, to be made again for each iteration.
    blueprints: Vec<Blueprint>,
    iteration: usize,
    shard: Shard,
    /// What is to be handed on before more is read.
    ready: std::vec::IntoIter<Message>,
    too_much: Option<String>,
}

impl Joining {
    fn take(&mut self, transaction: Transaction) {
        let last = self.sequence.now + 1 == self.sequence.children.len();
        let mut made = Vec::new();
        for message in &transaction.batch {
            match self.shard.add(&self.join, message, last) {
                Ok(joined) => made.extend(joined),
                Err(fault) => {
                    self.too_much = Some(fault);
                    return;
                }
            }
        }
        for message in &mut made {
            message.clear_place();
        }
        transaction.ack.done(Ok(()));
        self.ready = made.into_iter();
    }

    /// All inputs have ended: what was joined is handed on, and they begin again for the next part of the ids.
    async fn turn(&mut self) -> Result<(), ReadError> {
        let next = self.iteration + 1;
        // First what can fail: a part that could not begin again is tried again, and not left out.
        let fresh = match next < self.join.iterations {
            true => Some(self.fresh()?),
            false => None,
        };
        let shard = std::mem::replace(&mut self.shard, Shard::new(next));
        let mut made: Vec<Message> = shard.finish(&self.join).collect();
        made.iter_mut().for_each(Message::clear_place);
        self.ready = made.into_iter();
        self.iteration = next;
        // Last what takes time: whoever reads may turn away.
        if let Some(children) = fresh {
            let fresh = Sequence { children, now: 0, stopping: false };
            std::mem::replace(&mut self.sequence, fresh).close().await;
        }
        Ok(())
    }

    /// The inputs, to begin again.
    fn fresh(&self) -> Result<Vec<Child>, ReadError> {
        let fresh = self.blueprints.iter().map(|blueprint| blueprint.build().map(Child::new));
        fresh
            .collect::<Result<_, Fault>>()
            .map_err(|fault| ReadError::Other(format!("an input cannot begin again: {}", fault.message)))
    }
}

#[async_trait]
impl Input for Joining {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        loop {
            if let Some(message) = self.ready.next() {
                return Ok((vec![message], Ack::none()));
            }
            // A join that is cut short would give documents that are not whole.
            if self.iteration == self.join.iterations || self.sequence.stopping {
                return Err(ReadError::End);
            }
            if let Some(fault) = &self.too_much {
                return Err(ReadError::Other(fault.clone()));
            }
            match self.sequence.next().await {
                Some(transaction) => self.take(transaction),
                None if self.sequence.stopping => {}
                None => self.turn().await?,
            }
        }
    }

    fn drain(&mut self) -> bool {
        self.sequence.stop();
        true
    }

    async fn close(&mut self) {
        self.sequence.close().await;
    }
}
