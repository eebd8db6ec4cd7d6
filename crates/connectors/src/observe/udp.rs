//! Datagrams to one server, where the egress policy allows it.

use streams::Egress;
use tokio::net::UdpSocket;

/// A socket for the first address of the name that the policy allows. Nothing tells whether anybody listens there.
pub(super) async fn connect(egress: &Egress, host: &str, port: u16) -> Result<UdpSocket, String> {
    let found = tokio::net::lookup_host((host, port)).await;
    let addresses =
        found.map_err(|fault| format!("the name of {host}:{port} cannot be resolved: {fault}"))?;
    let mut failure = format!("{host}:{port} has no address");
    for address in addresses {
        if let Err(refusal) = egress.check(host, port, address.ip()) {
            failure = refusal;
            continue;
        }
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let opened = async {
            let socket = UdpSocket::bind(any).await?;
            socket.connect(address).await?;
            Ok::<_, std::io::Error>(socket)
        };
        match opened.await {
            Ok(socket) => return Ok(socket),
            Err(fault) => failure = format!("{host}:{port} ({address}): {fault}"),
        }
    }
    Err(failure)
}
