//! Ports of APIs that are served beside the gate's own: opened and closed as definitions come and go. What is under way on
//! one that closes ends as it would have; nothing more is read there.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use super::Listener;
use crate::gate::Gate;

/// The ports that are open.
#[derive(Debug, Default)]
pub(crate) struct OwnPorts {
    open: Mutex<HashMap<u16, Open>>,
}

#[derive(Debug)]
struct Open {
    tls: bool,
    /// Dropped when it closes.
    _stays: watch::Sender<()>,
}

/// A port, as the connections see it that came in there.
#[derive(Debug, Clone)]
pub(super) struct Stays {
    pub(super) port: u16,
    open: watch::Receiver<()>,
}

impl Stays {
    /// Ready when the port is closed.
    pub(super) async fn closed(&self) {
        let mut open = self.open.clone();
        while open.changed().await.is_ok() {}
    }

    pub(super) fn is_closed(&self) -> bool {
        self.open.has_changed().is_err()
    }
}

impl Gate {
    /// Opens and closes ports as the running APIs have them. Tells whether all are open.
    pub(crate) async fn settle_own_ports(self: &Arc<Self>) -> bool {
        let mut open = self.own_ports.open.lock().await;
        // Behind the lock: who waits for it must not bring back what ran before.
        let snapshot = Arc::clone(&self.snapshot());
        let wanted = &snapshot.by_port;
        open.retain(|port, there| {
            let stays = wanted.get(port).is_some_and(|wanted| wanted.tls == there.tls);
            if !stays {
                tracing::info!(port, "the port of an API is closed");
            }
            stays
        });
        let mut all = true;
        for (port, wanted) in wanted {
            if open.contains_key(port) {
                continue;
            }
            let tls = self.tls.clone().filter(|_| wanted.tls);
            if wanted.tls && tls.is_none() {
                tracing::error!(
                    port,
                    "the port of an API stays closed: there is no certificate that could be used"
                );
                continue;
            }
            match Listener::bind(SocketAddr::new(self.settings.ports.address, *port), tls, false).await {
                Ok(listener) => {
                    tracing::info!(port, tls = wanted.tls, "listening for an API with a port of its own");
                    let (stays, receiver) = watch::channel(());
                    let listener = listener.of_apis(Stays { port: *port, open: receiver });
                    tokio::spawn(listener.serve(Arc::clone(self)));
                    open.insert(*port, Open { tls: wanted.tls, _stays: stays });
                }
                Err(error) => {
                    all = false;
                    tracing::error!(%error, "the port of an API cannot be opened; trying again");
                }
            }
        }
        all
    }
}
