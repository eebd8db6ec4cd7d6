//! Listening: sockets are bound, clients accepted, protocols told apart, connections drained at the end.

mod agreed;
mod asks;
mod connection;
mod http1;
mod http2;
mod link;
mod ports;
mod takeover;
pub mod tls;
mod watch;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::LazyConfigAcceptor;

pub(crate) use agreed::{Agreed, ClientCertificate};
pub use asks::Asks;
pub(crate) use asks::{AnyClient, AskedByName};
pub(crate) use http2::Busy;
pub(crate) use link::ClientBody;
pub(crate) use ports::OwnPorts;
pub use takeover::Takeover;
pub use tls::ServerTls;

use self::ports::Stays;
use crate::acme;
use crate::gate::Gate;
use crate::socket::Socket;

/// The socket of one client connection.
pub type ClientStream = Socket<tokio_rustls::server::TlsStream<TcpStream>>;

/// How long a TLS handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// A bound socket, not yet serving.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: Option<Arc<ServerTls>>,
    door: Door,
}

/// What whoever comes in through a listener is let in to.
#[derive(Debug, Clone, Default)]
struct Door {
    /// The admin API and nothing else.
    control: bool,
    /// The endpoints that a stream has on a listener of its own, and nothing else; its address.
    own: Option<Arc<str>>,
    /// Answers to what an ACME directory asks, and nothing else.
    proofs: bool,
    /// APIs that are served on this port, and nothing else.
    stays: Option<Stays>,
}

impl Door {
    /// Ready when no more is to be read of who came in.
    async fn closed(&self, gate: &Gate) {
        match &self.stays {
            None => gate.closed().await,
            Some(stays) => tokio::select! {
                () = gate.closed() => {}
                () = stays.closed() => {}
            },
        }
    }

    /// Whether that may be.
    fn may_be_closed(&self, gate: &Gate) -> bool {
        gate.is_closing() || self.stays.as_ref().is_some_and(Stays::is_closed)
    }
}

/// The address of `host:port`, where no host means every address of the machine.
///
/// # Errors
/// Why it is none.
pub async fn resolve(text: &str) -> Result<SocketAddr, String> {
    let wrong = |reason: &str| format!("`{text}` is no address: {reason}");
    let named = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    let mut found = tokio::net::lookup_host(&named).await.map_err(|error| wrong(&error.to_string()))?;
    found.next().ok_or_else(|| wrong("the name has no address"))
}

impl Listener {
    /// Binds an address. `control` listeners serve the admin API and nothing else.
    pub async fn bind(address: SocketAddr, tls: Option<Arc<ServerTls>>, control: bool) -> io::Result<Self> {
        let socket = TcpListener::bind(address)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
        Ok(Self { socket, tls, door: Door { control, ..Door::default() } })
    }

    /// The same listener, for the endpoints that a stream has at this address and nothing else.
    pub(crate) fn own(mut self, address: Arc<str>) -> Self {
        self.door.own = Some(address);
        self
    }

    /// The same listener, for the APIs that are served on this port and nothing else.
    fn of_apis(mut self, stays: Stays) -> Self {
        self.door.stays = Some(stays);
        self
    }

    /// The same listener, for what an ACME directory asks over HTTP and nothing else. It is without TLS.
    pub fn for_proofs(mut self) -> Self {
        (self.tls, self.door.proofs) = (None, true);
        self
    }

    /// The address really bound, with the port chosen when 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts clients until the gate closes, or the port does.
    pub async fn serve(self, gate: Arc<Gate>) {
        let mut closed = std::pin::pin!(self.door.closed(&gate));
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = &mut closed => return,
            };
            match accepted {
                Ok((tcp, peer)) => self.begin(&gate, tcp, peer),
                Err(error) => {
                    // Out of descriptors or the like: those being served must be able to finish and free some.
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn begin(&self, gate: &Arc<Gate>, tcp: TcpStream, peer: SocketAddr) {
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY towards a client");
        }
        let (gate, tls, door) = (Arc::clone(gate), self.tls.clone(), self.door.clone());
        let open = gate.connections.open();
        match tls {
            None => {
                tokio::spawn(async move {
                    connection::run(gate, ClientStream::Plain(tcp), peer, door).await;
                    drop(open);
                });
            }
            Some(tls) => {
                tokio::spawn(async move {
                    let handshake = shake_hands(&gate, &tls, tcp, door.control);
                    let handshake = tokio::select! {
                        biased;
                        handshake = tokio::time::timeout(HANDSHAKE_LIMIT, handshake) => handshake,
                        () = door.closed(&gate) => return,
                    };
                    match handshake {
                        Ok(Ok(None)) => tracing::debug!(%peer, "proved to an acme directory whose a name is"),
                        Ok(Ok(Some(stream))) => {
                            connection::run(gate, ClientStream::Tls(Box::new(stream)), peer, door).await;
                        }
                        Ok(Err(error)) => tracing::debug!(%error, %peer, "tls handshake failed"),
                        Err(_) => tracing::debug!(%peer, "tls handshake took too long"),
                    }
                    drop(open);
                });
            }
        }
    }
}

/// The handshake: the client says which name it wants, and is asked for a certificate if that is needed there. `None`
/// where the handshake was all that the client came for.
async fn shake_hands(
    gate: &Gate,
    tls: &ServerTls,
    tcp: TcpStream,
    control: bool,
) -> io::Result<Option<tokio_rustls::server::TlsStream<TcpStream>>> {
    let begun = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp).await?;
    if gate.acme.is_some() && acme::asks(&begun.client_hello()) {
        let name = begun.client_hello().server_name().map(str::to_owned);
        if let Some(config) = acme::proof(gate, name.as_deref()).await {
            begun.into_stream(config).await?.shutdown().await?;
            return Ok(None);
        }
    }
    let asks = match control {
        true if gate.settings.certificates.control_needs_one => Asks::Always,
        true => Asks::Nothing,
        false => gate.snapshot().asked.of(begun.client_hello().server_name()),
    };
    begun.into_stream(tls.config(asks)).await.map(Some)
}
