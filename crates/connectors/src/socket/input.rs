//! Input `socket`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use document::Fault;
use streams::scanners::codec::scanner_or_codec;
use streams::{
    Ack, Batch, BuildContext, ConnectError, Egress, Input, Node, ReadError, Scan, ScanError, Scanner,
};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

use super::fields::host_and_port;
use crate::net::connect::Stream;
use crate::net::dial::Dialer;
use crate::permits::socket_permitted;

/// Bytes that are read at once.
pub(super) const CHUNK: usize = 16 << 10;
/// Messages that are there already travel together, up to so many, where nothing can tell.
pub(super) const TOGETHER: usize = 256;

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let input = SocketInput {
        target: Target::read(node, context)?,
        scanner: scanner_or_codec(node, context)?,
        together: if context.batches_unseen() { TOGETHER } else { 1 },
        open: None,
        leaving: false,
    };
    context.with_replay(node, input)
}

/// What is connected to.
pub(super) enum Target {
    Tcp { dialer: Dialer, host: String, port: u16 },
    Unix(Arc<Egress>, PathBuf),
}

impl Target {
    /// Reads `network` and `address`; anything but `unix` is TCP here.
    pub(super) fn read(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Target, Fault> {
        if node.text("network")? == "unix" {
            let path = PathBuf::from(node.text("address")?.into_owned());
            return Ok(Target::Unix(context.settings.egress.clone(), path));
        }
        let (host, port) = host_and_port(node)?;
        let time = Duration::from_secs(30);
        let dialer = Dialer { egress: context.settings.egress.clone(), timeout: time, keep_alive: time };
        Ok(Target::Tcp { dialer, host, port })
    }

    fn name(&self) -> String {
        match self {
            Target::Tcp { host, port, .. } => format!("{host}:{port}"),
            Target::Unix(_, path) => path.display().to_string(),
        }
    }

    async fn connect(&self) -> Result<Stream, String> {
        Ok(match self {
            Target::Tcp { dialer, host, port } => Box::new(dialer.connect(host, *port).await?),
            Target::Unix(egress, path) => Box::new(unix(egress, path).await?),
        })
    }
}

/// Connects to a Unix socket.
pub(super) async fn unix(egress: &Egress, path: &std::path::Path) -> Result<UnixStream, String> {
    socket_permitted(egress, path)?;
    let told = |fault| format!("no connection to the socket `{}`: {fault}", path.display());
    UnixStream::connect(path).await.map_err(told)
}

struct SocketInput {
    target: Target,
    scanner: Arc<dyn Scanner>,
    together: usize,
    open: Option<Open>,
    /// Only what was read already is still wanted.
    leaving: bool,
}

struct Open {
    stream: Stream,
    scan: Box<dyn Scan>,
    /// Nothing more comes: only what the scan still holds is left.
    over: bool,
    /// Why the scan gave up, not told yet.
    fault: Option<String>,
}

impl Open {
    fn take(&mut self, most: usize) -> Batch {
        let mut batch = Batch::new();
        while batch.len() < most {
            match self.scan.take() {
                Ok(Some(message)) => batch.push(message),
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
impl Input for SocketInput {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.open = None;
        let stream = self.target.connect().await.map_err(ConnectError)?;
        let scan = self.scanner.scan(&self.target.name());
        self.open = Some(Open { stream, scan, over: false, fault: None });
        Ok(())
    }

    // What was read is in the scan before anything is waited for: nothing is lost with a read that is given up.
    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        loop {
            let Some(open) = &mut self.open else { return Err(ReadError::NotConnected) };
            let batch = open.take(self.together);
            if !batch.is_empty() {
                return Ok((batch, Ack::none()));
            }
            if let Some(fault) = open.fault.take() {
                return Err(ReadError::Other(format!("{} cannot be cut: {fault}", self.target.name())));
            }
            if self.leaving {
                return Err(ReadError::End);
            }
            if open.over {
                self.open = None;
                return Err(ReadError::NotConnected);
            }
            let mut chunk = BytesMut::with_capacity(CHUNK);
            match open.stream.read_buf(&mut chunk).await {
                Ok(0) => {
                    open.scan.finish();
                    open.over = true;
                }
                Ok(_) => open.scan.push(Bytes::from(chunk)),
                // The rest of a message that broke off is no message.
                Err(fault) => {
                    open.over = true;
                    return Err(ReadError::Other(format!("{} broke off: {fault}", self.target.name())));
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
