//! A response body that drives the connection it comes from, and parks it when the body has ended.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::Connection;
use super::pool::Pool;
use crate::body::BodyError;

/// What an upstream sends back.
pub(crate) struct UpstreamBody {
    incoming: Incoming,
    /// Present while an HTTP/1 connection is lent to this body.
    lent: Option<Lent>,
}

struct Lent {
    connection: Box<Connection>,
    pool: Arc<Pool>,
}

impl UpstreamBody {
    /// A body over a multiplexed connection, which drives itself.
    pub(super) fn multiplexed(incoming: Incoming) -> Self {
        Self { incoming, lent: None }
    }

    /// A body over a connection of `pool`. Where there is nothing to read (HEAD, 204, 304) the connection goes back at
    /// once, since nobody may ever ask for the body.
    pub(super) async fn lent(incoming: Incoming, connection: Box<Connection>, pool: Arc<Pool>) -> Self {
        let mut body = Self { incoming, lent: Some(Lent { connection, pool }) };
        if body.incoming.is_end_stream() {
            poll_fn(|cx| {
                body.give_back(cx);
                Poll::Ready(())
            })
            .await;
        }
        body
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if polled.is_pending()
            && let Some(lent) = &mut self.lent
        {
            lent.connection.drive(cx);
            polled = Pin::new(&mut self.incoming).poll_frame(cx);
        }
        match &polled {
            Poll::Ready(None) => self.give_back(cx),
            Poll::Ready(Some(Ok(_))) if self.incoming.is_end_stream() => self.give_back(cx),
            _ => {}
        }
        polled.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    /// Returns the connection if it can serve again; a request body still on its way keeps it busy, and it is closed.
    fn give_back(&mut self, cx: &mut Context<'_>) {
        if let Some(Lent { mut connection, pool }) = self.lent.take()
            && connection.drive(cx)
            && connection.is_ready()
        {
            pool.park(connection);
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        // While a connection is lent the end has to be polled for, else it would never be parked.
        self.lent.is_none() && self.incoming.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
