//! The inputs `sql_select` and `sql_raw` (streams contract 3.12): the rows of one statement, then the end.

use std::collections::VecDeque;

use async_trait::async_trait;
use bloblang::{Mapping, Value};
use document::Fault;
use streams::fields::AUTO_REPLAY_NACKS;
use streams::{Ack, Batch, BuildContext, ConnectError, Input, InputSpec, Message, Node, ReadError};

use super::args::args;
use super::client::Client;
use super::fields as f;
use super::statement::select;

/// The input `sql_select`.
pub static SELECT: InputSpec = InputSpec {
    name: "sql_select",
    summary: "Selects rows once; each is a message. When all are given out, the stream ends.",
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
    summary: "Executes a statement once; each of its rows is a message. When all are given out, the stream ends.",
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
    context.with_replay(node, Rows { client, statement, args, rows: None })
}

struct Rows {
    client: Client,
    statement: String,
    args: Option<Mapping>,
    // None until they were read.
    rows: Option<VecDeque<Value>>,
}

#[async_trait]
impl Input for Rows {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        if self.rows.is_none() {
            // There is no message yet: the mapping sees an empty one.
            let args = args(self.args.as_ref(), &[Message::new("")], 0).map_err(ConnectError)?;
            let rows =
                self.client.query(&self.statement, &args).await.map_err(|fault| ConnectError(fault.text))?;
            self.rows = Some(rows.into_iter().map(Value::from).collect());
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        let Some(rows) = &mut self.rows else { return Err(ReadError::NotConnected) };
        match rows.pop_front() {
            Some(row) => Ok((vec![Message::from_value(row)], Ack::none())),
            None => Err(ReadError::End),
        }
    }

    async fn close(&mut self) {
        self.client.close().await;
    }
}
