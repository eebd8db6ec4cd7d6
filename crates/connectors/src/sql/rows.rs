//! Where the rows of a statement go. No statement is read whole into memory without a bound.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use serde_json::{Map, Value as Json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::client::SqlError;

/// Most that the rows of a statement may take up as one message, in bytes of memory, roughly.
const MOST_LISTED: usize = 64 << 20;

/// One row as an object.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) object: Map<String, Json>,
    /// What is wrong with the first value that could not be read; it is null.
    pub(super) fault: Option<String>,
}

impl Row {
    /// Adds the value of a column of this type.
    pub(super) fn add(&mut self, column: &str, kind: &str, value: Result<Json, String>) {
        let value = value.unwrap_or_else(|text| {
            let kind = kind.to_lowercase();
            self.fault.get_or_insert_with(|| format!("column `{column}` of the type {kind}: {text}"));
            Json::Null
        });
        self.object.insert(column.to_owned(), value);
    }
}

/// Most rows that are read and left after one that cannot be given: then the connection costs less than the rest.
const MOST_LEFT: usize = 10_000;

/// What becomes of rows.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) to: To,
    /// How many were passed on, or counted.
    pub(super) passed: u64,
}

#[derive(Debug)]
pub(super) enum To {
    /// The statement is executed for what it does.
    Unread,
    /// They are gathered, as far as memory may be used for it.
    List { rows: Vec<Json>, weight: usize },
    /// Each goes to a reader, who may be slow: then the database waits. The time is how long the database itself
    /// may be silent.
    Reader(mpsc::Sender<Row>, Duration),
}

impl Rows {
    pub(super) fn unread() -> Rows {
        Rows { to: To::Unread, passed: 0 }
    }

    pub(super) fn list() -> Rows {
        Rows { to: To::List { rows: Vec::new(), weight: 0 }, passed: 0 }
    }

    pub(super) fn reader(reader: mpsc::Sender<Row>, silence: Duration) -> Rows {
        Rows { to: To::Reader(reader, silence), passed: 0 }
    }

    /// Takes all that a statement gives.
    pub(super) async fn gather<R>(
        &mut self,
        mut found: BoxStream<'_, sqlx::Result<R>>,
        read: impl Fn(&R) -> Row,
    ) -> Result<(), SqlError> {
        while let Some(row) = self.patiently(found.try_next()).await?? {
            self.passed += 1;
            match &mut self.to {
                To::Unread => {}
                To::List { rows, weight } => {
                    let Row { object, fault } = read(&row);
                    if let Some(text) = fault {
                        return Err(self.leave(found, text).await);
                    }
                    let object = Json::Object(object);
                    *weight += weight_of(&object);
                    if *weight > MOST_LISTED {
                        return Err(SqlError::unread(format!(
                            "the rows of the statement take more than {} MiB, which is the most that one message may hold: after {} rows they were given up; ask for fewer, or read them with an input, which gives each row by itself",
                            MOST_LISTED >> 20,
                            rows.len(),
                        )));
                    }
                    rows.push(object);
                }
                To::Reader(reader, _) => {
                    if reader.send(read(&row)).await.is_err() {
                        return Err(SqlError::unread("nobody reads the rows any more".to_owned()));
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads the rest of rows that are of no use any more, so that the connection can be used again; not if they are many.
    async fn leave<R>(&self, mut found: BoxStream<'_, sqlx::Result<R>>, text: String) -> SqlError {
        for _ in 0..MOST_LEFT {
            match self.patiently(found.try_next()).await {
                Ok(Ok(Some(_))) => {}
                Ok(Ok(None)) => return SqlError::from(text),
                Ok(Err(fault)) => return SqlError { text, ..SqlError::from(fault) },
                Err(fault) => return SqlError { text, ..fault },
            }
        }
        SqlError::unread(text)
    }

    /// Waits for the database. Other statements than those of a reader have a time for the whole.
    pub(super) async fn patiently<T>(&self, answer: impl Future<Output = T>) -> Result<T, SqlError> {
        match &self.to {
            To::Reader(_, silence) => timeout(*silence, answer).await.map_err(|_| SqlError::silent(*silence)),
            _ => Ok(answer.await),
        }
    }
}

/// What a value takes up in memory, roughly.
fn weight_of(value: &Json) -> usize {
    const EACH: usize = size_of::<Json>();
    EACH + match value {
        Json::String(text) => text.len(),
        Json::Array(items) => items.iter().map(weight_of).sum(),
        Json::Object(fields) => fields.iter().map(|(name, value)| EACH + name.len() + weight_of(value)).sum(),
        _ => 0,
    }
}
