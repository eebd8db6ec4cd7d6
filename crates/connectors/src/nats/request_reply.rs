//! Processor `nats_request_reply` (streams contract 3.8).

use std::time::Duration;

use async_nats::RequestErrorKind;
use async_nats::client::Request;
use async_trait::async_trait;
use bloblang::Template;
use document::Fault;
use streams::{Batch, BuildContext, Message, Node, Processor, View};

use super::connection::{Lazy, Settings, chain};
use super::headers::{Headers, set_metadata};

/// Builds the processor.
pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let mut settings = Settings::read(node, context)?;
    let prefix = node.optional_text("inbox_prefix")?;
    settings.inbox_prefix = prefix.filter(|prefix| !prefix.is_empty()).map(Into::into);
    Ok(Box::new(RequestReply {
        lazy: Lazy::new(settings),
        subject: node.template("subject", context)?,
        headers: Headers::read(node, context)?,
        timeout: node.duration("timeout")?.unwrap_or(Duration::from_secs(3)),
    }))
}

struct RequestReply {
    lazy: Lazy<()>,
    subject: Template,
    headers: Headers,
    timeout: Duration,
}

impl RequestReply {
    async fn ask(&self, batch: &[Message], index: usize) -> Result<async_nats::Message, String> {
        let subject = self.subject.render(&View(batch), index);
        let subject = subject.map_err(|fault| format!("`subject`: {fault}"))?;
        let headers = self.headers.of(batch, index)?;
        let mut request = Request::new().payload(batch[index].bytes().clone()).timeout(Some(self.timeout));
        if !headers.is_empty() {
            request = request.headers(headers);
        }
        // Connecting is part of the time that a reply may take.
        let link = tokio::time::timeout(self.timeout, self.lazy.get(|_| std::future::ready(Ok(()))));
        let (link, ()) = link.await.map_err(|_| format!("no connection within {:?}", self.timeout))??;
        let lost = || Err("the connection was lost before the reply came".to_owned());
        tokio::select! {
            biased;
            reply = link.client.send_request(subject.clone(), request) => reply.map_err(|fault| match fault.kind() {
                RequestErrorKind::TimedOut => format!("no reply to `{subject}` within {:?}", self.timeout),
                RequestErrorKind::NoResponders => format!("nobody answers to `{subject}`"),
                _ => format!("`{subject}`: {}", chain(&fault)),
            }),
            () = link.lost() => lost(),
        }
    }
}

#[async_trait]
impl Processor for RequestReply {
    async fn process(&self, mut batch: Batch) -> Vec<Batch> {
        // One after the other: whoever answers sees the order of the stream. What was asked of later messages may
        // refer to earlier ones as they came.
        let mut replies = Vec::with_capacity(batch.len());
        for index in 0..batch.len() {
            replies.push(self.ask(&batch, index).await);
        }
        for (message, reply) in batch.iter_mut().zip(replies) {
            match reply {
                Ok(reply) => {
                    set_metadata(message, reply.headers.as_ref());
                    message.set_bytes(reply.payload);
                }
                Err(text) => message.set_error(text),
            }
        }
        vec![batch]
    }
}
