//! Output `nats_kv`.

use async_nats::jetstream::kv::{PutErrorKind, Store};
use async_trait::async_trait;
use bloblang::Template;
use document::Fault;
use futures_util::StreamExt as _;
use futures_util::stream;
use parking_lot::Mutex;
use streams::{BuildContext, ConnectError, Message, Node, Output, View, WriteError};

use super::bucket;
use super::connection::{Link, Settings, chain};

/// Entries of one batch that are under way at once.
const AT_ONCE: usize = 64;

/// Builds the output.
pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    Ok(Box::new(KvOutput {
        settings: Settings::read(node, context)?,
        bucket: node.text("bucket")?.into_owned(),
        key: node.template("key", context)?,
        max_in_flight: node.count("max_in_flight")?.max(1),
        link: Mutex::new(None),
    }))
}

struct KvOutput {
    settings: Settings,
    bucket: String,
    key: Template,
    max_in_flight: usize,
    link: Mutex<Option<(Link, Store)>>,
}

impl KvOutput {
    async fn put(&self, store: &Store, batch: &[Message], index: usize) -> Result<(), String> {
        let key = self.key.render(&View(batch), index).map_err(|fault| format!("`key`: {fault}"))?;
        let put = store.put(&key, batch[index].bytes().clone()).await;
        put.map(|_| ()).map_err(|fault| match fault.kind() {
            PutErrorKind::InvalidKey => format!("`{key}` cannot be a key"),
            _ => chain(&fault),
        })
    }

    async fn put_all(&self, store: &Store, batch: &[Message]) -> Result<(), WriteError> {
        // Begun in their order, as `buffered` does, the last of a key is the last that the server gets.
        let puts = stream::iter(0..batch.len())
            .map(|index| async move { (index, self.put(store, batch, index).await) });
        let done: Vec<_> = puts.buffered(AT_ONCE).collect().await;
        let failures: Vec<_> =
            done.into_iter().filter_map(|(index, put)| put.err().map(|text| (index, text))).collect();
        if failures.is_empty() { Ok(()) } else { Err(WriteError::Partial(failures)) }
    }
}

#[async_trait]
impl Output for KvOutput {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.link.lock().take();
        let link = self.settings.connect().await.map_err(ConnectError)?;
        let store = bucket::open(link.clone(), self.bucket.clone()).await.map_err(ConnectError)?;
        *self.link.lock() = Some((link, store));
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let Some((link, store)) = self.link.lock().clone() else { return Err(WriteError::NotConnected) };
        if link.is_lost() {
            return Err(WriteError::NotConnected);
        }
        tokio::select! {
            biased;
            written = self.put_all(&store, batch) => match written {
                // Failed with the connection: all of it is put again, which changes nothing.
                Err(_) if link.is_lost() => Err(WriteError::NotConnected),
                written => written,
            },
            () = link.lost() => Err(WriteError::NotConnected),
        }
    }

    fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    async fn close(&self) {
        let link = self.link.lock().take();
        if let Some((link, _)) = link {
            link.leave().await;
        }
    }
}
