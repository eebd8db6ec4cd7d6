//! Cache `redis` (streams contract 3.11).

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use document::Fault;
use redis::{Cmd, FromRedisValue};
use streams::{BuildContext, Cache, CacheError, Node};

use super::link::{Link, Trouble};

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Cache>, Fault> {
    let retries = node.get("retries");
    Ok(Box::new(RedisCache {
        link: Link::read(node, context)?,
        prefix: node.text("prefix")?.into_owned(),
        ttl: node.duration("default_ttl")?.filter(|ttl| !ttl.is_zero()),
        first: retries.duration("initial_interval")?.unwrap_or_default(),
        longest: retries.duration("max_interval")?.unwrap_or_default(),
        patience: retries.duration("max_elapsed_time")?.unwrap_or_default(),
    }))
}

struct RedisCache {
    link: Link,
    prefix: String,
    ttl: Option<Duration>,
    first: Duration,
    longest: Duration,
    patience: Duration,
}

impl RedisCache {
    fn command(&self, name: &str, key: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(format!("{}{key}", self.prefix));
        command
    }

    /// Runs it, again with pauses while Redis is away.
    async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, CacheError> {
        let started = Instant::now();
        let mut pause = self.first.max(Duration::from_millis(1));
        loop {
            match self.link.run(command).await {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Away(_)) if started.elapsed() + pause < self.patience => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(self.longest.max(self.first));
                }
                Err(trouble) => return Err(CacheError::Failed(trouble.text())),
            }
        }
    }

    fn storing(&self, key: &str, value: &Bytes, ttl: Option<Duration>) -> Cmd {
        let mut command = self.command("SET", key);
        command.arg(&value[..]);
        if let Some(ttl) = ttl.or(self.ttl) {
            let milliseconds = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
            command.arg("PX").arg(milliseconds);
        }
        command
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &str) -> Result<Bytes, CacheError> {
        let value: Option<Vec<u8>> = self.run(&self.command("GET", key)).await?;
        value.map(Bytes::from).ok_or(CacheError::NotFound)
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError> {
        self.run(&self.storing(key, &value, ttl)).await
    }

    async fn add(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError> {
        let mut command = self.storing(key, &value, ttl);
        command.arg("NX");
        match self.run::<Option<String>>(&command).await? {
            Some(_) => Ok(()),
            None => Err(CacheError::Exists),
        }
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        self.run(&self.command("DEL", key)).await
    }

    async fn exists(&self, key: &str) -> Result<bool, CacheError> {
        self.run(&self.command("EXISTS", key)).await
    }
}
