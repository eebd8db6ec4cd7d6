//! Which version runs, for whoever looks into the store (contract 5.1).

use std::time::Duration;

use crate::gate::Gate;

const KEY: &str = "version-check-gateway";
/// So long until it is tried again where the store is there and did not take it.
const AGAIN: Duration = Duration::from_secs(10);

/// Writes it whenever the store has come, for it may be another one than before, or empty.
pub(super) async fn write(gate: &Gate) {
    let mut health = gate.state.health_changes();
    let writing = async {
        // The sender lives as long as the state does.
        while health.wait_for(|health| health.connected).await.is_ok() {
            let version = env!("CARGO_PKG_VERSION").as_bytes();
            match gate.state.put_record(KEY, version, None).await {
                Ok(()) => drop(health.wait_for(|health| !health.connected).await),
                Err(why) => {
                    tracing::debug!(%why, "which version runs is not written down");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    };
    tokio::select! {
        () = writing => {}
        () = gate.closed() => {}
    }
}
