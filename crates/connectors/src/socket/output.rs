//! Output `socket`.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use document::Fault;
use parking_lot::Mutex;
use streams::files::Codec;
use streams::{BuildContext, ConnectError, Egress, Message, Node, Output, WriteError};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket, UnixStream};
use tokio::time::timeout;

use super::fields::host_and_port;
use super::input::unix;
use crate::net::dial::Dialer;

/// For connecting, and for the addresses of a name.
const CONNECTING: Duration = Duration::from_secs(30);

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    let codec = Codec::parse(&node.text("codec")?).map_err(|fault| node.field_fault("codec", fault))?;
    let network = node.text("network")?;
    let target = if network == "unix" {
        Target::Unix(context.settings.egress.clone(), PathBuf::from(node.text("address")?.into_owned()))
    } else {
        let (host, port) = host_and_port(node)?;
        let egress = context.settings.egress.clone();
        let dialer = Dialer { egress, timeout: CONNECTING, keep_alive: CONNECTING };
        Target::Internet { dialer, host, port, datagrams: network == "udp" }
    };
    Ok(Box::new(SocketOutput { target, codec, link: Mutex::default() }))
}

enum Target {
    Internet { dialer: Dialer, host: String, port: u16, datagrams: bool },
    Unix(Arc<Egress>, PathBuf),
}

enum Link {
    Tcp(TcpStream),
    Unix(UnixStream),
    Udp(UdpSocket),
}

impl Target {
    async fn open(&self) -> Result<Link, String> {
        match self {
            Target::Unix(egress, path) => unix(egress, path).await.map(Link::Unix),
            Target::Internet { dialer, host, port, datagrams: false } => {
                dialer.connect(host, *port).await.map(Link::Tcp)
            }
            Target::Internet { dialer, host, port, .. } => {
                let opening = timeout(CONNECTING, datagrams(dialer, host, *port)).await;
                opening.unwrap_or_else(|_| Err(format!("the name of {host} takes too long"))).map(Link::Udp)
            }
        }
    }
}

/// A socket for datagrams to the first address that the policy allows.
async fn datagrams(dialer: &Dialer, host: &str, port: u16) -> Result<UdpSocket, String> {
    let name = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let told = |fault: std::io::Error| format!("no way to {host}:{port}: {fault}");
    let mut failure = format!("{host}:{port} has no address");
    for address in tokio::net::lookup_host((name, port)).await.map_err(told)? {
        if let Err(refusal) = dialer.egress.check(name, port, address.ip()) {
            failure = refusal;
            continue;
        }
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await.map_err(told)?;
        socket.connect(address).await.map_err(told)?;
        return Ok(socket);
    }
    Err(failure)
}

impl Link {
    /// Whether the other side has closed. What it sends has no meaning and is thrown away.
    fn is_over(&self) -> bool {
        let mut ignored = [0; 256];
        loop {
            let read = match self {
                Link::Tcp(stream) => stream.try_read(&mut ignored),
                Link::Unix(stream) => stream.try_read(&mut ignored),
                Link::Udp(_) => return false,
            };
            match read {
                Ok(0) => return true,
                Ok(_) => {}
                Err(fault) => return fault.kind() != ErrorKind::WouldBlock,
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Link::Tcp(stream) => stream.write_all(bytes).await,
            Link::Unix(stream) => stream.write_all(bytes).await,
            Link::Udp(socket) => socket.send(bytes).await.map(drop),
        }
    }

    async fn finish(&mut self) -> std::io::Result<()> {
        match self {
            Link::Tcp(stream) => stream.shutdown().await,
            Link::Unix(stream) => stream.shutdown().await,
            Link::Udp(_) => Ok(()),
        }
    }
}

struct SocketOutput {
    target: Target,
    codec: Codec,
    /// Taken out while it is written to: one that failed, or a write that was given up, is not used again.
    link: Mutex<Option<Link>>,
}

impl SocketOutput {
    /// Datagrams hold one message each; a datagram that cannot be sent is the fault of its message.
    async fn datagrams(&self, mut link: Link, batch: &[Message]) -> Result<(), WriteError> {
        let mut failures = Vec::new();
        for (index, message) in batch.iter().enumerate() {
            let mut bytes = BytesMut::new();
            self.codec.write(message, &mut bytes);
            let mut sent = link.write(&bytes).await;
            // An earlier datagram was refused, and this is how it is told; this one has not been sent.
            if sent.as_ref().is_err_and(|fault| fault.kind() == ErrorKind::ConnectionRefused) {
                sent = link.write(&bytes).await;
            }
            if let Err(fault) = sent {
                failures.push((index, format!("the datagram cannot be sent: {fault}")));
            }
        }
        *self.link.lock() = Some(link);
        if failures.is_empty() { Ok(()) } else { Err(WriteError::Partial(failures)) }
    }

    async fn stream(&self, mut link: Link, batch: &[Message]) -> Result<(), WriteError> {
        let mut bytes = BytesMut::new();
        batch.iter().for_each(|message| self.codec.write(message, &mut bytes));
        match link.write(&bytes).await {
            Ok(()) => {
                *self.link.lock() = Some(link);
                Ok(())
            }
            Err(fault) => {
                tracing::warn!(%fault, "a socket broke off; what was not written whole is written again");
                Err(WriteError::NotConnected)
            }
        }
    }

    /// Each message is all that its connection carries.
    async fn whole(&self, mut link: Option<Link>, batch: &[Message]) -> Result<(), WriteError> {
        let mut failures = Vec::new();
        for (index, message) in batch.iter().enumerate() {
            let written = async {
                let mut link = match link.take() {
                    Some(link) => link,
                    None => self.target.open().await?,
                };
                let told = |fault: std::io::Error| fault.to_string();
                link.write(message.bytes()).await.map_err(told)?;
                link.finish().await.map_err(told)
            };
            if let Err(fault) = written.await {
                failures.push((index, fault));
            }
        }
        // The next batch opens its own; the stream need not connect for it.
        *self.link.lock() = None;
        if failures.is_empty() { Ok(()) } else { Err(WriteError::Partial(failures)) }
    }
}

#[async_trait]
impl Output for SocketOutput {
    async fn connect(&self) -> Result<(), ConnectError> {
        let link = self.target.open().await.map_err(ConnectError)?;
        *self.link.lock() = Some(link);
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let link = self.link.lock().take().filter(|link| !link.is_over());
        match (link, &self.codec) {
            (Some(link @ Link::Udp(_)), _) => self.datagrams(link, batch).await,
            (link, Codec::Whole) => self.whole(link, batch).await,
            (Some(link), _) => self.stream(link, batch).await,
            (None, _) => Err(WriteError::NotConnected),
        }
    }

    async fn close(&self) {
        let link = self.link.lock().take();
        if let Some(mut link) = link
            && let Err(fault) = link.finish().await
        {
            tracing::debug!(%fault, "a socket was gone before it was closed");
        }
    }
}
