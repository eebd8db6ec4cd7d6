//! Lists that other programs read and empty (contract 5.1, 11.1).

use std::time::Duration;

use redis::cmd;

use super::{Redis, millis};
use crate::Unavailable;

impl Redis {
    /// Appends to a list. One that has no lifetime gets this one.
    pub(crate) async fn append(&self, list: &str, value: &[u8], life: Duration) -> Result<(), Unavailable> {
        let mut push = redis::pipe();
        push.cmd("RPUSH").arg(list).arg(value).ignore().cmd("PTTL").arg(list);
        let (left,): (i64,) =
            self.link.run(|mut connection| async move { push.query_async(&mut connection).await }).await?;
        if left >= 0 {
            return Ok(());
        }
        let expire = cmd("PEXPIRE").arg(list).arg(millis(life)).clone();
        self.link.run(|mut connection| async move { expire.query_async::<()>(&mut connection).await }).await
    }
}
