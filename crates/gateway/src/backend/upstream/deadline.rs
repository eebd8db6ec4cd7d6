//! Deadlines of gRPC calls ("Timeout" of gRPC over HTTP/2). A call that its server does not end in time is ended here: the
//! client is told so in trailers, or at once where nothing has come yet, and the server hears that nobody waits any more.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::timeout::{read, written};
use crate::body::{Body, BodyError};
use crate::exchange::{Exchange, is_grpc};
use crate::respond::Refusal;

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const MESSAGE: &str = "Deadline Exceeded";
/// `DEADLINE_EXCEEDED`.
const EXCEEDED: u16 = 4;
/// What the client still sends is cut a moment after the call, so that the call's own end is what counts.
const MOMENT: Duration = Duration::from_millis(10);

/// Until when the call has to be over, where the request is one of gRPC and says so; no timeout can be read otherwise than
/// as the specification has it, since nobody would know what the client meant.
pub(super) fn of(exchange: &Exchange) -> Result<Option<Instant>, Refusal> {
    // The rarer thing first: all requests are asked for it.
    let timeout = exchange.head.headers.get(TIMEOUT);
    let Some(timeout) = timeout.filter(|_| exchange.streams()) else { return Ok(None) };
    let time = read(timeout.as_bytes()).ok_or_else(|| {
        Refusal::client(StatusCode::BAD_REQUEST, "IHD", "malformed grpc-timeout").detail(format_args!(
            "`{}` is not at most 8 digits and one of H, M, S, m, u, n",
            timeout.as_bytes().escape_ascii()
        ))
    })?;
    // Beyond what clocks can tell is for ever.
    Ok(exchange.timings.started.checked_add(time))
}

/// Tells the server what is left of the time of a call, where it has one.
pub(super) fn pass_on(exchange: &Exchange, headers: &mut HeaderMap) {
    let timeout = headers.get(TIMEOUT).filter(|_| is_grpc(headers));
    let Some(time) = timeout.and_then(|timeout| read(timeout.as_bytes())) else { return };
    let left = time.saturating_sub(exchange.timings.started.elapsed());
    if let Ok(value) = HeaderValue::try_from(written(left)) {
        headers.insert(TIMEOUT, value);
    }
}

/// The time when the rest of a request is not sent on any more.
pub(super) fn of_upload(deadline: Instant) -> Instant {
    deadline + MOMENT
}

/// Carries out a call within its time: its answer has ended by then, one way or another.
pub(super) async fn within(
    deadline: Instant,
    call: impl Future<Output = Result<Response<Body>, Refusal>>,
) -> Result<Response<Body>, Refusal> {
    if Instant::now() >= deadline {
        return Err(late());
    }
    match tokio::time::timeout_at(deadline, call).await {
        Ok(Ok(response)) if response.body().is_end_stream() => Ok(response),
        Ok(Ok(response)) => Ok(bounded(response, deadline)),
        // However it failed in its last moment, this is why.
        Ok(Err(_)) if Instant::now() >= deadline => Err(late()),
        Ok(Err(refusal)) => Err(refusal),
        Err(_) => Err(late()),
    }
}

fn late() -> Refusal {
    Refusal::backend(StatusCode::GATEWAY_TIMEOUT, "URT", MESSAGE)
        .grpc(EXCEEDED)
        .detail("the call was not over within its `grpc-timeout`")
}

fn bounded(response: Response<Body>, deadline: Instant) -> Response<Body> {
    let kind =
        response.headers().get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes).to_ascii_lowercase();
    let ending = if kind.starts_with(b"application/grpc-web-text") {
        Ending::InText
    } else if kind.starts_with(b"application/grpc-web") {
        Ending::InBody
    } else {
        Ending::Trailers
    };
    let timer = Box::pin(tokio::time::sleep_until(deadline));
    response.map(|body| Body::boxed(Box::pin(Bounded { body: Some(body), timer, deadline, ending })))
}

/// How a client is told the status behind the body.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Trailers,
    /// Browsers see no trailers: they come as the last frame of the body (gRPC-Web), …
    InBody,
    /// … or as that in Base64.
    InText,
}

impl Ending {
    fn frame(self) -> Frame<Bytes> {
        let fields = format!("grpc-status: {EXCEEDED}\r\ngrpc-message: {MESSAGE}\r\n");
        let in_body = || {
            let length = u32::try_from(fields.len()).unwrap_or_default().to_be_bytes();
            [&[0x80], &length[..], fields.as_bytes()].concat()
        };
        match self {
            Self::Trailers => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", EXCEEDED.into());
                trailers.insert("grpc-message", HeaderValue::from_static(MESSAGE));
                Frame::trailers(trailers)
            }
            Self::InBody => Frame::data(in_body().into()),
            Self::InText => Frame::data(STANDARD.encode(in_body()).into()),
        }
    }
}

/// What the server says, until the time is over.
struct Bounded {
    /// Gone once it has ended: dropping it tells the server.
    body: Option<Body>,
    timer: Pin<Box<Sleep>>,
    deadline: Instant,
    ending: Ending,
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        match Pin::new(body).poll_frame(cx) {
            Poll::Ready(Some(Err(_))) if Instant::now() >= this.deadline => {}
            Poll::Ready(Some(Ok(frame))) if Instant::now() < this.deadline || frame.is_trailers() => {
                return Poll::Ready(Some(Ok(frame)));
            }
            // A server that never stops talking is late, too.
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(other) => return Poll::Ready(other),
            Poll::Pending => std::task::ready!(this.timer.as_mut().poll(cx)),
        }
        this.body = None;
        Poll::Ready(Some(Ok(this.ending.frame())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_find_the_status_in_the_body() {
        let frame = Ending::InBody.frame().into_data().unwrap();
        assert_eq!(&frame[..5], [0x80, 0, 0, 0, 49]);
        assert_eq!(frame.len(), 54);
        let text = Ending::InText.frame().into_data().unwrap();
        assert_eq!(STANDARD.decode(text).unwrap(), frame);
    }
}
