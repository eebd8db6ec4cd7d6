//! The thread that takes records in, adds them up and writes the file.

use std::{
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant, SystemTime},
};

use redb::ReadableTable;

use crate::{
    Record, Sums,
    series::STEPS,
    store::{AGGREGATES, RAW, Ring, Shared},
};

/// How long a record waits at most before it is taken in: seldom when nothing happens, soon when much does.
const PACE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));
/// How often old aggregates are removed.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

pub(crate) fn run(shared: &Shared) {
    shared.queue.work_here();
    let mut written = Instant::now();
    let mut swept = None::<Instant>;
    let mut pace = PACE.1;
    while !shared.stopping.load(Ordering::Acquire) {
        thread::park_timeout(pace);
        let taken = take_in(shared);
        pace = if taken > 0 { PACE.0 } else { (pace * 2).min(PACE.1) };
        if written.elapsed() >= shared.settings.write_every {
            write(shared);
            written = Instant::now();
        }
        if swept.is_none_or(|swept| swept.elapsed() >= SWEEP_EVERY) {
            note(shared, sweep(shared, SystemTime::now()));
            swept = Some(Instant::now());
        }
    }
    take_in(shared);
    write(shared);
}

/// Moves records from the queue into the sums and the ring; tells how many. One at a time: whoever waited for another
/// finds its records counted.
pub(crate) fn take_in(shared: &Shared) -> usize {
    let mut pending = shared.pending.lock();
    let mut batch = Vec::new();
    shared.queue.drain(&mut batch);
    for record in &batch {
        pending.add(record, shared.settings.keys);
    }
    let taken = batch.len();
    shared.ring.lock().push(batch, shared.settings.raw);
    shared.queue.took(taken);
    taken
}

impl Ring {
    fn push(&mut self, batch: Vec<Record>, most: usize) {
        self.next += batch.len() as u64;
        let skipped = batch.len().saturating_sub(most);
        let kept = batch.len() - skipped;
        let surplus = (self.records.len() + kept).saturating_sub(most);
        self.records.drain(..surplus);
        self.records.extend(batch.into_iter().skip(skipped));
    }

    /// What the file does not have, with their numbers.
    fn unwritten(&self) -> Vec<(u64, Record)> {
        let first = self.next - self.records.len() as u64;
        let skip = self.unwritten.saturating_sub(first) as usize;
        (first..).zip(&self.records).skip(skip).map(|(number, record)| (number, record.clone())).collect()
    }
}

/// Writes what waits. Questions wait meanwhile; exchanges do not.
pub(crate) fn write(shared: &Shared) {
    let mut pending = shared.pending.lock();
    let (raw, next) = {
        let ring = shared.ring.lock();
        (ring.unwritten(), ring.next)
    };
    if pending.is_empty() && raw.is_empty() {
        return;
    }
    let result = write_rows(shared, &pending.rows(), &raw, next);
    if result.is_ok() {
        pending.clear();
        shared.ring.lock().unwritten = next;
    }
    note(shared, result);
}

type Rows = std::collections::BTreeMap<(String, u64), Sums>;

fn write_rows(shared: &Shared, rows: &Rows, raw: &[(u64, Record)], next: u64) -> Result<(), redb::Error> {
    let transaction = shared.database.begin_write()?;
    {
        let mut table = transaction.open_table(AGGREGATES)?;
        for (index, step) in STEPS.into_iter().enumerate() {
            for ((series, minute), sums) in rows {
                let place = (index as u8, series.as_str(), minute / step * step);
                let mut sums = sums.clone();
                if let Some(before) = table.get(place)?.and_then(|row| Sums::decode(row.value())) {
                    sums.merge(&before);
                }
                table.insert(place, sums.encode().as_slice())?;
            }
        }
        let mut table = transaction.open_table(RAW)?;
        for (number, record) in raw {
            // A record always has a JSON form; if ever one has not, it is missing from the list and nothing else.
            if let Ok(row) = serde_json::to_vec(record) {
                table.insert(number, row.as_slice())?;
            }
        }
        let keep_from = next.saturating_sub(shared.settings.raw as u64);
        table.retain_in(..keep_from, |_, _| false)?;
    }
    transaction.commit()?;
    Ok(())
}

#[derive(serde::Deserialize)]
struct Dated {
    #[serde(default)]
    expires: Option<SystemTime>,
}

/// Removes aggregates that are older than their retention at `now`, and records that are to be forgotten by then.
pub(crate) fn sweep(shared: &Shared, now: SystemTime) -> Result<(), redb::Error> {
    let retention = shared.settings.retention;
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs());
    let oldest = [retention.minutes, retention.hours, retention.days]
        .map(|kept| seconds.saturating_sub(kept.as_secs()));
    let transaction = shared.database.begin_write()?;
    transaction.open_table(AGGREGATES)?.retain(|(step, _, at), _| {
        // The step that the limit falls into is kept whole.
        let step = usize::from(step);
        oldest.get(step).is_some_and(|oldest| at + STEPS[step] > *oldest)
    })?;
    transaction.open_table(RAW)?.retain(|_, row| {
        // Only this: the rest of a record may be long.
        let dated: Option<Dated> = serde_json::from_slice(row).ok();
        dated.and_then(|dated| dated.expires).is_none_or(|expires| expires > now)
    })?;
    transaction.commit()?;
    Ok(())
}

fn note(shared: &Shared, result: Result<(), redb::Error>) {
    let error = result.err().map(|error| error.to_string());
    let mut noted = shared.error.lock();
    if *noted != error {
        if let Some(error) = &error {
            tracing::error!(
                error,
                "records cannot be written; is the disk full? restart once that is repaired"
            );
        }
        *noted = error;
    }
}
