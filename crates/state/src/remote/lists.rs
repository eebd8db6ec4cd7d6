//! What other programs read: lists that they empty, and sets by time (contract 5.1, 11.1).

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

    /// See [`State::add_times`](crate::State::add_times).
    pub(crate) async fn add_times(
        &self,
        set: &str,
        members: &[(f64, String)],
        since: f64,
        life: Duration,
    ) -> Result<(), Unavailable> {
        let mut add = redis::pipe();
        add.cmd("ZREMRANGEBYSCORE").arg(set).arg("-inf").arg(since).ignore();
        add.cmd("ZADD").arg(set).arg(members).ignore();
        add.cmd("PEXPIRE").arg(set).arg(millis(life)).ignore();
        self.link.run(|mut connection| async move { add.query_async::<()>(&mut connection).await }).await
    }

    /// See [`State::times`](crate::State::times).
    pub(crate) async fn times(
        &self,
        set: &str,
        since: f64,
        most: usize,
    ) -> Result<(u64, Vec<String>), Unavailable> {
        let since = format!("({since}");
        let mut both = redis::pipe();
        both.cmd("ZCOUNT").arg(set).arg(&since).arg("+inf");
        both.cmd("ZREVRANGEBYSCORE").arg(set).arg("+inf").arg(&since).arg("LIMIT").arg(0).arg(most);
        self.link.run(|mut connection| async move { both.query_async(&mut connection).await }).await
    }
}
