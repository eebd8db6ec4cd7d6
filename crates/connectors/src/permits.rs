//! The egress policy for connections that `net::dial` does not make: of client libraries that dial by themselves.

use std::net::SocketAddr;
use std::time::Duration;

use streams::Egress;

/// How long the addresses of a name may take.
const RESOLVING: Duration = Duration::from_secs(10);
/// Most addresses of one name that are looked at.
const MOST_ADDRESSES: usize = 64;

/// Whether a client library may connect to this place. It looks the name up once more and takes whichever address it likes,
/// so the policy must allow all of them.
///
/// # Errors
/// Why not, for people.
#[cfg(any(feature = "kafka", feature = "nats"))]
pub(crate) async fn permitted(egress: &Egress, host: &str, port: u16) -> Result<(), String> {
    if egress.allows_all() {
        return Ok(());
    }
    let name = bare(host);
    resolved(name, port).await?.iter().try_for_each(|address| egress.check(name, port, address.ip()))
}

/// The addresses of a place that may be connected to, at least one.
///
/// # Errors
/// When the name has none, or the policy allows none.
#[cfg(any(feature = "amqp_0_9", feature = "amqp_1", feature = "nats", feature = "redis", feature = "sql"))]
pub(crate) async fn addresses(egress: &Egress, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let name = bare(host);
    let mut refusal = format!("{name}:{port} has no address");
    let mut allowed = resolved(name, port).await?;
    allowed.retain(|address| match egress.check(name, port, address.ip()) {
        Ok(()) => true,
        Err(text) => {
            refusal = text;
            false
        }
    });
    if allowed.is_empty() { Err(refusal) } else { Ok(allowed) }
}

/// Connects to the first address of a place that the policy allows and that answers. Who asks bounds the time.
///
/// # Errors
/// Why there is no connection, for people.
#[cfg(any(feature = "redis", feature = "sql"))]
pub(crate) async fn dial(egress: &Egress, host: &str, port: u16) -> Result<tokio::net::TcpStream, String> {
    let mut failure = format!("{host}:{port} has no address");
    for address in addresses(egress, host, port).await? {
        let opened = tokio::net::TcpStream::connect(address).await;
        match opened.and_then(|stream| stream.set_nodelay(true).map(|()| stream)) {
            Ok(stream) => return Ok(stream),
            Err(fault) => failure = format!("no connection to {host}:{port} ({address}): {fault}"),
        }
    }
    Err(failure)
}

/// Whether a socket of this machine may be connected to.
///
/// # Errors
/// Why not, for people.
#[cfg(any(feature = "redis", feature = "socket"))]
pub(crate) fn socket_permitted(egress: &Egress, path: &std::path::Path) -> Result<(), String> {
    egress.check_socket(&path.display().to_string())
}

#[cfg(any(
    feature = "amqp_0_9",
    feature = "amqp_1",
    feature = "kafka",
    feature = "nats",
    feature = "redis",
    feature = "sql"
))]
async fn resolved(name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let wrong =
        |fault: &dyn std::fmt::Display| format!("the name of {name}:{port} cannot be resolved: {fault}");
    let found = tokio::time::timeout(RESOLVING, tokio::net::lookup_host((name, port))).await;
    let found = found.map_err(|_| wrong(&format!("no answer within {RESOLVING:?}")))?;
    Ok(found.map_err(|fault| wrong(&fault))?.take(MOST_ADDRESSES).collect())
}

/// An address without the brackets that URLs put around it.
pub(crate) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(all(test, feature = "kafka"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn libraries_connect_where_all_addresses_are_allowed() {
        let rules = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let private = Egress { deny_private: true, ..Egress::default() };
        let ports = Egress { deny: rules(&["*:25"]), ..Egress::default() };
        let listed = Egress {
            allow: rules(&["127.0.0.0/8:9092", "[::1]:9092"]),
            deny_private: true,
            ..Egress::default()
        };
        for (policy, host, port, allowed) in [
            (&Egress::default(), "no such name", 1, true),
            (&private, "127.0.0.1", 9092, false),
            (&private, "localhost", 9092, false),
            (&private, "[::1]", 9092, false),
            (&ports, "127.0.0.1", 25, false),
            (&ports, "127.0.0.1", 26, true),
            (&listed, "localhost", 9092, true),
            (&listed, "[::1]", 9092, true),
            (&listed, "127.0.0.1", 9093, false),
            (&listed, "10.0.0.1", 9092, false),
        ] {
            let told = permitted(policy, host, port).await;
            assert_eq!(told.is_ok(), allowed, "{host}:{port} {told:?}");
        }
    }
}
