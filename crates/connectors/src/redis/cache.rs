//! Cache `redis` (streams contract 3.11).

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use document::Fault;
use redis::{Cmd, FromRedisValue};
use streams::{BuildContext, Cache, CacheError, Node};

use super::link::{Link, Trouble};

/// How many milliseconds the clocks of Redis and of this process may drift apart while a command is run again.
const CLOCKS_APART: i64 = 100;

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
        self.run_or_doubt(command, &mut false).await
    }

    /// The same; `doubt` becomes true where it may have been run more than once.
    async fn run_or_doubt<T: FromRedisValue>(
        &self,
        command: &Cmd,
        doubt: &mut bool,
    ) -> Result<T, CacheError> {
        let started = Instant::now();
        let mut pause = self.first.max(Duration::from_millis(1));
        loop {
            match self.link.run_or_doubt(command, doubt).await {
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
        if let Some(life) = self.life(ttl) {
            command.arg("PX").arg(life);
        }
        command
    }

    /// How long a value is kept, in milliseconds.
    fn life(&self, ttl: Option<Duration>) -> Option<i64> {
        let milliseconds = ttl.or(self.ttl)?.as_millis();
        Some(i64::try_from(milliseconds).unwrap_or(i64::MAX).max(1))
    }

    /// Whether what stands at this key may have been stored in this time by a command whose answer was lost.
    async fn may_be_own(
        &self,
        key: &str,
        value: &Bytes,
        life: Option<i64>,
        since: Instant,
    ) -> Result<bool, CacheError> {
        let there: Option<Vec<u8>> = self.run(&self.command("GET", key)).await?;
        if there.as_deref() != Some(&value[..]) {
            return Ok(false);
        }
        let Some(life) = life else { return Ok(true) };
        // What has less time left than it would have is older.
        let left: i64 = self.run(&self.command("PTTL", key)).await?;
        let elapsed = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
        Ok(left >= life.saturating_sub(elapsed).saturating_sub(CLOCKS_APART))
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
        let (started, mut doubt) = (Instant::now(), false);
        match self.run_or_doubt::<Option<String>>(&command, &mut doubt).await? {
            Some(_) => Ok(()),
            // It is better to let a message through twice than to take it for a copy of itself.
            None if doubt && self.may_be_own(key, &value, self.life(ttl), started).await? => Ok(()),
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
