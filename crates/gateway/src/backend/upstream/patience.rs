//! How long an upstream may take for the head of its response.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Failure, Limit, Whose};
use crate::body::{RequestBody, Upload};

/// A deadline that moves on while the request's body still goes out: an upstream cannot answer what it has not got yet.
/// A limit of the API's for the whole answer, or of the client's, does not move.
pub(super) struct Patience {
    deadline: Instant,
    limit: Limit,
    upload: Option<Arc<Upload>>,
    /// Frames of the body that had gone out when the deadline was set.
    before: u64,
}

impl Patience {
    pub(super) fn new(asked: Instant, limit: Limit, body: &RequestBody) -> Self {
        Self { deadline: asked + limit.time, limit, upload: body.upload(), before: 0 }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Called when the deadline has come: whether it is to be waited for anew.
    pub(super) fn renew(&mut self, now: Instant) -> bool {
        let Some(upload) = self.upload.as_ref().filter(|_| self.limit.whose == Whose::Gate) else {
            return false;
        };
        let frames = upload.frames();
        // How long a client may be waited for is the matter of its body.
        if frames == self.before && !upload.waits() {
            return false;
        }
        self.before = frames;
        self.deadline = now + self.limit.time;
        true
    }

    /// The answer has begun.
    pub(super) fn answered(&self) {
        if let Some(upload) = &self.upload {
            upload.answered();
        }
    }

    /// Why there is no answer now that the deadline has come.
    pub(super) fn failure(&self) -> Failure {
        let waits = self.upload.as_ref().is_some_and(|upload| upload.waits());
        if waits || self.limit.whose == Whose::Client { Failure::ClientLate } else { Failure::TimedOut }
    }
}
