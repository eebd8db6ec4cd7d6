//! Cache `nats_kv` (streams contract 3.11).

use std::time::Duration;

use async_nats::jetstream::kv::{CreateErrorKind, Store};
use async_trait::async_trait;
use bytes::Bytes;
use document::Fault;
use streams::{BuildContext, Cache, CacheError, Node};

use super::bucket;
use super::connection::{Lazy, Settings, chain};

/// How long the bucket may take to answer, connecting included.
const PATIENCE: Duration = Duration::from_secs(5);

/// Builds the cache.
pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Cache>, Fault> {
    Ok(Box::new(KvCache {
        lazy: Lazy::new(Settings::read(node, context)?),
        bucket: node.text("bucket")?.into_owned(),
    }))
}

struct KvCache {
    lazy: Lazy<Store>,
    bucket: String,
}

impl KvCache {
    /// Asks the bucket one thing.
    async fn ask<T, Asking>(&self, what: impl FnOnce(Store) -> Asking + Send) -> Result<T, CacheError>
    where
        Asking: Future<Output = Result<T, CacheError>> + Send,
    {
        let asked = async {
            let opened = self.lazy.get(|link| bucket::open(link, self.bucket.clone())).await;
            let (link, store) = opened.map_err(CacheError::Failed)?;
            tokio::select! {
                biased;
                answer = what(store) => answer,
                () = link.lost() => Err(CacheError::Failed("the nats connection was lost".to_owned())),
            }
        };
        let late = |_| Err(CacheError::Failed(format!("no answer of nats within {PATIENCE:?}")));
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(late)
    }
}

fn failed(fault: &dyn std::error::Error) -> CacheError {
    CacheError::Failed(chain(fault))
}

#[async_trait]
impl Cache for KvCache {
    async fn get(&self, key: &str) -> Result<Bytes, CacheError> {
        let found =
            self.ask(|store| async move { store.get(key).await.map_err(|fault| failed(&fault)) }).await?;
        found.ok_or(CacheError::NotFound)
    }

    // How long entries are kept is a property of the bucket.
    async fn set(&self, key: &str, value: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        let put = |store: Store| async move { store.put(key, value).await.map_err(|fault| failed(&fault)) };
        self.ask(put).await.map(|_| ())
    }

    async fn add(&self, key: &str, value: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        let create = |store: Store| async move {
            store.create(key, value).await.map_err(|fault| match fault.kind() {
                CreateErrorKind::AlreadyExists => CacheError::Exists,
                _ => failed(&fault),
            })
        };
        self.ask(create).await.map(|_| ())
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        self.ask(|store| async move { store.delete(key).await.map_err(|fault| failed(&fault)) }).await
    }
}
