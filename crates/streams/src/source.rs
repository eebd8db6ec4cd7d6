//! Runs one input: connects, reads, gathers, processes, hands on; closes it when its acks have come back.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};

use crate::ack::{Ack, Transaction};
use crate::backoff::INPUT_CONNECT;
use crate::batching::Gather;
use crate::build::InputNode;
use crate::component::{ConnectError, ReadError};
use crate::message::{Batch, Message, number};
use crate::panics::guarded;
use crate::pipeline::process;
use crate::places::apart;
use crate::way::{Way, flow_id};

/// How far stopping has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Nobody wants to stop.
    Running,
    /// Inputs take nothing new.
    Stopping,
    /// Everything handed on is resolved: inputs leave their sources.
    Drained,
}

/// Runs until the input ends or is stopped, then until [`Phase::Drained`].
pub(crate) async fn run(node: InputNode, to: mpsc::Sender<Transaction>, mut phase: watch::Receiver<Phase>) {
    let mut source = Source { gather: None, to, node };
    source.gather = source.node.batching.take().map(Gather::new);
    source.node.probe.rest(false);
    source.read_all(&mut phase).await;
    source.node.probe.rest(true);
    source.flush().await;
    let Source { mut node, to, .. } = source;
    drop(to);
    reached(&mut phase, Phase::Drained).await;
    let _ = guarded(&node.probe, "closing", node.input.close()).await;
}

/// Waits for a phase. Whoever drives the stream being gone means that it is over.
async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    let _ = phase.wait_for(|now| *now >= wanted).await;
}

struct Source {
    node: InputNode,
    gather: Option<Gather>,
    to: mpsc::Sender<Transaction>,
}

impl Source {
    /// Connects; false when the stream stops before it could.
    async fn connect(&mut self, phase: &mut watch::Receiver<Phase>) -> bool {
        for attempt in 0.. {
            let connected = tokio::select! {
                biased;
                () = reached(phase, Phase::Stopping) => return false,
                connected = guarded(&self.node.probe, "connecting", self.node.input.connect()) => {
                    connected.unwrap_or_else(|panicked| Err(ConnectError(panicked.to_string())))
                }
            };
            match connected {
                Ok(()) => {
                    self.node.probe.up();
                    return true;
                }
                Err(fault) => {
                    let probe = &self.node.probe;
                    tracing::warn!(path = %probe.path, kind = probe.type_name, label = probe.label(), %fault, "input cannot connect");
                    probe.failed(&fault.to_string());
                }
            }
            if !pause(phase, INPUT_CONNECT.pause(attempt)).await {
                return false;
            }
        }
        false
    }

    async fn read_all(&mut self, phase: &mut watch::Receiver<Phase>) {
        if !self.connect(phase).await {
            return;
        }
        let mut draining = false;
        let mut faults = 0;
        // Connections lost in a row that gave nothing.
        let mut fruitless = 0;
        // Waits once for all reads, on a receiver of its own.
        let mut phases = phase.clone();
        let stopping = reached(&mut phases, Phase::Stopping);
        tokio::pin!(stopping);
        loop {
            let read = tokio::select! {
                biased;
                () = &mut stopping, if !draining => {
                    draining = self.node.input.drain();
                    if draining { continue } else { return }
                }
                () = due(self.gather.as_ref()) => {
                    if self.flush().await { continue } else { return }
                }
                read = guarded(&self.node.probe, "reading", self.node.input.read()) => {
                    read.unwrap_or_else(|panicked| Err(ReadError::Other(panicked.to_string())))
                }
            };
            match read {
                Ok((batch, ack)) => {
                    (faults, fruitless) = (0, 0);
                    if !self.take(batch, ack).await {
                        return;
                    }
                }
                Err(ReadError::End) => return,
                Err(ReadError::NotConnected) => {
                    self.node.probe.lost();
                    // A connection that comes at once and gives nothing is not made again and again without a pause.
                    let wait = (fruitless > 0).then(|| INPUT_CONNECT.pause(fruitless - 1));
                    fruitless += 1;
                    if draining
                        || (wait.is_some() && !pause(phase, wait.unwrap_or_default()).await)
                        || !self.connect(phase).await
                    {
                        return;
                    }
                }
                Err(ReadError::Other(text)) => {
                    let probe = &self.node.probe;
                    tracing::warn!(path = %probe.path, kind = probe.type_name, label = probe.label(), fault = %text, "input cannot read");
                    probe.errors.add(1);
                    probe.set_error(&text);
                    if draining || !pause(phase, INPUT_CONNECT.pause(faults)).await {
                        return;
                    }
                    faults += 1;
                }
            }
        }
    }

    /// Takes one batch in; false when nobody takes it on.
    async fn take(&mut self, mut batch: Batch, ack: Ack) -> bool {
        let probe = self.node.probe.clone();
        probe.received.add(batch.len() as u64);
        if probe.is_http_server() {
            probe.sockets.add(batch.iter().filter(|message| through_socket(message)).count() as u64);
        }
        number(&mut batch);
        if self.node.flow_ids {
            name_flows(&mut batch);
        }
        let started = Instant::now();
        let under_way = self.node.flight.begin();
        let ack = Ack::new(move |outcome| {
            probe.latency.since(started);
            ack.done(outcome);
            drop(under_way);
        });
        let ack = match &self.node.spans {
            Some(spans) => spans.begin(&mut batch, ack),
            None => ack,
        };
        let transaction = Transaction { batch, ack };
        match &mut self.gather {
            Some(gather) => !gather.add(transaction) || self.flush().await,
            None => self.hand_on(transaction).await,
        }
    }

    async fn flush(&mut self) -> bool {
        let Some(gather) = &mut self.gather else { return true };
        for transaction in gather.flush(&self.node.probe).await {
            if !self.hand_on(transaction).await {
                return false;
            }
        }
        true
    }

    async fn hand_on(&mut self, transaction: Transaction) -> bool {
        for transaction in process(&self.node.stages, transaction).await {
            if self.to.send(apart(transaction)).await.is_err() {
                return false;
            }
        }
        true
    }
}

/// Whether the request that a message of an `http_server` came with was for a WebSocket.
pub(crate) fn through_socket(message: &Message) -> bool {
    message.meta("Upgrade").is_some()
}

/// Gives every message that has none an id for its flow.
fn name_flows(batch: &mut [Message]) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    for message in batch.iter_mut().filter(|message| message.way().is_none()) {
        let flow = Some(flow_id(milliseconds, rand::random()));
        message.set_way(Arc::new(Way { flow, ..Way::default() }));
    }
}

/// Sleeps; false when the stream stops meanwhile.
async fn pause(phase: &mut watch::Receiver<Phase>, time: Duration) -> bool {
    tokio::select! {
        biased;
        () = reached(phase, Phase::Stopping) => false,
        () = tokio::time::sleep(time) => true,
    }
}

/// Returns when what is gathered must be flushed; never where nothing is.
pub(crate) fn due(gather: Option<&Gather>) -> impl Future<Output = ()> + use<> {
    let due = gather.map(Gather::due);
    async move {
        match due {
            Some(due) => due.await,
            None => std::future::pending().await,
        }
    }
}

/// Sleeps until then; for ever without a time.
pub(crate) async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
