//! Cuts answers down to what their caller may use (contract 4.5): lists of tools, resources and prompts, and what a server
//! tells that it can. All others go through as they come.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{Response, StatusCode};
use http_body::{Body as HttpBody, Frame};
use mcp::Events;

use crate::body::{Body, BodyError};
use crate::chain::{has_an_end, is_event_stream, replace, whole};
use crate::exchange::Exchange;
use crate::respond::Refusal;

/// Cuts the answer to what a request asks, where it may hold more than its caller may know of.
pub(crate) async fn cut(
    exchange: &mut Exchange,
    mut response: Response<Body>,
) -> Result<Response<Body>, Refusal> {
    let Some(asked) = exchange.mcp.as_ref().filter(|asked| asked.tells() && !asked.sight.is_whole()) else {
        return Ok(response);
    };
    let events = is_event_stream(response.headers());
    // Whoever listens is told of it in events, if at all.
    if !events && (asked.call.is_none() || !has_an_end(&exchange.head.method, &response)) {
        return Ok(response);
    }
    let packed = response.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
    if packed {
        return Err(unusable(
            "the server packs what it was asked to tell plainly, so that it cannot be cut down",
        ));
    }
    let sight = asked.sight.clone();
    if events {
        let events = Events::new(sight, exchange.gate.settings.most_kept_of_answers());
        response.headers_mut().remove(CONTENT_LENGTH);
        let body = std::mem::replace(response.body_mut(), Body::empty());
        *response.body_mut() = Body::boxed(Box::pin(CutEvents { body, events, ended: false }));
        return Ok(response);
    }
    let bytes = whole(exchange, &mut response).await?;
    // Lenient clients pass over a mark at the begin, and over what is no UTF-8.
    let text = String::from_utf8_lossy(&bytes);
    match sight.cut(text.trim_start_matches('\u{feff}')) {
        Ok(Some(cut)) => replace(&mut response, cut.into()),
        Ok(None) => {}
        Err(unreadable) if response.status().is_success() && !bytes.is_empty() => {
            return Err(unusable(&unreadable.to_string()));
        }
        // Failures may be told in any words.
        Err(_) => {}
    }
    Ok(response)
}

/// What cannot be cut down is not passed on.
fn unusable(why: &str) -> Refusal {
    Refusal::backend(StatusCode::BAD_GATEWAY, "UPE", "There was a problem proxying the request").detail(why)
}

/// A stream of events that is cut down on its way.
struct CutEvents {
    body: Body,
    events: Events,
    ended: bool,
}

impl HttpBody for CutEvents {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        while !self.ended {
            let data = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.events.push(&data),
                    // Trailers come last, and events have none.
                    Err(_) => continue,
                },
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.ended = true;
                    Ok(self.events.end())
                }
            };
            match data {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data.into())))),
                Err(long) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(long.into())));
                }
            }
        }
        Poll::Ready(None)
    }
}
