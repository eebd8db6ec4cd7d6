//! Access tokens that have ended are taken off the lists of their clients (contract 7.3 and 13.1): who asks for it does so over
//! the admin API, or by a signal.

use std::sync::Arc;

use state::Unavailable;
use tokio::sync::Notify;

use super::{client, revoke};
use crate::clock::unix_now;
use crate::gate::Gate;

/// Looks at all clients of all APIs that give tokens.
pub(crate) async fn purge(gate: &Gate) -> Result<(), Unavailable> {
    let apis: Vec<_> =
        gate.snapshot().apis.values().filter(|api| api.oauth.is_some()).map(Arc::clone).collect();
    let now = unix_now();
    for api in apis {
        for client in client::list(gate, &api.model.id, &api.model.org_id).await? {
            revoke::lapsed(gate, &api.model.id, &client.id, now).await?;
        }
    }
    Ok(())
}

/// The same each time when somebody asks, until the gate closes. Several who ask meanwhile share one look.
pub(crate) async fn purge_when_asked(gate: Arc<Gate>, asked: Arc<Notify>) {
    loop {
        tokio::select! {
            () = asked.notified() => {}
            () = gate.closed() => return,
        }
        if let Err(away) = purge(&gate).await {
            tracing::warn!(%away, "lapsed tokens stay on the lists of their clients; they open nothing");
        }
    }
}
