//! Steps on one record that look at it before they change it: Redis does them as one.

use std::time::Duration;

use redis::cmd;

use super::{Redis, millis};
use crate::Unavailable;

impl Redis {
    pub(crate) async fn put_new_record(
        &self,
        key: &str,
        value: &[u8],
        ttl: Option<Duration>,
    ) -> Result<bool, Unavailable> {
        let mut set = cmd("SET");
        set.arg(key).arg(value).arg("NX");
        if let Some(ttl) = ttl {
            set.arg("PX").arg(millis(ttl));
        }
        let done: Option<String> =
            self.link.run(|mut connection| async move { set.query_async(&mut connection).await }).await?;
        Ok(done.is_some())
    }

    pub(crate) async fn add_to_record(&self, key: &str, by: i64) -> Result<i64, Unavailable> {
        let add = cmd("INCRBY").arg(key).arg(by).clone();
        self.link.run(|mut connection| async move { add.query_async(&mut connection).await }).await
    }

    pub(crate) async fn record_life(&self, key: &str) -> Result<Option<Option<Duration>>, Unavailable> {
        let ask = cmd("PTTL").arg(key).clone();
        let left: i64 =
            self.link.run(|mut connection| async move { ask.query_async(&mut connection).await }).await?;
        Ok(match left {
            -2 => None,
            left => Some(u64::try_from(left).ok().map(Duration::from_millis)),
        })
    }
}
