//! Dropping what is cached (contract 7.3).

use std::sync::Arc;

use ::state::{Signal, Unavailable};
use http::Response;

use super::reply::{failed, ok};
use crate::body::Body;
use crate::gate::Gate;

/// Drops the cached answers of an API: those in the store, and, by a signal, what every gate has at hand.
pub(super) async fn drop_answers(gate: &Arc<Gate>, api: &str) -> Response<Body> {
    match drop_everywhere(gate, api).await {
        Ok(()) => ok("cache invalidated"),
        Err(away) => {
            tracing::warn!(%away, api_id = api, "cached answers cannot be dropped");
            failed("Cache invalidation failed", &away)
        }
    }
}

async fn drop_everywhere(gate: &Gate, api: &str) -> Result<(), Unavailable> {
    gate.cache.drop_all(&[api]).await?;
    gate.state.publish(Signal::CacheDropped(api.to_owned())).await
}
