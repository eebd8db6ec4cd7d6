//! Input `socket_server`: every connection is cut by a scan of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use document::Fault;
use streams::scanners::codec::scanner_or_codec;
use streams::{
    Ack, Batch, BuildContext, Cache, CacheError, ConnectError, Input, Message, Node, ReadError, Scan,
    ScanError, Scanner,
};
use tokio::io::AsyncReadExt as _;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::fields::host_and_port;
use super::input::{CHUNK, TOGETHER};
use super::listen::{Acceptor, Arrived, Bound, Plan};
use crate::fields::{Identity, Pem, filled};

/// Messages that wait for the stream; when it is full, connections are not read.
const QUEUE: usize = 256;
/// Connections at once; further ones wait to be accepted.
const MOST_CONNECTIONS: usize = 1_024;
/// Largest datagram there is.
const DATAGRAM: usize = 64 << 10;

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let cache = match node.has("address_cache") && !node.text("address_cache")?.is_empty() {
        true => Some(context.cache(&node.get("address_cache"))?),
        false => None,
    };
    let label = context.probe.label.clone();
    context.claim(format!("socket_server {} {}", node.text("network")?, node.text("address")?));
    let input = SocketServer {
        plan: plan(node)?,
        scanner: scanner_or_codec(node, context)?,
        together: if context.batches_unseen() { TOGETHER } else { 1 },
        cache,
        key: format!("{}_address", label.as_deref().unwrap_or("socket_server")),
        running: None,
    };
    context.with_replay(node, input)
}

fn plan(node: &Node<'_>) -> Result<Plan, Fault> {
    let network = node.text("network")?;
    if network == "unix" {
        return Ok(Plan::Unix(PathBuf::from(node.text("address")?.into_owned())));
    }
    let (host, port) = host_and_port(node)?;
    let address = format!("{host}:{port}");
    Ok(match &*network {
        "udp" => Plan::Udp(address),
        "tls" => Plan::Tls(address, Arc::new(identity(&node.get("tls"))?)),
        _ => Plan::Tcp(address),
    })
}

fn identity(tls: &Node<'_>) -> Result<Option<Identity>, Fault> {
    let self_signed = tls.boolean("self_signed")?;
    match (filled(tls, "cert_file")?, filled(tls, "key_file")?) {
        (None, None) if self_signed => Ok(None),
        (Some(certificate), Some(key)) if !self_signed => {
            Ok(Some(Identity { certificate: Pem::File(certificate), key: Pem::File(key), password: None }))
        }
        _ => Err(tls.fault("tls needs `cert_file` and `key_file`, or `self_signed` and neither of them")),
    }
}

struct SocketServer {
    plan: Plan,
    scanner: Arc<dyn Scanner>,
    together: usize,
    cache: Option<Arc<dyn Cache>>,
    key: String,
    running: Option<Running>,
}

struct Running {
    messages: mpsc::Receiver<Message>,
    /// Dropped or set: nothing more is read from clients.
    stop: watch::Sender<bool>,
}

#[async_trait]
impl Input for SocketServer {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.running = None;
        let (bound, address) = self.plan.bind().await.map_err(ConnectError)?;
        tracing::info!(%address, "a socket_server listens");
        if let Some(cache) = &self.cache {
            let told = |fault: CacheError| ConnectError(format!("the address cannot be kept: {fault}"));
            cache.set(&self.key, Bytes::from(address.into_bytes()), None).await.map_err(told)?;
        }
        let (sender, messages) = mpsc::channel(QUEUE);
        let (stop, stopped) = watch::channel(false);
        let clients = Clients { scanner: self.scanner.clone(), sender, stopped };
        match bound {
            Bound::Stream(acceptor) => drop(tokio::spawn(clients.accept(acceptor))),
            Bound::Datagrams(socket) => drop(tokio::spawn(clients.receive(socket))),
        }
        self.running = Some(Running { messages, stop });
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        let Some(running) = &mut self.running else { return Err(ReadError::NotConnected) };
        let mut batch = Batch::new();
        match running.messages.recv_many(&mut batch, self.together).await {
            0 => Err(ReadError::End),
            _ => Ok((batch, Ack::none())),
        }
    }

    /// What was cut already is still delivered.
    fn drain(&mut self) -> bool {
        let Some(running) = &self.running else { return false };
        running.stop.send(true).is_ok()
    }

    async fn close(&mut self) {
        self.running = None;
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Clients {
    scanner: Arc<dyn Scanner>,
    sender: mpsc::Sender<Message>,
    stopped: watch::Receiver<bool>,
}

impl Clients {
    /// Until nothing more is wanted.
    async fn stopped(&mut self) {
        // The other end being gone means the same.
        let _ = self.stopped.wait_for(|stopped| *stopped).await;
    }

    /// Serves clients until nothing more is wanted, and their last messages are handed over.
    async fn accept(mut self, acceptor: Acceptor) {
        let mut connections = JoinSet::new();
        let clients = self.clone();
        loop {
            let arrived = tokio::select! {
                biased;
                () = self.stopped() => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                arrived = acceptor.accept(), if connections.len() < MOST_CONNECTIONS => arrived,
            };
            match arrived {
                Ok(arrived) => drop(connections.spawn(clients.clone().serve(arrived))),
                Err(fault) => {
                    // Out of descriptors or the like: those being served must be able to finish and free some.
                    tracing::warn!(%fault, "a socket_server cannot accept a connection; trying again");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(acceptor);
        while connections.join_next().await.is_some() {}
    }

    async fn serve(mut self, arrived: Arrived) {
        let ready = tokio::select! {
            ready = arrived.ready() => ready,
            () = self.stopped() => return,
        };
        let mut stream = match ready {
            Ok(stream) => stream,
            Err(fault) => {
                tracing::debug!(%fault, "a client of a socket_server");
                return;
            }
        };
        let mut scan = self.scanner.scan("");
        loop {
            let mut chunk = BytesMut::with_capacity(CHUNK);
            let read = tokio::select! {
                biased;
                () = self.stopped() => return,
                read = stream.read_buf(&mut chunk) => read,
            };
            match read {
                Ok(0) => {
                    scan.finish();
                    self.hand_over(&mut *scan).await;
                    return;
                }
                Ok(_) => scan.push(Bytes::from(chunk)),
                // The rest of a message that broke off is no message.
                Err(fault) => {
                    tracing::debug!(%fault, "a client of a socket_server has gone");
                    return;
                }
            }
            if !self.hand_over(&mut *scan).await {
                return;
            }
        }
    }

    /// Every datagram is a source of its own.
    async fn receive(mut self, socket: UdpSocket) {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            let received = tokio::select! {
                biased;
                () = self.stopped() => return,
                received = socket.recv(&mut buffer) => received,
            };
            match received {
                Ok(length) => {
                    let mut scan = self.scanner.scan("");
                    scan.push(Bytes::copy_from_slice(&buffer[..length]));
                    self.hand_over(&mut *scan).await;
                    scan.finish();
                    self.hand_over(&mut *scan).await;
                }
                Err(fault) => {
                    tracing::warn!(%fault, "a socket_server cannot receive; trying again");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Hands over what can be cut now; false when the rest of the source cannot be.
    async fn hand_over(&self, scan: &mut dyn Scan) -> bool {
        loop {
            match scan.take() {
                Ok(Some(message)) => {
                    if self.sender.send(message).await.is_err() {
                        return false;
                    }
                }
                Ok(None) => return true,
                Err(ScanError(fault)) => {
                    tracing::warn!(%fault, "what a client of a socket_server sends cannot be cut");
                    return false;
                }
            }
        }
    }
}
