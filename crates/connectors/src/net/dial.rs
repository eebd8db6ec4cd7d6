//! Opens TCP connections where the egress policy allows it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use streams::Egress;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Most addresses of one name that are tried.
const MOST_ADDRESSES: usize = 16;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Dialer {
    pub(crate) egress: Arc<Egress>,
    /// For resolving the name and connecting, all addresses together.
    pub(crate) timeout: Duration,
    /// Silence after which the peer is probed; zero: never.
    pub(crate) keep_alive: Duration,
}

impl Dialer {
    /// Connects to the first address of the name that the policy allows and that answers.
    ///
    /// The policy sees the very address that is connected to: nothing is resolved a second time.
    pub(crate) async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, String> {
        let deadline = Instant::now() + self.timeout;
        let place = || format!("{host}:{port}");
        let late = |_| format!("no connection to {} within {:?}", place(), self.timeout);
        let name = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let addresses: Vec<SocketAddr> = timeout_at(deadline, tokio::net::lookup_host((name, port)))
            .await
            .map_err(late)?
            .map_err(|fault| format!("the name of {} cannot be resolved: {fault}", place()))?
            .take(MOST_ADDRESSES)
            .collect();
        let mut failure = format!("{} has no address", place());
        for (index, address) in addresses.iter().enumerate() {
            if let Err(refusal) = self.egress.check(name, port, address.ip()) {
                failure = refusal;
                continue;
            }
            // A dead address must leave time for the next one.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
            match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    return self.prepared(stream).map_err(|fault| format!("{}: {fault}", place()));
                }
                Ok(Err(fault)) => failure = format!("no connection to {} ({address}): {fault}", place()),
                Err(elapsed) => failure = late(elapsed),
            }
        }
        Err(failure)
    }

    /// Connects to a place as client libraries write it: `host:port`.
    #[cfg(feature = "mqtt")]
    pub(crate) async fn connect_to(&self, place: &str) -> Result<TcpStream, String> {
        let (host, port) = place.rsplit_once(':').unwrap_or((place, ""));
        let port = port.parse().map_err(|_| format!("`{port}` is no port"))?;
        self.connect(host, port).await
    }

    fn prepared(&self, stream: TcpStream) -> std::io::Result<TcpStream> {
        stream.set_nodelay(true)?;
        if !self.keep_alive.is_zero() {
            let probes = TcpKeepalive::new().with_time(self.keep_alive).with_interval(self.keep_alive);
            SockRef::from(&stream).set_tcp_keepalive(&probes)?;
        }
        Ok(stream)
    }
}
