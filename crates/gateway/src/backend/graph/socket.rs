//! GraphQL over WebSockets: every operation that a client begins is checked as a request is; all else goes through. Both
//! sides may speak different protocols.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use graphql::socket::{FromClient, FromUpstream, Protocol, from_client, from_upstream};
use graphql::{Checked, Checker, Problem};
use streams::CloseReason;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

use crate::auth::Grant;
use crate::backend::stream::{self, LAST_WORDS, Subscription};
use crate::exchange::Carried;

/// Largest message of a client, and of an upstream.
pub(super) const FROM_CLIENT: usize = 1 << 20;
pub(super) const FROM_UPSTREAM: usize = 16 << 20;
/// How long a side may take to take a message.
const PATIENCE: Duration = Duration::from_secs(30);
/// The code of `graphql-transport-ws` for messages that are none.
const INVALID: u16 = 4400;
/// And for connections that an upstream refuses.
const FORBIDDEN: u16 = 4403;

/// What is looked at on a connection that has left HTTP.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(super) checker: Arc<Checker>,
    pub(super) no_introspection: bool,
    pub(super) grant: Option<Arc<Grant>>,
    pub(super) subscription: Subscription,
    pub(super) client: Protocol,
    pub(super) upstream: Protocol,
    /// The upstream sends events by HTTP, and is asked for them by POST where this is true.
    pub(super) by_events: Option<bool>,
}

impl Watch {
    /// The name of what the client speaks.
    pub(crate) fn protocol(&self) -> &'static str {
        self.client.name()
    }

    /// Whether the gate itself is the other end of the connection.
    pub(crate) fn by_events(&self) -> bool {
        self.by_events.is_some()
    }

    pub(super) fn admit(&self, request: &graphql::Request) -> Result<Checked, Problem> {
        let checked = self.checker.check(request)?;
        if self.no_introspection && checked.introspects() {
            return Err(Problem::Introspection);
        }
        let rights = self.grant.as_ref().and_then(|grant| grant.terms.graph.as_deref());
        rights.map_or(Ok(()), |rights| rights.admit(&checked))?;
        Ok(checked)
    }
}

/// Carries messages both ways until either side ends. `early`: what has been read of each side already.
pub(crate) async fn bridge<N, F>(
    near: N,
    near_early: Bytes,
    far: F,
    far_early: Bytes,
    watch: Arc<Watch>,
) -> Carried
where
    N: AsyncRead + AsyncWrite + Unpin + Send,
    F: AsyncRead + AsyncWrite + Unpin + Send,
{
    let config = |largest: usize| {
        WebSocketConfig::default()
            .max_message_size(Some(largest))
            .max_frame_size(Some(largest))
            .write_buffer_size(0)
    };
    let near = WebSocketStream::from_partially_read(
        near,
        near_early.into(),
        Role::Server,
        Some(config(FROM_CLIENT)),
    );
    let far = WebSocketStream::from_partially_read(
        far,
        far_early.into(),
        Role::Client,
        Some(config(FROM_UPSTREAM)),
    );
    let (near, far) = (near.await, far.await);
    let mut bridge = Bridge { near, far, watch, carried: Carried::default() };
    if let Err(error) = bridge.run().await {
        tracing::debug!(%error, "a websocket of GraphQL ended");
    }
    bridge.carried
}

struct Bridge<N, F> {
    near: WebSocketStream<N>,
    far: WebSocketStream<F>,
    watch: Arc<Watch>,
    carried: Carried,
}

impl<N, F> Bridge<N, F>
where
    N: AsyncRead + AsyncWrite + Unpin,
    F: AsyncRead + AsyncWrite + Unpin,
{
    /// Until either side ends, or the client may not go on: whether or not it takes what is sent to it.
    async fn run(&mut self) -> Result<(), Error> {
        let watch = Arc::clone(&self.watch);
        tokio::select! {
            biased;
            () = watch.subscription.closed() => {}
            ended = self.carry() => return ended,
        }
        let parting = async {
            self.far.close(None).await?;
            self.near.close(Some(sent_away())).await
        };
        tokio::time::timeout(LAST_WORDS, parting).await.unwrap_or(Ok(()))
    }

    async fn carry(&mut self) -> Result<(), Error> {
        loop {
            let goes_on = tokio::select! {
                sent = self.near.next() => match sent {
                    Some(sent) => self.of_client(sent?).await?,
                    None => return Ok(()),
                },
                told = self.far.next() => match told {
                    Some(told) => self.of_upstream(told?).await?,
                    None => {
                        // The upstream went without a word: the client is told in its place.
                        return self.leave(CloseCode::Away, "the upstream ended the connection").await;
                    }
                },
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    async fn of_client(&mut self, frame: Frame) -> Result<bool, Error> {
        let text = match frame {
            Frame::Text(text) => text,
            Frame::Close(close) => {
                self.tell_upstream(Frame::Close(close)).await?;
                return Ok(false);
            }
            Frame::Binary(_) => return self.invalid().await,
            // Each side's pings are answered where they are read.
            Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => return Ok(true),
        };
        self.carried.messages += 1;
        match from_client(&text, self.watch.client, self.watch.upstream) {
            FromClient::On(message) => self.tell_upstream(Frame::text(message)).await?,
            FromClient::Ask { id, request, message } => {
                let watch = Arc::clone(&self.watch);
                let admitted = tokio::task::spawn_blocking(move || watch.admit(&request)).await;
                let admitted = admitted.unwrap_or_else(|_| {
                    Err(Problem::Errors(graphql::answer_of("the query cannot be checked")))
                });
                match admitted {
                    Ok(_) => self.tell_upstream(Frame::text(message)).await?,
                    Err(problem) => {
                        let refusal = self.watch.client.refusal(&id, &problem);
                        self.tell_client(Frame::text(refusal)).await?;
                    }
                }
            }
            FromClient::Answer(message) => self.tell_client(Frame::text(message)).await?,
            FromClient::Nothing => {}
            FromClient::Goodbye => {
                self.tell_upstream(Frame::Close(None)).await?;
                self.leave(CloseCode::Normal, "").await?;
                return Ok(false);
            }
            FromClient::Malformed => return self.invalid().await,
        }
        Ok(true)
    }

    async fn of_upstream(&mut self, frame: Frame) -> Result<bool, Error> {
        let text = match frame {
            Frame::Text(text) => text,
            Frame::Close(close) => {
                self.tell_client(Frame::Close(close)).await?;
                return Ok(false);
            }
            Frame::Binary(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => return Ok(true),
        };
        if self.watch.client == self.watch.upstream {
            self.tell_client(Frame::Text(text)).await?;
            return Ok(true);
        }
        match from_upstream(&text, self.watch.upstream) {
            FromUpstream::On(message) => self.tell_client(Frame::text(message)).await?,
            FromUpstream::Answer(message) => self.tell_upstream(Frame::text(message)).await?,
            FromUpstream::Nothing => {}
            FromUpstream::Refused => {
                self.leave(CloseCode::from(FORBIDDEN), "Forbidden").await?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn invalid(&mut self) -> Result<bool, Error> {
        self.tell_upstream(Frame::Close(None)).await?;
        self.leave(CloseCode::from(INVALID), "Invalid message received").await?;
        Ok(false)
    }

    async fn leave(&mut self, code: CloseCode, reason: &'static str) -> Result<(), Error> {
        let close = CloseFrame { code, reason: reason.into() };
        within(self.near.close(Some(close))).await
    }

    async fn tell_client(&mut self, frame: Frame) -> Result<(), Error> {
        self.carried.bytes += frame.len() as u64;
        self.carried.messages += 1;
        within(self.near.send(frame)).await
    }

    async fn tell_upstream(&mut self, frame: Frame) -> Result<(), Error> {
        within(self.far.send(frame)).await
    }
}

/// Told to a client whose key is revoked, has expired, or has lost its right.
pub(super) fn sent_away() -> CloseFrame {
    CloseFrame { code: CloseCode::Policy, reason: stream::explain(CloseReason::Revoked).into() }
}

pub(super) async fn within(sending: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    tokio::time::timeout(PATIENCE, sending).await.unwrap_or_else(|_| {
        let slow = std::io::Error::new(std::io::ErrorKind::TimedOut, "a side took nothing in time");
        Err(Error::Io(slow))
    })
}
