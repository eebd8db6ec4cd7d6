//! Input `http_client`, reading one endless answer (streams contract 2.2, `stream`).

use std::sync::Arc;

use async_trait::async_trait;
use document::Fault;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use streams::scanners::codec::scanner_or_codec;
use streams::{Ack, Batch, BuildContext, ConnectError, Input, Node, ReadError, Scan, ScanError, Scanner};

use super::client::Client;
use super::exchange::causes;
use super::reply::metadata;

/// Messages that are there already travel together, up to so many, where nothing can tell.
const TOGETHER: usize = 256;

/// See the module.
pub(super) struct Endless {
    client: Arc<Client>,
    scanner: Arc<dyn Scanner>,
    reconnect: bool,
    together: usize,
    open: Option<Open>,
    /// Only what was read already is still wanted.
    leaving: bool,
}

/// An answer under way.
struct Open {
    body: Incoming,
    scan: Box<dyn Scan>,
    metadata: Vec<(Arc<str>, String)>,
    /// Nothing more comes: only what the scan still holds is left.
    over: bool,
    /// Why the scan gave up, not told yet.
    fault: Option<String>,
}

impl Endless {
    /// Reads the object `stream`.
    pub(super) fn read(
        client: Arc<Client>,
        stream: &Node<'_>,
        context: &mut BuildContext<'_>,
    ) -> Result<Endless, Fault> {
        Ok(Endless {
            client,
            scanner: scanner_or_codec(stream, context)?,
            reconnect: stream.boolean("reconnect")?,
            together: if context.batches_unseen() { TOGETHER } else { 1 },
            open: None,
            leaving: false,
        })
    }

    /// The answer has ended, well or not.
    fn ended(&mut self) -> ReadError {
        self.open = None;
        if self.reconnect { ReadError::NotConnected } else { ReadError::End }
    }
}

impl Open {
    /// What can be cut now; empty when more bytes are needed.
    fn take(&mut self, most: usize) -> Batch {
        let mut batch = Batch::new();
        while batch.len() < most {
            match self.scan.take() {
                Ok(Some(mut message)) => {
                    for (name, value) in &self.metadata {
                        message.set_meta(name.clone(), value.as_str());
                    }
                    batch.push(message);
                }
                Ok(None) => break,
                // What was cut before counts.
                Err(ScanError(fault)) => {
                    self.fault = Some(fault);
                    self.over = true;
                    break;
                }
            }
        }
        batch
    }
}

#[async_trait]
impl Input for Endless {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.open = None;
        let content = self.client.plan.question(&[]).map_err(ConnectError)?;
        let (head, body) = self.client.open(content).await.map_err(|failure| ConnectError(failure.text))?;
        let metadata = metadata(&head, &self.client.extract);
        let scan = self.scanner.scan(&self.client.plan.address());
        self.open = Some(Open { body, scan, metadata, over: false, fault: None });
        Ok(())
    }

    // Whatever was read of the answer is in the scan before anything is waited for: nothing is lost with a read that
    // is given up.
    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        loop {
            let Some(open) = &mut self.open else { return Err(self.ended()) };
            let batch = open.take(self.together);
            if !batch.is_empty() {
                return Ok((batch, Ack::none()));
            }
            if let Some(fault) = open.fault.take() {
                return Err(ReadError::Other(fault));
            }
            if self.leaving {
                return Err(ReadError::End);
            }
            if open.over {
                return Err(self.ended());
            }
            match open.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        open.scan.push(bytes);
                    }
                }
                None => {
                    open.scan.finish();
                    open.over = true;
                }
                // The rest of a message that broke off is no message.
                Some(Err(fault)) => {
                    open.over = true;
                    return Err(ReadError::Other(format!("the answer broke off: {}", causes(&fault))));
                }
            }
        }
    }

    fn drain(&mut self) -> bool {
        self.leaving = true;
        self.open.is_some()
    }

    async fn close(&mut self) {
        self.open = None;
    }
}
