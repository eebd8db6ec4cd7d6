//! Who waits for acks before anything more can come. While somebody does, batches that gather must not wait for messages
//! that cannot arrive: an input that has ended waits for what it gave, a full buffer for what it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Shared by everything that is built for one stream.
#[derive(Debug, Default)]
pub(crate) struct Stall {
    waiting: AtomicUsize,
    changed: Notify,
}

/// Somebody waits, until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Stall>);

impl Stall {
    /// Somebody waits for acks from now on.
    pub(crate) fn wait(self: &Arc<Self>) -> Waiting {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
        Waiting(self.clone())
    }

    /// Whether somebody waits.
    pub(crate) fn is_on(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Returns as soon as somebody waits. Cancel safe.
    pub(crate) async fn begins(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Before looking, so that nothing falls between looking and waiting.
            changed.as_mut().enable();
            if self.is_on() {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
