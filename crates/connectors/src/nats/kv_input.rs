//! Input `nats_kv`.

use std::sync::Arc;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_trait::async_trait;
use document::Fault;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use streams::{Ack, Batch, BuildContext, ConnectError, Input, Message, NackKind, Node, ReadError};
use tokio::sync::Notify;

use super::bucket::{self, Entries, Entry, Operation};
use super::connection::{Link, Settings};
use super::position::Position;
use crate::refusals::Refusals;

/// Builds the input.
pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let input = KvInput {
        settings: Settings::read(node, context)?,
        bucket: node.text("bucket")?.into_owned(),
        key: node.text("key")?.into_owned(),
        ignore_deletes: node.boolean("ignore_deletes")?,
        history: node.boolean("include_history")?,
        meta_only: node.boolean("meta_only")?,
        stream: context.stream.clone(),
        position: Arc::default(),
        refused: Arc::default(),
        refusals: Refusals::default(),
        running: None,
    };
    context.with_replay(node, input)
}

struct KvInput {
    settings: Settings,
    bucket: String,
    key: String,
    ignore_deletes: bool,
    history: bool,
    meta_only: bool,
    stream: Arc<str>,
    position: Arc<Mutex<Position>>,
    /// An entry failed, and nobody but this input can bring it again.
    refused: Arc<Notify>,
    refusals: Refusals,
    running: Option<(Link, Entries)>,
}

impl KvInput {
    async fn start(&mut self) -> Result<(Link, Entries), String> {
        let link = self.settings.connect().await?;
        let open = async {
            let store = bucket::open(link.clone(), self.bucket.clone()).await?;
            let last = store.stream.cached_info().state.last_sequence;
            let from = match self.position.lock().resume(last) {
                Some(start_sequence) => DeliverPolicy::ByStartSequence { start_sequence },
                None if self.history => DeliverPolicy::All,
                None => DeliverPolicy::LastPerSubject,
            };
            bucket::watch(&link, &store, &self.key, from, self.meta_only).await
        };
        let (_, entries) = tokio::select! {
            opened = open => opened?,
            () = link.lost() => return Err("the connection was lost at once".to_owned()),
        };
        Ok((link, entries))
    }

    /// `None`: nothing for the stream.
    fn take(&self, entry: &Entry) -> Option<(Batch, Ack)> {
        let revision = entry.revision;
        if !self.position.lock().arrived(revision) {
            return None;
        }
        if self.ignore_deletes && entry.operation != Operation::Put {
            self.position.lock().delivered(revision);
            return None;
        }
        let mut message = Message::new(entry.value.clone());
        entry.describe(&self.bucket, &mut message);
        let (position, refused) = (self.position.clone(), self.refused.clone());
        let ack = Ack::new(move |outcome| match outcome {
            Ok(()) => position.lock().delivered(revision),
            Err(reason) if reason.kind() != NackKind::Stopping => refused.notify_one(),
            Err(_) => {}
        });
        Some((vec![message], ack))
    }
}

#[async_trait]
impl Input for KvInput {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.running = None;
        self.refusals.wait().await;
        self.running = Some(self.start().await.map_err(ConnectError)?);
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        loop {
            let Some((link, entries)) = &mut self.running else { return Err(ReadError::NotConnected) };
            let read = tokio::select! {
                biased;
                () = link.lost() => Err("nats connection lost".to_owned()),
                () = self.refused.notified() => {
                    self.refusals.refused();
                    Err("an entry was refused; the bucket is read again from there".to_owned())
                }
                entry = entries.next() => entry.unwrap_or_else(|| Err("the watch has ended".to_owned())),
            };
            match read {
                Ok(entry) => {
                    if let Some(taken) = self.take(&entry) {
                        return Ok(taken);
                    }
                }
                Err(reason) => {
                    tracing::warn!(stream = %self.stream, %reason, "the nats bucket is watched anew");
                    self.running = None;
                    return Err(ReadError::NotConnected);
                }
            }
        }
    }

    async fn close(&mut self) {
        if let Some((link, entries)) = self.running.take() {
            drop(entries);
            link.leave().await;
        }
    }
}
