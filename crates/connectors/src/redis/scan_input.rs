//! Input `redis_scan` (streams contract 3.12).

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bloblang::{Object, Value};
use document::Fault;
use streams::{Ack, Batch, BuildContext, ConnectError, Input, Message, Node, ReadError};

use super::link::{Link, Trouble};
use super::reach::Connection;
use super::reply;

/// Keys that are asked for at once.
const PAGE: usize = 100;

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    if node.text("kind")? == "cluster" {
        return Err(node
            .field_fault("kind", "the keys of a cluster lie on many nodes and cannot be walked as one")
            .hint("name one node with `kind: simple`"));
    }
    let pattern = Some(node.text("match")?.into_owned()).filter(|pattern| !pattern.is_empty());
    let input =
        ScanInput { link: Link::read(node, context)?, pattern, cursor: Some(0), keys: VecDeque::new() };
    context.with_replay(node, input)
}

struct ScanInput {
    link: Link,
    pattern: Option<String>,
    // `None`: all keys were told.
    cursor: Option<u64>,
    keys: VecDeque<Vec<u8>>,
}

impl ScanInput {
    async fn connection(&self) -> Result<Connection, ReadError> {
        self.link.connection().await.map_err(|_| ReadError::NotConnected)
    }

    async fn failed(&self, trouble: Trouble) -> ReadError {
        match trouble {
            Trouble::Refused(text) => ReadError::Other(text),
            Trouble::Away(_) => {
                self.link.forget();
                ReadError::NotConnected
            }
        }
    }

    async fn page(&mut self, cursor: u64) -> Result<(), ReadError> {
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("COUNT").arg(PAGE);
        if let Some(pattern) = &self.pattern {
            command.arg("MATCH").arg(pattern);
        }
        let mut connection = self.connection().await?;
        let answer: Result<(u64, Vec<Vec<u8>>), _> = command.query_async(&mut connection).await;
        match answer.map_err(Trouble::from) {
            Ok((next, keys)) => {
                self.cursor = (next != 0).then_some(next);
                self.keys.extend(keys);
                Ok(())
            }
            Err(trouble) => Err(self.failed(trouble).await),
        }
    }
}

#[async_trait]
impl Input for ScanInput {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.link.connection().await.map(drop).map_err(ConnectError)
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        loop {
            // A key stays here until its value was told: this future may be dropped.
            let Some(key) = self.keys.front() else {
                let Some(cursor) = self.cursor else { return Err(ReadError::End) };
                self.page(cursor).await?;
                continue;
            };
            let mut connection = self.connection().await?;
            let mut command = redis::cmd("GET");
            command.arg(&key[..]);
            let answer: Result<redis::Value, _> = command.query_async(&mut connection).await;
            match answer.map_err(Trouble::from) {
                Err(trouble @ Trouble::Away(_)) => return Err(self.failed(trouble).await),
                // Gone meanwhile, or no text but a list or the like.
                Ok(redis::Value::Nil) | Err(Trouble::Refused(_)) => drop(self.keys.pop_front()),
                Ok(value) => {
                    let key = self.keys.pop_front().unwrap_or_default();
                    let pair = [
                        ("key", reply::value(redis::Value::BulkString(key))),
                        ("value", reply::value(value)),
                    ];
                    let value = Value::Object(Arc::new(pair.into_iter().collect::<Object>()));
                    return Ok((vec![Message::from_value(value)], Ack::none()));
                }
            }
        }
    }

    async fn close(&mut self) {
        self.link.forget();
    }
}
