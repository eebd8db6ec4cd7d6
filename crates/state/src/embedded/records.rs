//! Records and collections of the embedded store: what is not a session and not counted, such as the clients and tokens
//! of the OAuth server and certificates.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use parking_lot::Mutex;

use super::Embedded;
use super::writer::Edit;
use crate::{Unavailable, state::Sort, values::unix_millis};

/// Edits under way at once.
const AT_ONCE: usize = 256;

/// A value and when it ends.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) value: Arc<[u8]>,
    /// Unix milliseconds; `u64::MAX` is never.
    pub(super) expires_at: u64,
}

/// Members of one collection with their scores.
type Members = BTreeMap<Box<str>, f64>;

/// What answers; the file follows it.
#[derive(Debug, Default)]
pub(super) struct Records {
    values: papaya::HashMap<Box<str>, Record>,
    collections: Mutex<HashMap<Box<str>, Members>>,
}

impl Records {
    pub(super) fn get(&self, key: &str) -> Option<Arc<[u8]>> {
        self.found(key).map(|record| record.value)
    }

    pub(super) fn found(&self, key: &str) -> Option<Record> {
        self.values.pin().get(key).filter(|record| unix_millis() < record.expires_at).cloned()
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        let now = unix_millis();
        let values = self.values.pin();
        let wanted = values.iter().filter(|(key, record)| key.starts_with(prefix) && now < record.expires_at);
        let mut keys: Vec<String> = wanted.map(|(key, _)| key.to_string()).collect();
        keys.sort_unstable();
        keys
    }

    fn members(&self, key: &str) -> Vec<(String, f64)> {
        let collections = self.collections.lock();
        let members = collections.get(key).into_iter().flatten();
        let mut members: Vec<_> = members.map(|(member, score)| (member.to_string(), *score)).collect();
        members.sort_by(|one, other| one.1.total_cmp(&other.1));
        members
    }

    /// Members with this score or less.
    fn up_to(&self, key: &str, until: f64) -> Vec<Box<str>> {
        let collections = self.collections.lock();
        let members = collections.get(key).into_iter().flatten();
        members.filter(|(_, score)| **score <= until).map(|(member, _)| member.clone()).collect()
    }

    /// The score of a member at the end of a list.
    fn last(&self, key: &str) -> f64 {
        let collections = self.collections.lock();
        let scores = collections.get(key).into_iter().flat_map(BTreeMap::values);
        scores.copied().fold(0.0, f64::max) + 1.0
    }

    /// Does what an edit says; tells whether it found what it removes.
    pub(super) fn apply(&self, edit: Edit) -> bool {
        match edit {
            Edit::Put { key, record } => {
                self.values.pin().insert(key, record);
                true
            }
            Edit::Delete { key } => {
                let values = self.values.pin();
                values.remove(&*key).is_some_and(|record| unix_millis() < record.expires_at)
            }
            Edit::AddMember { key, member, score } => {
                self.collections.lock().entry(key).or_default().insert(member, score);
                true
            }
            Edit::RemoveMember { key, member } => {
                let mut collections = self.collections.lock();
                let Some(members) = collections.get_mut(&*key) else { return false };
                let found = members.remove(&*member).is_some();
                if members.is_empty() {
                    collections.remove(&*key);
                }
                found
            }
        }
    }

    /// Keys of records that have ended.
    pub(super) fn ended(&self) -> Vec<Box<str>> {
        let now = unix_millis();
        let values = self.values.pin();
        values.iter().filter(|(_, record)| record.expires_at <= now).map(|(key, _)| key.clone()).collect()
    }

    /// Forgets a record unless it was renewed since it was found ended.
    pub(super) fn forget_ended(&self, key: &str) {
        let now = unix_millis();
        self.values.pin().remove_if(key, |_, record| record.expires_at <= now).ok();
    }
}

impl Embedded {
    pub(crate) async fn record(&self, key: &str) -> Result<Option<Arc<[u8]>>, Unavailable> {
        Ok(self.memory.records.get(key))
    }

    pub(crate) async fn many_records(&self, keys: &[String]) -> Result<Vec<Option<Arc<[u8]>>>, Unavailable> {
        Ok(keys.iter().map(|key| self.memory.records.get(key)).collect())
    }

    pub(crate) async fn put_record(
        &self,
        key: &str,
        value: &[u8],
        ttl: Option<Duration>,
    ) -> Result<(), Unavailable> {
        let record = Record { value: value.into(), expires_at: super::expires_at(ttl) };
        self.edit(Edit::Put { key: key.into(), record }).await.map(|_| ())
    }

    pub(crate) async fn delete_record(&self, key: &str) -> Result<bool, Unavailable> {
        self.edit(Edit::Delete { key: key.into() }).await
    }

    pub(crate) async fn take_record(&self, key: &str) -> Result<Option<Arc<[u8]>>, Unavailable> {
        let found = self.memory.records.get(key);
        // Of several who see it, the one whose deletion finds it has it.
        let taken = found.is_some() && self.delete_record(key).await?;
        Ok(found.filter(|_| taken))
    }

    pub(crate) async fn record_keys(&self, prefix: &str) -> Result<Vec<String>, Unavailable> {
        Ok(self.memory.records.keys(prefix))
    }

    pub(crate) async fn add_member(
        &self,
        key: &str,
        sort: Sort,
        member: &str,
        score: f64,
    ) -> Result<(), Unavailable> {
        let score = match sort {
            Sort::List => self.memory.records.last(key),
            Sort::Set => 0.0,
            Sort::Scored => score,
        };
        self.edit(Edit::AddMember { key: key.into(), member: member.into(), score }).await.map(|_| ())
    }

    pub(crate) async fn remove_member(&self, key: &str, member: &str) -> Result<bool, Unavailable> {
        self.edit(Edit::RemoveMember { key: key.into(), member: member.into() }).await
    }

    pub(crate) async fn remove_scored(&self, key: &str, until: f64) -> Result<(), Unavailable> {
        let gone = self.memory.records.up_to(key, until);
        // Many at once, so that they share a commit.
        for members in gone.chunks(AT_ONCE) {
            let edit = |member: &str| Edit::RemoveMember { key: key.into(), member: member.into() };
            let edits: Vec<_> = members.iter().map(|member| self.edit(edit(member))).collect();
            try_join_all(edits).await?;
        }
        Ok(())
    }

    pub(crate) async fn members(&self, key: &str) -> Result<Vec<(String, f64)>, Unavailable> {
        Ok(self.memory.records.members(key))
    }

    pub(super) async fn edit(&self, edit: Edit) -> Result<bool, Unavailable> {
        match &self.writer {
            Some(writer) => writer.edit(edit).await,
            None => Ok(self.memory.records.apply(edit)),
        }
    }
}
