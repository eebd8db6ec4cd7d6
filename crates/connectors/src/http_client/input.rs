//! Input `http_client`, asking again and again (streams contract 2.2).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use document::Fault;
use streams::{Ack, Batch, BuildContext, ConnectError, Input, Node, ReadError};

use super::client::Client;
use super::endless::Endless;

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let client = Arc::new(Client::read(node, context)?);
    let stream = node.get("stream");
    if stream.boolean("enabled")? {
        let endless = Endless::read(client, &stream, context)?;
        return context.with_replay(node, endless);
    }
    let drop_empty = node.boolean("drop_empty_bodies")?;
    let poll = Poll { client, drop_empty, previous: Arc::default(), asking: None };
    context.with_replay(node, poll)
}

type Asking = Pin<Box<dyn Future<Output = Result<Batch, String>> + Send>>;

/// Asks again and again.
struct Poll {
    client: Arc<Client>,
    drop_empty: bool,
    /// What the next request is made of.
    previous: Arc<Batch>,
    /// Kept across calls: an answer under way is not lost when a read is given up.
    asking: Option<Asking>,
}

/// One question and its answer.
async fn ask(client: Arc<Client>, previous: Arc<Batch>) -> Result<Batch, String> {
    let content = client.plan.question(&previous)?;
    let reply = client.ask(&previous, 0, content).await.map_err(|failure| failure.text)?;
    reply.into_batch(&client.extract)
}

#[async_trait]
impl Input for Poll {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        loop {
            let (client, previous) = (&self.client, &self.previous);
            let asking = self.asking.get_or_insert_with(|| Box::pin(ask(client.clone(), previous.clone())));
            let answer = asking.as_mut().await;
            self.asking = None;
            let batch = answer.map_err(ReadError::Other)?;
            let empty = batch.iter().all(|message| message.bytes().is_empty());
            if batch.is_empty() || (self.drop_empty && empty) {
                // Others get their turn, too, when a server answers "nothing" at once and without end.
                tokio::task::yield_now().await;
                continue;
            }
            self.previous = Arc::new(batch.clone());
            return Ok((batch, Ack::none()));
        }
    }

    async fn close(&mut self) {
        self.asking = None;
    }
}
