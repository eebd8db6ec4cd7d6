//! Forgetting published keys of tokens (contract 7.3, `/cache/jwks`).

use std::sync::Arc;

use http::{Response, StatusCode};

use super::reply::{error, ok};
use crate::body::Body;
use crate::gate::Gate;

/// What other nodes are told.
const SIGNAL: &str = "InvalidateJWKSCacheForAPI";

/// Forgets the keys that one API uses, or those of all.
pub(super) async fn forget(gate: &Arc<Gate>, api: Option<&str>) -> Response<Body> {
    let payload = api.unwrap_or_default().to_owned();
    gate.forget_keys(&payload);
    let signal = ::state::Signal::Other { command: SIGNAL.to_owned(), payload };
    match gate.state.publish(signal).await {
        Ok(()) => ok("cache invalidated"),
        Err(away) => {
            error(StatusCode::SERVICE_UNAVAILABLE, &format!("Other gateways cannot be told: {away}"))
        }
    }
}

impl Gate {
    /// Forgets the published keys that an API uses; with an empty id those of all.
    fn forget_keys(&self, api: &str) {
        if api.is_empty() {
            self.key_sets.forget_all();
        } else if let Some(api) = self.snapshot().apis.get(api) {
            api.chain.published().for_each(crate::auth::jwks::Published::forget);
        }
    }

    /// Acts on what another node said, if it is about published keys.
    pub(crate) fn hear_of_keys(&self, command: &str, payload: &str) {
        if command == SIGNAL {
            self.forget_keys(payload);
        }
    }
}
