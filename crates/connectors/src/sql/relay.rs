//! Connections to a database's server as the egress policy allows them.
//!
//! The database's client looks the server's name up by itself and takes whichever address it likes. Where there is a policy, it
//! connects to a socket of this process instead, and what comes there goes on to an address that the policy was asked for, and to
//! no other. The client's TLS passes through and still checks the certificate against the server's name.

use std::sync::Arc;

use parking_lot::Mutex;
use streams::Egress;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::permits::dial;

/// See the module. Dropping it ends its connections.
#[derive(Debug)]
pub(super) struct Relay {
    name: String,
    fault: Arc<Mutex<Option<String>>>,
    // One that accepts, with those that pass on below it.
    _task: JoinSet<()>,
}

#[derive(Clone)]
struct Target {
    egress: Arc<Egress>,
    host: String,
    port: u16,
}

impl Relay {
    /// Opens the socket. Nothing is connected yet.
    ///
    /// # Errors
    /// When the machine has no such sockets.
    pub(super) fn open(egress: Arc<Egress>, host: &str, port: u16) -> Result<Relay, String> {
        // A name without a file: Linux knows it as long as it is listened to. PostgreSQL's clients add the rest of the name.
        let name = format!("\0sluicegate-{:032x}", rand::random::<u128>());
        let told = |fault| format!("no way through this process to {host}:{port}: {fault}");
        let listener = UnixListener::bind(format!("{name}{}", suffix(port))).map_err(told)?;
        let fault = Arc::new(Mutex::new(None));
        let mut task = JoinSet::new();
        task.spawn(accept(listener, Target { egress, host: host.to_owned(), port }, fault.clone()));
        Ok(Relay { name, fault, _task: task })
    }

    /// The folder of the socket, as PostgreSQL's clients want it.
    pub(super) fn folder(&self) -> &str {
        &self.name
    }

    /// The socket.
    pub(super) fn path(&self, port: u16) -> String {
        format!("{}{}", self.name, suffix(port))
    }

    /// Why the last connection came to nothing; told once.
    pub(super) fn fault(&self) -> Option<String> {
        self.fault.lock().take()
    }
}

fn suffix(port: u16) -> String {
    format!("/.s.PGSQL.{port}")
}

async fn accept(listener: UnixListener, target: Target, fault: Arc<Mutex<Option<String>>>) {
    // As many as the pool makes.
    let mut passing = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((inner, _)) if is_own(&inner) => {
                    let (target, fault) = (target.clone(), fault.clone());
                    passing.spawn(async move {
                        if let Err(text) = pass(inner, &target, &fault).await {
                            tracing::debug!(text, "a connection to a database ended");
                        }
                    });
                }
                // Other processes of this machine have nothing to ask here.
                Ok(_) => {}
                Err(text) => {
                    tracing::warn!(%text, "no connection to a database can be taken");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            },
            Some(_) = passing.join_next() => {}
        }
    }
}

fn is_own(stream: &UnixStream) -> bool {
    let peer = stream.peer_cred().ok().and_then(|peer| peer.pid()).and_then(|pid| u32::try_from(pid).ok());
    peer == Some(std::process::id())
}

async fn pass(mut inner: UnixStream, target: &Target, fault: &Mutex<Option<String>>) -> Result<(), String> {
    let mut outer = match dial(&target.egress, &target.host, target.port).await {
        Ok(outer) => outer,
        Err(text) => {
            // Before the client sees that there is no connection.
            *fault.lock() = Some(text.clone());
            return Err(text);
        }
    };
    *fault.lock() = None;
    let passed = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
    passed.map(|_| ()).map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn only_allowed_addresses_are_reached_and_refusals_are_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let allowed =
            Egress { allow: vec![format!("127.0.0.0/8:{port}").parse().unwrap()], ..Egress::default() };
        let relay = Relay::open(Arc::new(allowed), "localhost", port).unwrap();
        let mut client = UnixStream::connect(relay.path(port)).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(b"ping").await.unwrap();
        let mut read = [0; 4];
        server.read_exact(&mut read).await.unwrap();
        server.write_all(&read).await.unwrap();
        client.read_exact(&mut read).await.unwrap();
        assert_eq!((&read, relay.fault()), (b"ping", None));
        // The socket goes with the relay, and its connections, too.
        let path = relay.path(port);
        drop(relay);
        assert_eq!(server.read(&mut read).await.unwrap(), 0);
        assert!(UnixStream::connect(path).await.is_err());

        let private = Egress { deny_private: true, ..Egress::default() };
        let relay = Relay::open(Arc::new(private), "localhost", port).unwrap();
        let mut client = UnixStream::connect(relay.path(port)).await.unwrap();
        assert_eq!(client.read(&mut read).await.unwrap(), 0);
        let fault = relay.fault().unwrap();
        assert!(fault.contains("egress policy"), "{fault}");
    }
}
