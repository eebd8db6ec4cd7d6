//! Records and collections in Redis, under their full keys (contract 5.1).

use std::{sync::Arc, time::Duration};

use redis::cmd;

use super::{Redis, escape_glob, millis};
use crate::{Unavailable, state::Sort};

impl Redis {
    pub(crate) async fn record(&self, key: &str) -> Result<Option<Arc<[u8]>>, Unavailable> {
        let key = key.to_owned();
        let value: Option<Vec<u8>> = self
            .link
            .run(|mut connection| async move { cmd("GET").arg(key).query_async(&mut connection).await })
            .await?;
        Ok(value.map(Into::into))
    }

    /// `keys` is not empty.
    pub(crate) async fn many_records(&self, keys: &[String]) -> Result<Vec<Option<Arc<[u8]>>>, Unavailable> {
        let get = cmd("MGET").arg(keys).clone();
        let values: Vec<Option<Vec<u8>>> =
            self.link.run(|mut connection| async move { get.query_async(&mut connection).await }).await?;
        Ok(values.into_iter().map(|value| value.map(Into::into)).collect())
    }

    /// See [`State::probe`](crate::State::probe).
    pub(crate) async fn probe(&self, key: &str, life: Duration) -> Result<(), Unavailable> {
        let mut both = redis::pipe();
        both.cmd("SET").arg(key).arg(key).arg("PX").arg(millis(life)).ignore().cmd("GET").arg(key);
        let (read,): (Option<Vec<u8>>,) =
            self.link.ask(|mut connection| async move { both.query_async(&mut connection).await }).await?;
        match read {
            Some(read) if read == key.as_bytes() => Ok(()),
            _ => Err(Unavailable("Redis does not give back what was written".to_owned())),
        }
    }

    pub(crate) async fn put_record(
        &self,
        key: &str,
        value: &[u8],
        ttl: Option<Duration>,
    ) -> Result<(), Unavailable> {
        let mut set = cmd("SET");
        set.arg(key).arg(value);
        if let Some(ttl) = ttl {
            set.arg("PX").arg(millis(ttl));
        }
        self.link.run(|mut connection| async move { set.query_async::<()>(&mut connection).await }).await
    }

    pub(crate) async fn delete_record(&self, key: &str) -> Result<bool, Unavailable> {
        let key = key.to_owned();
        let deleted: i64 = self
            .link
            .run(|mut connection| async move { cmd("DEL").arg(key).query_async(&mut connection).await })
            .await?;
        Ok(deleted > 0)
    }

    pub(crate) async fn take_record(&self, key: &str) -> Result<Option<Arc<[u8]>>, Unavailable> {
        let mut take = redis::pipe();
        take.atomic().cmd("GET").arg(key).cmd("DEL").arg(key).ignore();
        let (value,): (Option<Vec<u8>>,) =
            self.link.run(|mut connection| async move { take.query_async(&mut connection).await }).await?;
        Ok(value.map(Into::into))
    }

    pub(crate) async fn record_keys(&self, prefix: &str) -> Result<Vec<String>, Unavailable> {
        self.scan(&format!("{}*", escape_glob(prefix))).await
    }

    pub(crate) async fn add_member(
        &self,
        key: &str,
        sort: Sort,
        member: &str,
        score: f64,
    ) -> Result<(), Unavailable> {
        let mut add = redis::pipe();
        match sort {
            // A list that has it already is not to have it twice.
            Sort::List => {
                add.atomic().cmd("LREM").arg(key).arg(0).arg(member).cmd("RPUSH").arg(key).arg(member)
            }
            Sort::Set => add.cmd("SADD").arg(key).arg(member),
            Sort::Scored => add.cmd("ZADD").arg(key).arg(score).arg(member),
        };
        add.ignore();
        self.link.run(|mut connection| async move { add.query_async::<()>(&mut connection).await }).await
    }

    pub(crate) async fn remove_member(
        &self,
        key: &str,
        sort: Sort,
        member: &str,
    ) -> Result<bool, Unavailable> {
        let remove = match sort {
            Sort::List => cmd("LREM").arg(key).arg(0).arg(member).clone(),
            Sort::Set => cmd("SREM").arg(key).arg(member).clone(),
            Sort::Scored => cmd("ZREM").arg(key).arg(member).clone(),
        };
        let removed: i64 =
            self.link.run(|mut connection| async move { remove.query_async(&mut connection).await }).await?;
        Ok(removed > 0)
    }

    pub(crate) async fn remove_scored(&self, key: &str, until: f64) -> Result<(), Unavailable> {
        let remove = cmd("ZREMRANGEBYSCORE").arg(key).arg("-inf").arg(until).clone();
        self.link.run(|mut connection| async move { remove.query_async::<()>(&mut connection).await }).await
    }

    pub(crate) async fn members(&self, key: &str, sort: Sort) -> Result<Vec<(String, f64)>, Unavailable> {
        let read = match sort {
            Sort::List => cmd("LRANGE").arg(key).arg(0).arg(-1).clone(),
            Sort::Set => cmd("SMEMBERS").arg(key).clone(),
            Sort::Scored => cmd("ZRANGE").arg(key).arg(0).arg(-1).arg("WITHSCORES").clone(),
        };
        if sort == Sort::Scored {
            return self
                .link
                .run(|mut connection| async move { read.query_async(&mut connection).await })
                .await;
        }
        let members: Vec<String> =
            self.link.run(|mut connection| async move { read.query_async(&mut connection).await }).await?;
        Ok(members.into_iter().map(|member| (member, 0.0)).collect())
    }
}
