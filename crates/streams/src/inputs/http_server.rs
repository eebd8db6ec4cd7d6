//! Takes messages from HTTP producers (streams contract 2.4).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use document::Fault;
use tokio::sync::mpsc;

use crate::ack::{Ack, Transaction};
use crate::build::BuildContext;
use crate::component::{ConnectError, Input, ReadError};
use crate::endpoint::Role;
use crate::fields::{CORS_FIELD, OWN_LISTENER, offer, verbs};
use crate::ingest::{Ingest, IngestOptions};
use crate::message::Batch;
use crate::node::Node;
use crate::registry::{Default, Field, InputSpec, Kind};
use crate::selection::{SELECTION, Selection};

const SYNC_RESPONSE: &[Field] = &[
    Field::new("status", Kind::Template, Default::Text("200"), "Status of the answer."),
    Field::new(
        "headers",
        Kind::Map(&Kind::Template),
        Default::Pairs(&[("Content-Type", "application/octet-stream")]),
        "Headers of the answer.",
    ),
    Field::object("metadata_headers", SELECTION, "Metadata of the first message that becomes headers, too."),
];

pub(super) static SPEC: InputSpec = InputSpec {
    name: "http_server",
    summary: "Takes messages from HTTP requests and WebSocket frames under the API's listen path; each producer is answered when its message is delivered.",
    config: Kind::Object(&[
        OWN_LISTENER[0],
        Field::new(
            "path",
            Kind::Text,
            Default::Text("/post"),
            "Takes one message per request, or one per part of a multipart request. A final `/` makes it a prefix; `{name}` captures to metadata. Empty: none.",
        ),
        Field::new(
            "ws_path",
            Kind::Text,
            Default::Text("/post/ws"),
            "Takes one message per WebSocket frame. Empty: none.",
        ),
        Field::new(
            "ws_welcome_message",
            Kind::Text,
            Default::Text(""),
            "Sent once when a WebSocket connects.",
        ).advanced(),
        Field::new(
            "ws_rate_limit_message",
            Kind::Text,
            Default::Text(""),
            "Sent to a WebSocket instead of taking a frame that exceeds `rate_limit`; the frame is gone, and it is for the client to send it again. Empty: the frame waits until the limit lets it through.",
        ).advanced(),
        Field::new("allowed_verbs", Kind::List(&Kind::Text), Default::Texts(&["POST"]), "Others get 405."),
        Field::new(
            "timeout",
            Kind::Duration,
            Default::Text("5s"),
            "How long a producer waits, in the queue and for the ack; then it gets 408.",
        ),
        Field::new(
            "rate_limit",
            Kind::RateLimit,
            Default::Text(""),
            "The label of a rate limit resource that is asked for every request and every frame. A request that exceeds it gets 429 and `Retry-After`; one for which it cannot be asked gets 502. Beside it the rate limits of the API's keys and policies hold.",
        ),
        OWN_LISTENER[1],
        OWN_LISTENER[2],
        CORS_FIELD,
        Field::object(
            "sync_response",
            SYNC_RESPONSE,
            "The answer when the stream stores one with `sync_response`.",
        ).advanced(),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let response = node.get("sync_response");
    let options = IngestOptions {
        timeout: node.duration("timeout")?.unwrap_or(Duration::from_secs(5)),
        welcome: node.text("ws_welcome_message")?.into_owned(),
        status: response.template("status", context)?,
        headers: response.templates("headers", context)?,
        metadata: Selection::read(&response.get("metadata_headers"))?,
        rate_limit: context.rate_limit(&node.get("rate_limit"))?,
        limit_message: node.text("ws_rate_limit_message")?.into_owned(),
    };
    let (ingest, receiver) = Ingest::new(options);
    let ingest = Arc::new(ingest);
    context.ingest(ingest.clone());
    offer(node, context, "path", &verbs(node)?, Role::Ingest(ingest.clone()))?;
    offer(node, context, "ws_path", &[], Role::IngestSocket(ingest.clone()))?;
    Ok(Box::new(HttpServer { ingest, receiver }))
}

struct HttpServer {
    ingest: Arc<Ingest>,
    receiver: mpsc::Receiver<Transaction>,
}

#[async_trait]
impl Input for HttpServer {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.ingest.set_open(true);
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        match self.receiver.recv().await {
            Some(Transaction { batch, ack }) => Ok((batch, ack)),
            None => Err(ReadError::End),
        }
    }

    fn drain(&mut self) -> bool {
        self.ingest.set_open(false);
        // What producers have handed in is still delivered; who waits outside is told that the stream closes.
        self.receiver.close();
        true
    }

    async fn close(&mut self) {
        self.ingest.set_open(false);
    }
}
