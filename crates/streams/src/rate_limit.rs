//! What a rate limit must do (streams contract 3.11).

use std::time::Duration;

use async_trait::async_trait;

/// What a rate limit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Go on; it is counted.
    Go,
    /// Ask again after this long; nothing was counted.
    Wait(Duration),
}

/// A rate limit could not be asked.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct RateLimitError(pub String);

/// Says how often something may happen. Shared by every component that names it.
#[async_trait]
pub trait RateLimit: Send + Sync {
    /// Asks for one access that carries this many payload bytes (0 where there is no payload).
    ///
    /// # Errors
    /// When the limit cannot be asked.
    async fn access(&self, bytes: usize) -> Result<Access, RateLimitError>;
}

/// Waits until a limit lets one access through. A limit that cannot be asked is asked again every second: a limit
/// that is away must not become no limit.
pub async fn pass(limit: &dyn RateLimit, bytes: usize) {
    loop {
        match limit.access(bytes).await {
            Ok(Access::Go) => return,
            // At least a millisecond, so that a limit that says 0 is no busy loop.
            Ok(Access::Wait(time)) => tokio::time::sleep(time.max(Duration::from_millis(1))).await,
            Err(fault) => {
                tracing::warn!(%fault, "rate limit cannot be asked");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
