//! From where something happens to who tells it: a queue with a bound.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use apidef::Event;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};

use super::follow::Followers;
use super::handlers::Handlers;
use super::told::Told;
use crate::snapshot::RunningApi;

/// Events that may wait to be told.
const QUEUE: usize = 4096;
/// Handlers that are called at once, those included that wait for their next try.
const AT_ONCE: usize = 512;

/// The events of one gate.
#[derive(Debug)]
pub(crate) struct Events {
    /// Who is told of all events; set once, before the first request.
    pub(super) of_all: OnceLock<Arc<Handlers>>,
    /// Streams that are told.
    pub(super) followers: Followers,
    waiting: mpsc::Sender<Waiting>,
    receiver: Mutex<Option<mpsc::Receiver<Waiting>>>,
    pub(super) places: Arc<Semaphore>,
    fired: AtomicU64,
    dropped: AtomicU64,
    undelivered: AtomicU64,
}

/// An event, and who is told.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) told: Told,
    pub(super) handlers: [Option<Arc<Handlers>>; 2],
}

impl Default for Events {
    fn default() -> Self {
        let (waiting, receiver) = mpsc::channel(QUEUE);
        Self {
            of_all: OnceLock::new(),
            followers: Followers::default(),
            waiting,
            receiver: Mutex::new(Some(receiver)),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            fired: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            undelivered: AtomicU64::new(0),
        }
    }
}

impl Events {
    /// Whether anybody is told of such an event.
    pub(super) fn wants(&self, api: Option<&RunningApi>, event: Event) -> bool {
        self.followers.want(event) || self.handlers(api, event).iter().any(Option::is_some)
    }

    fn handlers<'a>(&'a self, api: Option<&'a RunningApi>, event: Event) -> [Option<&'a Arc<Handlers>>; 2] {
        let own = api.and_then(|api| api.events.as_ref());
        [own, self.of_all.get()].map(|handlers| handlers.filter(|handlers| handlers.has(event)))
    }

    /// Tells who wants to know. `make` is called only where somebody does, and there is room; `false`: there is none.
    pub(super) fn fire(&self, api: Option<&RunningApi>, event: Event, make: impl FnOnce() -> Told) -> bool {
        let handlers = self.handlers(api, event);
        if handlers.iter().all(Option::is_none) && !self.followers.want(event) {
            return true;
        }
        match self.waiting.try_reserve() {
            Ok(place) => {
                self.fired.fetch_add(1, Ordering::Relaxed);
                place.send(Waiting { told: make(), handlers: handlers.map(|handlers| handlers.cloned()) });
                true
            }
            Err(_) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    /// What waits; for the one task that tells it.
    pub(super) fn receiver(&self) -> Option<mpsc::Receiver<Waiting>> {
        self.receiver.lock().take()
    }

    /// So many handlers were not called, or not reached.
    pub(super) fn missed(&self, count: u64) {
        self.undelivered.fetch_add(count, Ordering::Relaxed);
    }

    /// Events that were told of.
    pub(crate) fn fired(&self) -> u64 {
        self.fired.load(Ordering::Relaxed)
    }

    /// Events that were dropped, the queue being full.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Handlers that were not reached.
    pub(crate) fn undelivered(&self) -> u64 {
        self.undelivered.load(Ordering::Relaxed)
    }

    /// Events that wait.
    pub(crate) fn queued(&self) -> u64 {
        (QUEUE - self.waiting.capacity()) as u64
    }

    /// Room for them.
    pub(crate) fn room(&self) -> u64 {
        QUEUE as u64
    }
}
