//! Quota windows in the file: a log of what changed, begun anew with everything once it is mostly out of date.
//!
//! With many keys each second changes windows all over. Updated in place, in a tree, each would cost microseconds; here
//! it is a few bytes at the end.

use redb::{Database, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::quotas::{Quotas, Saved};

/// number -> changes, one after the other, as [`put`] writes them. Later ones count.
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("quota_log");
/// name -> used, renewal in Unix seconds: how windows were kept before there was a log.
const BEFORE: TableDefinition<'_, &str, (i64, i64)> = TableDefinition::new("quotas");

/// Bytes of changes in one row, about.
const ROW: usize = 256 << 10;
/// A log that has not grown by more than this is not begun anew.
const SHORT: usize = 4 << 20;
/// As the end of a window: it was forgotten.
const GONE: i64 = i64::MIN;

/// Where the log ends, and how long it is. What the file has counts only once its transaction is committed, so whoever
/// writes takes a copy, and keeps it then.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct QuotaLog {
    next: u64,
    bytes: usize,
    /// Of them, those it was begun with.
    begun_with: usize,
}

impl QuotaLog {
    /// Reads the log and begins it anew with what has not ended. Blocking.
    pub(super) fn load(database: &Database, quotas: &Quotas, now: i64) -> Result<QuotaLog, redb::Error> {
        let write = database.begin_write()?;
        let mut log = QuotaLog::default();
        {
            let before = write.open_table(BEFORE)?;
            for row in before.iter()? {
                let (name, window) = row?;
                let (used, renews_at) = window.value();
                quotas.restore(name.value(), used, renews_at);
            }
            let rows = write.open_table(LOG)?;
            for row in rows.iter()? {
                let (number, changes) = row?;
                log.next = number.value().saturating_add(1);
                let mut rest = changes.value();
                while let Some((name, used, renews_at)) = take(&mut rest) {
                    if renews_at == GONE {
                        quotas.forget(name);
                    } else {
                        quotas.restore(name, used, renews_at);
                    }
                }
            }
        }
        quotas.sweep(now);
        // They are about to be left out of the file.
        quotas.take_changed();
        write.delete_table(BEFORE)?;
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
            let (used, renews_at) = saved.unwrap_or((0, GONE));
            self.put(&mut table, &mut row, (window.name(), used, renews_at))?;
        }
        self.end_row(&mut table, &mut row)
    }

    fn begin_anew(&mut self, table: &mut Table<'_, u64, &[u8]>, quotas: &Quotas) -> Result<(), redb::Error> {
        table.retain_in(..self.next, |_, _| false)?;
        self.bytes = 0;
        let (mut row, mut outcome) = (Vec::new(), Ok(()));
        quotas.each(|name, used, renews_at| {
            if outcome.is_ok() {
                outcome = self.put(table, &mut row, (name, used, renews_at));
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
        (name, used, renews_at): (&str, i64, i64),
    ) -> Result<(), redb::Error> {
        row.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes());
        row.extend_from_slice(&used.to_le_bytes());
        row.extend_from_slice(&renews_at.to_le_bytes());
        row.extend_from_slice(name.as_bytes());
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

/// The next change of a row; `None` at its end, and where it makes no sense.
fn take<'r>(rest: &mut &'r [u8]) -> Option<(&'r str, i64, i64)> {
    let (length, after) = rest.split_first_chunk()?;
    let (used, after) = after.split_first_chunk()?;
    let (renews_at, after) = after.split_first_chunk()?;
    let (name, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *rest = after;
    Some((std::str::from_utf8(name).ok()?, i64::from_le_bytes(*used), i64::from_le_bytes(*renews_at)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Draw, Meter};

    fn database() -> Database {
        Database::builder().create_with_backend(redb::backends::InMemoryBackend::new()).unwrap()
    }

    fn count(quotas: &Quotas, name: &str, now: i64) {
        let per = Duration::from_secs(60);
        let (meter, limit) = (Meter::Quota, 9e9);
        quotas.draw(&Draw { meter, name, limit, per, cost: 1, counts_refused: true, found: None }, now);
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
        let mut log = QuotaLog::load(&database, &quotas, 1000).unwrap();
        for name in ["a", "b", "a", "", "ünïcode"] {
            count(&quotas, name, 1000);
            save(&database, &mut log, &quotas);
        }
        quotas.reset("b");
        count(&quotas, "soon over", 950);
        save(&database, &mut log, &quotas);
        for _ in 0..2 {
            let again = Quotas::default();
            QuotaLog::load(&database, &again, 1010).unwrap();
            let names = ["a", "b", "", "ünïcode", "soon over"];
            assert_eq!(names.map(|name| used(&again, name)), [Some(2), None, Some(1), Some(1), None]);
            assert_eq!(rows(&database), 1, "it was begun anew");
            assert!(again.take_changed().is_empty());
        }
    }

    #[test]
    fn a_log_is_begun_anew_when_it_is_long() {
        let (database, quotas) = (database(), Quotas::default());
        let mut log = QuotaLog::load(&database, &quotas, 1000).unwrap();
        let names: Vec<String> = (0..1000).map(|number| format!("{number:0100}")).collect();
        let mut longest = 0;
        for _ in 0..100 {
            names.iter().for_each(|name| count(&quotas, name, 1000));
            save(&database, &mut log, &quotas);
            longest = longest.max(log.bytes);
        }
        assert!((SHORT..SHORT * 2).contains(&longest), "{longest}");
        let again = Quotas::default();
        QuotaLog::load(&database, &again, 1000).unwrap();
        assert!(names.iter().all(|name| used(&again, name) == Some(100)));
    }

    #[test]
    fn windows_of_files_without_a_log_are_kept() {
        let database = database();
        let write = database.begin_write().unwrap();
        write.open_table(BEFORE).unwrap().insert("a", (7, 1060)).unwrap();
        write.commit().unwrap();
        for _ in 0..2 {
            let quotas = Quotas::default();
            QuotaLog::load(&database, &quotas, 1000).unwrap();
            assert_eq!(used(&quotas, "a"), Some(7));
        }
    }

    #[test]
    fn a_row_that_makes_no_sense_ends_there() {
        let mut row: &[u8] = &[255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(take(&mut row), None);
        assert_eq!(take(&mut &row[..3]), None);
    }
}
