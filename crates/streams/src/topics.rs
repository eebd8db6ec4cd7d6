//! In-process topics: how an `inproc` output reaches an `inproc` input of another stream.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::ack::Transaction;

/// The topics of one gate, by name. A topic lives as long as a component holds it. Batches pass with their acks, so
/// that acknowledgement goes from end to end across streams.
#[derive(Debug, Clone, Default)]
pub struct Topics {
    all: Arc<Mutex<HashMap<String, Weak<Topic>>>>,
}

/// One batch waits in a topic, then its writers wait. Several readers compete.
#[derive(Debug)]
pub(crate) struct Topic {
    sender: mpsc::Sender<Transaction>,
    receiver: tokio::sync::Mutex<mpsc::Receiver<Transaction>>,
}

impl Topics {
    /// The topic of this name.
    pub(crate) fn get(&self, name: &str) -> Arc<Topic> {
        let mut all = self.all.lock();
        if let Some(topic) = all.get(name).and_then(Weak::upgrade) {
            return topic;
        }
        all.retain(|_, topic| topic.strong_count() > 0);
        let (sender, receiver) = mpsc::channel(1);
        let topic = Arc::new(Topic { sender, receiver: tokio::sync::Mutex::new(receiver) });
        all.insert(name.to_owned(), Arc::downgrade(&topic));
        topic
    }
}

impl Topic {
    pub(crate) async fn write(&self, transaction: Transaction) {
        // The receiver lives beside the sender: sending cannot fail, and a batch left behind is nacked when dropped.
        let _ = self.sender.send(transaction).await;
    }

    /// Cancel safe.
    pub(crate) async fn read(&self) -> Option<Transaction> {
        self.receiver.lock().await.recv().await
    }
}
