//! What the guard of a connection and the service behind hyper tell each other.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Instant;

use futures_util::task::AtomicWaker;
use http::{Request, StatusCode};
use parking_lot::Mutex;

use super::rules::{Breach, REFUSED_METHOD};

/// The service's view of a connection's guard. Cheap to clone; one per connection.
#[derive(Debug, Clone)]
pub struct GuardHandle(Arc<Shared>);

impl GuardHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Why this request was refused, when it stands for a refused one. To be asked first for every HTTP/1 request;
    /// the answer to give is the breach's status and message, with `Connection: close`.
    pub fn refused<B>(&self, request: &Request<B>) -> Option<Breach> {
        if request.method().as_str() != REFUSED_METHOD {
            return None;
        }
        self.0.refusal.get().copied()
    }

    /// Tells the status of an answer. To be called once for every HTTP/1 request, in order, before its answer is
    /// given to hyper: it decides whose protocol the bytes behind an `Upgrade` or a `CONNECT` are.
    ///
    /// True when the answer should say `Connection: close`, since the body of this very request broke the rules and
    /// nothing can follow it.
    pub fn answered(&self, status: StatusCode) -> bool {
        let shared = &self.0;
        // Requests of one connection are answered one after the other, so nobody else counts meanwhile.
        let answers = shared.answers.load(Ordering::Relaxed) + 1;
        shared.answers.store(answers, Ordering::Relaxed);
        if shared.mode() == Mode::Undecided && shared.asked_at.load(Ordering::Relaxed) == answers {
            let accepted = status == StatusCode::SWITCHING_PROTOCOLS
                || (shared.connect.load(Ordering::Relaxed) && status.is_success());
            shared.decide(if accepted { Mode::PassThrough } else { Mode::Follow });
        }
        shared.broken_at.load(Ordering::Relaxed) == answers
    }

    /// Switches the guard off for the rest of the connection, whatever it was about to do.
    pub fn pass_through(&self) {
        self.0.pass_through();
    }

    /// Since when the client has taken nothing of what is to be written; `None` while it does.
    pub fn stalled_since(&self) -> Option<Instant> {
        *self.0.stalled.lock()
    }

    /// The connection's flushes.
    pub fn flushes(&self) -> &FlushWatch {
        &self.0.flushes
    }
}

/// What the guard does with the bytes that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mode {
    Follow = 0,
    Undecided = 1,
    PassThrough = 2,
}

/// Shared by the guard and its handles.
#[derive(Debug, Default)]
pub(super) struct Shared {
    mode: AtomicU8,
    /// Answers given so far.
    answers: AtomicU64,
    /// The request (counted from 1) whose answer decides.
    asked_at: AtomicU64,
    connect: AtomicBool,
    decided: AtomicWaker,
    /// The request (counted from 1) whose body broke the rules; 0 for none.
    broken_at: AtomicU64,
    refusal: OnceLock<Breach>,
    pub(super) flushes: FlushWatch,
    /// Written when a write has to wait and when one goes on after it had to; neither is frequent.
    pub(super) stalled: Mutex<Option<Instant>>,
}

impl Shared {
    pub(super) fn mode(&self) -> Mode {
        match self.mode.load(Ordering::Acquire) {
            0 => Mode::Follow,
            1 => Mode::Undecided,
            _ => Mode::PassThrough,
        }
    }

    pub(super) fn undecided(&self, request: u64, connect: bool) {
        self.asked_at.store(request, Ordering::Relaxed);
        self.connect.store(connect, Ordering::Relaxed);
        self.mode.store(Mode::Undecided as u8, Ordering::Release);
    }

    pub(super) fn pass_through(&self) {
        self.decide(Mode::PassThrough);
    }

    fn decide(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::Release);
        self.decided.wake();
    }

    pub(super) fn wake_when_decided(&self, waker: &Waker) {
        self.decided.register(waker);
    }

    pub(super) fn broken(&self, request: u64) {
        self.broken_at.store(request, Ordering::Relaxed);
    }

    pub(super) fn refuse(&self, breach: Breach) {
        // Only the first breach of a connection is ever answered.
        let _ = self.refusal.set(breach);
    }
}

/// Counts a connection's flushes that had something to flush.
///
/// A streaming response body that handed out bytes in epoch `n` knows, once [`FlushWatch::epoch`] is greater than
/// `n`, that they were written to the socket, that is, to the kernel (over TLS: encrypted and written). This holds
/// for HTTP/1, where hyper writes everything it was given before it flushes. Over HTTP/2 flow control may hold a
/// stream's bytes back while others are flushed; there an epoch tells only that the connection moves.
#[derive(Debug, Default)]
pub struct FlushWatch {
    epoch: AtomicU64,
    has_waiters: AtomicBool,
    /// One for each body that waits: several streams share an HTTP/2 connection.
    waiters: Mutex<Vec<Waker>>,
}

impl FlushWatch {
    /// How many flushes there were.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Wakes `waker` once, at the next flush. Read [`FlushWatch::epoch`] again *after* registering, since a flush may
    /// have come in between.
    pub fn register(&self, waker: &Waker) {
        let mut waiters = self.waiters.lock();
        if !waiters.iter().any(|waiter| waiter.will_wake(waker)) {
            waiters.push(waker.clone());
        }
        self.has_waiters.store(true, Ordering::SeqCst);
    }

    pub(super) fn bump(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        if self.has_waiters.load(Ordering::SeqCst) {
            let waiters = {
                let mut waiters = self.waiters.lock();
                self.has_waiters.store(false, Ordering::SeqCst);
                std::mem::take(&mut *waiters)
            };
            for waiter in waiters {
                waiter.wake();
            }
        }
    }
}
