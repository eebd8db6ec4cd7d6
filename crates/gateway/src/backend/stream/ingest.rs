//! Producers: a request's body becomes messages, and the answer waits for their ack (streams contract 2.4).

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use streams::{Batch, Ingest, IngestError, Message, Role, SyncResponse};

use super::encoding;
use super::metadata::Metadata;
use crate::backend::Backend;
use crate::body::cause;
use crate::body::{Body, RequestBody, is_too_large};
use crate::codings;
use crate::exchange::Exchange;
use crate::http1::Breach;
use crate::respond::{self, Refusal};
use crate::snapshot::RunningApi;
use streams::multipart;

/// Largest body taken when the configuration sets no limit; it has to be held in memory.
const DEFAULT_LIMIT: usize = 32 << 20;

/// Headers that say how a message travels on its connection; an answer has its own.
const OF_THE_CONNECTION: [HeaderName; 7] = [
    CONNECTION,
    CONTENT_LENGTH,
    HeaderName::from_static("keep-alive"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Submits one request.
pub(super) async fn post(
    exchange: &mut Exchange,
    ingest: &Arc<Ingest>,
    captures: Vec<(String, String)>,
) -> Result<Response<Body>, Refusal> {
    let started = tokio::time::Instant::now();
    let body = match tokio::time::timeout(ingest.options.timeout, collect(exchange)).await {
        Ok(body) => body?,
        Err(_) => return Ok(refused(&IngestError::Timeout)),
    };
    let batch = match batch(exchange, body, captures) {
        Ok(batch) => batch,
        Err(reason) => return Ok(respond::text(StatusCode::BAD_REQUEST, format!("Bad request: {reason}"))),
    };
    if let Err(error) = ingest.admit(&batch).await {
        return Ok(refused(&error));
    }
    let left = ingest.options.timeout.saturating_sub(started.elapsed());
    let compressed = codings::takes(&exchange.head.headers, "gzip");
    let outcome = match tokio::time::timeout(left, submit(exchange, ingest, batch)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(IngestError::Timeout),
    };
    exchange.timings.answered(started);
    Ok(match outcome {
        Ok(None) => Response::new(Body::empty()),
        Ok(Some(answer)) if compressed => encoding::compressed(answered(answer)).await,
        Ok(Some(answer)) => answered(answer).map(Body::full),
        Err(error) => refused(&error),
    })
}

/// Submits a batch. What a stream that is being replaced did not take goes to its successor, so that a change turns no
/// producer away.
async fn submit(
    exchange: &Exchange,
    ingest: &Arc<Ingest>,
    batch: Batch,
) -> Result<Option<SyncResponse>, IngestError> {
    let mut ingest = Arc::clone(ingest);
    loop {
        match ingest.submit(batch.clone()).await {
            Err(IngestError::Closing) => {
                let api = exchange.gate.snapshot().apis.get(&*exchange.api.model.id).cloned();
                let path = exchange.path_in_api();
                let own = exchange.peer.own.as_deref();
                match api.and_then(|api| current(&api, path, &exchange.head.method, false, own)) {
                    Some(successor) if !Arc::ptr_eq(&successor, &ingest) => ingest = successor,
                    _ => return Err(IngestError::Closing),
                }
            }
            outcome => return outcome,
        }
    }
}

/// Where a path leads in an API as it runs now, if messages are taken there: by requests, or by WebSockets.
pub(super) fn current(
    api: &RunningApi,
    path: &str,
    method: &Method,
    socket: bool,
    own: Option<&str>,
) -> Option<Arc<Ingest>> {
    let Backend::Stream(stream) = &api.backend else { return None };
    let endpoint = stream.routes.find(path, method, socket, own).ok()?.endpoint;
    // Of a stream that requests fill in, the one that was built to see whether it can be takes nothing.
    if stream.families.iter().any(|family| **family.name() == *endpoint.stream) {
        return None;
    }
    match &endpoint.role {
        Role::Ingest(ingest) | Role::IngestSocket(ingest) => Some(Arc::clone(ingest)),
        _ => None,
    }
}

async fn collect(exchange: &mut Exchange) -> Result<Bytes, Refusal> {
    let limit = match exchange.gate.settings.max_request_body {
        0 => DEFAULT_LIMIT,
        limit => usize::try_from(limit).unwrap_or(DEFAULT_LIMIT),
    };
    let body = std::mem::replace(&mut exchange.body, RequestBody::none());
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() || is_too_large(&*error) => {
            Err(Refusal::client(StatusCode::PAYLOAD_TOO_LARGE, "BTL", "Request Entity Too Large"))
        }
        Err(error) => Err(match cause::<Breach>(&*error) {
            Some(breach) => Refusal::client(breach.status, "IHD", breach.message),
            None => Refusal::client(StatusCode::BAD_REQUEST, "BIV", "Bad request"),
        }
        .detail(error)),
    }
}

fn batch(exchange: &Exchange, body: Bytes, captures: Vec<(String, String)>) -> Result<Batch, &'static str> {
    let metadata = Metadata::of(exchange, captures);
    let content_type = exchange.head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let payloads = match content_type.and_then(multipart::boundary) {
        Some(boundary) => {
            let parts = multipart::parts(&body, &boundary)?;
            parts.into_iter().map(|part| body.slice_ref(part)).collect()
        }
        None => vec![body],
    };
    Ok(payloads
        .into_iter()
        .map(|payload| {
            let mut message = Message::new(payload);
            metadata.write(&mut message);
            message
        })
        .collect())
}

fn answered(answer: SyncResponse) -> Response<Bytes> {
    let mut response = Response::new(answer.body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in answer.headers {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            // Metadata may hold what the request said of itself and its connection.
            (Ok(name), Ok(_)) if OF_THE_CONNECTION.contains(&name) => {}
            (Ok(name), Ok(value)) => {
                response.headers_mut().insert(name, value);
            }
            _ => tracing::debug!("a header of a synchronous response cannot be sent and was left out"),
        }
    }
    response
}

/// Statuses and texts of streams contract 1.11.
fn refused(error: &IngestError) -> Response<Body> {
    match error {
        IngestError::Timeout => respond::text(StatusCode::REQUEST_TIMEOUT, "Request timed out"),
        IngestError::Closing => respond::text(StatusCode::SERVICE_UNAVAILABLE, "Server closing"),
        IngestError::Rejected(_) | IngestError::Answer(_) | IngestError::LimitAway(_) => {
            respond::text(StatusCode::BAD_GATEWAY, error.to_string())
        }
        IngestError::RateLimited { retry_after } => {
            let mut response = respond::text(StatusCode::TOO_MANY_REQUESTS, "rate limit exceeded");
            // Whole seconds, rounded up: who comes again then is let through.
            let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, seconds.max(1).into());
            response
        }
    }
}
