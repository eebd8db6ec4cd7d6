//! The inputs `sql_select` and `sql_raw` (streams contract 3.12): the rows of one statement, then the end.
//!
//! Rows are read as the stream takes them. When the connection fails on the way, the statement is executed again from
//! its beginning: which rows were given cannot be told from the others, so they come again. When the statement itself fails
//! after some rows, that is told, and nothing more comes (as in the original).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bloblang::Mapping;
use document::Fault;
use serde_json::Value as Json;
use streams::fields::AUTO_REPLAY_NACKS;
use streams::{Ack, Batch, BuildContext, ConnectError, Input, InputSpec, Message, Node, ReadError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::args::args;
use super::client::{Client, SqlError};
use super::fields as f;
use super::rows::Row;
use super::statement::select;

/// The input `sql_select`.
pub static SELECT: InputSpec = InputSpec {
    name: "sql_select",
    summary: "Selects rows once; each is a message. When all are given out, the stream ends. Rows are read as the stream takes them, never all at once. When the connection fails on the way, the statement is executed again, and rows come again. When the statement itself fails after some rows, that is told and the stream ends; before the first row, it is tried again after growing pauses. A row with a value that cannot be read comes with that value as null, flagged.",
    config: f::with_connection!(
        f::TABLE,
        f::COLUMNS,
        f::WHERE,
        f::ARGS,
        f::PREFIX,
        f::SUFFIX,
        AUTO_REPLAY_NACKS
    ),
    build: |node, context| {
        let client = Client::read(node, context)?;
        let statement = select(node, client.driver)?;
        build(node, context, client, statement)
    },
};

/// The input `sql_raw`.
pub static RAW: InputSpec = InputSpec {
    name: "sql_raw",
    summary: "Executes a statement once; each of its rows is a message. When all are given out, the stream ends. Rows are read as the stream takes them, never all at once. When the connection fails on the way, the statement is executed again, and rows come again. When the statement itself fails after some rows, that is told and the stream ends; before the first row, it is tried again after growing pauses. A row with a value that cannot be read comes with that value as null, flagged.",
    config: f::with_connection!(f::QUERY, f::ARGS, AUTO_REPLAY_NACKS),
    build: |node, context| {
        let client = Client::read(node, context)?;
        let statement = node.text("query")?.into_owned();
        build(node, context, client, statement)
    },
};

fn build(
    node: &Node<'_>,
    context: &BuildContext<'_>,
    client: Client,
    statement: String,
) -> Result<Box<dyn Input>, Fault> {
    let args = node.mapping("args_mapping", context)?;
    let stream = context.stream.clone();
    context.with_replay(
        node,
        Rows {
            client: Arc::new(client),
            statement: statement.into(),
            args,
            stream,
            state: State::Idle,
            broken: 0,
        },
    )
}

/// Rows that wait for the stream at most.
const WAITING: usize = 64;

struct Rows {
    client: Arc<Client>,
    statement: Arc<str>,
    args: Option<Mapping>,
    stream: Arc<str>,
    state: State,
    // How often rows came to no end.
    broken: u32,
}

enum State {
    Idle,
    Reading(Reading),
    Ended,
}

/// A statement that is being executed.
struct Reading {
    rows: mpsc::Receiver<Row>,
    // Comes when there are no more rows, or the connection failed.
    end: JoinHandle<Result<(), SqlError>>,
    // Read while connecting.
    first: Option<Row>,
    given: u64,
}

impl Drop for Reading {
    fn drop(&mut self) {
        // Its connection closes with it.
        self.end.abort();
    }
}

impl Reading {
    /// The next row; `None` at the end of all.
    async fn next(&mut self) -> Result<Option<Row>, SqlError> {
        if let Some(row) = self.first.take() {
            return Ok(Some(row));
        }
        match self.rows.recv().await {
            Some(row) => Ok(Some(row)),
            None => match (&mut self.end).await {
                Ok(done) => done.map(|()| None),
                Err(fault) => Err(SqlError::from(format!("reading the rows came to no end: {fault}"))),
            },
        }
    }
}

#[async_trait]
impl Input for Rows {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        if !matches!(self.state, State::Idle) {
            return Ok(());
        }
        // What fails in the same place each time must not come again and again without a pause.
        if self.broken > 0 {
            tokio::time::sleep(Duration::from_secs(1 << (self.broken - 1).min(6))).await;
        }
        // There is no message yet: the mapping sees an empty one.
        let args = args(self.args.as_ref(), &[Message::new("")], 0).map_err(ConnectError)?;
        let (sender, rows) = mpsc::channel(WAITING);
        let (client, statement) = (self.client.clone(), self.statement.clone());
        let end = tokio::spawn(async move { client.read_out(&statement, &args, sender).await });
        let mut reading = Reading { rows, end, first: None, given: 0 };
        // Whether the statement can be executed shows with its first row.
        self.state = match reading.next().await {
            Ok(Some(row)) => {
                reading.first = Some(row);
                State::Reading(reading)
            }
            Ok(None) => State::Ended,
            Err(fault) => {
                // What the server refuses may become right, such as a table that is still to be made: but not at once.
                if !fault.lost() {
                    self.broken = self.broken.saturating_add(1);
                }
                return Err(ConnectError(fault.text));
            }
        };
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        let reading = match &mut self.state {
            State::Idle => return Err(ReadError::NotConnected),
            State::Ended => return Err(ReadError::End),
            State::Reading(reading) => reading,
        };
        match reading.next().await {
            Ok(Some(row)) => {
                reading.given += 1;
                let mut message = Message::from_value(Json::Object(row.object).into());
                if let Some(fault) = row.fault {
                    message.set_error(fault);
                }
                Ok((vec![message], Ack::none()))
            }
            Ok(None) => {
                self.state = State::Ended;
                Err(ReadError::End)
            }
            // It would fail at the same row again, for ever, and all before it would come again and again.
            Err(fault) if !fault.lost() => {
                let (text, given) = (fault.text, reading.given);
                self.state = State::Ended;
                Err(ReadError::Other(format!(
                    "the statement failed after {given} rows, and ends with it: {text}"
                )))
            }
            Err(SqlError { text, .. }) => {
                let (stream, given) = (&self.stream, reading.given);
                tracing::warn!(%stream, %text, given, "rows came to no end; the statement is executed again, and rows come again");
                self.state = State::Idle;
                self.broken = self.broken.saturating_add(1);
                Err(ReadError::NotConnected)
            }
        }
    }

    async fn close(&mut self) {
        self.state = State::Ended;
        self.client.close().await;
    }
}
