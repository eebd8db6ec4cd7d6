//! The one task that has the file: it stores, gives out and removes.

use streams::{Ack, NackReason, Probe};
use tokio::sync::mpsc;

use super::file::{File, Stored};

/// Batches stored with one commit, and so with one wait for the disk.
const TOGETHER: usize = 256;
/// Bytes after which no more batches join a commit.
const TOGETHER_BYTES: usize = 8 << 20;
/// Batches read ahead at once.
const AHEAD: i64 = 64;
/// Bytes after which no more are read ahead.
const AHEAD_BYTES: usize = 8 << 20;

/// A batch to be stored; its ack is resolved when it is on disk, or cannot be.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) bytes: Vec<u8>,
    pub(super) ack: Ack,
}

/// The ends of the keeper's queues.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) file: File,
    /// Most bytes in the file; when it is full no more writes are taken.
    pub(super) limit: u64,
    /// Bounded; closed when the input has ended.
    pub(super) writes: mpsc::Receiver<Write>,
    /// Ids of what was delivered. Bounded by what is under way; closed when nothing is, and nobody reads any more.
    pub(super) delivered: mpsc::UnboundedReceiver<i64>,
    /// Holds one helping, which was read ahead.
    pub(super) ready: mpsc::Sender<Vec<Stored>>,
    pub(super) probe: std::sync::Arc<Probe>,
}

impl Keeper {
    /// Works until everything that was given out is resolved and nobody reads or writes any more.
    pub(super) async fn run(self) {
        let Keeper { mut file, limit, mut writes, mut delivered, ready, probe } = self;
        let mut ready = Some(ready);
        let mut cursor = 0;
        let (mut taking, mut resolving) = (true, true);
        loop {
            probe.queued.set(file.used);
            if !taking && cursor >= file.last {
                ready = None;
            }
            let room = file.used < limit;
            if !(resolving || taking && room) {
                break;
            }
            let (mut added, mut removed) = (Vec::new(), Vec::new());
            tokio::select! {
                biased;
                id = delivered.recv(), if resolving => match id {
                    Some(id) => removed.push(id),
                    None => {
                        resolving = false;
                        continue;
                    }
                },
                permit = permit(ready.clone()), if cursor < file.last && ready.is_some() => {
                    match permit {
                        None => ready = None,
                        Some(permit) => match file.after(cursor, AHEAD, AHEAD_BYTES).await {
                            Ok(read) => {
                                cursor = read.last().map_or(file.last, |stored| stored.id);
                                drop(permit.send(read));
                            }
                            Err(fault) => complain(&probe, &fault).await,
                        },
                    }
                    continue;
                }
                write = writes.recv(), if taking && room => match write {
                    Some(write) => added.push(write),
                    None => {
                        taking = false;
                        continue;
                    }
                },
            }
            while let Ok(id) = delivered.try_recv() {
                removed.push(id);
            }
            let mut bytes = added.iter().map(|write| write.bytes.len()).sum::<usize>();
            while room
                && added.len() < TOGETHER
                && bytes < TOGETHER_BYTES
                && file.used + (bytes as u64) < limit
            {
                let Ok(write) = writes.try_recv() else { break };
                bytes += write.bytes.len();
                added.push(write);
            }
            commit(&mut file, added, &removed, &probe).await;
            if file.used == 0
                && let Err(fault) = file.shrink().await
            {
                complain(&probe, &fault).await;
            }
        }
        // Writes that found no room are nacked by being dropped.
        file.close().await;
    }
}

/// The right to hand over one helping; `None` when nobody reads any more.
async fn permit(ready: Option<mpsc::Sender<Vec<Stored>>>) -> Option<mpsc::OwnedPermit<Vec<Stored>>> {
    ready?.reserve_owned().await.ok()
}

async fn commit(file: &mut File, added: Vec<Write>, removed: &[i64], probe: &Probe) {
    let (rows, acks): (Vec<_>, Vec<_>) = added.into_iter().map(|write| (write.bytes, write.ack)).unzip();
    let outcome = match file.commit(&rows, removed).await {
        Ok(()) => Ok(()),
        Err(fault) => {
            // What could not be removed comes again after a restart; what could not be added, from its source.
            complain(probe, &fault).await;
            Err(NackReason::failed(fault))
        }
    };
    for ack in acks {
        ack.done(outcome.clone());
    }
}

async fn complain(probe: &Probe, fault: &str) {
    tracing::error!(path = %probe.path, %fault, "the buffer cannot use its file");
    probe.errors.add(1);
    probe.set_error(fault);
    // A full or broken disk is not asked in a tight loop.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
}
