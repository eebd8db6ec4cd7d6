//! Input `grpc_client`.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bloblang::Template;
use document::Fault;
use http::HeaderMap;
use streams::{
    Ack, Batch, BuildContext, ConnectError, Input, Message, Node, RateLimit, ReadError, View, pass,
};

use super::call::{Answers, Call};

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let call = Call::read(node, context)?;
    let payload = node.template("payload", context)?;
    let rate_limit = context.rate_limit(&node.get("rate_limit"))?;
    context.with_replay(
        node,
        GrpcInput { call: Arc::new(call), payload, rate_limit, asking: None, answers: None, leaving: false },
    )
}

type Asking = Pin<Box<dyn Future<Output = Result<Answers, String>> + Send>>;

struct GrpcInput {
    call: Arc<Call>,
    payload: Template,
    rate_limit: Option<Arc<dyn RateLimit>>,
    /// Kept across calls of `read`: an answer under way is not lost when one is given up.
    asking: Option<Asking>,
    answers: Option<Answers>,
    /// Only what was read already is still wanted.
    leaving: bool,
}

impl GrpcInput {
    async fn ask(&mut self) -> Result<Answers, ReadError> {
        if self.asking.is_none() {
            if let Some(limit) = &self.rate_limit {
                pass(&**limit, 0).await;
            }
            let payload = self.payload.render(&View(&[]), 0);
            let payload = payload.map_err(|fault| ReadError::Other(format!("payload: {fault}")))?;
            let call = self.call.clone();
            let ask = async move { call.open(std::iter::once(payload.as_bytes()), HeaderMap::new()).await };
            self.asking = Some(Box::pin(ask));
        }
        let Some(asking) = &mut self.asking else { return Err(ReadError::NotConnected) };
        let answer = asking.await;
        self.asking = None;
        answer.map_err(ReadError::Other)
    }
}

#[async_trait]
impl Input for GrpcInput {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        (self.asking, self.answers) = (None, None);
        self.call.check().await.map_err(ConnectError)
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        loop {
            if self.leaving {
                let cut = self.answers.as_mut().map_or(Ok(None), Answers::cut);
                let message = cut.map_err(ReadError::Other)?.ok_or(ReadError::End)?;
                let document = self.call.document(&message).map_err(ReadError::Other)?;
                return Ok((vec![Message::new(document)], Ack::none()));
            }
            let Some(answers) = &mut self.answers else {
                self.answers = Some(self.ask().await?);
                continue;
            };
            match answers.frame().await {
                Ok(Some(message)) => {
                    let document = self.call.document(&message).map_err(ReadError::Other)?;
                    return Ok((vec![Message::new(document)], Ack::none()));
                }
                Ok(None) => {
                    self.answers = None;
                    // Others get their turn, too, when a server answers nothing at once and without end.
                    tokio::task::yield_now().await;
                }
                Err(text) => {
                    self.answers = None;
                    return Err(ReadError::Other(text));
                }
            }
        }
    }

    fn drain(&mut self) -> bool {
        self.leaving = true;
        self.answers.is_some()
    }

    async fn close(&mut self) {
        (self.asking, self.answers) = (None, None);
    }
}
