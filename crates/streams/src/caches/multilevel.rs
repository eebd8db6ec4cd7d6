//! Several caches as one, the fastest first (streams contract 3.11).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use document::Fault;

use crate::build::BuildContext;
use crate::cache::{Cache, CacheError, CacheItem};
use crate::node::Node;
use crate::registry::{CacheSpec, Kind};

pub(super) static SPEC: CacheSpec = CacheSpec {
    name: "multilevel",
    summary: "Two or more caches by their labels, the fastest first. What is found further down is copied up, with the default time to live of the caches above; writing writes all of them, the last first when only new keys are wanted.",
    config: Kind::List(&Kind::Cache),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Cache>, Fault> {
    let levels = node.members().iter().map(|label| context.cache(label)).collect::<Result<Vec<_>, _>>()?;
    if levels.len() < 2 {
        return Err(node.fault("`multilevel` needs the labels of at least two caches"));
    }
    Ok(Box::new(Multilevel { levels }))
}

struct Multilevel {
    levels: Vec<Arc<dyn Cache>>,
}

#[async_trait]
impl Cache for Multilevel {
    async fn get(&self, key: &str) -> Result<Bytes, CacheError> {
        for (index, level) in self.levels.iter().enumerate() {
            let value = match level.get(key).await {
                Ok(value) => value,
                Err(CacheError::NotFound) => continue,
                Err(fault) => return Err(fault),
            };
            for upper in &self.levels[..index] {
                // The value is found: an upper level that cannot keep it only costs the next reader time.
                if let Err(fault) = upper.set(key, value.clone(), None).await {
                    tracing::debug!(%fault, "upper cache level cannot be filled");
                }
            }
            return Ok(value);
        }
        Err(CacheError::NotFound)
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError> {
        for level in &self.levels {
            level.set(key, value.clone(), ttl).await?;
        }
        Ok(())
    }

    async fn add(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError> {
        let Some((last, upper)) = self.levels.split_last() else { return Ok(()) };
        for level in upper {
            if level.exists(key).await? {
                return Err(CacheError::Exists);
            }
        }
        // The last level decides between two who add at once.
        last.add(key, value.clone(), ttl).await?;
        for level in upper.iter().rev() {
            level.set(key, value.clone(), ttl).await?;
        }
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        for level in &self.levels {
            level.delete(key).await?;
        }
        Ok(())
    }

    async fn set_many(&self, items: Vec<CacheItem>) -> Result<(), CacheError> {
        for level in &self.levels {
            level.set_many(items.clone()).await?;
        }
        Ok(())
    }
}
