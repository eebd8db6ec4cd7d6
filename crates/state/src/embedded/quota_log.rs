//! Quota windows in the file: a log of what changed, begun anew with everything once it is mostly out of date.
//!
//! With many keys each second changes windows all over. Updated in place, in a tree, each would cost microseconds; here
//! it is a few bytes at the end. A window's name is written with its first change, which gives it a number; later ones
//! tell the number alone, so that nobody has to fetch a million names again and again.

use std::collections::HashMap;
use std::sync::Arc;

use redb::{Database, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::quotas::{Quotas, Saved, Window};

/// number -> changes, one after the other, as [`QuotaLog::put`] writes them. Later ones count.
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("quota_changes");

/// Bytes of changes in one row, about.
const ROW: usize = 256 << 10;
/// A log that has not grown by more than this is not begun anew.
const SHORT: usize = 4 << 20;
/// As the end of a window: it was forgotten.
const GONE: i64 = i64::MIN;
/// As the length of a name: it was told before.
const TOLD: u32 = u32::MAX;

/// Where the log ends, and how long it is. What the file has counts only once its transaction is committed, so whoever
/// writes takes a copy, and keeps it then.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct QuotaLog {
    next: u64,
    bytes: usize,
    /// Of them, those it was begun with.
    begun_with: usize,
    /// Numbers that windows were given by another one mean nothing to it.
    generation: u32,
    /// The last one that a window was given.
    number: u32,
}

impl QuotaLog {
    /// Reads the log and begins it anew with what has not ended. Blocking. `shared`: a name, as others have it already.
    pub(super) fn load(
        database: &Database,
        quotas: &Quotas,
        shared: &dyn Fn(&str) -> Arc<str>,
        now: i64,
    ) -> Result<QuotaLog, redb::Error> {
        let write = database.begin_write()?;
        let mut log = QuotaLog::default();
        {
            let (rows, mut names) = (write.open_table(LOG)?, HashMap::new());
            for row in rows.iter()? {
                let (number, changes) = row?;
                log.next = number.value().saturating_add(1);
                let mut rest = changes.value();
                while let Some(change) = Change::take(&mut rest) {
                    if let Some(name) = change.name {
                        names.insert(change.number, shared(name));
                    }
                    match names.get(&change.number) {
                        Some(name) if change.renews_at == GONE => quotas.forget(name),
                        Some(name) => quotas.restore(Arc::clone(name), change.used, change.renews_at),
                        None => tracing::warn!(file = "state.redb", "a quota without a name is left out"),
                    }
                }
            }
        }
        quotas.sweep(now);
        // They are about to be left out of the file.
        quotas.take_changed();
        log.begin_anew(&mut write.open_table(LOG)?, quotas)?;
        write.commit()?;
        Ok(log)
    }

    /// Writes what changed, or everything where that is shorter in the long run.
    pub(super) fn save(
        &mut self,
        write: &WriteTransaction,
        changed: &[Saved],
        quotas: &Quotas,
    ) -> Result<(), redb::Error> {
        let mut table = write.open_table(LOG)?;
        if self.bytes > 3 * self.begun_with + SHORT {
            return self.begin_anew(&mut table, quotas);
        }
        let mut row = Vec::new();
        for (window, saved) in changed {
            self.put(&mut table, &mut row, window, saved.unwrap_or((0, GONE)))?;
        }
        self.end_row(&mut table, &mut row)
    }

    /// What a copy of this was to write is lost: the names that it told, or that a log which it began told, are to be told
    /// again.
    pub(super) fn lost(&mut self) {
        self.generation = self.generation.wrapping_add(2);
    }

    fn begin_anew(&mut self, table: &mut Table<'_, u64, &[u8]>, quotas: &Quotas) -> Result<(), redb::Error> {
        table.retain_in(..self.next, |_, _| false)?;
        self.generation = self.generation.wrapping_add(1);
        (self.bytes, self.number) = (0, 0);
        let (mut row, mut outcome) = (Vec::new(), Ok(()));
        quotas.each(|window, saved| {
            if outcome.is_ok() {
                outcome = self.put(table, &mut row, window, saved);
            }
        });
        outcome?;
        self.end_row(table, &mut row)?;
        self.begun_with = self.bytes;
        Ok(())
    }

    fn put(
        &mut self,
        table: &mut Table<'_, u64, &[u8]>,
        row: &mut Vec<u8>,
        window: &Window,
        (used, renews_at): (i64, i64),
    ) -> Result<(), redb::Error> {
        let told = window.number(self.generation);
        let number = told.unwrap_or_else(|| {
            self.number = self.number.wrapping_add(1);
            window.set_number(self.generation, self.number);
            self.number
        });
        let name = told.is_none().then(|| window.name());
        Change { number, used, renews_at, name }.put(row);
        if row.len() < ROW {
            return Ok(());
        }
        self.end_row(table, row)
    }

    fn end_row(&mut self, table: &mut Table<'_, u64, &[u8]>, row: &mut Vec<u8>) -> Result<(), redb::Error> {
        if !row.is_empty() {
            table.insert(self.next, row.as_slice())?;
            self.next = self.next.saturating_add(1);
            self.bytes += row.len();
            row.clear();
        }
        Ok(())
    }
}

/// What became of one window.
struct Change<'r> {
    number: u32,
    used: i64,
    renews_at: i64,
    /// `None`: it was told before.
    name: Option<&'r str>,
}

impl<'r> Change<'r> {
    fn put(&self, row: &mut Vec<u8>) {
        let length = self.name.map_or(TOLD, |name| u32::try_from(name.len()).unwrap_or(TOLD));
        row.extend_from_slice(&self.number.to_le_bytes());
        row.extend_from_slice(&self.used.to_le_bytes());
        row.extend_from_slice(&self.renews_at.to_le_bytes());
        row.extend_from_slice(&length.to_le_bytes());
        row.extend_from_slice(self.name.unwrap_or_default().as_bytes());
    }

    /// The next one of a row; `None` at its end, and where it makes no sense.
    fn take(rest: &mut &'r [u8]) -> Option<Self> {
        let (number, after) = rest.split_first_chunk()?;
        let (used, after) = after.split_first_chunk()?;
        let (renews_at, after) = after.split_first_chunk()?;
        let (length, after) = after.split_first_chunk()?;
        let (name, after) = match u32::from_le_bytes(*length) {
            TOLD => (None, after),
            length => {
                let (name, after) = after.split_at_checked(usize::try_from(length).ok()?)?;
                (Some(std::str::from_utf8(name).ok()?), after)
            }
        };
        *rest = after;
        Some(Self {
            number: u32::from_le_bytes(*number),
            used: i64::from_le_bytes(*used),
            renews_at: i64::from_le_bytes(*renews_at),
            name,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Draw, Meter};

    fn database() -> Database {
        Database::builder().create_with_backend(redb::backends::InMemoryBackend::new()).unwrap()
    }

    fn load(database: &Database, quotas: &Quotas, now: i64) -> QuotaLog {
        QuotaLog::load(database, quotas, &|name| name.into(), now).unwrap()
    }

    fn count(quotas: &Quotas, name: &str, now: i64) {
        let per = Duration::from_secs(60);
        let (meter, limit) = (Meter::Quota, 9e9);
        quotas.draw(
            &Draw { meter, name, limit, per, cost: 1, counts_refused: true, found: None, steps: None },
            now,
        );
    }

    fn save(database: &Database, log: &mut QuotaLog, quotas: &Quotas) {
        let write = database.begin_write().unwrap();
        log.save(&write, &quotas.take_changed(), quotas).unwrap();
        write.commit().unwrap();
    }

    fn rows(database: &Database) -> usize {
        let write = database.begin_write().unwrap();
        let rows = write.open_table(LOG).unwrap().iter().unwrap().count();
        write.abort().unwrap();
        rows
    }

    fn used(quotas: &Quotas, name: &str) -> Option<i64> {
        quotas.peek(name, 1000).map(|count| count.used)
    }

    #[test]
    fn what_was_saved_is_loaded_and_what_was_forgotten_is_not() {
        let (database, quotas) = (database(), Quotas::default());
        let mut log = load(&database, &quotas, 1000);
        for name in ["a", "b", "a", "", "ünïcode"] {
            count(&quotas, name, 1000);
            save(&database, &mut log, &quotas);
        }
        quotas.reset("b");
        count(&quotas, "soon over", 950);
        save(&database, &mut log, &quotas);
        for _ in 0..2 {
            let again = Quotas::default();
            load(&database, &again, 1010);
            let names = ["a", "b", "", "ünïcode", "soon over"];
            assert_eq!(names.map(|name| used(&again, name)), [Some(2), None, Some(1), Some(1), None]);
            assert_eq!(rows(&database), 1, "it was begun anew");
            assert!(again.take_changed().is_empty());
        }
    }

    #[test]
    fn a_log_is_begun_anew_when_it_is_long() {
        let (database, quotas) = (database(), Quotas::default());
        let mut log = load(&database, &quotas, 1000);
        let names: Vec<String> = (0..1000).map(|number| format!("{number:0100}")).collect();
        let mut longest = 0;
        for _ in 0..300 {
            names.iter().for_each(|name| count(&quotas, name, 1000));
            save(&database, &mut log, &quotas);
            longest = longest.max(log.bytes);
        }
        assert!((SHORT..SHORT * 2).contains(&longest), "{longest}");
        let again = Quotas::default();
        load(&database, &again, 1000);
        assert!(names.iter().all(|name| used(&again, name) == Some(300)));
    }

    #[test]
    fn what_could_not_be_written_is_told_with_its_name_again() {
        let (database, quotas) = (database(), Quotas::default());
        let mut log = load(&database, &quotas, 1000);
        count(&quotas, "before", 1000);
        save(&database, &mut log, &quotas);
        // Once as a change, once where everything is written anew.
        for begun_with in [log.begun_with, 0] {
            for name in ["before", "new"] {
                count(&quotas, name, 1000);
            }
            let write = database.begin_write().unwrap();
            let changed = quotas.take_changed();
            let mut lost = QuotaLog { bytes: SHORT + 1, begun_with, ..log };
            lost.save(&write, &changed, &quotas).unwrap();
            write.abort().unwrap();
            log.lost();
            quotas.put_back(changed.into_iter().map(|(window, _)| window));
            count(&quotas, "other", 1000);
            save(&database, &mut log, &quotas);
        }
        let again = Quotas::default();
        load(&database, &again, 1000);
        assert_eq!(["before", "new", "other"].map(|name| used(&again, name)), [Some(3), Some(2), Some(2)]);
    }

    #[test]
    fn names_that_others_have_are_shared() {
        let (database, quotas) = (database(), Quotas::default());
        let mut log = load(&database, &quotas, 1000);
        ["a", "b"].into_iter().for_each(|name| count(&quotas, name, 1000));
        save(&database, &mut log, &quotas);
        let (again, session) = (Quotas::default(), Arc::<str>::from("a"));
        let shared = |name: &str| if name == "a" { Arc::clone(&session) } else { name.into() };
        QuotaLog::load(&database, &again, &shared, 1000).unwrap();
        assert!(Arc::strong_count(&session) > 1);
        assert_eq!(["a", "b"].map(|name| used(&again, name)), [Some(1), Some(1)]);
    }

    #[test]
    fn a_row_that_makes_no_sense_ends_there() {
        let whole = {
            let mut row = Vec::new();
            Change { number: 1, used: 2, renews_at: 3, name: Some("name") }.put(&mut row);
            row
        };
        for length in 0..whole.len() {
            assert!(Change::take(&mut &whole[..length]).is_none(), "{length}");
        }
        let mut rest = whole.as_slice();
        assert_eq!(Change::take(&mut rest).and_then(|change| change.name), Some("name"));
        assert!(rest.is_empty());
        let mut row: &[u8] = &[255; 24];
        assert!(Change::take(&mut row).is_some_and(|change| change.name.is_none()));
    }
}
