//! The body of an upstream's answer, which drives the connection that it comes from and parks it when it has ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::Connection;
use super::pool::Pool;
use crate::body::BodyError;
use crate::http1::{Decoder, Piece};

/// What an upstream sends back.
pub(crate) enum UpstreamBody {
    /// Over a connection of its own.
    Exclusive(Lent),
    /// Over a connection that others share, and which drives itself.
    Multiplexed(Incoming),
}

/// A connection lent to the body that comes over it.
pub(crate) struct Lent {
    decoder: Decoder,
    /// Gone once the body has ended.
    connection: Option<Box<Connection>>,
    pool: Arc<Pool>,
}

impl UpstreamBody {
    /// A body over a connection of `pool`. Where there is nothing to read (HEAD, 204, 304) the connection goes back at
    /// once, since nobody may ever ask for the body.
    pub(super) fn lent(decoder: Decoder, connection: Box<Connection>, pool: &Arc<Pool>) -> Self {
        let mut lent = Lent { decoder, connection: Some(connection), pool: Arc::clone(pool) };
        lent.give_back_if_ended();
        Self::Exclusive(lent)
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Exclusive(lent) => lent.poll_frame(cx),
            Self::Multiplexed(incoming) => match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
                // hyper takes a stream that is reset without an error for one that has ended: half an answer is no answer.
                None if !incoming.is_end_stream() => {
                    Poll::Ready(Some(Err(h2::Error::from(h2::Reason::CANCEL).into())))
                }
                frame => Poll::Ready(frame.map(|frame| frame.map_err(Into::into))),
            },
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Exclusive(lent) => lent.connection.is_none(),
            Self::Multiplexed(incoming) => incoming.is_end_stream(),
        }
    }

    /// Whether its end can be told from a connection that broke.
    pub(crate) fn tells_its_end(&self) -> bool {
        match self {
            Self::Exclusive(lent) => !matches!(lent.decoder, Decoder::UntilClose),
            Self::Multiplexed(_) => true,
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Exclusive(lent) => lent.decoder.left().map_or_else(SizeHint::default, SizeHint::with_exact),
            Self::Multiplexed(incoming) => incoming.size_hint(),
        }
    }
}

impl Lent {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        let frame = match ready!(connection.poll_body(&mut self.decoder, cx)) {
            Ok(Piece::Data(data)) => Some(Ok(Frame::data(data))),
            Ok(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(Piece::End) => None,
            Err(error) => {
                self.connection = None;
                return Poll::Ready(Some(Err(error)));
            }
        };
        self.give_back_if_ended();
        Poll::Ready(frame)
    }

    /// Returns the connection if it can serve again; a request body still on its way keeps it busy, and it is closed.
    fn give_back_if_ended(&mut self) {
        if self.decoder.has_ended()
            && let Some(connection) = self.connection.take()
            && connection.is_free()
        {
            self.pool.park(connection);
        }
    }
}
