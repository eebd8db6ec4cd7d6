//! Events that are sent by a response: it ends when its client may not go on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use streams::CloseReason;
use tokio::task::AbortHandle;

use crate::backend::stream;
use crate::body::{Body, BodyError};
use crate::chain::is_event_stream;
use crate::exchange::Exchange;

/// The answer of a backend; one that sends events ends when the key of its client is revoked, expires, or loses its right.
pub(crate) fn watched_over(exchange: &mut Exchange, response: Response<Body>) -> Response<Body> {
    let Some(subscription) = exchange.subscription.take() else { return response };
    let subscription = Arc::new(*subscription);
    let watching = exchange.peer.cut.clone().map(|cut| subscription.cut_where_stuck(cut));
    let (head, body) = response.into_parts();
    let headers = &head.headers;
    // A comment between events; within what is packed it would be none.
    let farewell = is_event_stream(headers) && !headers.contains_key(header::CONTENT_ENCODING);
    let whole = headers.contains_key(header::CONTENT_LENGTH);
    let closed = Box::pin(async move { subscription.closed().await });
    let events = Events { body: Some(body), closed, farewell, between: true, whole, watching };
    Response::from_parts(head, Body::boxed(Box::pin(events)))
}

struct Events {
    /// `None` once it has ended.
    body: Option<Body>,
    closed: Pin<Box<dyn Future<Output = ()> + Send>>,
    farewell: bool,
    /// What has been sent ends where an event does: more words would end one that is sent in part.
    between: bool,
    /// Its length was announced: cut short it is no whole answer.
    whole: bool,
    watching: Option<AbortHandle>,
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(watching) = &self.watching {
            watching.abort();
        }
    }
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if this.closed.as_mut().poll(cx).is_pending() {
            let polled = Pin::new(body).poll_frame(cx);
            if let Poll::Ready(Some(Ok(frame))) = &polled
                && let Some(data) = frame.data_ref()
            {
                this.between = data.ends_with(b"\n\n") || data.ends_with(b"\r\n\r\n");
            }
            return polled;
        }
        this.body = None;
        let last = if this.whole {
            Some(Err(stream::explain(CloseReason::Revoked).into()))
        } else {
            let farewell = || stream::farewell(CloseReason::Revoked, Duration::ZERO);
            (this.farewell && this.between).then(|| Ok(Frame::data(farewell().into())))
        };
        Poll::Ready(last)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), |body| body.size_hint())
    }
}
