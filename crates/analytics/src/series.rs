//! What was counted since the last write, and how it is laid out in the file.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{Record, Sums};

/// Seconds of the steps that are kept, finest first.
pub(crate) const STEPS: [u64; 3] = [60, 3600, 86_400];

/// Stands for all keys beyond the bound of [`Pending`].
const OTHER: &str = "~other";
/// Minutes that may wait for a file that cannot be written.
const MINUTES: usize = 120;
/// Longer ids are cut, so that a row stays a row.
const LONGEST_ID: usize = 256;

/// Counts by minute, API and key. A record is added once; sums over keys and APIs are made when they are written.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    minutes: BTreeMap<u64, HashMap<Arc<str>, ByKey>>,
    keys: usize,
}

#[derive(Debug, Default)]
struct ByKey {
    keyless: Sums,
    keys: HashMap<Arc<str>, Sums>,
}

impl Pending {
    /// Adds one record. At most `most_keys` different keys (of one API in one minute) wait; others are counted as one.
    pub(crate) fn add(&mut self, record: &Record, most_keys: usize) {
        let minute = record.at() / STEPS[0] * STEPS[0];
        if self.minutes.len() >= MINUTES && !self.minutes.contains_key(&minute) {
            self.minutes.pop_first();
        }
        let apis = self.minutes.entry(minute).or_default();
        if !apis.contains_key(&record.api_id) {
            apis.insert(Arc::clone(&record.api_id), ByKey::default());
        }
        let Some(api) = apis.get_mut(&record.api_id) else { return };
        let Some(key) = &record.key else { return api.keyless.add(record) };
        if let Some(sums) = api.keys.get_mut(key) {
            return sums.add(record);
        }
        let key = if self.keys < most_keys { Arc::clone(key) } else { OTHER.into() };
        self.keys += 1;
        api.keys.entry(key).or_default().add(record);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.minutes.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        *self = Pending::default();
    }

    /// Every series with its minute, ready to be added to what the file has.
    pub(crate) fn rows(&self) -> BTreeMap<(String, u64), Sums> {
        let mut rows: BTreeMap<(String, u64), Sums> = BTreeMap::new();
        let mut put = |series, minute, sums: &Sums| rows.entry((series, minute)).or_default().merge(sums);
        for (minute, apis) in &self.minutes {
            for (api, by_key) in apis {
                let mut whole = by_key.keyless.clone();
                for (key, sums) in &by_key.keys {
                    whole.merge(sums);
                    put(series(None, Some(key)), *minute, sums);
                    put(series(Some(api), Some(key)), *minute, sums);
                }
                put(series(Some(api), None), *minute, &whole);
                put(series(None, None), *minute, &whole);
            }
        }
        rows
    }
}

/// The name of a series in the file; control characters part its pieces, so that no id can imitate another series.
pub(crate) fn series(api: Option<&str>, key: Option<&str>) -> String {
    match (api, key) {
        (None, None) => String::new(),
        (Some(api), None) => format!("a\u{1}{}", clean(api)),
        (None, Some(key)) => format!("k\u{1}{}", clean(key)),
        (Some(api), Some(key)) => format!("b\u{1}{}\u{1}{}", clean(api), clean(key)),
    }
}

/// The ids of all APIs, or of all keys, as the range of their series.
pub(crate) fn range_of(kind: char) -> (String, String) {
    (format!("{kind}\u{1}"), format!("{kind}\u{2}"))
}

fn clean(id: &str) -> String {
    id.chars().filter(|character| !character.is_control()).take(LONGEST_ID).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    fn record(at: u64, api: &str, key: Option<&str>) -> Record {
        let mut record = Record::new(
            SystemTime::UNIX_EPOCH + Duration::from_secs(at),
            api.into(),
            api.into(),
            "org".into(),
        );
        record.key = key.map(Into::into);
        record.status = 200;
        record
    }

    #[test]
    fn sums_over_keys_and_apis() {
        let mut pending = Pending::default();
        for (at, api, key) in [
            (60, "a", None),
            (61, "a", Some("k")),
            (119, "b", Some("k")),
            (120, "b", Some("k")),
            (60, "b", Some("l")),
        ] {
            pending.add(&record(at, api, key), 100);
        }
        let hits: Vec<(String, u64, u64)> =
            pending.rows().into_iter().map(|((series, minute), sums)| (series, minute, sums.hits)).collect();
        let expected = [
            (None, None, 60, 4),
            (None, None, 120, 1),
            (Some("a"), None, 60, 2),
            (Some("b"), None, 60, 2),
            (Some("b"), None, 120, 1),
            (Some("a"), Some("k"), 60, 1),
            (Some("b"), Some("k"), 60, 1),
            (Some("b"), Some("k"), 120, 1),
            (Some("b"), Some("l"), 60, 1),
            (None, Some("k"), 60, 2),
            (None, Some("k"), 120, 1),
            (None, Some("l"), 60, 1),
        ];
        let mut expected: Vec<_> =
            expected.into_iter().map(|(api, key, minute, hits)| (series(api, key), minute, hits)).collect();
        expected.sort();
        assert_eq!(hits, expected);
    }

    #[test]
    fn keys_and_minutes_are_bounded() {
        let mut pending = Pending::default();
        for index in 0..1000 {
            pending.add(&record(0, "a", Some(&format!("key-{index}"))), 10);
        }
        let rows = pending.rows();
        assert_eq!(rows.len(), 2 * 11 + 2);
        assert_eq!(rows[&(series(None, Some(OTHER)), 0)].hits, 990);
        for minute in 0..1000 {
            pending.add(&record(minute * 60, "a", None), 10);
        }
        assert_eq!(pending.minutes.len(), MINUTES);
    }

    #[test]
    fn no_id_imitates_another_series() {
        assert_ne!(series(Some("a\u{1}k"), None), series(Some("a"), Some("k")));
        assert_eq!(series(Some(&"x".repeat(9999)), None).len(), 2 + LONGEST_ID);
    }
}
