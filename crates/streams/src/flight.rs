//! How many batches of a stream are under way: given out by its inputs, and neither acked nor nacked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Shared by everything that is built for one stream.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    under_way: AtomicUsize,
    over: Notify,
}

/// One batch is under way, until this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Flight>);

impl Flight {
    pub(crate) fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        UnderWay(self.clone())
    }

    /// Returns when none is under way. Cancel safe.
    pub(crate) async fn over(&self) {
        loop {
            let over = self.over.notified();
            tokio::pin!(over);
            // Before looking, so that nothing falls between looking and waiting.
            over.as_mut().enable();
            if self.under_way.load(Ordering::Acquire) == 0 {
                return;
            }
            over.await;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.under_way.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.over.notify_waiters();
        }
    }
}
