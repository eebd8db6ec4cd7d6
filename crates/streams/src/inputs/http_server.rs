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
use crate::fields::{CORS_FIELD, NO_LISTENER, offer, verbs};
use crate::ingest::{Ingest, IngestOptions};
use crate::message::Batch;
use crate::node::Node;
use crate::registry::{Default, Field, InputSpec, Kind};

const SYNC_RESPONSE: &[Field] = &[
    Field::new("status", Kind::Template, Default::Text("200"), "Status of the answer."),
    Field::new(
        "headers",
        Kind::Map(&Kind::Template),
        Default::Pairs(&[("Content-Type", "application/octet-stream")]),
        "Headers of the answer.",
    ),
    Field::object(
        "metadata_headers",
        &[
            Field::new(
                "include_prefixes",
                Kind::List(&Kind::Text),
                Default::Texts(&[]),
                "Metadata whose key begins so becomes a header of the answer.",
            ),
            Field::new(
                "include_patterns",
                Kind::Refused("write `include_prefixes`, or `headers` with an interpolation"),
                Default::Texts(&[]),
                "Patterns of metadata keys.",
            ),
        ],
        "Metadata that becomes headers.",
    ),
];

pub(super) static SPEC: InputSpec = InputSpec {
    name: "http_server",
    summary: "Takes messages from HTTP requests and WebSocket frames under the API's listen path; each producer is answered when its message is delivered.",
    config: Kind::Object(&[
        NO_LISTENER[0],
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
        ),
        Field::new(
            "ws_rate_limit_message",
            Kind::Ignored("without a rate limit there is nothing to say"),
            Default::Text(""),
            "Sent instead of processing when limited.",
        ),
        Field::new("allowed_verbs", Kind::List(&Kind::Text), Default::Texts(&["POST"]), "Others get 405."),
        Field::new(
            "timeout",
            Kind::Duration,
            Default::Text("5s"),
            "How long a producer waits, in the queue and for the ack; then it gets 408.",
        ),
        Field::new(
            "rate_limit",
            Kind::Refused("use the rate limits of the API's keys and policies"),
            Default::Text(""),
            "A rate limit resource.",
        ),
        NO_LISTENER[1],
        NO_LISTENER[2],
        CORS_FIELD,
        Field::object(
            "sync_response",
            SYNC_RESPONSE,
            "The answer when the stream stores one with `sync_response`.",
        ),
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
        metadata_prefixes: response.get("metadata_headers").texts("include_prefixes")?,
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
