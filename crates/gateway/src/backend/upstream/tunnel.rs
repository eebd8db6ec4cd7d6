//! WebSockets through to an upstream: after the upstream has agreed, bytes are copied both ways untouched.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::time::Instant;

use super::patience::Patience;
use super::{Connection, Reached, Upstream, head, refuse};
use crate::body::Body;
use crate::exchange::{Carried, Exchange};
use crate::http1::last_head;
use crate::respond::Refusal;

/// Whether the client asks for a WebSocket. `Connection` is a list of tokens: `keep-alive, Upgrade` counts. Any other
/// protocol is not offered, which a server may do (RFC 9110 section 7.8): in HTTP/2 in clear, all paths of the upstream
/// would be open behind one request that was admitted.
pub(super) fn wanted(exchange: &Exchange) -> bool {
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
    let (destination, stream) = match upstream.destinations.reach(true).await {
        Ok((destination, Reached::Upgrade(stream))) => (destination, stream),
        Ok((destination, Reached::Line(_))) => {
            let stream = destination.pool.dial_for_upgrade().await.map_err(|error| refuse(&error.into()))?;
            (destination, stream)
        }
        Err(error) => return Err(refuse(&error.into())),
    };
    let mut request = upstream.request(destination, exchange)?;
    if let Some(identity) = &upstream.identity {
        identity.add(&exchange.gate, &mut request).await?;
    }
    request.headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    request.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));

    let mut connection = Box::new(Connection::new(stream));
    let limit = upstream.limit;
    let mut patience = Patience::new(Instant::now(), limit.time, limit.enforced, &request.body);
    let mut answer = connection
        .send(&request.method, request.path.as_str(), &request.headers, &mut request.body, &mut patience)
        .await
        .map_err(|failure| refuse(&failure.into()))?;
    if answer.status != StatusCode::SWITCHING_PROTOCOLS {
        head::strip_hop_by_hop(&mut answer.headers);
        if destination.forward.is_some() {
            // It leads through the proxy, where the others of its pool end at the proxy.
            connection.use_once();
        }
        return Ok(super::response(answer, connection, &destination.pool));
    }
    let (mut far, early) = connection.into_stream();
    let answer_head = last_head(answer.status, &answer.headers);
    let never = exchange
        .take_over(&takeover, answer.status, move |mut near, sent_early| async move {
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
