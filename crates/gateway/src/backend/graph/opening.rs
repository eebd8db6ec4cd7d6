//! Subscriptions at the sources of a graph: over a WebSocket of their own, or by a request that is answered with events. Each
//! ends with the client's.

use apidef::{SubscriptionProtocol, Target};
use bytes::Bytes;
use futures_util::stream;
use futures_util::{SinkExt, StreamExt};
use graphql::answer_of;
use graphql::asking::{self, Said};
use graphql::engine::{Asking, Call, Opening};
use graphql::socket::Protocol;
use http::Method;
use http::header::{self, HeaderMap, HeaderValue};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::events::Answers;
use super::sending::{OF_CONNECTION, answers_in, as_query, one};
use super::served::{PING, SILENCE};
use super::socket::{FROM_UPSTREAM, within};
use super::wires::{Wires, headers, told};
use crate::backend::stream::LAST_WORDS;
use crate::backend::upstream::UpstreamStream;
use crate::fetch;

/// Events of one subscription that wait for others to say their part. Then its source waits.
const WAITING: usize = 16;

/// How a definition has a source asked for events.
pub(super) fn asking(model: Option<SubscriptionProtocol>) -> Asking {
    match model {
        None => Asking::Socket(None),
        Some(SubscriptionProtocol::Old) => Asking::Socket(Some(Protocol::Old)),
        Some(SubscriptionProtocol::Transport) => Asking::Socket(Some(Protocol::Transport)),
        Some(SubscriptionProtocol::Events { post }) => Asking::Events { post },
    }
}

/// Asks a source for events: its answers, until it has no more.
pub(super) fn open(wires: &Wires, opening: Opening) -> Answers {
    let wires = wires.again();
    let asking = async move {
        let time = wires.time;
        let late = || Err(format!("no answer within {} s", time.as_secs()));
        let begun = tokio::time::timeout(time, begin(&wires, &opening)).await;
        let failed = |why: String| one(failure(&opening.source, &why));
        begun.unwrap_or_else(|_| late()).unwrap_or_else(failed)
    };
    stream::once(asking).flatten().boxed()
}

fn failure(source: &str, why: &str) -> Value {
    answer_of(&format!("{source} failed: {why}"))
}

async fn begin(wires: &Wires, opening: &Opening) -> Result<Answers, String> {
    let inner = Target::is_inner(&opening.call.url);
    let post = match opening.by {
        Asking::Socket(protocol) if !inner => return socket(wires, opening, protocol).await,
        // Within the gate nothing is upgraded: its APIs are asked for events by requests.
        Asking::Socket(_) => true,
        Asking::Events { post } => post,
    };
    let call = if post { opening.call.clone() } else { by_get(&opening.call)? };
    let mut fields = headers(&call);
    fields.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
    let response = if inner {
        wires.inner_response(&call, fields).await?
    } else {
        let ask = wires.outer_ask(&call, fields)?;
        let begun = fetch::begin(&wires.gate.upstream, false, &ask).await;
        begun.map_err(|error| told(&error))?
    };
    Ok(answers_in(response).await)
}

/// The same request as a query string.
fn by_get(call: &Call) -> Result<Call, String> {
    let request = serde_json::from_str(&call.body).map_err(|error| error.to_string())?;
    let request = graphql::Request::of_value(request).map_err(|error| error.to_string())?;
    let mark = if call.url.contains('?') { '&' } else { '?' };
    Ok(Call {
        method: Method::GET.to_string(),
        url: format!("{}{mark}{}", call.url, as_query(&request)),
        headers: call.headers.clone(),
        body: String::new(),
    })
}

type Socket = WebSocketStream<UpstreamStream>;

/// Opens a WebSocket, is let in, and asks.
async fn socket(wires: &Wires, opening: &Opening, protocol: Option<Protocol>) -> Result<Answers, String> {
    let (mut socket, protocol) = upgrade(wires, &opening.call, protocol).await?;
    let broken = |error: Error| error.to_string();
    within(socket.send(Frame::text(asking::hello()))).await.map_err(broken)?;
    loop {
        match hear(&mut socket, protocol).await? {
            Said::Ready => break,
            Said::Reply(text) => within(socket.send(Frame::text(text))).await.map_err(broken)?,
            Said::Refused(why) => return Err(why),
            _ => {}
        }
    }
    let question = asking::ask(protocol, &opening.call.body).map_err(|error| error.to_string())?;
    within(socket.send(Frame::text(question))).await.map_err(broken)?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let source = opening.source.clone();
    tokio::spawn(async move {
        let last = match carry(&mut socket, protocol, &sender).await {
            Ok(last) => last,
            Err(why) => Some(failure(&source, &why)),
        };
        if let Some(last) = last {
            // Where it fails the client has gone.
            sender.send(last).await.ok();
        }
        drop(sender);
        drop(tokio::time::timeout(LAST_WORDS, socket.close(None)).await);
    });
    let next = |mut receiver: mpsc::Receiver<Value>| async move {
        let answer = receiver.recv().await?;
        Some((answer, receiver))
    };
    Ok(stream::unfold(receiver, next).boxed())
}

async fn upgrade(
    wires: &Wires,
    call: &Call,
    protocol: Option<Protocol>,
) -> Result<(Socket, Protocol), String> {
    let target = Target::parse(&call.url).map_err(|why| format!("its URL {why}"))?;
    let rest = call.url.split_once("://").map(|(_, rest)| rest).unwrap_or_default();
    let mut request = format!("ws://{rest}").into_client_request().map_err(|error| error.to_string())?;
    request.headers_mut().extend(own_fields(call));
    if let Some(basic) = target.basic()
        && let Ok(mut value) = HeaderValue::try_from(basic.0)
        && !request.headers().contains_key(header::AUTHORIZATION)
    {
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let offer = protocol.map_or("graphql-transport-ws, graphql-ws", Protocol::name);
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(offer));
    let dialed = fetch::dial(&wires.gate.upstream, false, &target, wires.time).await;
    let stream = dialed.map_err(|error| told(&error))?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(FROM_UPSTREAM))
        .max_frame_size(Some(FROM_UPSTREAM))
        .write_buffer_size(0);
    let (socket, response) = client_async_with_config(request, stream, Some(config))
        .await
        .map_err(|error| format!("it opens no WebSocket: {error}"))?;
    let chosen = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
    let chosen = chosen.and_then(|name| name.to_str().ok()).and_then(Protocol::named);
    Ok((socket, chosen.or(protocol).unwrap_or(Protocol::Old)))
}

/// The fields of the call that are not of the connection.
fn own_fields(call: &Call) -> HeaderMap {
    let mut fields = headers(call);
    for name in OF_CONNECTION.iter().chain(&[header::ACCEPT, header::HOST, header::TRANSFER_ENCODING]) {
        fields.remove(name);
    }
    fields
}

/// The next message.
async fn hear(socket: &mut Socket, protocol: Protocol) -> Result<Said, String> {
    match socket.next().await {
        Some(Ok(Frame::Text(text))) => Ok(asking::read(&text, protocol)),
        Some(Ok(Frame::Close(close))) => {
            let told = close.filter(|close| !close.reason.is_empty());
            let why = told.map_or(String::new(), |close| format!(": {} {}", close.code, close.reason));
            Err(format!("it ended the connection{why}"))
        }
        None => Err("it ended the connection".to_owned()),
        Some(Ok(_)) => Ok(Said::Nothing),
        Some(Err(error)) => Err(error.to_string()),
    }
}

/// Hands on what comes until the source has no more or nobody wants it; the last answer, where there is one.
async fn carry(
    socket: &mut Socket,
    protocol: Protocol,
    sender: &mpsc::Sender<Value>,
) -> Result<Option<Value>, String> {
    let mut heard = Instant::now();
    let mut ping = tokio::time::interval_at(heard + PING, PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let broken = |error: Error| error.to_string();
    loop {
        let said = tokio::select! {
            biased;
            () = sender.closed() => {
                drop(tokio::time::timeout(LAST_WORDS, socket.send(Frame::text(asking::goodbye(protocol)))).await);
                return Ok(None);
            }
            said = hear(socket, protocol) => said?,
            _ = ping.tick() => {
                within(socket.send(Frame::Ping(Bytes::new()))).await.map_err(broken)?;
                continue;
            }
            () = tokio::time::sleep_until(heard + SILENCE) => {
                return Err("nothing was heard of it in time".to_owned());
            }
        };
        match said {
            Said::Next(answer) => {
                if sender.send(answer).await.is_err() {
                    continue;
                }
            }
            Said::Last(answer) => return Ok(Some(answer)),
            Said::End => return Ok(None),
            Said::Reply(text) => within(socket.send(Frame::text(text))).await.map_err(broken)?,
            Said::Refused(why) => return Err(why),
            Said::Ready | Said::Nothing => {}
        }
        // While others took their time it could not be heard.
        heard = Instant::now();
    }
}
