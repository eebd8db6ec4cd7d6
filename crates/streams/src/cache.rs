//! What a cache must do (streams contract 3.11).

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// Why a cache did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// There is no such key.
    #[error("key does not exist")]
    NotFound,
    /// `add` found the key there.
    #[error("key already exists")]
    Exists,
    /// The cache could not be asked.
    #[error("{0}")]
    Failed(String),
}

/// One value that is to be stored.
#[derive(Debug, Clone)]
pub struct CacheItem {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Bytes,
    /// How long it is kept; `None`: as long as the cache's own default says.
    pub ttl: Option<Duration>,
}

/// Remembers values by key. Shared by every component that names it.
#[async_trait]
pub trait Cache: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// [`CacheError::NotFound`] when there is none.
    async fn get(&self, key: &str) -> Result<Bytes, CacheError>;

    /// Stores a value, whatever was there. `ttl`: `None` means the cache's own default.
    ///
    /// # Errors
    /// When it cannot be stored.
    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError>;

    /// Stores a value only where there is none, as one step.
    ///
    /// # Errors
    /// [`CacheError::Exists`] when there is one.
    async fn add(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError>;

    /// Forgets a key; one that is not there is fine.
    ///
    /// # Errors
    /// When the cache cannot be asked.
    async fn delete(&self, key: &str) -> Result<(), CacheError>;

    /// Whether there is a value.
    ///
    /// # Errors
    /// When the cache cannot be asked.
    async fn exists(&self, key: &str) -> Result<bool, CacheError> {
        match self.get(key).await {
            Ok(_) => Ok(true),
            Err(CacheError::NotFound) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Stores several values, in order where the cache cannot do it at once. The first failure ends it.
    ///
    /// # Errors
    /// When one cannot be stored.
    async fn set_many(&self, items: Vec<CacheItem>) -> Result<(), CacheError> {
        for CacheItem { key, value, ttl } in items {
            self.set(&key, value, ttl).await?;
        }
        Ok(())
    }
}
