//! WebSockets through to an upstream: after the upstream has agreed, bytes are copied both ways untouched.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::time::Instant;

use super::connect::UpstreamStream;
use super::destination::{Answered, Destination, Tried, UnderWay};
use super::identity::Identity;
use super::way::Way;
use super::{Connection, Failure, Limit, Outbound, Upstream, head, refuse, within};
use crate::backend::graph::{Watch, bridge};
use crate::body::Body;
use crate::exchange::{Carried, Exchange};
use crate::http1::{AnswerHead, last_head};
use crate::listen::Takeover;
use crate::respond::Refusal;
use crate::traces;

/// Whether the client asks for a WebSocket. `Connection` is a list of tokens: `keep-alive, Upgrade` counts. Any other
/// protocol is not offered, which a server may do (RFC 9110 section 7.8): in HTTP/2 in clear, all paths of the upstream
/// would be open behind one request that was admitted.
pub(crate) fn wanted(exchange: &Exchange) -> bool {
    let upgrade = exchange.head.headers.get(header::UPGRADE);
    upgrade.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && exchange.body.is_none()
        && upgrades(&exchange.head.headers)
}

fn upgrades(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}

/// What an upstream says to an upgrade.
enum Answer {
    Agreed(AnswerHead, Box<Connection>, Option<UnderWay>),
    Declined(Response<Body>),
}

impl Answer {
    fn new(
        destination: &Destination,
        mut head: AnswerHead,
        mut connection: Box<Connection>,
        under_way: Option<UnderWay>,
    ) -> Self {
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Self::Agreed(head, connection, under_way);
        }
        head::strip_hop_by_hop(&mut head.headers);
        if destination.forward.is_some() {
            // It leads through the proxy, where the others of its pool end at the proxy.
            connection.use_once();
        }
        let mut response = super::response(head, connection, &destination.pool);
        if let Some(under_way) = under_way {
            response.body_mut().count(under_way);
        }
        Self::Declined(response)
    }
}

impl Answered for Answer {
    fn status(&self) -> StatusCode {
        match self {
            Self::Agreed(head, ..) => head.status,
            Self::Declined(response) => response.status(),
        }
    }
}

/// Asks the upstream for the upgrade. When it agrees, the client's connection is taken over and joined to it.
pub(super) async fn open(upstream: &Upstream, exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
    if !exchange.gate.upstream.websockets {
        return Err(Refusal::client(StatusCode::FORBIDDEN, "UPG", "websockets are not allowed"));
    }
    let Some(takeover) = exchange.peer.takeover.clone() else {
        return Err(Refusal::client(
            StatusCode::BAD_REQUEST,
            "UPG",
            "connections can only be upgraded over HTTP/1.1",
        ));
    };
    let (limit, leave) = upstream.admit(exchange)?;
    let asked = Instant::now();
    let answer = ask(upstream, exchange, limit, asked).await.map_err(refuse);
    exchange.timings.answered(asked);
    // What the connection carries later says nothing about the upstream.
    super::tell(leave, answer.as_ref().map(Answered::status));
    match answer? {
        Answer::Declined(response) => Ok(response),
        Answer::Agreed(head, connection, under_way) => {
            join(&takeover, exchange, head, *connection, under_way).await
        }
    }
}

async fn ask(
    upstream: &Upstream,
    exchange: &mut Exchange,
    limit: Limit,
    asked: Instant,
) -> Result<Answer, Failure> {
    let elsewhere = upstream.elsewhere.of(exchange).map_err(Failure::refused)?;
    let discovered = match &elsewhere {
        Some(_) => None,
        None => upstream.discovered(&exchange.gate, limit.deadline(asked)).await?,
    };
    let destinations = discovered.as_deref().unwrap_or(&upstream.destinations);
    let identity = upstream.identity_for(exchange);
    let (key, mut tried) = (destinations.key(exchange), Tried::default());
    let reach = async {
        match &elsewhere {
            Some(other) => Ok((other, other.pool.dial_for_upgrade().await?)),
            None => destinations.reach(key, &mut tried, |pool| pool.dial_for_upgrade()).await,
        }
    };
    let (destination, stream) = within(limit.deadline(asked), reach).await?;
    let under_way = destinations.count(destination);
    let mut request = upstream.request(destination, exchange).map_err(Failure::refused)?;
    request.headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    request.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let way = Way::new(destination, limit, asked, true);
    let answer = handshake(identity, &way, &mut request, stream, exchange).await;
    let answer = answer.map(|(head, connection)| Answer::new(destination, head, connection, under_way));
    traces::answered(exchange, answer.as_ref().map(Answered::status));
    destinations.tell(destination, &answer);
    answer
}

async fn handshake(
    identity: Option<&Identity>,
    way: &Way<'_>,
    request: &mut Outbound,
    stream: UpstreamStream,
    exchange: &Exchange,
) -> Result<(AnswerHead, Box<Connection>), Failure> {
    let Some(identity) = identity else { return way.send_upgrade(request, stream).await };
    let used = way.identify(identity, request, exchange).await?;
    let answer = way.send_upgrade(request, stream).await?;
    let Some(used) = used.filter(|_| answer.0.status == StatusCode::UNAUTHORIZED) else { return Ok(answer) };
    if !used.forget(&exchange.gate) || used.fresh {
        return Ok(answer);
    }
    // As with any other request, one with a token that was kept is sent once more with a new one.
    drop(answer);
    way.identify(identity, request, exchange).await?;
    way.send_upgrade(request, way.dial_for_upgrade().await?).await
}

/// Copies bytes both ways until either side ends.
async fn join(
    takeover: &Takeover,
    exchange: &mut Exchange,
    mut answer: AnswerHead,
    connection: Connection,
    under_way: Option<UnderWay>,
) -> Result<Response<Body>, Refusal> {
    let (mut far, early) = connection.into_stream();
    let watch = exchange.watch.take().map(Arc::from);
    let watch: Option<Arc<Watch>> = watch;
    if let Some(watch) = &watch {
        let protocol = HeaderValue::from_static(watch.protocol());
        answer.headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        answer.headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
    }
    let answer_head = last_head(answer.status, &answer.headers);
    let never = exchange
        .take_over(takeover, answer.status, move |mut near, sent_early| async move {
            let _under_way = under_way;
            if let Some(watch) = watch {
                let begun = async {
                    near.write_all(&answer_head).await?;
                    near.flush().await
                };
                return match begun.await {
                    Ok(()) => bridge(near, sent_early, far, early, watch).await,
                    Err(error) => {
                        tracing::debug!(%error, "a websocket ended before it began");
                        Carried::default()
                    }
                };
            }
            let joined = async {
                near.write_all(&answer_head).await?;
                near.write_all(&early).await?;
                near.flush().await?;
                far.write_all(&sent_early).await?;
                copy_bidirectional(&mut near, &mut far).await
            };
            match joined.await {
                Ok((_, bytes)) => Carried { bytes, messages: 0 },
                Err(error) => {
                    tracing::debug!(%error, "an upgraded connection broke");
                    Carried::default()
                }
            }
        })
        .await;
    match never {}
}
