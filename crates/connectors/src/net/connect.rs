//! From a target to a connection: TCP or a proxy, then TLS.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::dial::Dialer;
use super::proxy::{Proxy, ProxyKind};
use super::tls::TlsClient;

/// Bytes in both directions, whatever is below.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}
/// A connection.
pub(crate) type Stream = Box<dyn Wire>;

/// How one client connects.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    pub(crate) dialer: Dialer,
    pub(crate) tls: Arc<TlsClient>,
    pub(crate) proxy: Option<Proxy>,
    /// For the handshake of TLS, and for a proxy to open a tunnel.
    pub(crate) handshake: Duration,
}

/// A connection as it came about.
pub(crate) struct Connected {
    pub(crate) stream: Stream,
    /// The server chose HTTP/2.
    pub(crate) http2: bool,
    /// An HTTP proxy reads the requests: they carry whole URLs.
    pub(crate) forwarded: bool,
}

impl Connector {
    /// Connects. `secure`: TLS towards the target. `tunnel`: through an HTTP proxy even without TLS (WebSockets).
    pub(crate) async fn connect(
        &self,
        host: &str,
        port: u16,
        secure: bool,
        tunnel: bool,
    ) -> Result<Connected, String> {
        let (stream, forwarded) = match &self.proxy {
            None => (Box::new(self.dialer.connect(host, port).await?) as Stream, false),
            Some(proxy) => {
                // The proxy resolves the name, so only the name can be judged here.
                self.dialer.egress.check_name(host, port)?;
                if proxy.kind == ProxyKind::Http && !secure && !tunnel {
                    (self.to_proxy(&proxy.uri).await?, true)
                } else {
                    let through = timeout(self.handshake, self.through(proxy, host, port)).await;
                    let late =
                        |_| format!("the proxy opened no way to {host}:{port} within {:?}", self.handshake);
                    (through.map_err(late)??, false)
                }
            }
        };
        if !secure {
            return Ok(Connected { stream, http2: false, forwarded });
        }
        let (stream, http2) = self.tls(stream, host, &self.tls).await?;
        Ok(Connected { stream, http2, forwarded })
    }

    async fn tls(&self, stream: Stream, host: &str, tls: &TlsClient) -> Result<(Stream, bool), String> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|_| format!("`{host}` is not a name that a certificate could hold"))?;
        let connector = TlsConnector::from(tls.config().await?);
        match timeout(self.handshake, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                Ok((Box::new(stream), http2))
            }
            Ok(Err(fault)) => Err(format!("no tls with {host}: {fault}")),
            Err(_) => Err(format!("no tls with {host} within {:?}", self.handshake)),
        }
    }

    async fn to_proxy(&self, uri: &Uri) -> Result<Stream, String> {
        let host = uri.host().unwrap_or_default();
        let stream = self.dialer.connect(host, uri.port_u16().unwrap_or(80)).await?;
        if uri.scheme_str() != Some("https") {
            return Ok(Box::new(stream));
        }
        // The proxy's certificate is judged as the target's; protocols are the target's affair.
        let plain = TlsClient::new(crate::fields::Tls::default(), &[]);
        Ok(self.tls(Box::new(stream), host, &plain).await?.0)
    }

    async fn through(&self, proxy: &Proxy, host: &str, port: u16) -> Result<Stream, String> {
        let target: Uri = format!("https://{host}:{port}/")
            .parse()
            .map_err(|fault| format!("`{host}:{port}` cannot be asked of a proxy: {fault}"))?;
        let to_proxy = ToProxy(self.clone());
        let failed = |fault: &dyn std::error::Error| {
            let cause = fault.source().map_or_else(String::new, |cause| format!(": {cause}"));
            format!("the proxy {} opens no way to {host}:{port}: {fault}{cause}", proxy.uri)
        };
        match proxy.kind {
            ProxyKind::Http => {
                let mut tunnel = Tunnel::new(proxy.uri.clone(), to_proxy);
                if let Some(value) = proxy.authorization() {
                    tunnel = tunnel.with_auth(value);
                }
                tunnel.call(target).await.map(TokioIo::into_inner).map_err(|fault| failed(&fault))
            }
            ProxyKind::Socks5 => {
                let mut tunnel = SocksV5::new(proxy.uri.clone(), to_proxy);
                if let Some((user, password)) = &proxy.credentials {
                    tunnel = tunnel.with_auth(user.clone(), password.clone());
                }
                tunnel.call(target).await.map(TokioIo::into_inner).map_err(|fault| failed(&fault))
            }
        }
    }
}

/// The way to the proxy itself, as the tunnels want it.
#[derive(Clone)]
struct ToProxy(Connector);

impl Service<Uri> for ToProxy {
    type Response = TokioIo<Stream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.0.clone();
        Box::pin(
            async move { connector.to_proxy(&uri).await.map(TokioIo::new).map_err(std::io::Error::other) },
        )
    }
}
