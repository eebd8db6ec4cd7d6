//! What the gate has to do with the store that nodes share while no request waits for it: what it lets the others know, which
//! version runs (contract 5.1, `version-check-gateway`), and whether the store takes anything (`tyk-liveness-probe`).

mod liveness;
mod telling;
mod version;

use std::sync::Arc;

pub(crate) use liveness::Liveness;
pub(crate) use telling::Telling;

use crate::gate::Gate;

/// Runs until the gate closes, and then until what waited has been told. Await it once.
pub async fn run(gate: Arc<Gate>) {
    if gate.state.is_shared() {
        tokio::join!(gate.telling.run(&gate), version::write(&gate), crate::health::write(&gate));
    }
}
