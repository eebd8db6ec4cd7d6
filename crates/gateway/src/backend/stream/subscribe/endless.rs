//! A subscriber over HTTP/2.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use streams::feed::StreamFormat;
use streams::{CloseReason, Subscriber};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep};

use super::{WRITE_SIZE, farewell, gather};
use crate::backend::stream::watched::Subscription;
use crate::body::BodyError;
use crate::limits::Passed;

/// An endless response body, for HTTP/2.
pub(super) struct Endless {
    subscriber: Subscriber,
    subscription: Arc<Subscription>,
    /// Sees to it that the client goes when it is sent away.
    watching: Option<AbortHandle>,
    /// What waits for its limit.
    waiting: Option<Waiting>,
    format: StreamFormat,
    heartbeat: Option<(Duration, Pin<Box<Sleep>>)>,
    handed_out: u64,
    ended: bool,
}

/// Bytes up to a message, and whether they may go.
type Waiting = (u64, Vec<u8>, Pin<Box<dyn Future<Output = Passed> + Send>>);

impl Endless {
    /// `cut` ends the connection: a client that takes nothing would keep its stream open for ever.
    pub(super) fn new(subscriber: Subscriber, subscription: Subscription, cut: Option<Arc<Notify>>) -> Self {
        let subscription = Arc::new(subscription);
        let watching = cut.map(|cut| subscription.cut_where_stuck(cut));
        let options = &subscriber.feed().options;
        let format = options.format;
        let heartbeat = options.heartbeat.filter(|_| format == StreamFormat::EventSource);
        let heartbeat = heartbeat.map(|after| (after, Box::pin(tokio::time::sleep(after))));
        Self {
            subscriber,
            subscription,
            watching,
            waiting: None,
            format,
            heartbeat,
            handed_out: 0,
            ended: false,
        }
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        if let Some(watching) = &self.watching {
            watching.abort();
        }
    }
}

/// What comes next on an endless body.
enum Next {
    Gathered(Option<(u64, Vec<u8>)>),
    Passed(Passed),
}

impl Endless {
    /// The last frame, if the format has any.
    fn end(&mut self, reason: CloseReason, wait: Duration) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.ended = true;
        Poll::Ready(match self.format {
            StreamFormat::EventSource => Some(Ok(Frame::data(farewell(reason, wait).into()))),
            StreamFormat::RawBytes => None,
        })
    }
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        // Being asked for more means that the connection had room for what was handed out before.
        if this.handed_out > 0 {
            this.subscriber.confirm(this.handed_out);
        }
        let bytes = loop {
            let next = match &mut this.waiting {
                Some((_, _, passing)) => passing.as_mut().poll(cx).map(Next::Passed),
                None => {
                    let most = if this.subscription.is_limited() { 1 } else { WRITE_SIZE };
                    gather(&mut this.subscriber, this.format, most, cx).map(Next::Gathered)
                }
            };
            match next {
                Poll::Ready(Next::Gathered(Some((up_to, bytes)))) => {
                    // A notice of missed messages is none.
                    if up_to > this.handed_out && this.subscription.is_limited() {
                        let (subscription, size) = (Arc::clone(&this.subscription), bytes.len() as u64);
                        let passing = Box::pin(async move { subscription.pass(1, size).await });
                        this.waiting = Some((up_to, bytes, passing));
                        continue;
                    }
                    this.handed_out = this.handed_out.max(up_to);
                    break bytes;
                }
                Poll::Ready(Next::Passed(passed)) => {
                    let Some((up_to, bytes, _)) = this.waiting.take() else { continue };
                    match passed {
                        Passed::Yes => {
                            this.handed_out = up_to;
                            break bytes;
                        }
                        Passed::Dropped => {
                            this.handed_out = up_to;
                            this.subscriber.confirm(up_to);
                        }
                        Passed::Limited(wait) => return this.end(CloseReason::Limited, wait),
                        Passed::Closed => return this.end(this.subscriber.close_reason(), Duration::ZERO),
                    }
                }
                Poll::Ready(Next::Gathered(None)) => {
                    return this.end(this.subscriber.close_reason(), Duration::ZERO);
                }
                Poll::Pending => {
                    let Some((after, sleep)) = &mut this.heartbeat else { return Poll::Pending };
                    std::task::ready!(sleep.as_mut().poll(cx));
                    sleep.as_mut().reset(Instant::now() + *after);
                    cx.waker().wake_by_ref();
                    break b": heartbeat\n\n".to_vec();
                }
            }
        };
        if let Some((after, sleep)) = &mut this.heartbeat {
            sleep.as_mut().reset(Instant::now() + *after);
        }
        Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
    }
}
