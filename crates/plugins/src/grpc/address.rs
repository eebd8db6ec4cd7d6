//! Where the servers of plugins are.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tonic::transport::{Channel, Endpoint};
use tower_service::Service;

/// Connecting to one takes no longer, so that there is time left for the next.
const LONGEST_CONNECT: Duration = Duration::from_secs(1);

/// Decides about connections to servers, where whoever names the servers may not reach everything.
pub trait Border: Send + Sync + std::fmt::Debug {
    /// Whether a server may be reached at this address of its name.
    ///
    /// # Errors
    /// Why not.
    fn check(&self, host: &str, port: u16, address: IpAddr) -> Result<(), String>;

    /// Whether a socket of this machine may be connected to.
    ///
    /// # Errors
    /// Why not.
    fn check_socket(&self, path: &str) -> Result<(), String>;
}

/// The addresses that were read.
#[derive(Debug, Clone)]
pub(super) enum Endpoints {
    /// A socket of the machine.
    Local(Box<Endpoint>, Socket),
    /// Servers on the network; with several, calls take turns.
    Remote(Vec<Endpoint>, Dial),
}

impl Endpoints {
    pub(super) fn read(
        servers: &str,
        authority: &str,
        border: Option<&Arc<dyn Border>>,
    ) -> Result<Self, String> {
        let addresses: Vec<&str> =
            servers.split(',').map(str::trim).filter(|address| !address.is_empty()).collect();
        if addresses.is_empty() {
            return Err(
                "no server of plugins is named: set `coprocess_options.coprocess_grpc_server`".to_owned()
            );
        }
        if let [one] = addresses[..]
            && let Some(path) = one.strip_prefix("unix:")
        {
            let path = path.strip_prefix("//").unwrap_or(path);
            border.map_or(Ok(()), |border| border.check_socket(path))?;
            let path = PathBuf::from(path);
            return Ok(Self::Local(Box::new(endpoint("localhost:0", authority)?), Socket(path)));
        }
        let endpoints = addresses.iter().map(|address| endpoint(place(address)?, authority));
        Ok(Self::Remote(endpoints.collect::<Result<_, _>>()?, Dial(border.cloned())))
    }

    /// A channel to each of them, connected when it is used. For where the runtime is.
    pub(super) fn channels(&self) -> Box<[Channel]> {
        match self {
            Self::Local(endpoint, socket) => [endpoint.connect_with_connector_lazy(socket.clone())].into(),
            Self::Remote(endpoints, dial) => {
                endpoints.iter().map(|endpoint| endpoint.connect_with_connector_lazy(dial.clone())).collect()
            }
        }
    }
}

/// Host and port of an address.
fn place(address: &str) -> Result<&str, String> {
    let known = ["tcp://", "dns:///", "http://"].iter().find_map(|prefix| address.strip_prefix(prefix));
    match known.unwrap_or(address) {
        place if !place.contains('/') && place.contains(':') => Ok(place),
        _ => Err(format!(
            "`{address}` is no address of a server of plugins: write tcp://host:port or unix:///path"
        )),
    }
}

fn endpoint(place: &str, authority: &str) -> Result<Endpoint, String> {
    let wrong =
        |fault: &dyn std::fmt::Display| format!("`{place}` cannot be the address of a server: {fault}");
    let endpoint = Endpoint::from_shared(format!("http://{place}")).map_err(|fault| wrong(&fault))?;
    if authority.is_empty() {
        return Ok(endpoint);
    }
    let origin: Uri = format!("http://{authority}").parse().map_err(|fault| wrong(&fault))?;
    Ok(endpoint.origin(origin))
}

/// Connects to a server on the network: to the first address of its name that may be reached and that answers in time.
#[derive(Debug, Clone)]
pub(super) struct Dial(Option<Arc<dyn Border>>);

impl Dial {
    async fn connect(self, uri: Uri) -> io::Result<TokioIo<TcpStream>> {
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = uri.port_u16().unwrap_or(80);
        let until = Instant::now() + LONGEST_CONNECT;
        let mut fault = io::Error::other(format!("`{host}` has no address"));
        let mut open = Vec::new();
        for address in tokio::net::lookup_host((host, port)).await? {
            match self.0.as_ref().map(|border| border.check(host, port, address.ip())) {
                Some(Err(why)) => fault = io::Error::new(io::ErrorKind::PermissionDenied, why),
                Some(Ok(())) | None => open.push(address),
            }
        }
        for (left, address) in (1..=open.len()).rev().zip(&open) {
            // A dead address must leave time for the next one.
            let share = until.saturating_duration_since(Instant::now()) / u32::try_from(left).unwrap_or(1);
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(TokioIo::new(stream));
                }
                Ok(Err(why)) => fault = why,
                Err(_) => fault = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(fault)
    }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.clone().connect(uri);
        Box::pin(async move {
            // As a fault of this connector, so that it is known that nothing was asked yet.
            let connected = tokio::time::timeout(LONGEST_CONNECT, connecting).await;
            connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        })
    }
}

/// Connects to a socket of the machine.
#[derive(Debug, Clone)]
pub(super) struct Socket(PathBuf);

impl Service<Uri> for Socket {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let path = self.0.clone();
        Box::pin(async move { Ok(TokioIo::new(UnixStream::connect(path).await?)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a runtime: definitions are checked where there is none.
    #[test]
    fn addresses_are_understood_or_refused() {
        for good in ["tcp://127.0.0.1:5555", "dns:///plugins:1", "unix:///tmp/p.sock", "h:1, tcp://h:2"] {
            assert!(Endpoints::read(good, "localhost", None).is_ok(), "{good}");
        }
        for bad in ["", "tcp://host", "ftp://host:1", "tcp://ho st:1"] {
            assert!(Endpoints::read(bad, "localhost", None).is_err(), "{bad}");
        }
    }
}
