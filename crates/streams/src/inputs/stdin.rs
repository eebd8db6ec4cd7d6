//! Reads the standard input of the process (streams contract 3.12).

use std::io::Read;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use document::Fault;
use tokio::sync::mpsc;

use crate::ack::Ack;
use crate::build::BuildContext;
use crate::component::{ConnectError, Input, ReadError};
use crate::fields::AUTO_REPLAY_NACKS;
use crate::node::Node;
use crate::registry::{Field, InputSpec, Kind};
use crate::scanner::{Scan, ScanError, Scanner};
use crate::scanners::codec::{CODEC, MAX_BUFFER, scanner_or_codec};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "stdin",
    summary: "Reads standard input through a scanner, and ends where it ends.",
    config: Kind::Object(&[
        Field::optional(
            "scanner",
            Kind::Scanner,
            "Cuts the input into messages; `lines` when it is not written.",
        ),
        CODEC,
        MAX_BUFFER,
        AUTO_REPLAY_NACKS,
    ]),
    build,
};

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let scanner = scanner_or_codec(node, context)?;
    context.with_replay(node, Piped::new(scanner, || Box::new(std::io::stdin())))
}

type Source = fn() -> Box<dyn Read>;

/// Reads whatever blocks, on a thread of its own.
struct Piped {
    scanner: Arc<dyn Scanner>,
    source: Source,
    chunks: Option<mpsc::Receiver<std::io::Result<Bytes>>>,
    scan: Option<Box<dyn Scan>>,
    ended: bool,
}

impl Piped {
    fn new(scanner: Arc<dyn Scanner>, source: Source) -> Piped {
        Piped { scanner, source, chunks: None, scan: None, ended: false }
    }
}

/// Hands on what it reads; one chunk waits, then the reader does. A thread that waits for input ends with the process.
fn read(source: Source, to: &mpsc::Sender<std::io::Result<Bytes>>) {
    let mut source = source();
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = match source.read(&mut chunk) {
            Ok(0) => return,
            Ok(size) => {
                chunk.truncate(size);
                Ok(Bytes::from(chunk))
            }
            Err(fault) if fault.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(fault) => Err(fault),
        };
        let failed = read.is_err();
        if to.blocking_send(read).is_err() || failed {
            return;
        }
    }
}

#[async_trait]
impl Input for Piped {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        if self.chunks.is_none() {
            let (sender, receiver) = mpsc::channel(1);
            let source = self.source;
            std::thread::Builder::new()
                .name("stdin".to_owned())
                .spawn(move || read(source, &sender))
                .map_err(|fault| ConnectError(format!("standard input cannot be read: {fault}")))?;
            self.chunks = Some(receiver);
            self.scan = Some(self.scanner.scan("stdin"));
        }
        Ok(())
    }

    // What was received is in the scan before anything is waited for.
    async fn read(&mut self) -> Result<(crate::Batch, Ack), ReadError> {
        loop {
            let (Some(scan), Some(chunks)) = (&mut self.scan, &mut self.chunks) else {
                return Err(if self.ended { ReadError::End } else { ReadError::NotConnected });
            };
            match scan.take() {
                Ok(Some(message)) => return Ok((vec![message], Ack::none())),
                Ok(None) if self.ended => return Err(ReadError::End),
                Ok(None) => {}
                Err(ScanError(fault)) => {
                    (self.ended, self.scan) = (true, None);
                    return Err(ReadError::Other(format!("standard input cannot be cut: {fault}")));
                }
            }
            match chunks.recv().await {
                Some(Ok(chunk)) => scan.push(chunk),
                Some(Err(fault)) => {
                    self.ended = true;
                    scan.finish();
                    return Err(ReadError::Other(format!("standard input cannot be read: {fault}")));
                }
                None => {
                    self.ended = true;
                    scan.finish();
                }
            }
        }
    }

    async fn close(&mut self) {
        (self.chunks, self.scan, self.ended) = (None, None, true);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use serde_json::json;

    use super::*;
    use crate::{Registry, Settings};

    #[tokio::test]
    async fn standard_input_is_cut_to_its_end() {
        let settings = Settings::new(Registry::standard());
        let scanner = crate::scanner(&json!({ "lines": {} }), "", &settings).unwrap();
        let mut input = Piped::new(scanner, || Box::new(Cursor::new("one\ntwo\nthree")));
        assert!(matches!(input.read().await, Err(ReadError::NotConnected)));
        input.connect().await.unwrap();
        for expected in ["one", "two", "three"] {
            let (batch, _) = input.read().await.unwrap();
            assert_eq!(batch[0].bytes(), expected);
        }
        assert!(matches!(input.read().await, Err(ReadError::End)));
        assert!(matches!(input.read().await, Err(ReadError::End)));
        input.close().await;
    }
}
