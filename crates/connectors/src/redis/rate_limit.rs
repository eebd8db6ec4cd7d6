//! Rate limit `redis` (streams contract 3.11).

use std::time::Duration;

use async_trait::async_trait;
use document::Fault;
use redis::Script;
use streams::{Access, BuildContext, Node, RateLimit, RateLimitError};

use super::link::{Link, Trouble};

/// Counts one access and begins the window with the first; what is left of the window once it is full, 0 before.
const COUNT: &str = "\
local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  left = tonumber(ARGV[2])
end
if count > tonumber(ARGV[1]) then
  redis.call('DECR', KEYS[1])
  return math.max(left, 1)
end
return 0";

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn RateLimit>, Fault> {
    let count = node.count("count")?;
    if count == 0 {
        return Err(node.field_fault("count", "`count` must be above 0"));
    }
    let Some(interval) = node.duration("interval")?.filter(|interval| interval.as_millis() > 0) else {
        return Err(node.field_fault("interval", "`interval` must be at least a millisecond"));
    };
    let key = node.text("key")?.into_owned();
    if key.is_empty() {
        return Err(node.field_fault("key", "`key` must not be empty"));
    }
    Ok(Box::new(Shared {
        link: Link::read(node, context)?,
        script: Script::new(COUNT),
        count,
        interval,
        key,
    }))
}

struct Shared {
    link: Link,
    script: Script,
    count: usize,
    interval: Duration,
    key: String,
}

#[async_trait]
impl RateLimit for Shared {
    async fn access(&self, _: usize) -> Result<Access, RateLimitError> {
        let mut connection = self.link.connection().await.map_err(RateLimitError)?;
        let mut call = self.script.key(&self.key);
        call.arg(self.count).arg(u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX));
        match call.invoke_async::<u64>(&mut connection).await.map_err(Trouble::from) {
            Ok(0) => Ok(Access::Go),
            Ok(milliseconds) => Ok(Access::Wait(Duration::from_millis(milliseconds))),
            Err(trouble) => {
                if matches!(trouble, Trouble::Away(_)) {
                    self.link.forget();
                }
                Err(RateLimitError(trouble.text()))
            }
        }
    }
}
