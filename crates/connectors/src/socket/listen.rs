//! What a `socket_server` listens on.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::fields::Identity;
use crate::net::connect::Stream;
use crate::net::tls::read_identity;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What is to be listened on.
pub(super) enum Plan {
    Tcp(String),
    /// Without an identity a certificate is made.
    Tls(String, Arc<Option<Identity>>),
    Udp(String),
    Unix(PathBuf),
}

/// A bound socket.
pub(super) enum Bound {
    Stream(Acceptor),
    Datagrams(UdpSocket),
}

/// A bound socket that clients connect to.
pub(super) enum Acceptor {
    Tcp(TcpListener, Option<TlsAcceptor>),
    Unix { listener: UnixListener, _file: SocketFile },
}

/// A client whose handshake is still to come.
pub(super) enum Arrived {
    Plain(Stream),
    Tls(TcpStream, TlsAcceptor),
}

/// The file of a Unix socket; it goes with the listener.
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    // One name of one folder: nothing that would wait.
    fn drop(&mut self) {
        if let Err(fault) = std::fs::remove_file(&self.0) {
            tracing::debug!(%fault, path = %self.0.display(), "a socket could not be removed");
        }
    }
}

impl Plan {
    /// Binds; the address as others can use it.
    pub(super) async fn bind(&self) -> Result<(Bound, String), String> {
        match self {
            Plan::Tcp(address) => {
                let (listener, address) = tcp(address).await?;
                Ok((Bound::Stream(Acceptor::Tcp(listener, None)), address.to_string()))
            }
            Plan::Tls(address, identity) => {
                let identity = identity.clone();
                let config = tokio::task::spawn_blocking(move || server_config(identity.as_ref().as_ref()));
                let config = config.await.map_err(|fault| fault.to_string())??;
                let (listener, address) = tcp(address).await?;
                let acceptor = TlsAcceptor::from(Arc::new(config));
                Ok((Bound::Stream(Acceptor::Tcp(listener, Some(acceptor))), address.to_string()))
            }
            Plan::Udp(address) => {
                let told = |fault| format!("cannot listen on {address}: {fault}");
                let socket = UdpSocket::bind(address).await.map_err(told)?;
                let address = socket.local_addr().map_err(told)?;
                Ok((Bound::Datagrams(socket), address.to_string()))
            }
            Plan::Unix(path) => {
                forget_left(path).await;
                let told = |fault| format!("cannot listen on the socket `{}`: {fault}", path.display());
                let listener = UnixListener::bind(path).map_err(told)?;
                let bound = Acceptor::Unix { listener, _file: SocketFile(path.clone()) };
                Ok((Bound::Stream(bound), path.display().to_string()))
            }
        }
    }
}

async fn tcp(address: &str) -> Result<(TcpListener, SocketAddr), String> {
    let told = |fault| format!("cannot listen on {address}: {fault}");
    let listener = TcpListener::bind(address).await.map_err(told)?;
    let address = listener.local_addr().map_err(told)?;
    Ok((listener, address))
}

/// Removes a socket that a process which was killed has left behind: one on which nobody listens. Anything else at
/// this path stays, and is told of by binding.
async fn forget_left(path: &Path) {
    use std::os::unix::fs::FileTypeExt as _;
    let is_socket = |found: std::fs::Metadata| found.file_type().is_socket();
    if !tokio::fs::symlink_metadata(path).await.is_ok_and(is_socket) {
        return;
    }
    let refused = |fault: std::io::Error| fault.kind() == std::io::ErrorKind::ConnectionRefused;
    if UnixStream::connect(path).await.is_err_and(refused)
        && let Err(fault) = tokio::fs::remove_file(path).await
    {
        tracing::debug!(%fault, path = %path.display(), "a socket that was left cannot be removed");
    }
}

impl Acceptor {
    pub(super) async fn accept(&self) -> std::io::Result<Arrived> {
        Ok(match self {
            Acceptor::Tcp(listener, None) => Arrived::Plain(Box::new(listener.accept().await?.0)),
            Acceptor::Tcp(listener, Some(tls)) => Arrived::Tls(listener.accept().await?.0, tls.clone()),
            Acceptor::Unix { listener, .. } => Arrived::Plain(Box::new(listener.accept().await?.0)),
        })
    }
}

impl Arrived {
    /// After the handshake.
    pub(super) async fn ready(self) -> Result<Stream, String> {
        match self {
            Arrived::Plain(stream) => Ok(stream),
            Arrived::Tls(stream, tls) => match timeout(HANDSHAKE, tls.accept(stream)).await {
                Ok(Ok(stream)) => Ok(Box::new(stream)),
                Ok(Err(fault)) => Err(format!("the tls handshake failed: {fault}")),
                Err(_) => Err("the tls handshake took too long".to_owned()),
            },
        }
    }
}

/// Blocking: reads files, or makes a key.
fn server_config(identity: Option<&Identity>) -> Result<ServerConfig, String> {
    let (chain, key) = match identity {
        Some(identity) => read_identity(identity)?,
        None => self_signed()?,
    };
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|fault| format!("tls cannot be set up: {fault}"))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|fault| format!("the certificate cannot be used: {fault}"))
}

fn self_signed() -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names)
        .map_err(|fault| format!("no certificate could be made: {fault}"))?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    Ok((vec![made.cert.der().clone()], key.into()))
}
