//! The processors `sql_raw`, `sql_select` and `sql_insert` (streams contract 3.8).

use async_trait::async_trait;
use bloblang::{Mapping, Template};
use document::Fault;
use streams::{Batch, BuildContext, Node, Processor, ProcessorSpec, View};

use super::args::args;
use super::client::Client;
use super::fields as f;
use super::output::{InsertRows, text};
use super::statement::select;

/// The processor `sql_raw`.
pub static RAW: ProcessorSpec = ProcessorSpec {
    name: "sql_raw",
    summary: "Executes a statement for each message, which becomes an array of the rows, each an object. Decimals and JSON columns are text, as in the original; bytes that are no text are base64. Rows that take more than 64 MiB of memory are given up, which is a failure. A failing statement flags its message only.",
    config: f::with_connection!(f::TEMPLATE, f::DYNAMIC, f::ARGS, f::EXEC_ONLY),
    build: |node, context| {
        Ok(Box::new(Query {
            client: Client::read(node, context)?,
            statement: text(node, context)?,
            args: node.mapping("args_mapping", context)?,
            silent: node.boolean("exec_only")?,
        }))
    },
};

/// The processor `sql_select`.
pub static SELECT: ProcessorSpec = ProcessorSpec {
    name: "sql_select",
    summary: "Selects rows for each message, which becomes an array of them, each an object. A failing statement flags its message only.",
    config: f::with_connection!(f::TABLE, f::COLUMNS, f::WHERE, f::ARGS, f::PREFIX, f::SUFFIX),
    build: build_select,
};

fn build_select(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let client = Client::read(node, context)?;
    let statement = Text::Fixed(select(node, client.driver)?);
    Ok(Box::new(Query { client, statement, args: node.mapping("args_mapping", context)?, silent: false }))
}

/// The processor `sql_insert`.
pub static INSERT: ProcessorSpec = ProcessorSpec {
    name: "sql_insert",
    summary: "Inserts a row for each message, all of a batch with one statement; messages stay as they are. When it fails, no row is inserted, and each message of the batch is flagged; a message whose values cannot be computed is flagged alone, and left out.",
    config: f::with_connection!(f::TABLE, f::COLUMNS, f::NEEDED_ARGS, f::PREFIX, f::SUFFIX),
    build: |node, context| Ok(Box::new(Insert(InsertRows::read(node, context)?))),
};

/// What a statement's text is made of.
#[derive(Debug)]
pub(super) enum Text {
    Fixed(String),
    Rendered(Template),
}

impl Text {
    pub(super) fn of<'a>(&'a self, batch: &Batch, index: usize) -> Result<std::borrow::Cow<'a, str>, String> {
        match self {
            Text::Fixed(text) => Ok(text.into()),
            Text::Rendered(template) => match template.render(&View(batch), index) {
                Ok(text) => Ok(text.into()),
                Err(fault) => Err(format!("query: {fault}")),
            },
        }
    }
}

struct Query {
    client: Client,
    statement: Text,
    args: Option<Mapping>,
    silent: bool,
}

#[async_trait]
impl Processor for Query {
    async fn process(&self, mut batch: Batch) -> Vec<Batch> {
        // Each message sees the batch as it came.
        let came = batch.clone();
        for (index, message) in batch.iter_mut().enumerate() {
            let done = async {
                let args = args(self.args.as_ref(), &came, index)?;
                let statement = self.statement.of(&came, index)?;
                let rows = if self.silent {
                    self.client.execute(&statement, &args).await.map(|()| None)
                } else {
                    self.client.list(&statement, &args).await.map(Some)
                };
                rows.map_err(|fault| fault.text)
            };
            match done.await {
                Ok(None) => {}
                Ok(Some(rows)) => message.set_value(serde_json::Value::Array(rows).into()),
                Err(text) => message.set_error(text),
            }
        }
        vec![batch]
    }
}

struct Insert(InsertRows);

#[async_trait]
impl Processor for Insert {
    async fn process(&self, mut batch: Batch) -> Vec<Batch> {
        let (rows, failed) = self.0.rows(&batch);
        if let Err(fault) = self.0.insert(rows).await {
            batch.iter_mut().for_each(|message| message.set_error(fault.text.clone()));
        }
        for (index, text) in failed {
            batch[index].set_error(text);
        }
        vec![batch]
    }
}
