//! Opening a connection: name look-up, TCP, TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use apidef::{OutboundProxy, ProxyKind, Scheme, Target};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use streams::Egress;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::names::Names;
use super::race;
use super::secured::{Secured, agreed};
use super::security::{Client, Security, SecurityError};
use super::through::{self, ThroughError};
use crate::socket::Socket;

/// What makes two upstreams share connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) scheme: Scheme,
    /// Host name or address, without brackets.
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
    pub(crate) security: Security,
    /// What it is reached through.
    pub(crate) proxy: Option<Arc<OutboundProxy>>,
    /// Whether the certificate of the proxy is not checked.
    pub(crate) lenient_proxy: bool,
    /// Whether the egress policy was asked: what it was not asked for is not shared with what it must be.
    pub(crate) policed: bool,
}

impl Origin {
    pub(crate) fn new(target: &Target, security: Security) -> Self {
        Self {
            scheme: target.scheme,
            host: target.host.clone(),
            port: target.port,
            security,
            proxy: None,
            lenient_proxy: false,
            policed: false,
        }
    }

    pub(super) fn is_h2c(&self) -> bool {
        self.scheme == Scheme::H2c
    }
}

/// Opens connections to one origin.
#[derive(Clone)]
pub(crate) struct Connector {
    origin: Origin,
    tls: Option<Tls>,
    /// TLS to the proxy in between.
    proxy_tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    timeout: Duration,
    names: Arc<Names>,
    /// What is asked before each connection.
    egress: Option<Arc<Egress>>,
}

#[derive(Clone)]
struct Tls {
    client: Client,
    name: ServerName<'static>,
}

/// What a connection is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Requests,
    /// Only HTTP/1.1 knows upgrades.
    Upgrade,
    /// For whatever clients say: no protocol is offered.
    Bytes,
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("no address found for host `{host}`: {source}")]
    LookUp { host: Box<str>, source: io::Error },
    #[error("{0}")]
    Denied(String),
    #[error("cannot connect to {host}:{port}: {source}")]
    Connect { host: Box<str>, port: u16, source: io::Error },
    #[error("no connection to {host}:{port} within {seconds} s")]
    TimedOut { host: Box<str>, port: u16, seconds: u64 },
    #[error("the proxy {proxy} does not lead to {host}:{port}: {source}")]
    Through { proxy: Box<str>, host: Box<str>, port: u16, source: ThroughError },
    #[error("no tls to {host}: {source}")]
    Security { host: Box<str>, source: SecurityError },
    #[error("tls handshake with {host} failed: {source}")]
    Tls { host: Box<str>, source: io::Error },
    #[error("http handshake failed: {0}")]
    Handshake(hyper::Error),
}

impl DialError {
    pub(crate) fn nowhere() -> Self {
        let source = io::Error::new(io::ErrorKind::NotFound, "no target is configured");
        Self::LookUp { host: Box::default(), source }
    }

    pub(super) fn handshake(error: hyper::Error) -> Self {
        Self::Handshake(error)
    }
}

impl Connector {
    /// `timeout` bounds look-up, TCP and TLS together.
    pub(crate) fn new(
        origin: Origin,
        client: Option<Client>,
        timeout: Duration,
        names: &Arc<Names>,
    ) -> Result<Self, String> {
        let tls = match client {
            None => None,
            Some(client) => Some(Tls { client, name: server_name(&origin.host)? }),
        };
        Ok(Self { origin, tls, proxy_tls: None, timeout, names: Arc::clone(names), egress: None })
    }

    /// Connects only where the policy allows it: it sees the very addresses that are connected to.
    pub(crate) fn under(mut self, egress: &Arc<Egress>) -> Self {
        self.origin.policed = true;
        self.egress = Some(Arc::clone(egress));
        self
    }

    /// Expects a certificate of this name, whatever host is asked.
    pub(crate) fn named(mut self, name: &str) -> Result<Self, String> {
        if let Some(tls) = &mut self.tls {
            tls.name = server_name(name)?;
        }
        Ok(self)
    }

    /// Speaks TLS of this kind to the proxy, where that is asked for.
    pub(super) fn through(mut self, config: &Arc<ClientConfig>) -> Result<Self, String> {
        if let Some(proxy) = self.origin.proxy.as_deref().filter(|proxy| proxy.kind == ProxyKind::Https) {
            self.proxy_tls = Some((Arc::clone(config), server_name(&proxy.host)?));
        }
        Ok(self)
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether a proxy is handed such requests instead of being asked for a way through: in clear it knows HTTP itself.
    fn is_forwarded(&self, purpose: Purpose) -> bool {
        let is_http = |proxy: &Arc<OutboundProxy>| proxy.kind.is_http();
        self.origin.scheme == Scheme::Http
            && purpose == Purpose::Requests
            && self.origin.proxy.as_ref().is_some_and(is_http)
    }

    pub(crate) async fn dial(&self, purpose: Purpose) -> Result<UpstreamStream, DialError> {
        tokio::time::timeout(self.timeout, self.dial_unbounded(purpose)).await.unwrap_or_else(|_| {
            self.names.doubt(&self.origin.host);
            Err(self.timed_out())
        })
    }

    pub(super) fn timed_out(&self) -> DialError {
        let Origin { host, port, .. } = &self.origin;
        DialError::TimedOut { host: host.clone(), port: *port, seconds: self.timeout.as_secs() }
    }

    async fn dial_unbounded(&self, purpose: Purpose) -> Result<UpstreamStream, DialError> {
        let Origin { host, port, proxy, .. } = &self.origin;
        let way = match proxy {
            None => Socket::Plain(dial(&self.names, host, *port, self.egress.as_deref()).await?),
            Some(proxy) => {
                if let Some(egress) = &self.egress {
                    // The proxy looks the name up, so that only the name can be judged here.
                    egress.check_name(host, *port).map_err(DialError::Denied)?;
                }
                let mut way = self.dial_proxy(proxy).await?;
                if !self.is_forwarded(purpose) {
                    through::ask(&mut way, proxy, host, *port).await.map_err(|source| {
                        DialError::Through {
                            proxy: proxy.host.clone(),
                            host: host.clone(),
                            port: *port,
                            source,
                        }
                    })?;
                }
                way
            }
        };
        let Some(tls) = &self.tls else {
            return Ok(match way {
                Socket::Plain(tcp) => Socket::Plain(tcp),
                Socket::Tls(stream) => Socket::Tls(Box::new(Secured::Left(*stream))),
            });
        };
        let client = match &tls.client {
            Client::Usual(client) => client.clone(),
            Client::Special(special) => {
                special.client().await.map_err(|source| DialError::Security { host: host.clone(), source })?
            }
        };
        let connector = TlsConnector::from(match purpose {
            Purpose::Requests => client.requests,
            Purpose::Upgrade => client.upgrades,
            Purpose::Bytes => {
                let mut plain = client.upgrades.as_ref().clone();
                plain.alpn_protocols.clear();
                Arc::new(plain)
            }
        });
        let secured = match way {
            Socket::Plain(tcp) => connector.connect(tls.name.clone(), tcp).await.map(Secured::Left),
            Socket::Tls(stream) => connector
                .connect(tls.name.clone(), *stream)
                .await
                .map(|stream| Secured::Right(Box::new(stream))),
        };
        secured
            .map(|secured| Socket::Tls(Box::new(secured)))
            .map_err(|source| DialError::Tls { host: host.clone(), source })
    }

    async fn dial_proxy(&self, proxy: &OutboundProxy) -> Result<Socket<TlsStream<TcpStream>>, DialError> {
        let tcp = dial(&self.names, &proxy.host, proxy.port, None).await?;
        let Some((config, name)) = &self.proxy_tls else { return Ok(Socket::Plain(tcp)) };
        TlsConnector::from(Arc::clone(config))
            .connect(name.clone(), tcp)
            .await
            .map(|stream| Socket::Tls(Box::new(stream)))
            .map_err(|source| DialError::Tls { host: proxy.host.clone(), source })
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned())
        .map_err(|error| format!("`{host}` is no valid tls server name: {error}"))
}

/// A TCP connection, to an address that the policy allows.
async fn dial(
    names: &Arc<Names>,
    host: &str,
    port: u16,
    egress: Option<&Egress>,
) -> Result<TcpStream, DialError> {
    let mut addresses =
        names.find(host, port).await.map_err(|source| DialError::LookUp { host: host.into(), source })?;
    if let Some(egress) = egress {
        let mut denied = None;
        addresses.retain(|address| match egress.check(host, port, address.ip()) {
            Ok(()) => true,
            Err(why) => {
                denied.get_or_insert(why);
                false
            }
        });
        if let Some(why) = denied.filter(|_| addresses.is_empty()) {
            return Err(DialError::Denied(why));
        }
    }
    let tcp = race::connect(&addresses).await.map_err(|source| {
        names.doubt(host);
        DialError::Connect { host: host.into(), port, source }
    })?;
    // Requests are written whole; waiting for more would only delay their last packet.
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY towards an upstream");
    }
    Ok(tcp)
}

/// A byte stream to an upstream.
pub(crate) type UpstreamStream = Socket<Secured>;

/// Whether the upstream chose HTTP/2 by ALPN.
pub(super) fn negotiated_h2(stream: &UpstreamStream) -> bool {
    match stream {
        Socket::Plain(_) => false,
        Socket::Tls(stream) => agreed(stream) == Some(b"h2"),
    }
}
