//! How long an upstream may take for the head of its response.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::body::RequestBody;

/// A deadline that moves on while the request's body still goes out: an upstream cannot answer what it has not got yet.
/// A limit that the API enforces for the whole answer does not move.
pub(super) struct Patience {
    deadline: Instant,
    limit: Duration,
    /// Frames of the body that went out, and how many had when the deadline was set.
    upload: Option<(Arc<AtomicU64>, u64)>,
}

impl Patience {
    pub(super) fn new(asked: Instant, limit: Duration, enforced: bool, body: &RequestBody) -> Self {
        let upload = body.uploaded().filter(|_| !enforced).map(|frames| (frames, 0));
        Self { deadline: asked + limit, limit, upload }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Called when the deadline has come: whether it is to be waited for anew.
    pub(super) fn renew(&mut self, now: Instant) -> bool {
        let Some((frames, before)) = &mut self.upload else { return false };
        let went_out = frames.load(Ordering::Relaxed);
        if went_out == *before {
            return false;
        }
        *before = went_out;
        self.deadline = now + self.limit;
        true
    }
}
