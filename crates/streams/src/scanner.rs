//! How a stream of bytes is cut into messages (streams contract 3.11).

use bytes::Bytes;

use crate::ack::{Ack, AckGroup, NackReason};
use crate::message::Message;

/// Bytes that a scanner cannot cut; the rest of their source is given up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScanError(pub String);

/// Makes a scan for each source of bytes.
pub trait Scanner: Send + Sync {
    /// Begins with a source; `name` tells which one it is (a path, a URL), for scanners that look at it.
    fn scan(&self, name: &str) -> Box<dyn Scan>;
}

/// Cuts the bytes of one source. It does no I/O: whoever has the bytes pushes them and takes messages out until
/// there are none, so that a scan is cancel safe and keeps no more than it was given plus its own bound.
pub trait Scan: Send {
    /// More bytes. To be called only when [`Scan::take`] has given all it can.
    fn push(&mut self, bytes: Bytes);

    /// The source has ended.
    fn finish(&mut self);

    /// The next message, `None` when more bytes are needed or, after [`Scan::finish`], when there are none left.
    ///
    /// # Errors
    /// When the bytes cannot be cut. A scanner that goes on behind its fault says so by giving more messages.
    fn take(&mut self) -> Result<Option<Message>, ScanError>;
}

/// A scan whose messages carry the ack of their source: it is acked when all of its messages are and the source has
/// ended, nacked when one of them is or the scan is dropped halfway.
pub struct Scanned {
    scan: Box<dyn Scan>,
    group: AckGroup,
    finished: bool,
}

impl Scanned {
    /// Begins.
    pub fn new(scan: Box<dyn Scan>, ack: Ack) -> Scanned {
        Scanned { scan, group: AckGroup::new(ack), finished: false }
    }

    /// See [`Scan::push`].
    pub fn push(&mut self, bytes: Bytes) {
        self.scan.push(bytes);
    }

    /// See [`Scan::finish`].
    pub fn finish(&mut self) {
        self.finished = true;
        self.scan.finish();
    }

    /// See [`Scan::take`]. Once it gave `None` after [`Scanned::finish`], the source's ack waits for the messages only.
    ///
    /// # Errors
    /// See [`ScanError`].
    pub fn take(&mut self) -> Result<Option<(Message, Ack)>, ScanError> {
        match self.scan.take() {
            Ok(Some(message)) => Ok(Some((message, self.group.part()))),
            Ok(None) => {
                if self.finished {
                    self.group.close();
                }
                Ok(None)
            }
            Err(fault) => {
                self.group.fail(NackReason::failed(fault.0.clone()));
                Err(fault)
            }
        }
    }
}

impl std::fmt::Debug for Scanned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scanned").field("finished", &self.finished).finish_non_exhaustive()
    }
}
