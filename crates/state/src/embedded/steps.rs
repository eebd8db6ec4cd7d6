//! Steps on one record that look at it before they change it. One after the other, so that none sees what another one is
//! about to change.

use std::time::Duration;

use super::Embedded;
use super::records::Record;
use super::writer::Edit;
use crate::{Unavailable, values::unix_millis};

impl Embedded {
    pub(crate) async fn put_new_record(
        &self,
        key: &str,
        value: &[u8],
        ttl: Option<Duration>,
    ) -> Result<bool, Unavailable> {
        let _one = self.steps.lock().await;
        if self.memory.records.get(key).is_some() {
            return Ok(false);
        }
        self.put_record(key, value, ttl).await.map(|()| true)
    }

    pub(crate) async fn add_to_record(&self, key: &str, by: i64) -> Result<i64, Unavailable> {
        let _one = self.steps.lock().await;
        let before = self.memory.records.found(key);
        let number = match &before {
            None => Some(0),
            Some(record) => std::str::from_utf8(&record.value).ok().and_then(|text| text.parse::<i64>().ok()),
        };
        let sum = number.and_then(|number| number.checked_add(by));
        let sum = sum.ok_or_else(|| Unavailable(format!("what is under `{key}` is no number to add to")))?;
        let expires_at = before.map_or(u64::MAX, |record| record.expires_at);
        let record = Record { value: sum.to_string().into_bytes().into(), expires_at };
        self.edit(Edit::Put { key: key.into(), record }).await?;
        Ok(sum)
    }

    pub(crate) async fn record_life(&self, key: &str) -> Result<Option<Option<Duration>>, Unavailable> {
        let life = |record: Record| match record.expires_at {
            u64::MAX => None,
            end => Some(Duration::from_millis(end.saturating_sub(unix_millis()))),
        };
        Ok(self.memory.records.found(key).map(life))
    }
}
