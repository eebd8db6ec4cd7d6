//! What buffers in memory hold: bounded by payload bytes, given out again until it is delivered.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};

use crate::ack::{Ack, Transaction};
use crate::backoff::REPLAY;
use crate::component::{ConnectError, Input, ReadError};
use crate::message::Batch;
use crate::metrics::Probe;
use crate::replay::Replay;
use crate::stall::Stall;

/// Room for payload bytes. What has room keeps it until its ack is resolved.
#[derive(Debug)]
pub(super) struct Room {
    limit: u32,
    free: Arc<Semaphore>,
    stall: Arc<Stall>,
    // Shows how much is taken.
    probe: Arc<Probe>,
}

/// Room that is taken, until this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    bytes: u32,
    probe: Arc<Probe>,
    _room: OwnedSemaphorePermit,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.probe.queued.sub(u64::from(self.bytes));
    }
}

impl Room {
    pub(super) fn new(limit: u64, stall: Arc<Stall>, probe: Arc<Probe>) -> Room {
        // Semaphores count to this; more than 4 GiB in memory is for a buffer on disk.
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        Room { limit, free: Arc::new(Semaphore::new(limit as usize)), stall, probe }
    }

    /// How much room a batch needs; at least one byte a message, so that empty ones are bounded, too.
    fn need(&self, batch: &Batch) -> Option<u32> {
        let bytes: usize = batch.iter().map(|message| message.bytes().len().max(1)).sum();
        u32::try_from(bytes).ok().filter(|bytes| *bytes <= self.limit)
    }

    /// Waits for room; `None` when the batch is larger than all of it.
    pub(super) async fn wait(&self, batch: &Batch) -> Option<Taken> {
        if let Some(taken) = self.take(batch) {
            return Some(taken);
        }
        let need = self.need(batch)?;
        let _waiting = self.stall.wait();
        self.free.clone().acquire_many_owned(need).await.ok().map(|room| self.taken(room, need))
    }

    /// Takes room if there is some now.
    pub(super) fn take(&self, batch: &Batch) -> Option<Taken> {
        let need = self.need(batch)?;
        self.free.clone().try_acquire_many_owned(need).ok().map(|room| self.taken(room, need))
    }

    fn taken(&self, room: OwnedSemaphorePermit, bytes: u32) -> Taken {
        self.probe.queued.add(u64::from(bytes));
        Taken { bytes, probe: self.probe.clone(), _room: room }
    }
}

/// Batches in their order. Those that fail behind the buffer are given out again, so that their source hears of them
/// only when they are delivered, or when the stream stops.
#[derive(Debug)]
pub(super) struct Queue {
    sender: parking_lot::Mutex<Option<mpsc::UnboundedSender<Transaction>>>,
    replay: Mutex<Replay<Receiver>>,
}

impl Queue {
    pub(super) fn new(stall: Arc<Stall>) -> Queue {
        // Bounded by the room that every batch in it has taken.
        let (sender, receiver) = mpsc::unbounded_channel();
        Queue {
            sender: parking_lot::Mutex::new(Some(sender)),
            replay: Mutex::new(Replay::with_backoff(Receiver(receiver), REPLAY, None, stall)),
        }
    }

    /// Adds a batch with the room that it has taken.
    pub(super) fn push(&self, batch: Batch, ack: Ack, room: impl Send + 'static) {
        let ack = Ack::new(move |outcome| {
            drop(room);
            ack.done(outcome);
        });
        if let Some(sender) = &*self.sender.lock() {
            let _ = sender.send(Transaction { batch, ack });
        }
    }

    /// Nothing more will be pushed.
    pub(super) fn end(&self) {
        *self.sender.lock() = None;
    }

    /// Cancel safe.
    pub(super) async fn read(&self) -> Option<Transaction> {
        let (batch, ack) = self.replay.lock().await.read().await.ok()?;
        Some(Transaction { batch, ack })
    }

    /// What failed and what waits is nacked; what is under way tells its source itself.
    pub(super) async fn close(&self) {
        self.end();
        let mut replay = self.replay.lock().await;
        replay.drain();
        replay.close().await;
    }
}

#[derive(Debug)]
struct Receiver(mpsc::UnboundedReceiver<Transaction>);

#[async_trait]
impl Input for Receiver {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        self.0.recv().await.map(|t| (t.batch, t.ack)).ok_or(ReadError::End)
    }

    async fn close(&mut self) {
        self.0.close();
        while let Ok(Transaction { ack, .. }) = self.0.try_recv() {
            ack.done(Err(crate::ack::NackReason::stopping()));
        }
    }
}
