//! One message in a feed: its frames, encoded once for all subscribers, and its ack.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;

use super::token;
use crate::ack::{Ack, Outcome};
use crate::message::Message;

/// Roughly what a message costs beside its payload.
const OVERHEAD: usize = 256;
/// A count that no subscriber can bring down to zero.
const RELEASED: i64 = i64::MIN / 2;

/// Where a message stood in its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It was the only one.
    Alone,
    /// More of its batch come after it.
    Before,
    /// It was the last of several.
    Last,
}

pub(super) struct Entry {
    pub(super) message: Message,
    sequence: AtomicU64,
    // The feed's epoch where positions have tokens.
    epoch: Option<u64>,
    place: Place,
    event_source: OnceLock<Bytes>,
    line: OnceLock<Bytes>,
    ack: Mutex<Option<Ack>>,
    // broadcast: how many subscribers have not passed it.
    pending: AtomicI64,
}

impl Entry {
    pub(super) fn new(message: Message, ack: Ack, place: Place, epoch: Option<u64>) -> Entry {
        Entry {
            // Makes the bytes now: not under the feed's lock, and not once per subscriber.
            message: {
                message.bytes();
                message
            },
            sequence: AtomicU64::new(0),
            epoch,
            place,
            event_source: OnceLock::new(),
            line: OnceLock::new(),
            ack: Mutex::new(Some(ack)),
            pending: AtomicI64::new(0),
        }
    }

    pub(super) fn size(&self) -> usize {
        self.message.bytes().len() + OVERHEAD
    }

    /// Whether more messages of its batch come after it.
    pub(super) fn is_followed(&self) -> bool {
        self.place == Place::Before
    }

    pub(super) fn set_sequence(&self, sequence: u64) {
        self.sequence.store(sequence, Ordering::Relaxed);
    }

    pub(super) fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Relaxed)
    }

    pub(super) fn token(&self) -> Option<String> {
        self.epoch.map(|epoch| token::encode(epoch, self.sequence()))
    }

    /// Waits for this many subscribers; false when there is none to wait for.
    pub(super) fn expect(&self, subscribers: usize) -> bool {
        self.pending.store(i64::try_from(subscribers).unwrap_or(i64::MAX), Ordering::Relaxed);
        subscribers > 0
    }

    pub(super) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire) > 0
    }

    /// One subscriber has passed; true for the last one.
    pub(super) fn release_one(&self) -> bool {
        self.pending.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Nobody is waited for any more; true when somebody was.
    pub(super) fn release_all(&self) -> bool {
        self.pending.swap(RELEASED, Ordering::AcqRel) > 0
    }

    /// Resolves the ack; false when it was resolved before.
    pub(super) fn resolve(&self, outcome: Outcome) -> bool {
        let Some(ack) = self.ack.lock().take() else { return false };
        ack.done(outcome.map_err(|reason| reason.only([&self.message])));
        true
    }

    /// The message as a server-sent event.
    pub(super) fn event_source(&self) -> &Bytes {
        self.event_source.get_or_init(|| event(self.token().as_deref(), None, self.message.bytes()))
    }

    /// The message and a newline; one more after the last of a batch of several (streams contract 2.5).
    pub(super) fn line(&self) -> &Bytes {
        self.line.get_or_init(|| {
            let payload = self.message.bytes();
            let mut line = BytesMut::with_capacity(payload.len() + 2);
            line.put_slice(payload);
            line.put_u8(b'\n');
            if self.place == Place::Last {
                line.put_u8(b'\n');
            }
            line.freeze()
        })
    }
}

/// A server-sent event (WHATWG HTML, 9.2): one `data:` line per line of the payload. CR, LF and CRLF all end a line
/// for the reader, so all three do here: no payload can break out of its event.
pub(super) fn event(id: Option<&str>, name: Option<&str>, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 48);
    if let Some(id) = id {
        frame.put_slice(b"id: ");
        frame.put_slice(id.as_bytes());
        frame.put_u8(b'\n');
    }
    if let Some(name) = name {
        frame.put_slice(b"event: ");
        frame.put_slice(name.as_bytes());
        frame.put_u8(b'\n');
    }
    let mut rest = payload;
    loop {
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        frame.put_slice(b"data: ");
        frame.put_slice(&rest[..end.unwrap_or(rest.len())]);
        frame.put_u8(b'\n');
        let Some(end) = end else { break };
        let crlf = rest[end..].starts_with(b"\r\n");
        rest = &rest[end + 1 + usize::from(crlf)..];
    }
    frame.put_u8(b'\n');
    frame.freeze()
}
