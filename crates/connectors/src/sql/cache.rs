//! Cache `sql` (streams contract 3.11).

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use document::Fault;
use serde_json::Value as Json;
use streams::{BuildContext, Cache, CacheError, CacheSpec, Field, Kind, Node};

use super::args::Arg;
use super::client::{Cause, Client, Driver, SqlError};
use super::fields as f;

/// The cache `sql`.
pub static SPEC: CacheSpec = CacheSpec {
    name: "sql",
    summary: "Keeps each value in a row of a table. The column of the keys must be unique. How long a value is kept is the table's affair: times to live have no effect.",
    config: f::with_connection!(
        f::TABLE,
        Field::required("key_column", Kind::Text, "The column of the keys, unique: text."),
        Field::required(
            "value_column",
            Kind::Text,
            "The column of the values: text, or bytes where values are not text.",
        ),
        Field::optional(
            "set_suffix",
            Kind::Text,
            "Stands behind the `INSERT` of `set`, such as `ON CONFLICT (key) DO UPDATE SET value = excluded.value` or `ON DUPLICATE KEY UPDATE value = VALUES(value)`. Without it the row that was there is deleted first, in the same transaction.",
        ),
    ),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Cache>, Fault> {
    let client = Client::read(node, context)?;
    let name = |field: &str| {
        let text = node.text(field)?;
        match text.is_empty() {
            true => Err(node.field_fault(field, format!("`{field}` must not be empty"))),
            false => Ok(text),
        }
    };
    let (table, key, value) = (name("table")?, name("key_column")?, name("value_column")?);
    // Bytes as the database has them, whatever the column is: text alone does not tell what is text.
    let (first, second, read) = match client.driver {
        Driver::Postgres => ("$1", "$2", format!("{value}::text AS value, pg_typeof({value})::text AS kind")),
        Driver::MySql => ("?", "?", format!("HEX(CAST({value} AS BINARY)) AS value, 'hex' AS kind")),
        Driver::Sqlite => ("?", "?", format!("hex(CAST({value} AS BLOB)) AS value, 'hex' AS kind")),
    };
    let suffix = node.text("set_suffix")?;
    Ok(Box::new(SqlCache {
        get: format!("SELECT {read} FROM {table} WHERE {key} = {first}"),
        insert: format!("INSERT INTO {table} ({key}, {value}) VALUES ({first}, {second})"),
        delete: format!("DELETE FROM {table} WHERE {key} = {first}"),
        suffix: (!suffix.is_empty()).then(|| suffix.into_owned()),
        client,
    }))
}

struct SqlCache {
    client: Client,
    get: String,
    insert: String,
    delete: String,
    suffix: Option<String>,
}

fn failed(fault: SqlError) -> CacheError {
    CacheError::Failed(fault.text)
}

/// A key or a value: text as far as it is text, so that columns of text take it.
fn arg(bytes: Bytes) -> Arg {
    match std::str::from_utf8(&bytes) {
        Ok(text) => Arg::Word(text.to_owned()),
        Err(_) => Arg::Bytes(bytes),
    }
}

fn row(key: &str, value: Bytes) -> Vec<Arg> {
    vec![Arg::Word(key.to_owned()), arg(value)]
}

/// The bytes of a value that was read.
fn bytes(row: &Json) -> Result<Bytes, CacheError> {
    let text = row["value"].as_str().unwrap_or_default();
    let digits = match row["kind"].as_str() {
        Some("hex") => Some(text),
        Some("bytea") => text.strip_prefix("\\x"),
        _ => return Ok(Bytes::copy_from_slice(text.as_bytes())),
    };
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
        _ => None,
    };
    let read = digits.and_then(|digits| digits.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>());
    read.map(Bytes::from).ok_or_else(|| {
        CacheError::Failed(
            "the value came in a form that is not known; set `bytea_output` to `hex`".to_owned(),
        )
    })
}

#[async_trait]
impl Cache for SqlCache {
    async fn get(&self, key: &str) -> Result<Bytes, CacheError> {
        let found = self.client.list(&self.get, &[Arg::Word(key.to_owned())]).await.map_err(failed)?;
        found.first().map_or(Err(CacheError::NotFound), bytes)
    }

    async fn set(&self, key: &str, value: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        let stored = match &self.suffix {
            Some(suffix) => self.client.execute(&format!("{} {suffix}", self.insert), &row(key, value)).await,
            None => {
                let delete = (self.delete.clone(), vec![Arg::Word(key.to_owned())]);
                let steps = vec![delete, (self.insert.clone(), row(key, value))];
                match self.client.all(&steps).await {
                    // Another one may have set the same key in between: now its row is there to be deleted.
                    Err(fault) if fault.cause == Cause::Statement => self.client.all(&steps).await,
                    done => done,
                }
            }
        };
        stored.map_err(failed)
    }

    async fn add(&self, key: &str, value: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        let Err(fault) = self.client.execute(&self.insert, &row(key, value)).await else { return Ok(()) };
        // Databases say in their own words that a key is there; asking is the same everywhere.
        if fault.cause == Cause::Statement && self.exists(key).await == Ok(true) {
            return Err(CacheError::Exists);
        }
        Err(failed(fault))
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        self.client.execute(&self.delete, &[Arg::Word(key.to_owned())]).await.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_as_bytes() {
        for (value, kind, expected) in [
            (json!("a\\b"), "text", Some(&b"a\\b"[..])),
            (json!("\\x00ff"), "text", Some(&b"\\x00ff"[..])),
            (json!("\\x00fF"), "bytea", Some(&[0, 255][..])),
            (json!("\\x"), "bytea", Some(&[][..])),
            (json!("6162"), "hex", Some(&b"ab"[..])),
            (json!(null), "hex", Some(&[][..])),
            (json!("\\000"), "bytea", None),
            (json!("616"), "hex", None),
        ] {
            let read = bytes(&json!({"value": value, "kind": kind}));
            assert_eq!(read.as_deref().ok(), expected, "{value} {kind}");
        }
    }
}
