//! Several outputs as one (streams contract 2.12).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use document::Fault;
use futures_util::future::select_all;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::ack::{Ack, NackKind, NackReason, Outcome, Transaction};
use crate::backoff::FAN_OUT;
use crate::build::{BuildContext, OutputNode};
use crate::component::{ConnectError, Input, Output, ReadError, WriteError};
use crate::fields::BATCHING_FIELD;
use crate::message::{Batch, Message};
use crate::node::Node;
use crate::registry::{Default, Field, Kind, OutputSpec};
use crate::replay::Replay;
use crate::sink;
use crate::task::Tasks;

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "broker",
    summary: "Passes batches to several outputs by a pattern.",
    config: Kind::Object(&[
        Field::new(
            "copies",
            Kind::Int,
            Default::Int(1),
            "Makes every output this many times. The metrics of copies have the paths that they would have if the list was written so many times.",
        )
        .advanced(),
        Field::new(
            "pattern",
            Kind::Choice(&[
                "fan_out",
                "fan_out_fail_fast",
                "fan_out_sequential",
                "fan_out_sequential_fail_fast",
                "round_robin",
                "greedy",
            ]),
            Default::Text("fan_out"),
            "`fan_out`: all get every batch in parallel, each is written to again until it succeeds, acknowledged when all have; so all go as fast as the slowest one, and wait for one that takes nothing. `fan_out_sequential`: the same, one after the other. `…_fail_fast`: the first failure sends the batch back to the input. `round_robin`: each batch to one, in turn. `greedy`: each batch to whichever is free.",
        ),
        Field::required("outputs", Kind::List(&Kind::Output), "The outputs."),
        BATCHING_FIELD,
    ]),
    build,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pattern {
    FanOut { retry: bool },
    Sequential { retry: bool },
    RoundRobin,
    Greedy,
}

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    let pattern = match &*node.text("pattern")? {
        "fan_out_fail_fast" => Pattern::FanOut { retry: false },
        "fan_out_sequential" => Pattern::Sequential { retry: true },
        "fan_out_sequential_fail_fast" => Pattern::Sequential { retry: false },
        "round_robin" => Pattern::RoundRobin,
        "greedy" => Pattern::Greedy,
        _ => Pattern::FanOut { retry: true },
    };
    let copies = node.count("copies")?;
    if !(1..=1024).contains(&copies) {
        return Err(node.field_fault("copies", "`copies` must be from 1 to 1024"));
    }
    let children = context.copies(&node.items("outputs"), copies, |context, child| context.output(child))?;
    if children.is_empty() {
        return Err(node.field_fault("outputs", "`outputs` must name at least one output"));
    }
    context.with_batching(node)?;
    let limit = children.iter().map(|child| child.output.max_in_flight()).max().unwrap_or(1);
    Ok(Box::new(Broker {
        pattern,
        limit,
        turn: AtomicUsize::new(0),
        stops: context.watch.stops.clone(),
        running: Mutex::new(Running::new(children)),
    }))
}

struct Broker {
    pattern: Pattern,
    limit: usize,
    turn: AtomicUsize,
    /// Whether the stream is being stopped.
    stops: Arc<AtomicBool>,
    running: Mutex<Running>,
}

struct Running {
    // Until they are started.
    children: Vec<OutputNode>,
    senders: Vec<mpsc::Sender<Transaction>>,
    // Ends them when the broker is dropped.
    tasks: Tasks,
}

impl Running {
    fn new(children: Vec<OutputNode>) -> Running {
        Running { children, senders: Vec::new(), tasks: Tasks::default() }
    }
}

impl Broker {
    fn senders(&self) -> Vec<mpsc::Sender<Transaction>> {
        self.running.lock().senders.clone()
    }

    async fn fan_out(&self, batch: Batch, ack: Ack) {
        let senders = self.senders();
        let acks = ack.share(senders.len());
        for (sender, ack) in senders.iter().zip(acks) {
            // A child that is gone drops the batch, which is a nack.
            let _ = sender.send(Transaction { batch: batch.clone(), ack }).await;
        }
    }

    async fn sequential(&self, batch: Batch, ack: Ack, retry: bool) {
        let senders = self.senders();
        for (child, sender) in senders.iter().enumerate() {
            let mut attempt = 0;
            let mut left = batch.clone();
            while let Err(reason) = write_one(sender, left.clone()).await {
                let stopped = reason.kind() == NackKind::Stopping && self.stops.load(Ordering::Relaxed);
                left.retain(|message| reason.concerns(message.place()));
                if !retry || stopped || sender.is_closed() {
                    // What this child has taken, those behind it have not seen.
                    let failed = if child + 1 < senders.len() { &batch } else { &left };
                    return ack.done(Err(reason.only(failed)));
                }
                tokio::time::sleep(FAN_OUT.pause(attempt)).await;
                attempt += 1;
            }
        }
        ack.done(Ok(()));
    }

    async fn greedy(&self, batch: Batch, ack: Ack) {
        let senders = self.senders();
        let reserving: Vec<_> = senders.iter().map(|sender| Box::pin(sender.reserve())).collect();
        let (permit, _, _) = select_all(reserving).await;
        if let Ok(permit) = permit {
            permit.send(Transaction { batch, ack });
        }
    }
}

/// Writes to one child and waits for what becomes of it.
async fn write_one(sender: &mpsc::Sender<Transaction>, batch: Batch) -> Outcome {
    let (resolved, outcome) = oneshot::channel();
    let ack = Ack::new(move |outcome| {
        let _ = resolved.send(outcome);
    });
    let _ = sender.send(Transaction { batch, ack }).await;
    outcome.await.unwrap_or_else(|_| Err(NackReason::stopping()))
}

#[async_trait]
impl Output for Broker {
    async fn connect(&self) -> Result<(), ConnectError> {
        let mut running = self.running.lock();
        let running = &mut *running;
        for child in running.children.drain(..) {
            let (sender, receiver) = mpsc::channel(1);
            let probe = child.probe.clone();
            running.senders.push(sender);
            if self.pattern == (Pattern::FanOut { retry: true }) {
                let (to_child, from_replay) = mpsc::channel(1);
                running.tasks.spawn(probe.clone(), retry(receiver, to_child, self.stops.clone()));
                running.tasks.spawn(probe, sink::run(child, from_replay));
            } else {
                running.tasks.spawn(probe, sink::run(child, receiver));
            }
        }
        Ok(())
    }

    async fn write(&self, _: &[Message]) -> Result<(), WriteError> {
        Err(WriteError::Failed("a broker takes batches with their ack".to_owned()))
    }

    async fn consume(&self, batch: Batch, ack: Ack) -> Result<(), (Batch, Ack)> {
        match self.pattern {
            Pattern::FanOut { .. } => self.fan_out(batch, ack).await,
            Pattern::Sequential { retry } => self.sequential(batch, ack, retry).await,
            Pattern::RoundRobin => {
                let senders = self.senders();
                let turn = self.turn.fetch_add(1, Ordering::Relaxed) % senders.len().max(1);
                if let Some(sender) = senders.get(turn) {
                    let _ = sender.send(Transaction { batch, ack }).await;
                }
            }
            Pattern::Greedy => self.greedy(batch, ack).await,
        }
        Ok(())
    }

    fn max_in_flight(&self) -> usize {
        // Handing on to children keeps order by itself; only waiting for them one after the other needs company.
        if matches!(self.pattern, Pattern::Sequential { .. }) { self.limit } else { 1 }
    }

    async fn close(&self) {
        let mut tasks = {
            let mut running = self.running.lock();
            running.senders.clear();
            std::mem::take(&mut running.tasks)
        };
        tasks.finish().await;
    }
}

/// Hands batches to a child until it has delivered them: its failures never reach its siblings.
async fn retry(
    receiver: mpsc::Receiver<Transaction>,
    to_child: mpsc::Sender<Transaction>,
    stops: Arc<AtomicBool>,
) {
    let mut replay = Replay::until_stopped(Handed { receiver }, FAN_OUT, stops);
    while let Ok((batch, ack)) = replay.read().await {
        if to_child.send(Transaction { batch, ack }).await.is_err() {
            return;
        }
    }
}

/// What a broker hands to one child, as an input that can be replayed.
struct Handed {
    receiver: mpsc::Receiver<Transaction>,
}

#[async_trait]
impl Input for Handed {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        match self.receiver.recv().await {
            Some(Transaction { batch, ack }) => Ok((batch, ack)),
            None => Err(ReadError::End),
        }
    }

    async fn close(&mut self) {}
}
