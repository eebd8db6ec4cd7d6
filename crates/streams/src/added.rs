//! Keys that a processor has put into a cache for a message. When the message fails further on they are forgotten before
//! it comes again, so that it is not taken for a copy of itself.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::ack::Ack;
use crate::cache::Cache;
use crate::message::Batch;

/// How long forgetting may take before the batch is told to have failed nevertheless.
const PATIENCE: Duration = Duration::from_secs(5);

/// A key that was added for a message.
pub(crate) struct Added {
    cache: Arc<dyn Cache>,
    key: String,
    /// What was added for it before.
    earlier: Option<Arc<Added>>,
}

impl Added {
    pub(crate) fn new(cache: Arc<dyn Cache>, key: String, earlier: Option<Arc<Added>>) -> Added {
        Added { cache, key, earlier }
    }
}

/// What was added for the messages of one batch, each with its place in it.
#[derive(Clone, Default)]
pub(crate) struct AllAdded(Arc<Mutex<Vec<Place>>>);

type Place = (Option<u32>, Arc<Added>);

impl AllAdded {
    /// The ack that forgets what was added for those messages that fail.
    pub(crate) fn guard(&self, ack: Ack) -> Ack {
        let all = self.0.clone();
        Ack::new(move |outcome| {
            let Err(reason) = &outcome else { return ack.done(outcome) };
            let mut added = std::mem::take(&mut *all.lock());
            added.retain(|(place, _)| reason.concerns(*place));
            match Handle::try_current() {
                Ok(runtime) if !added.is_empty() => drop(runtime.spawn(async move {
                    if tokio::time::timeout(PATIENCE, forget(added)).await.is_err() {
                        tracing::warn!("keys of messages that failed could not be forgotten in time");
                    }
                    ack.done(outcome);
                })),
                _ => ack.done(outcome),
            }
        })
    }

    /// Takes note of what the messages carry.
    pub(crate) fn take(&self, batches: &mut [Batch]) {
        let mut all = self.0.lock();
        for message in batches.iter_mut().flatten() {
            let place = message.place();
            all.extend(message.take_added().map(|added| (place, added)));
        }
    }
}

async fn forget(all: Vec<Place>) {
    for (_, added) in all {
        let mut next = Some(&added);
        while let Some(added) = next {
            if let Err(fault) = added.cache.delete(&added.key).await {
                tracing::warn!(%fault, "the key of a message that failed cannot be forgotten: it may be taken for a copy of itself when it comes again");
            }
            next = added.earlier.as_ref();
        }
    }
}
