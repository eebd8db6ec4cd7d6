//! The way from an exchange to the store.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::Thread,
};

use crossbeam_queue::ArrayQueue;

use crate::Record;

/// Hands records over. Cloning costs one reference count.
///
/// The queue is an array of atomics: a push costs tens of nanoseconds and wakes nobody. The worker looks by itself often
/// enough; only when the queue is half full is it woken.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Queue>);

/// What recorder and worker share.
#[derive(Debug)]
pub(crate) struct Queue {
    records: ArrayQueue<Record>,
    recorded: AtomicU64,
    dropped: AtomicU64,
    worker: OnceLock<Thread>,
    /// Set by the push that found the queue half full, cleared by the next drain: a burst wakes the worker once.
    woken: AtomicBool,
}

impl Recorder {
    /// Hands `record` over, or drops and counts it when the queue is full. Never waits.
    pub fn record(&self, record: Record) {
        let queue = &*self.0;
        if queue.records.push(record).is_err() {
            queue.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if queue.records.len() >= queue.records.capacity() / 2 && !queue.woken.swap(true, Ordering::Relaxed) {
            queue.wake();
        }
    }

    /// Records that did not fit, since the start. A counter for the metrics.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Records that reached the store, since the start.
    pub fn recorded(&self) -> u64 {
        self.0.recorded.load(Ordering::Acquire)
    }

    /// Records that wait now. A gauge for the metrics.
    pub fn depth(&self) -> usize {
        self.0.records.len()
    }

    /// How many can wait.
    pub fn capacity(&self) -> usize {
        self.0.records.capacity()
    }

    pub(crate) fn new(capacity: usize) -> (Recorder, Arc<Queue>) {
        let queue = Arc::new(Queue {
            records: ArrayQueue::new(capacity.max(2)),
            recorded: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            worker: OnceLock::new(),
            woken: AtomicBool::new(false),
        });
        (Recorder(Arc::clone(&queue)), queue)
    }
}

impl Queue {
    /// Called once, by the worker.
    pub(crate) fn work_here(&self) {
        self.worker.get_or_init(std::thread::current);
    }

    pub(crate) fn wake(&self) {
        if let Some(worker) = self.worker.get() {
            worker.unpark();
        }
    }

    /// Moves what waits into `batch`, at most as much as the queue holds.
    pub(crate) fn drain(&self, batch: &mut Vec<Record>) {
        self.woken.store(false, Ordering::Relaxed);
        batch.extend(std::iter::from_fn(|| self.records.pop()).take(self.records.capacity()));
    }

    /// That many are counted now.
    pub(crate) fn took(&self, count: usize) {
        self.recorded.fetch_add(count as u64, Ordering::Release);
    }
}
