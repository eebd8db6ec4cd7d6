//! A WebSocket of which the graph itself is the other end: operations are checked, carried out, and answered here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use graphql::socket::{FromClient, Protocol, from_client};
use graphql::{Kind, Problem, Request};
use http::header::{HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

use super::engine::{Asked, GraphBackend};
use super::events::{Brought, Open, message, told};
use super::sending::Sending;
use super::socket::{FROM_CLIENT, Watch, sent_away, within};
use super::wires::Wires;
use crate::backend::stream::{self, LAST_WORDS};
use crate::body::Body;
use crate::exchange::{Carried, Exchange};
use crate::gate::Gate;
use crate::listen::ClientStream;
use crate::respond::Refusal;

/// How long a client may be silent, pings included, and how often it is pinged.
pub(super) const SILENCE: Duration = Duration::from_secs(60);
pub(super) const PING: Duration = Duration::from_secs(25);
/// How long a client may take to begin.
const INIT: Duration = Duration::from_secs(10);

const MANY: &str = "there are too many operations under way on this connection";

/// Who carries out what is asked.
pub(super) enum Behind {
    Graph(GraphBackend, Box<Wires>),
    Upstream(Box<Sending>),
}

/// Takes the connection over and serves it.
pub(super) async fn serve(
    behind: Behind,
    exchange: &mut Exchange,
    watch: Box<Watch>,
) -> Result<Response<Body>, Refusal> {
    let (takeover, mut head): (_, HeaderMap) = stream::accept_socket(exchange)?;
    let protocol = HeaderValue::from_static(watch.protocol());
    head.insert(http::header::SEC_WEBSOCKET_PROTOCOL, protocol);
    let head = crate::http1::last_head(StatusCode::SWITCHING_PROTOCOLS, &head);
    let gate = Arc::clone(&exchange.gate);
    let never = exchange
        .take_over(&takeover, StatusCode::SWITCHING_PROTOCOLS, move |mut io, read| async move {
            let begun = async {
                io.write_all(&head).await?;
                io.flush().await
            };
            if let Err(error) = begun.await {
                tracing::debug!(%error, "a websocket ended before it began");
                return Carried::default();
            }
            let config = WebSocketConfig::default()
                .max_message_size(Some(FROM_CLIENT))
                .max_frame_size(Some(FROM_CLIENT))
                .write_buffer_size(0);
            let socket =
                WebSocketStream::from_partially_read(io, read.into(), Role::Server, Some(config)).await;
            let mut served = Served {
                socket,
                gate,
                behind,
                watch: Arc::from(watch),
                open: Open::default(),
                carried: Carried::default(),
            };
            if let Err(error) = served.run().await {
                tracing::debug!(%error, "a websocket of GraphQL ended");
            }
            served.carried
        })
        .await;
    match never {}
}

struct Served {
    socket: WebSocketStream<ClientStream>,
    gate: Arc<Gate>,
    behind: Behind,
    watch: Arc<Watch>,
    open: Open,
    carried: Carried,
}

impl Served {
    /// Until the client ends, or may not go on: whether or not it takes what is sent to it.
    async fn run(&mut self) -> Result<(), Error> {
        let watch = Arc::clone(&self.watch);
        tokio::select! {
            biased;
            () = watch.subscription.closed() => {}
            ended = self.carry() => return ended,
        }
        let parting = self.socket.close(Some(sent_away()));
        tokio::time::timeout(LAST_WORDS, parting).await.unwrap_or(Ok(()))
    }

    async fn carry(&mut self) -> Result<(), Error> {
        let gate = Arc::clone(&self.gate);
        let mut closing = std::pin::pin!(gate.closed());
        let (begun, mut heard, mut known) = (Instant::now(), Instant::now(), false);
        let mut ping = tokio::time::interval_at(begun + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let limit = if known { heard + SILENCE } else { begun + INIT };
            let open = &mut self.open;
            tokio::select! {
                biased;
                () = &mut closing => return self.leave(CloseCode::Away, "the gate is shutting down").await,
                received = self.socket.next() => {
                    heard = Instant::now();
                    let text = match received {
                        Some(Ok(Frame::Text(text))) => text,
                        Some(Ok(Frame::Close(_))) | None => return Ok(()),
                        Some(Ok(Frame::Binary(_))) => return self.invalid().await,
                        Some(Ok(_)) => continue,
                        Some(Err(error)) => return Err(error),
                    };
                    self.carried.messages += 1;
                    if !self.of_client(&text, &mut known).await? {
                        return Ok(());
                    }
                }
                brought = std::future::poll_fn(|cx| open.poll(cx)) => match brought {
                    Brought::Answer(id, answer) => self.tell(&id, answer).await?,
                    Brought::End(id) => self.send(message("complete", &id, None)).await?,
                },
                _ = ping.tick() => within(self.socket.send(Frame::Ping(Bytes::new()))).await?,
                () = tokio::time::sleep_until(limit) => {
                    return self.leave(CloseCode::from(4408), "nothing was heard in time").await;
                }
            }
        }
    }

    /// Whether the connection goes on.
    async fn of_client(&mut self, text: &str, known: &mut bool) -> Result<bool, Error> {
        let protocol = self.watch.client;
        match from_client(text, protocol, protocol) {
            FromClient::Ask { .. } if !*known => {
                self.leave(CloseCode::from(4401), "Unauthorized").await?;
                return Ok(false);
            }
            FromClient::Ask { id, request, .. } => return self.begin(id, request).await,
            FromClient::On(text) => {
                let said: Value = serde_json::from_str(&text).unwrap_or_default();
                match said["type"].as_str() {
                    Some("connection_init") if *known => {
                        self.leave(CloseCode::from(4429), "Too many initialisation requests").await?;
                        return Ok(false);
                    }
                    Some("connection_init") => {
                        *known = true;
                        self.send(json!({"type": "connection_ack"}).to_string()).await?;
                    }
                    Some("ping") => self.send(json!({"type": "pong"}).to_string()).await?,
                    Some("complete" | "stop") => self.open.end(&said["id"]),
                    _ => {}
                }
            }
            FromClient::Answer(_) | FromClient::Nothing => {}
            FromClient::Goodbye => {
                self.leave(CloseCode::Normal, "").await?;
                return Ok(false);
            }
            FromClient::Malformed => {
                self.invalid().await?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn begin(&mut self, id: Value, request: Request) -> Result<bool, Error> {
        if self.open.has(&id) {
            self.leave(CloseCode::from(4409), "Subscriber already exists").await?;
            return Ok(false);
        }
        let watch = Arc::clone(&self.watch);
        let (checked, request) = tokio::task::spawn_blocking(move || (watch.admit(&request), request))
            .await
            .map_err(|_| Error::ConnectionClosed)?;
        let checked = match checked {
            Ok(checked) => checked,
            Err(problem) => {
                let refusal = self.watch.client.refusal(&id, &problem);
                self.send(refusal).await?;
                return Ok(true);
            }
        };
        let kind = checked.kind();
        let asked = |variables| Asked { checked, variables };
        if kind == Kind::Subscription || matches!(self.behind, Behind::Upstream(_)) {
            let many = self.open.len() >= Open::MOST;
            let begun = match &self.behind {
                _ if many => Err(Problem::Errors(graphql::answer_of(MANY))),
                Behind::Graph(backend, wires) => backend.subscribe(asked(request.variables), wires.again()),
                Behind::Upstream(sending) => Ok(sending.answers(kind, request)),
            };
            match begun {
                Ok(answers) => self.open.begin(id, answers),
                Err(problem) => {
                    let refusal = self.watch.client.refusal(&id, &problem);
                    self.send(refusal).await?;
                }
            }
            return Ok(true);
        }
        let Behind::Graph(backend, wires) = &self.behind else { return Ok(true) };
        let answer = backend.answer(&asked(request.variables), wires).await;
        let answer = answer.unwrap_or_else(|problem| told(&problem));
        self.tell(&id, answer).await?;
        self.send(message("complete", &id, None)).await?;
        Ok(true)
    }

    async fn tell(&mut self, id: &Value, answer: Value) -> Result<(), Error> {
        let kind = match self.watch.client {
            Protocol::Transport => "next",
            Protocol::Old => "data",
        };
        self.send(message(kind, id, Some(answer))).await
    }

    async fn send(&mut self, text: String) -> Result<(), Error> {
        self.carried.bytes += text.len() as u64;
        self.carried.messages += 1;
        within(self.socket.send(Frame::text(text))).await
    }

    async fn invalid(&mut self) -> Result<(), Error> {
        self.leave(CloseCode::from(4400), "Invalid message received").await
    }

    async fn leave(&mut self, code: CloseCode, reason: &'static str) -> Result<(), Error> {
        within(self.socket.close(Some(CloseFrame { code, reason: reason.into() }))).await
    }
}
