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
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;

use super::ClientIo;

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;
/// What goes on with the bare stream and the bytes that were read from it already.
pub(super) type Continuation = Box<dyn FnOnce(ClientIo, Bytes) -> Running + Send>;

/// The slot in which a backend leaves its continuation; one for each HTTP/1 connection.
#[derive(Clone, Default)]
pub struct Takeover {
    slot: Arc<Slot>,
}

#[derive(Default)]
struct Slot {
    /// Looked at after every poll of the connection, so that the lock is taken only when there is something in it.
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
    pub(crate) fn offer(&self, continuation: impl FnOnce(ClientIo, Bytes) -> Running + Send + 'static) {
        *self.slot.continuation.lock() = Some(Box::new(continuation));
        self.slot.offered.store(true, Ordering::Release);
    }

    pub(super) fn accept(&self) -> Option<Continuation> {
        if self.slot.offered.load(Ordering::Acquire) { self.slot.continuation.lock().take() } else { None }
    }
}

/// A response head as HTTP/1.1 writes it.
pub(crate) fn write_head(status: StatusCode, headers: &HeaderMap) -> Bytes {
    let mut head = Vec::with_capacity(256);
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend_from_slice(status.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(status.canonical_reason().unwrap_or("Unknown").as_bytes());
    head.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}
