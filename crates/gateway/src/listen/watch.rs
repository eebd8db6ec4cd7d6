//! How long a client may be waited for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Ends connections on which nothing moves for too long: idle ones, heads that trickle in, answers that the client does
/// not take. It looks twice in each limit, so that a request costs no look at the clock and no timer: a connection
/// lives for one and a half limits at most.
#[derive(Debug)]
pub(super) struct Watch {
    between: Duration,
    timer: Pin<Box<Sleep>>,
    set: bool,
    /// Since when nothing moves, as far as is known.
    quiet: Option<Instant>,
}

/// What a look comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing has moved since the last look, or before the first.
    Quiet,
    /// And that for too long.
    TooLong,
}

impl Watch {
    /// For limits of which `shortest` is the shortest.
    pub(super) fn new(shortest: Duration) -> Self {
        let between = shortest / 2;
        Self { between, timer: Box::pin(tokio::time::sleep(between)), set: false, quiet: None }
    }

    /// Something moved.
    pub(super) fn moved(&mut self) {
        self.quiet = None;
    }

    /// Ready when it is time to look; to be asked again then.
    pub(super) fn poll(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<Look> {
        // A timer that is set wakes the task by itself.
        if self.set && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        self.set = true;
        if self.timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let now = Instant::now();
        self.timer.as_mut().reset(now + self.between);
        self.set = false;
        let since = *self.quiet.get_or_insert(now);
        Poll::Ready(if now - since >= limit { Look::TooLong } else { Look::Quiet })
    }
}
