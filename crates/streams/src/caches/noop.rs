//! Remembers nothing.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use document::Fault;

use crate::build::BuildContext;
use crate::cache::{Cache, CacheError};
use crate::node::Node;
use crate::registry::{CacheSpec, Kind};

pub(super) static SPEC: CacheSpec = CacheSpec {
    name: "noop",
    summary: "Stores nothing: every key is new, none is found.",
    config: Kind::Object(&[]),
    build,
};

fn build(_: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Cache>, Fault> {
    Ok(Box::new(Noop))
}

struct Noop;

#[async_trait]
impl Cache for Noop {
    async fn get(&self, _: &str) -> Result<Bytes, CacheError> {
        Err(CacheError::NotFound)
    }

    async fn set(&self, _: &str, _: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        Ok(())
    }

    async fn add(&self, _: &str, _: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        Ok(())
    }

    async fn delete(&self, _: &str) -> Result<(), CacheError> {
        Ok(())
    }
}
