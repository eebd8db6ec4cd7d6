//! The two bodies that cross the gate: a client's request body on its way in, a response body on its way out.
//!
//! Both stream: nothing here collects a body but for who asks for the whole. One enum each instead of a boxed trait
//! object keeps the common cases free of an allocation.

mod pace;
mod request;

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::StreamBody;

use crate::backend::upstream::{UnderWay, UpstreamBody};
use crate::cache::Collected;
use crate::limits::Held;
use crate::listen::Busy;
use crate::record::Tail;

pub(crate) use self::pace::Pace;
pub(crate) use self::request::{RequestBody, Upload, is_too_large};

/// Whatever can break a body while it streams.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A boxed body of a rare kind (subscriber feeds over HTTP/2, and what others bring).
pub(crate) type BoxedBody = Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError> + Send>>;

/// A response body.
pub(crate) struct Body {
    content: Content,
    /// Told when the body has ended, well or not; carries the exchange's record.
    tail: Option<Box<Tail>>,
    /// Dropped with the body, when the HTTP engine is done with it.
    busy: Option<Busy>,
    /// Places among what is under way at once, given back with the body.
    held: Vec<Held>,
    /// It counts for its server as long as it lives.
    under_way: Option<UnderWay>,
    /// It is to be kept for others.
    collected: Option<Box<Collected>>,
}

/// Why a response's body cannot be looked at whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotWhole {
    #[error("it is larger than what may be kept of it")]
    TooLarge,
    #[error("{0}")]
    Broken(BodyError),
}

enum Content {
    Empty,
    Full(Bytes),
    Upstream(UpstreamBody),
    Boxed(BoxedBody),
    /// Begun to be looked at: these bytes, and then the rest.
    Begun(Bytes, Box<Content>),
}

impl Content {
    fn has_ended(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Upstream(body) => body.is_end_stream(),
            Self::Boxed(body) => body.is_end_stream(),
            Self::Begun(bytes, rest) => bytes.is_empty() && rest.has_ended(),
        }
    }

    fn once(frame: Result<Frame<Bytes>, BodyError>) -> Self {
        Self::Boxed(Box::pin(StreamBody::new(futures_util::stream::iter([frame]))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Upstream(body) => body.size_hint(),
            Self::Boxed(body) => body.size_hint(),
            Self::Begun(bytes, rest) => {
                let (begun, rest) = (bytes.len() as u64, rest.size_hint());
                let mut hint = SizeHint::new();
                if let Some(upper) = rest.upper() {
                    hint.set_upper(upper + begun);
                }
                hint.set_lower(rest.lower() + begun);
                hint
            }
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Upstream(body) => body.poll_frame(cx),
            Self::Boxed(body) => body.as_mut().poll_frame(cx),
            Self::Begun(bytes, rest) if bytes.is_empty() => rest.poll_frame(cx),
            Self::Begun(bytes, _) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.content {
            Content::Empty => "Empty",
            Content::Full(_) => "Full",
            Content::Upstream(_) => "Upstream",
            Content::Boxed(_) => "Boxed",
            Content::Begun(..) => "Begun",
        };
        f.debug_tuple("Body").field(&kind).finish()
    }
}

impl Body {
    /// No bytes at all.
    pub(crate) fn empty() -> Self {
        Content::Empty.into()
    }

    /// Bytes at hand.
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Content::Empty.into() } else { Content::Full(bytes).into() }
    }

    /// A body that an upstream is sending.
    pub(crate) fn upstream(body: UpstreamBody) -> Self {
        Content::Upstream(body).into()
    }

    /// A body of any other kind.
    pub(crate) fn boxed(body: BoxedBody) -> Self {
        Content::Boxed(body).into()
    }

    /// Reads the body whole, up to `limit` bytes. Trailers are lost: no body that has any is to be looked at whole.
    pub(crate) async fn whole(mut self, limit: usize) -> Result<Bytes, NotWhole> {
        if self.size_hint().lower() > limit as u64 {
            return Err(NotWhole::TooLarge);
        }
        let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await {
            let Ok(data) = frame.map_err(NotWhole::Broken)?.into_data() else { continue };
            if first.len() + rest.len() + data.len() > limit {
                return Err(NotWhole::TooLarge);
            }
            if first.is_empty() && rest.is_empty() {
                first = data;
            } else {
                rest.extend_from_slice(&std::mem::take(&mut first));
                rest.extend_from_slice(&data);
            }
        }
        Ok(if rest.is_empty() { first } else { rest.freeze() })
    }

    /// How the body begins, up to about `most` bytes; it goes on as it came. One that breaks meanwhile breaks where it did.
    pub(crate) async fn peek(&mut self, most: usize) -> Bytes {
        let mut begun = BytesMut::new();
        let mut rest = std::mem::replace(&mut self.content, Content::Empty);
        while begun.len() < most {
            match std::future::poll_fn(|cx| rest.poll_frame(cx)).await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => begun.extend_from_slice(&data),
                    Err(trailers) => {
                        rest = Content::once(Ok(trailers));
                        break;
                    }
                },
                Some(Err(error)) => {
                    rest = Content::once(Err(error));
                    break;
                }
                None => {
                    rest = Content::Empty;
                    break;
                }
            }
        }
        let begun = begun.freeze();
        self.content = match rest {
            Content::Empty if begun.is_empty() => Content::Empty,
            Content::Empty => Content::Full(begun.clone()),
            rest => Content::Begun(begun.clone(), Box::new(rest)),
        };
        begun
    }

    /// Hands over what shall be told when the body has ended.
    pub(crate) fn attach(&mut self, mut tail: Box<Tail>) {
        if self.content.has_ended() {
            tail.completed();
        }
        self.tail = Some(tail);
    }

    /// Keeps the places of the exchange for as long as the body lives.
    pub(crate) fn keep(&mut self, held: Vec<Held>) {
        self.held = held;
    }

    /// Collects it beside, to be kept for others.
    pub(crate) fn collect(&mut self, collected: Box<Collected>) {
        if self.content.has_ended() {
            collected.complete();
        } else {
            self.collected = Some(collected);
        }
    }

    /// Whether its end can be told from a connection that broke.
    pub(crate) fn tells_its_end(&self) -> bool {
        match &self.content {
            Content::Empty | Content::Full(_) | Content::Boxed(_) => true,
            Content::Upstream(body) => body.tells_its_end(),
            // One that has ended within what was looked at is `Full`.
            Content::Begun(_, rest) => match &**rest {
                Content::Upstream(body) => body.tells_its_end(),
                _ => true,
            },
        }
    }

    /// Notes what has come of a body that is collected.
    fn note(&mut self, frame: Option<&Result<Frame<Bytes>, BodyError>>) {
        let Some(mut collected) = self.collected.take() else { return };
        match frame {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) if !collected.add(data) => return,
                Some(_) => {}
                // Trailers are not kept.
                None => return collected.give_up(),
            },
            Some(Err(_)) => return,
            None => return collected.complete(),
        }
        if self.content.has_ended() {
            collected.complete();
        } else {
            self.collected = Some(collected);
        }
    }

    /// Counts for its server for as long as the body lives.
    pub(crate) fn count(&mut self, under_way: UnderWay) {
        self.under_way = Some(under_way);
    }

    /// Keeps the connection from being taken for an idle one for as long as the body lives.
    pub(crate) fn hold(&mut self, busy: Busy) {
        self.busy = Some(busy);
    }
}

impl From<Content> for Body {
    fn from(content: Content) -> Self {
        Self { content, tail: None, busy: None, held: Vec::new(), under_way: None, collected: None }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let polled = this.content.poll_frame(cx);
        if let (Some(_), Poll::Ready(frame)) = (&this.collected, &polled) {
            this.note(frame.as_ref());
        }
        if let (Some(tail), Poll::Ready(frame)) = (&mut this.tail, &polled) {
            match frame {
                Some(Ok(frame)) => tail.sent(frame.data_ref()),
                Some(Err(_)) => tail.broke(),
                None => {}
            }
            // A body of known length is not asked again after its last frame.
            if this.content.has_ended() {
                tail.completed();
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.content.has_ended()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}
/// The cause of this type behind an error that broke a body, if there is one: hyper and I/O wrap what a body says.
pub(crate) fn cause<'a, T: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An I/O error's `source` skips the error that it wraps.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body that comes in these pieces.
    fn pieces(of: &'static [&'static str]) -> Body {
        let frames = of.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))));
        Body::boxed(Box::pin(http_body_util::StreamBody::new(futures_util::stream::iter(frames))))
    }

    #[tokio::test]
    async fn a_body_is_read_whole_up_to_its_limit() {
        for (body, limit, whole) in [
            (Body::empty(), 0, Some("")),
            (Body::full("abc"), 3, Some("abc")),
            (Body::full("abcd"), 3, None),
            (pieces(&["abc"]), 3, Some("abc")),
            (pieces(&["ab", "", "c"]), 3, Some("abc")),
            (pieces(&["ab", "cd"]), 3, None),
            (pieces(&[]), 3, Some("")),
        ] {
            let read = body.whole(limit).await;
            assert_eq!(read.ok().as_deref(), whole.map(str::as_bytes));
        }
    }
}
