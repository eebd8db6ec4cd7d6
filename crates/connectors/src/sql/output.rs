//! The outputs `sql_insert` and `sql_raw` (streams contract 3.10).

use async_trait::async_trait;
use bloblang::Mapping;
use document::Fault;
use streams::fields::{BATCHING_FIELD, max_in_flight};
use streams::{BuildContext, ConnectError, Message, Node, Output, OutputSpec, WriteError};

use super::args::{Arg, args};
use super::client::{Client, SqlError};
use super::fields as f;
use super::processor::Text;
use super::statement::{Insert, insert};

/// The output `sql_insert`.
pub static INSERT: OutputSpec = OutputSpec {
    name: "sql_insert",
    summary: "Inserts a row for each message, all of a batch as one step: with one statement, or in one transaction where it has more values than a statement can.",
    config: f::with_connection!(
        f::TABLE,
        f::COLUMNS,
        f::NEEDED_ARGS,
        f::PREFIX,
        f::SUFFIX,
        max_in_flight(64),
        BATCHING_FIELD,
    ),
    build: |node, context| {
        context.with_batching(node)?;
        Ok(Box::new(InsertOutput {
            rows: InsertRows::read(node, context)?,
            most: node.count("max_in_flight")?,
        }))
    },
};

/// The output `sql_raw`.
pub static RAW: OutputSpec = OutputSpec {
    name: "sql_raw",
    summary: "Executes a statement for each message, in the order of the batch. A message whose statement fails is written again, the others are not.",
    config: f::with_connection!(f::TEMPLATE, f::DYNAMIC, f::ARGS, max_in_flight(64), BATCHING_FIELD),
    build: |node, context| {
        context.with_batching(node)?;
        Ok(Box::new(RawOutput {
            client: Client::read(node, context)?,
            statement: text(node, context)?,
            args: node.mapping("args_mapping", context)?,
            most: node.count("max_in_flight")?,
        }))
    },
};

/// The field `query`, interpolated where `unsafe_dynamic_query` says so.
pub(super) fn text(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Text, Fault> {
    let query = node.text("query")?;
    if query.trim().is_empty() {
        return Err(node.field_fault("query", "`query` must not be empty"));
    }
    Ok(if node.boolean("unsafe_dynamic_query")? {
        Text::Rendered(node.template("query", context)?)
    } else {
        Text::Fixed(query.into_owned())
    })
}

/// Rows of messages.
#[derive(Debug)]
pub(super) struct InsertRows {
    client: Client,
    insert: Insert,
    args: Option<Mapping>,
}

impl InsertRows {
    pub(super) fn read(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<InsertRows, Fault> {
        let client = Client::read(node, context)?;
        let args = node.mapping("args_mapping", context)?;
        if args.is_none() {
            return Err(node.field_fault("args_mapping", "`args_mapping` must not be empty"));
        }
        Ok(InsertRows { insert: insert(node, client.driver)?, client, args })
    }

    /// The rows, and the messages that make none.
    pub(super) fn rows(&self, batch: &[Message]) -> (Vec<Vec<Arg>>, Vec<(usize, String)>) {
        let (mut rows, mut failed) = (Vec::with_capacity(batch.len()), Vec::new());
        for index in 0..batch.len() {
            match args(self.args.as_ref(), batch, index) {
                Ok(row) if row.len() == self.insert.columns => rows.push(row),
                Ok(row) => {
                    let text =
                        format!("args_mapping gave {} values for {} columns", row.len(), self.insert.columns);
                    failed.push((index, text));
                }
                Err(text) => failed.push((index, text)),
            }
        }
        (rows, failed)
    }

    /// Inserts all of them or none.
    pub(super) async fn insert(&self, rows: Vec<Vec<Arg>>) -> Result<(), SqlError> {
        if rows.is_empty() {
            return Ok(());
        }
        let steps = rows.chunks(self.insert.most()).map(|rows| (self.insert.text(rows.len()), rows.concat()));
        self.client.all(&steps.collect()).await
    }
}

struct InsertOutput {
    rows: InsertRows,
    most: usize,
}

fn refused(fault: SqlError) -> WriteError {
    if fault.lost() { WriteError::NotConnected } else { WriteError::Failed(fault.text) }
}

#[async_trait]
impl Output for InsertOutput {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.rows.client.connect().await.map_err(ConnectError)
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let (rows, failed) = self.rows.rows(batch);
        self.rows.insert(rows).await.map_err(refused)?;
        if failed.is_empty() { Ok(()) } else { Err(WriteError::Partial(failed)) }
    }

    fn max_in_flight(&self) -> usize {
        self.most
    }

    async fn close(&self) {
        self.rows.client.close().await;
    }
}

struct RawOutput {
    client: Client,
    statement: Text,
    args: Option<Mapping>,
    most: usize,
}

#[async_trait]
impl Output for RawOutput {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.client.connect().await.map_err(ConnectError)
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let mut failed = Vec::new();
        let owned = batch.to_vec();
        for index in 0..batch.len() {
            let done = async {
                let args = args(self.args.as_ref(), &owned, index)?;
                let statement = self.statement.of(&owned, index)?;
                self.client.execute(&statement, &args).await
            };
            match done.await {
                Ok(_) => {}
                Err(fault) if fault.lost() => {
                    if index == 0 {
                        return Err(WriteError::NotConnected);
                    }
                    // What was executed is not executed again.
                    failed.extend((index..batch.len()).map(|index| (index, fault.text.clone())));
                    break;
                }
                Err(fault) => failed.push((index, fault.text)),
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(WriteError::Partial(failed)) }
    }

    fn max_in_flight(&self) -> usize {
        self.most
    }

    async fn close(&self) {
        self.client.close().await;
    }
}
