//! A client's request body on its way to a backend.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::{BodyError, Pace, cause};
use crate::detail::Copied;
use crate::http1::Breach;
use crate::listen::ClientBody;

/// A request body on its way to a backend.
#[derive(Debug)]
pub(crate) struct RequestBody {
    source: Source,
    /// Bytes that may still come before the body is too large.
    allowance: u64,
    /// How it goes; shared with whoever waits for the answer.
    upload: Option<Arc<Upload>>,
    /// How slowly it may come, where a client sends it.
    pace: Option<Pace>,
    /// Who gets a copy of what goes out.
    copied: Option<Arc<Copied>>,
    /// When the rest of it is not wanted any more.
    ends: Option<Pin<Box<Sleep>>>,
}

/// How a body's way to the upstream goes, for whoever waits for the answer.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    frames: AtomicU64,
    waits: AtomicBool,
    answered: AtomicBool,
}

impl Upload {
    /// Frames that went out so far.
    pub(crate) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Whether it is the client that the next one is waited for from.
    pub(crate) fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// The answer has begun: from now on both sides talk, and what is still sent may take any time.
    pub(crate) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug)]
enum Source {
    None,
    Http1(ClientBody),
    Http2(Incoming),
    /// Read already; its trailers, if it had any, behind it.
    Kept(Bytes, Option<HeaderMap>),
    /// Begun to be read and not read to its end: nobody may take the rest for the whole.
    Lost,
}

/// The body was to be looked at, and broke or was too large.
#[derive(Debug, thiserror::Error)]
#[error("the request body could not be read whole before, and is not sent on in part")]
struct BodyLost;

/// The client sent more bytes than `max_request_body_size` allows.
#[derive(Debug, thiserror::Error)]
#[error("request body is larger than the configured limit")]
struct BodyTooLarge;

/// The client sends its body too slowly.
const STALLED: Breach = Breach::late("the request body comes too slowly");

impl RequestBody {
    /// The body of a request over HTTP/1, cut off with [`BodyTooLarge`] past `limit` bytes (0 = no limit), and where it
    /// comes more slowly than `pace` allows.
    pub(crate) fn http1(body: Option<ClientBody>, limit: u64, pace: impl FnOnce() -> Pace) -> Self {
        body.map_or_else(Self::none, |body| Self::from_client(Source::Http1(body), limit, pace()))
    }

    /// The body of a request over HTTP/2, with the same limits.
    pub(crate) fn http2(body: Incoming, limit: u64, pace: impl FnOnce() -> Pace) -> Self {
        if body.is_end_stream() {
            return Self::none();
        }
        Self::from_client(Source::Http2(body), limit, pace())
    }

    /// Whether the head of an HTTP/2 stream announces nothing and does not end it, so that more may come. What would show
    /// that in any other body, an end that is missing, shows in this one to nobody: without a byte it is complete.
    pub(crate) fn is_unended_nothing(&self) -> bool {
        matches!(&self.source, Source::Http2(body) if body.size_hint().exact() == Some(0))
    }

    fn from_client(source: Source, limit: u64, pace: Pace) -> Self {
        let allowance = if limit == 0 { u64::MAX } else { limit };
        Self { allowance, pace: Some(pace), ..Self::new(source) }
    }

    fn new(source: Source) -> Self {
        let upload = Some(Arc::default());
        Self { source, allowance: u64::MAX, upload, pace: None, copied: None, ends: None }
    }

    /// No body.
    pub(crate) fn none() -> Self {
        Self { source: Source::None, allowance: u64::MAX, upload: None, pace: None, copied: None, ends: None }
    }

    /// Cuts what has not come by then; of a stream of HTTP/2 the other side is told that it is cancelled.
    pub(crate) fn end_at(&mut self, time: Instant) {
        if matches!(self.source, Source::Http1(_) | Source::Http2(_)) {
            self.ends = Some(Box::pin(tokio::time::sleep_until(time)));
        }
    }

    /// Copies what goes out from now on.
    pub(crate) fn copy_to(&mut self, copied: &Arc<Copied>) {
        self.copied = Some(Arc::clone(copied));
    }

    /// Reads the body whole and keeps it, so that it can be looked at and still goes on unchanged. The bytes are shared,
    /// not copied. [`BodyTooLarge`] past `limit` bytes; what broke it otherwise. A body that is given up halfway, this
    /// call being dropped included, is lost: whoever reads it then gets an error, never a part or nothing.
    pub(crate) async fn keep(&mut self, limit: usize) -> Result<Bytes, BodyError> {
        match &self.source {
            Source::None => return Ok(Bytes::new()),
            Source::Kept(bytes, _) => return Ok(bytes.clone()),
            Source::Lost => return Err(BodyLost.into()),
            Source::Http1(_) | Source::Http2(_) => {}
        }
        if self.size_hint().lower() > limit as u64 {
            return Err(BodyTooLarge.into());
        }
        let lost = Self {
            source: Source::Lost,
            allowance: u64::MAX,
            upload: self.upload.clone(),
            pace: None,
            copied: None,
            ends: None,
        };
        let mut whole = std::mem::replace(self, lost);
        let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
        let mut trailers = None;
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut whole).poll_frame(cx)).await {
            match frame?.into_data() {
                Ok(data) if first.len() + rest.len() + data.len() > limit => return Err(BodyTooLarge.into()),
                // Most bodies that are looked at come in one piece, which is then not copied.
                Ok(data) if first.is_empty() && rest.is_empty() => first = data,
                Ok(data) => {
                    rest.extend_from_slice(&std::mem::take(&mut first));
                    rest.extend_from_slice(&data);
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        let bytes = if rest.is_empty() { first } else { rest.freeze() };
        let nothing = bytes.is_empty() && trailers.is_none();
        *self = if nothing { Self::none() } else { Self::new(Source::Kept(bytes.clone(), trailers)) };
        Ok(bytes)
    }

    /// Bytes at hand, of a request that no client sent.
    pub(crate) fn full(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::none() } else { Self::new(Source::Kept(bytes, None)) }
    }

    /// The same body once more, where it is at hand.
    pub(crate) fn again(&self) -> Option<Self> {
        match &self.source {
            Source::None => Some(Self::none()),
            Source::Kept(bytes, trailers) => Some(Self::new(Source::Kept(bytes.clone(), trailers.clone()))),
            Source::Http1(_) | Source::Http2(_) | Source::Lost => None,
        }
    }

    /// How it goes from now on; `None` without a body.
    pub(crate) fn upload(&self) -> Option<Arc<Upload>> {
        self.upload.clone()
    }

    /// Nothing is there: whether it has come too slowly for too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(upload) = &self.upload {
            upload.waits.store(true, Ordering::Relaxed);
            if upload.answered.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
        }
        match &mut self.pace {
            Some(pace) => pace.poll_stalled(cx).map(|()| Some(Err(STALLED.into()))),
            None => Poll::Pending,
        }
    }

    /// Whether there is nothing to send, so that a request may be sent again.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self.source, Source::None)
    }
}

/// Whoever is sent such a body over HTTP/2 is told the same.
fn cancelled() -> BodyError {
    h2::Error::from(h2::Reason::CANCEL).into()
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(ends) = &mut self.ends
            && ends.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err(cancelled())));
        }
        let polled = match &mut self.source {
            Source::None => Poll::Ready(None),
            Source::Http1(body) => body.poll_frame(cx),
            Source::Http2(body) => Pin::new(&mut *body).poll_frame(cx).map(|frame| match frame {
                // hyper takes a stream that is reset without an error for one that has ended; what is behind the gate must
                // not take a part of a body for the whole.
                None if !body.is_end_stream() => Some(Err(cancelled())),
                frame => frame.map(|frame| frame.map_err(Into::into)),
            }),
            Source::Kept(bytes, _) if !bytes.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
            Source::Kept(_, trailers) => {
                Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Source::Lost => Poll::Ready(Some(Err(BodyLost.into()))),
        };
        let Poll::Ready(polled) = polled else { return self.poll_stalled(cx) };
        if let Some(upload) = &self.upload {
            upload.waits.store(false, Ordering::Relaxed);
            upload.frames.fetch_add(u64::from(matches!(polled, Some(Ok(_)))), Ordering::Relaxed);
        }
        if let Some(Ok(frame)) = &polled {
            if let (Some(copied), Some(data)) = (&self.copied, frame.data_ref()) {
                copied.add(data);
            }
            let length = frame.data_ref().map_or(0, Bytes::len);
            if let Some(pace) = &mut self.pace {
                pace.came(length);
            }
            match self.allowance.checked_sub(length as u64) {
                Some(rest) => self.allowance = rest,
                None => return Poll::Ready(Some(Err(BodyTooLarge.into()))),
            }
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::None => true,
            Source::Http1(body) => body.is_end_stream(),
            Source::Http2(body) => body.is_end_stream(),
            Source::Kept(bytes, trailers) => bytes.is_empty() && trailers.is_none(),
            Source::Lost => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::None => SizeHint::with_exact(0),
            Source::Http1(body) => body.size_hint(),
            Source::Http2(body) => body.size_hint(),
            // A known length leaves no room for trailers over HTTP/1.
            Source::Kept(_, Some(_)) | Source::Lost => SizeHint::default(),
            Source::Kept(bytes, None) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

/// Whether a body is not taken for its size: as a whole, or by a guard that was to look at it.
pub(crate) fn is_too_large(error: &(dyn std::error::Error + 'static)) -> bool {
    cause::<BodyTooLarge>(error).is_some() || cause::<BodyLost>(error).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_body_is_kept_once_and_read_often() {
        let mut body = RequestBody::full(Bytes::from_static(b"abc"));
        for _ in 0..2 {
            assert_eq!(body.keep(3).await.unwrap(), "abc");
        }
        assert_eq!(body.size_hint().exact(), Some(3));
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "abc");
    }
}
