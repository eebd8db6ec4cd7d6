//! What dashboards ask.

use serde::Serialize;

use crate::{
    Sums,
    series::{STEPS, range_of, series},
    store::{AGGREGATES, QueryError, Store},
};
use redb::{ReadableDatabase, TableError};
use std::collections::HashMap;

/// No moment is later (the year 9999), no step longer (a year): numbers stay far from their ends.
const LATEST: u64 = 253_402_300_800;
const LONGEST_STEP: u64 = 366 * 86_400;
/// Points in one answer.
const MOST_POINTS: u64 = 10_000;

/// A question for a line over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Only exchanges of this API.
    pub api: Option<String>,
    /// Only exchanges with this key, as it stands in the records.
    pub key: Option<String>,
    /// First moment, Unix seconds; moved back to the beginning of its step.
    pub from: u64,
    /// First moment after, Unix seconds.
    pub to: u64,
    /// Seconds between points; moved up to a multiple of a minute. A multiple of an hour or of a day is answered from
    /// aggregates of that step, which are kept longer.
    pub step: u64,
}

/// One point of the line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Beginning of the step, Unix seconds.
    pub at: u64,
    /// What happened in it.
    pub sums: Sums,
}

/// What a whole is split by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// APIs.
    Api,
    /// Keys.
    Key,
}

/// One part of a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Share {
    /// The API's id, or the key.
    pub id: String,
    /// What happened there.
    pub sums: Sums,
}

impl Store {
    /// A line over time, with a point for every step, empty ones included. Blocking (a short read of the file).
    pub fn aggregate(&self, query: &Query) -> Result<Vec<Point>, QueryError> {
        let step = query.step.clamp(1, LONGEST_STEP).next_multiple_of(STEPS[0]);
        let table = (0..STEPS.len()).rev().find(|index| step.is_multiple_of(STEPS[*index])).unwrap_or(0);
        let from = query.from.min(LATEST) / step * step;
        let count = query.to.min(LATEST).saturating_sub(from).div_ceil(step);
        if count > MOST_POINTS {
            return Err(QueryError::TooManyPoints { asked: count, most: MOST_POINTS });
        }
        let mut points: Vec<Point> =
            (0..count).map(|index| Point { at: from + index * step, sums: Sums::default() }).collect();
        let to = from + count * step;
        let wanted = series(query.api.as_deref(), query.key.as_deref());
        let mut add = |at: u64, sums: &Sums| {
            if let Some(point) = at.checked_sub(from).and_then(|past| points.get_mut((past / step) as usize))
            {
                point.sums.merge(sums);
            }
        };
        // Held until the end: what waits is written and cleared under the same lock, so nothing counts twice or not at all.
        let pending = self.shared().pending.lock();
        let read = self.shared().database.begin_read()?;
        if let Some(rows) = existing(read.open_table(AGGREGATES))? {
            for row in rows.range((table as u8, wanted.as_str(), from)..(table as u8, wanted.as_str(), to))? {
                let (place, row) = row?;
                if let Some(sums) = Sums::decode(row.value()) {
                    add(place.value().2, &sums);
                }
            }
        }
        for ((series, minute), sums) in pending.rows() {
            if series == wanted && (from..to).contains(&minute) {
                add(minute, &sums);
            }
        }
        Ok(points)
    }

    /// The parts of a whole between two moments (Unix seconds), most exchanges first, at most `limit`. Answered from
    /// minutes for up to three hours, from hours for up to a month, else from days; the ends are moved to full steps.
    /// Blocking; reads every series of the range.
    pub fn breakdown(
        &self,
        dimension: Dimension,
        from: u64,
        to: u64,
        limit: usize,
    ) -> Result<Vec<Share>, QueryError> {
        let table = match to.saturating_sub(from) {
            0..=10_800 => 0,
            10_801..=2_678_400 => 1,
            _ => 2,
        };
        let from = from / STEPS[table] * STEPS[table];
        let to = to.min(LATEST).next_multiple_of(STEPS[table]);
        let (first, last) = range_of(match dimension {
            Dimension::Api => 'a',
            Dimension::Key => 'k',
        });
        let mut parts: HashMap<String, Sums> = HashMap::new();
        let mut add = |series: &str, at: u64, sums: &Sums| {
            if let Some(id) = series.strip_prefix(&first).filter(|_| (from..to).contains(&at)) {
                match parts.get_mut(id) {
                    Some(part) => part.merge(sums),
                    None => drop(parts.insert(id.to_owned(), sums.clone())),
                }
            }
        };
        let pending = self.shared().pending.lock();
        let read = self.shared().database.begin_read()?;
        if let Some(rows) = existing(read.open_table(AGGREGATES))? {
            for row in rows.range((table as u8, first.as_str(), 0)..(table as u8, last.as_str(), 0))? {
                let (place, row) = row?;
                let (_, series, at) = place.value();
                if let Some(sums) = Sums::decode(row.value()) {
                    add(series, at, &sums);
                }
            }
        }
        for ((series, minute), sums) in pending.rows() {
            add(&series, minute, &sums);
        }
        let mut shares: Vec<Share> = parts.into_iter().map(|(id, sums)| Share { id, sums }).collect();
        shares.sort_unstable_by(|a, b| b.sums.hits.cmp(&a.sums.hits).then_with(|| a.id.cmp(&b.id)));
        shares.truncate(limit);
        Ok(shares)
    }
}

/// A table that nothing was written to yet does not exist.
fn existing<T>(opened: Result<T, TableError>) -> Result<Option<T>, redb::Error> {
    match opened {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
