//! The database behind a shelf, whichever it is.

#[cfg(feature = "mongodb")]
use super::mongo::Mongo;
use super::{postgres::Postgres, sqlite::Sqlite};
use crate::catalog::{Address, AddressError, CatalogOptions, Item, Kind};

/// Longer texts are refused unread.
pub(super) const LARGEST: usize = 64 << 20;

/// Steps between numbers of changes are 1 to this long, by chance, so that numbers that were drawn once are not drawn
/// again after the database was put back. A power of two. There is room for 2^33 changes.
pub(super) const STEPS: i64 = 1 << 30;

/// Kind, id, and number of the change that wrote it.
pub(super) type Key = (String, String, i64);

/// A row that is new to who asked.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) kind: String,
    pub(super) id: String,
    /// Or why it cannot be read.
    pub(super) text: Result<String, String>,
}

impl Fresh {
    pub(super) fn too_large() -> String {
        format!("this text is larger than {} MiB", LARGEST >> 20)
    }
}

/// What is in the database: every key, and the texts that are new.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) head: i64,
    pub(super) keys: Vec<Key>,
    pub(super) fresh: Vec<Fresh>,
}

/// Tells the number of the change that a row was last read as.
pub(super) type Known<'a> = dyn Fn(&str, &str) -> Option<i64> + Send + Sync + 'a;

/// Why a call gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// The row is not the one that was read.
    #[error("the row was changed meanwhile")]
    Changed,
    /// The database does not answer, or not as it should.
    #[error("{0}")]
    Away(String),
    /// There is no catalog, and none is to be made.
    #[error("there is no catalog of this name")]
    Missing,
    /// The database answers, and will not.
    #[error("{0}")]
    Refused(String),
}

#[derive(Debug)]
pub(super) enum Store {
    Sqlite(Box<Sqlite>),
    Postgres(Box<Postgres>),
    #[cfg(feature = "mongodb")]
    Mongo(Box<Mongo>),
}

/// What wakes a node as soon as something changes; without one it looks by time.
pub(super) enum Ears {
    None,
    Postgres(Box<sqlx::postgres::PgListener>),
}

impl Ears {
    /// Returns when something was heard; false when nothing will be.
    pub(super) async fn listen(&mut self) -> bool {
        match self {
            Ears::None => std::future::pending().await,
            Ears::Postgres(listener) => matches!(listener.try_recv().await, Ok(Some(_))),
        }
    }
}

macro_rules! each {
    ($store:expr, $inner:ident => $work:expr) => {
        match $store {
            Store::Sqlite($inner) => $work,
            Store::Postgres($inner) => $work,
            #[cfg(feature = "mongodb")]
            Store::Mongo($inner) => $work,
        }
    };
}

impl Store {
    pub(super) fn new(address: &Address, options: &CatalogOptions) -> Result<Store, AddressError> {
        match address {
            Address::Folder(_) => Err(AddressError::Scheme),
            Address::Sqlite(path) => Ok(Store::Sqlite(Box::new(Sqlite::new(path, options)))),
            Address::Postgres(url) => Ok(Store::Postgres(Box::new(Postgres::new(url, options)?))),
            #[cfg(feature = "mongodb")]
            Address::Mongo(url) => Ok(Store::Mongo(Box::new(Mongo::new(url, options)?))),
            #[cfg(not(feature = "mongodb"))]
            Address::Mongo(_) => Err(AddressError::NoMongo),
        }
    }

    /// The number of the last change.
    pub(super) async fn head(&self) -> Result<i64, Trouble> {
        each!(self, store => store.head().await)
    }

    /// What is in it, as of one moment; `None` when the head is the one that is known.
    pub(super) async fn read(&self, head: i64, known: &Known<'_>) -> Result<Option<Read>, Trouble> {
        each!(self, store => store.read(head, known).await)
    }

    /// Every key.
    pub(super) async fn keys(&self) -> Result<Vec<Key>, Trouble> {
        each!(self, store => store.keys().await)
    }

    /// Writes a row; one that is expected to be of some change only where it still is.
    pub(super) async fn put(
        &self,
        kind: &str,
        id: &str,
        text: &str,
        expected: Option<i64>,
    ) -> Result<(), Trouble> {
        each!(self, store => store.put(kind, id, text, expected).await)
    }

    /// Removes a row; tells whether it was there.
    pub(super) async fn delete(&self, kind: &str, id: &str) -> Result<bool, Trouble> {
        each!(self, store => store.delete(kind, id).await)
    }

    /// Writes and removes many, as one change where the database can.
    pub(super) async fn write_all(&self, put: &[Item], remove: &[(Kind, Box<str>)]) -> Result<(), Trouble> {
        each!(self, store => store.write_all(put, remove).await)
    }

    /// Something to be woken by.
    pub(super) async fn ears(&self) -> Result<Ears, Trouble> {
        match self {
            Store::Postgres(store) => store.ears().await,
            _ => Ok(Ears::None),
        }
    }

    /// Lets go of connections that hang.
    pub(super) fn reset(&self) {
        if let Store::Postgres(store) = self {
            store.reset();
        }
    }

    /// The next call looks again whether the tables are there.
    pub(super) fn doubt(&self) {
        each!(self, store => store.doubt());
    }
}
