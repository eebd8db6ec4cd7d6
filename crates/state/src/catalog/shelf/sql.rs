//! The statements that PostgreSQL and SQLite have in common.

use super::store::{LARGEST, Trouble};

/// The layout of the tables that this version reads and writes.
pub(super) const LAYOUT: i64 = 1;
/// Rows of one statement when many are written.
pub(super) const ROWS: usize = 200;

/// Statements with the name of the table in them. It was checked to be harmless.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) table: String,
    pub(super) layout: String,
    pub(super) head: String,
    pub(super) keys: String,
    pub(super) texts: String,
    pub(super) put: String,
    pub(super) put_over: String,
    pub(super) delete: String,
}

impl Statements {
    /// `text` is how a text is selected.
    pub(super) fn new(table: &str, text: &str) -> Statements {
        Statements {
            table: table.to_owned(),
            layout: format!("SELECT layout FROM {table}_head"),
            head: format!("SELECT revision FROM {table}_head"),
            keys: format!("SELECT kind, id, revision FROM {table} ORDER BY kind, id"),
            texts: format!(
                "SELECT kind, id, CASE WHEN octet_length(text) <= {LARGEST} THEN {text} END \
                 FROM {table} WHERE revision >= $1 ORDER BY kind, id"
            ),
            put: format!(
                "INSERT INTO {table} (kind, id, text) VALUES ($1, $2, $3) \
                 ON CONFLICT (kind, id) DO UPDATE SET text = excluded.text"
            ),
            put_over: format!("UPDATE {table} SET text = $3 WHERE kind = $1 AND id = $2 AND revision = $4"),
            delete: format!("DELETE FROM {table} WHERE kind = $1 AND id = $2"),
        }
    }
}

/// Whether the tables are of a layout that is known.
pub(super) fn check_layout(layout: i64) -> Result<(), Trouble> {
    if layout == LAYOUT {
        return Ok(());
    }
    Err(Trouble::Refused(format!(
        "the catalog is of layout {layout}, written by another version; this one reads layout {LAYOUT}"
    )))
}

/// The number from which on texts are wanted: the least one of what is new. `None` when nothing is.
pub(super) fn least(keys: &[super::store::Key], known: &super::store::Known<'_>) -> Option<i64> {
    let fresh = keys.iter().filter(|(kind, id, revision)| known(kind, id) != Some(*revision));
    fresh.map(|(_, _, revision)| *revision).min()
}

pub(super) fn trouble(error: &sqlx::Error) -> Trouble {
    match error {
        sqlx::Error::Database(fault) => Trouble::Away(fault.message().to_owned()),
        sqlx::Error::PoolTimedOut => Trouble::Away("no connection could be had in time".to_owned()),
        other => Trouble::Away(other.to_string()),
    }
}
