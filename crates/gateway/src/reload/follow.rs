//! What asks for reloads by itself, and what this node and the others tell each other.

use std::sync::Arc;
use std::time::Duration;

use state::{Change, Signal};
use tokio::sync::{Notify, broadcast, mpsc};

use super::offer::offer;
use crate::backend::stream::watch;
use crate::gate::Gate;
use crate::nodes::ANNOUNCEMENT;
use crate::oauth::lapsed::purge_when_asked;

/// The shortest time between two announcements of this node.
const SOON: Duration = Duration::from_millis(100);

/// Signals about keys of users of a dashboard, its registry of identity providers, and settings that it hands out: no gate
/// without a dashboard has any of these (contract 13.1).
const NOT_HERE: [&str; 6] = [
    "UserKeyReset",
    "ClientIdPChanged",
    "NoticeConfigUpdated",
    "NoticeDashboardConfigRequest",
    "NoticeGatewayConfigResponse",
    "NoticeDashboardZeroConf",
];

/// Follows what asks for reloads by itself: the catalog, and signals of other nodes.
pub async fn follow(gate: Arc<Gate>, mut catalog: mpsc::Receiver<Change>, listen_to_nodes: bool) {
    tokio::spawn(watch(Arc::clone(&gate)));
    // Aside: a slow store must not keep this node from what the others say.
    if gate.state.is_shared() {
        tokio::spawn(announce(Arc::clone(&gate)));
    }
    let offers = Arc::new(Notify::new());
    tokio::spawn(offer(Arc::clone(&gate), Arc::clone(&offers)));
    let lapsed = Arc::new(Notify::new());
    tokio::spawn(purge_when_asked(Arc::clone(&gate), Arc::clone(&lapsed)));
    let mut signals = gate.state.signals();
    loop {
        tokio::select! {
            change = catalog.recv() => match change {
                Some(_) => gate.reload_soon(),
                None => std::future::pending().await,
            },
            signal = signals.recv() => match signal {
                Ok(Signal::Reload) if listen_to_nodes => gate.reload_soon(),
                Ok(Signal::KeysChanged(names)) => {
                    gate.callers.forget(&names);
                    gate.watched.doubt(&gate, Some(&names));
                    gate.organisations.clear();
                }
                Ok(Signal::CacheDropped(api)) => gate.cache.forget(&[&api]),
                Ok(Signal::CertificateChanged(id)) => {
                    gate.certificates.forget(&id);
                    gate.watched.doubt_certificate(&id);
                    offers.notify_one();
                }
                Ok(Signal::TokensLapsed) => lapsed.notify_one(),
                Ok(Signal::Missed) | Err(broadcast::error::RecvError::Lagged(_)) => {
                    gate.callers.clear();
                    gate.oauth.forget();
                    gate.organisations.clear();
                    gate.certificates.clear();
                    gate.watched.doubt(&gate, None);
                    offers.notify_one();
                    if listen_to_nodes {
                        gate.reload_soon();
                    }
                }
                Ok(Signal::Other { command, payload }) if command == ANNOUNCEMENT => {
                    if gate.nodes.heard(&payload) {
                        gate.nodes.wake.notify_one();
                    }
                }
                Ok(Signal::Other { command, payload }) => {
                    if NOT_HERE.contains(&&*command) {
                        tracing::info!(command, "a signal is about what only a dashboard keeps; nothing here changes");
                    }
                    gate.hear_of_keys(&command, &payload);
                    if gate.oauth.hear(&command) {
                        gate.watched.doubt_papers();
                    }
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            },
            () = gate.closed() => return,
        }
    }
}

/// Tells the other nodes of this one until the gate closes: regularly, soon after one appeared that does not know it, and
/// without much ado until it has been heard at all.
async fn announce(gate: Arc<Gate>) {
    if !gate.settings.limits.takes_part {
        return;
    }
    let every = gate.settings.limits.announce_every.max(SOON);
    loop {
        let payload = gate.nodes.announce(every);
        let signal = Signal::Other { command: ANNOUNCEMENT.to_owned(), payload };
        if let Err(away) = gate.state.publish(signal).await {
            tracing::debug!(%away, "the other nodes are not told of this one");
        }
        let pause = if gate.nodes.has_been_heard() { every } else { SOON };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = gate.nodes.wake.notified() => tokio::time::sleep(SOON.min(every)).await,
            () = gate.closed() => return,
        }
    }
}
