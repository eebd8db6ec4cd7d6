//! Caches and rate limits with their counters (streams contract 5.13).

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;

use crate::cache::{Cache, CacheError, CacheItem};
use crate::metrics::{Answer, Operation, Probe};
use crate::rate_limit::{Access, RateLimit, RateLimitError};

/// Counts what is asked of a component.
pub(crate) struct Metered<T: ?Sized> {
    pub(crate) inner: Box<T>,
    pub(crate) probe: Arc<Probe>,
}

impl<T: ?Sized> Metered<T> {
    fn did<V>(
        &self,
        operation: Operation,
        started: Instant,
        answer: Result<V, CacheError>,
    ) -> Result<V, CacheError> {
        let kind = match &answer {
            Ok(_) => Answer::Success,
            Err(CacheError::NotFound) => Answer::NotFound,
            Err(CacheError::Exists) => Answer::Duplicate,
            Err(CacheError::Failed(text)) => {
                self.probe.set_error(text);
                Answer::Error
            }
        };
        self.probe.cache_did(operation, kind, started.elapsed());
        answer
    }
}

#[async_trait]
impl Cache for Metered<dyn Cache> {
    async fn get(&self, key: &str) -> Result<Bytes, CacheError> {
        let started = Instant::now();
        self.did(Operation::Get, started, self.inner.get(key).await)
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError> {
        let started = Instant::now();
        self.did(Operation::Set, started, self.inner.set(key, value, ttl).await)
    }

    async fn add(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError> {
        let started = Instant::now();
        self.did(Operation::Add, started, self.inner.add(key, value, ttl).await)
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        let started = Instant::now();
        self.did(Operation::Delete, started, self.inner.delete(key).await)
    }

    async fn exists(&self, key: &str) -> Result<bool, CacheError> {
        let started = Instant::now();
        self.did(Operation::Exists, started, self.inner.exists(key).await)
    }

    async fn set_many(&self, items: Vec<CacheItem>) -> Result<(), CacheError> {
        let started = Instant::now();
        self.did(Operation::Set, started, self.inner.set_many(items).await)
    }
}

#[async_trait]
impl RateLimit for Metered<dyn RateLimit> {
    async fn access(&self, bytes: usize) -> Result<Access, RateLimitError> {
        let answer = self.inner.access(bytes).await;
        self.probe.received.add(1);
        match &answer {
            Ok(Access::Go) => {}
            Ok(Access::Wait(_)) => self.probe.spilled.add(1),
            Err(fault) => {
                self.probe.errors.add(1);
                self.probe.set_error(&fault.0);
            }
        }
        answer
    }
}
