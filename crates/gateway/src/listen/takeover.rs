//! Leaving HTTP: a backend takes the client's connection over.
//!
//! WebSockets, upgraded tunnels and endless streams do not need an HTTP engine any more once their request has been
//! read. A backend offers a continuation; the connection's task takes the engine apart, frees its buffers, and hands
//! the bare stream to the continuation. That is what lets an idle subscriber cost a few kilobytes only, and what lets
//! the gate know exactly which bytes have reached the kernel.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::ClientStream;

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;
/// What goes on with the bare stream and the bytes that were read from it already.
pub(super) type Continuation = Box<dyn FnOnce(ClientStream, Bytes) -> Running + Send>;

/// The slot in which a backend leaves its continuation; one for each HTTP/1 connection.
#[derive(Clone, Default)]
pub struct Takeover {
    slot: Arc<Slot>,
}

#[derive(Default)]
struct Slot {
    /// Looked at after every poll of an exchange, so that the lock is taken only when there is something in it.
    offered: AtomicBool,
    continuation: Mutex<Option<Continuation>>,
}

impl std::fmt::Debug for Takeover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Takeover").field("offered", &self.slot.offered).finish()
    }
}

impl Takeover {
    /// Asks for the connection. The caller must not answer the request: its future is dropped.
    pub(crate) fn offer(&self, continuation: impl FnOnce(ClientStream, Bytes) -> Running + Send + 'static) {
        *self.slot.continuation.lock() = Some(Box::new(continuation));
        self.slot.offered.store(true, Ordering::Release);
    }

    pub(super) fn accept(&self) -> Option<Continuation> {
        if self.slot.offered.load(Ordering::Acquire) { self.slot.continuation.lock().take() } else { None }
    }
}
