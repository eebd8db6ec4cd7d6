//! Scans that are handed bytes and add whole messages to a list: most are easier to write so.

use bytes::Bytes;

use crate::message::Message;
use crate::scanner::{Scan, ScanError};

/// So many bytes are cut at once, and what they gave is taken before the next: one byte may unpack to a thousand.
const STEP: usize = 8 * 1024;

/// Cuts one source from its begin to its end.
pub trait Cut: Send {
    /// Takes the next bytes and adds the messages that are whole now.
    ///
    /// # Errors
    /// When the bytes cannot be cut: the source ends there, and the messages added before count.
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<Message>) -> Result<(), String>;

    /// No more bytes come: adds what is left.
    ///
    /// # Errors
    /// When what is left is no whole message.
    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), String>;
}

/// A scan of a cut.
#[derive(Debug)]
pub struct Cutting<C> {
    cut: C,
    /// Bytes that were not cut yet.
    pending: Vec<Bytes>,
    ready: std::vec::IntoIter<Message>,
    fault: Option<String>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// No more bytes come, and the cut does not know yet.
    Ending,
    Ended,
}

impl<C: Cut> Cutting<C> {
    /// Begins.
    pub fn new(cut: C) -> Cutting<C> {
        Cutting { cut, pending: Vec::new(), ready: Vec::new().into_iter(), fault: None, state: State::Open }
    }

    /// Cuts a step further; false when there is nothing to cut.
    fn step(&mut self) -> bool {
        let mut made = Vec::new();
        let cut = match (self.pending.first_mut(), self.state) {
            (Some(bytes), State::Open | State::Ending) => {
                let step = bytes.split_to(bytes.len().min(STEP));
                if bytes.is_empty() {
                    self.pending.remove(0);
                }
                self.cut.feed(step, &mut made)
            }
            (None, State::Ending) => {
                self.state = State::Ended;
                self.cut.finish(&mut made)
            }
            (None, State::Open) | (_, State::Ended) => return false,
        };
        self.ready = made.into_iter();
        if let Err(fault) = cut {
            self.fault = Some(fault);
            self.state = State::Ended;
            self.pending.clear();
        }
        true
    }
}

impl<C: Cut> Scan for Cutting<C> {
    fn push(&mut self, bytes: Bytes) {
        if self.state == State::Open && !bytes.is_empty() {
            self.pending.push(bytes);
        }
    }

    fn finish(&mut self) {
        if self.state == State::Open {
            self.state = State::Ending;
        }
    }

    fn take(&mut self) -> Result<Option<Message>, ScanError> {
        loop {
            if let Some(message) = self.ready.next() {
                return Ok(Some(message));
            }
            if let Some(fault) = self.fault.take() {
                return Err(ScanError(fault));
            }
            if !self.step() {
                return Ok(None);
            }
        }
    }
}

/// The scan within another: a cut that hands on what it is given.
pub struct Inner(pub Box<dyn Scan>);

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inner")
    }
}

impl Inner {
    fn drain(&mut self, out: &mut Vec<Message>) -> Result<(), String> {
        while let Some(message) = self.0.take().map_err(|ScanError(fault)| fault)? {
            out.push(message);
        }
        Ok(())
    }
}

impl Cut for Inner {
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<Message>) -> Result<(), String> {
        self.0.push(chunk);
        self.drain(out)
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), String> {
        self.0.finish();
        self.drain(out)
    }
}
