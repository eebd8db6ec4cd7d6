//! Opening a connection: name look-up, TCP, TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use apidef::Scheme;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ClientTls;
use crate::socket::Socket;

/// What makes two upstreams share connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) scheme: Scheme,
    /// Host name or address, without brackets.
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
    /// Whether the upstream's certificate is not checked.
    pub(crate) insecure: bool,
}

impl Origin {
    pub(super) fn is_h2c(&self) -> bool {
        self.scheme == Scheme::H2c
    }
}

/// Opens connections to one origin.
#[derive(Clone)]
pub(crate) struct Connector {
    origin: Origin,
    tls: Option<Tls>,
    timeout: Duration,
}

#[derive(Clone)]
struct Tls {
    requests: TlsConnector,
    upgrades: TlsConnector,
    name: ServerName<'static>,
}

/// What a connection is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Requests,
    /// Only HTTP/1.1 knows upgrades.
    Upgrade,
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("no address found for host `{host}`: {source}")]
    LookUp { host: Box<str>, source: io::Error },
    #[error("cannot connect to {host}:{port}: {source}")]
    Connect { host: Box<str>, port: u16, source: io::Error },
    #[error("no connection to {host}:{port} within {seconds} s")]
    TimedOut { host: Box<str>, port: u16, seconds: u64 },
    #[error("tls handshake with {host} failed: {source}")]
    Tls { host: Box<str>, source: io::Error },
    #[error("http handshake failed: {0}")]
    Handshake(hyper::Error),
}

impl DialError {
    pub(super) fn handshake(error: hyper::Error) -> Self {
        Self::Handshake(error)
    }
}

impl Connector {
    /// `timeout` bounds look-up, TCP and TLS together.
    pub(crate) fn new(origin: Origin, tls: Option<&ClientTls>, timeout: Duration) -> Result<Self, String> {
        let tls = match tls {
            None => None,
            Some(config) => {
                let name = ServerName::try_from(origin.host.to_string())
                    .map_err(|error| format!("`{}` is no valid tls server name: {error}", origin.host))?;
                Some(Tls {
                    requests: TlsConnector::from(Arc::clone(&config.requests)),
                    upgrades: TlsConnector::from(Arc::clone(&config.upgrades)),
                    name,
                })
            }
        };
        Ok(Self { origin, tls, timeout })
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) async fn dial(&self, purpose: Purpose) -> Result<UpstreamStream, DialError> {
        tokio::time::timeout(self.timeout, self.dial_unbounded(purpose)).await.unwrap_or_else(|_| {
            Err(DialError::TimedOut {
                host: self.origin.host.clone(),
                port: self.origin.port,
                seconds: self.timeout.as_secs(),
            })
        })
    }

    async fn dial_unbounded(&self, purpose: Purpose) -> Result<UpstreamStream, DialError> {
        let Origin { host, port, .. } = &self.origin;
        let addresses: Vec<_> = tokio::net::lookup_host((&**host, *port))
            .await
            .map_err(|source| DialError::LookUp { host: host.clone(), source })?
            .collect();
        let tcp = TcpStream::connect(addresses.as_slice()).await.map_err(|source| DialError::Connect {
            host: host.clone(),
            port: *port,
            source,
        })?;
        // Requests are written whole; waiting for more would only delay their last packet.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY towards an upstream");
        }
        match &self.tls {
            None => Ok(UpstreamStream::Plain(tcp)),
            Some(tls) => {
                let connector = match purpose {
                    Purpose::Requests => &tls.requests,
                    Purpose::Upgrade => &tls.upgrades,
                };
                connector
                    .connect(tls.name.clone(), tcp)
                    .await
                    .map(|stream| UpstreamStream::Tls(Box::new(stream)))
                    .map_err(|source| DialError::Tls { host: host.clone(), source })
            }
        }
    }
}

/// A byte stream to an upstream.
pub(crate) type UpstreamStream = Socket<TlsStream<TcpStream>>;

/// Whether the upstream chose HTTP/2 by ALPN.
pub(super) fn negotiated_h2(stream: &UpstreamStream) -> bool {
    match stream {
        Socket::Plain(_) => false,
        Socket::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
    }
}
