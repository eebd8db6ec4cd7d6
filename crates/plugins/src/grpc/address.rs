//! Where the servers of plugins are.

use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tower_service::Service;

/// Connecting to one takes no longer, so that there is time left for the next.
const LONGEST_CONNECT: Duration = Duration::from_secs(1);

/// The addresses that were read.
#[derive(Debug, Clone)]
pub(super) enum Endpoints {
    /// A socket of the machine.
    Local(Box<Endpoint>, Socket),
    /// Servers on the network; with several, calls take turns.
    Remote(Vec<Endpoint>),
}

impl Endpoints {
    pub(super) fn read(servers: &str, authority: &str) -> Result<Self, String> {
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
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            return Ok(Self::Local(Box::new(endpoint("localhost:0", authority)?), Socket(path)));
        }
        let endpoints = addresses.iter().map(|address| endpoint(place(address)?, authority));
        Ok(Self::Remote(endpoints.collect::<Result<_, _>>()?))
    }

    /// A channel to each of them, connected when it is used. For where the runtime is.
    pub(super) fn channels(&self) -> Box<[Channel]> {
        match self {
            Self::Local(endpoint, socket) => [endpoint.connect_with_connector_lazy(socket.clone())].into(),
            Self::Remote(endpoints) => endpoints.iter().map(Endpoint::connect_lazy).collect(),
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
    let endpoint = endpoint.connect_timeout(LONGEST_CONNECT);
    if authority.is_empty() {
        return Ok(endpoint);
    }
    let origin: Uri = format!("http://{authority}").parse().map_err(|fault| wrong(&fault))?;
    Ok(endpoint.origin(origin))
}

/// Connects to a socket of the machine.
#[derive(Debug, Clone)]
pub(super) struct Socket(PathBuf);

impl Service<Uri> for Socket {
    type Response = TokioIo<UnixStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
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
            assert!(Endpoints::read(good, "localhost").is_ok(), "{good}");
        }
        for bad in ["", "tcp://host", "ftp://host:1", "tcp://ho st:1"] {
            assert!(Endpoints::read(bad, "localhost").is_err(), "{bad}");
        }
    }
}
