//! How slowly a request's body may come. A client that sends its body a byte at a time, or stops half way, holds a connection
//! here and one to the upstream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::HeaderMap;
use tokio::time::{Instant, Sleep};

use crate::exchange::is_grpc;

/// Bytes a second that a body has to come with. The slowest of lines are faster.
const LEAST: u64 = 200;

/// Looks at a body twice in each limit, while it is waited for: two looks in turn that found too little end it.
#[derive(Debug)]
pub(crate) struct Pace {
    between: Duration,
    /// Bytes that have to come between two looks.
    least: u64,
    /// Bytes that came since the last look.
    came: u64,
    /// The last look found too little.
    slow: bool,
    /// Set when the body has to be waited for, so that most requests need none.
    next: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    /// A body that has to keep coming.
    pub(crate) fn steady(limit: Duration) -> Self {
        let between = limit / 2;
        let least = (between.as_secs_f64() * LEAST as f64) as u64;
        Self { between, least: least.max(1), came: 0, slow: false, next: None }
    }

    /// Messages of gRPC may be small and far between: each is a sign of life. Any other body has to keep coming.
    pub(crate) fn of(headers: &HeaderMap, limit: Duration) -> Self {
        let steady = Self::steady(limit);
        if is_grpc(headers) { Self { least: 1, ..steady } } else { steady }
    }

    /// Told of all that comes.
    pub(super) fn came(&mut self, bytes: usize) {
        self.came += bytes as u64;
    }

    /// Asked while nothing is there: ready when it has come too slowly for too long.
    pub(super) fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let next = self.next.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.between)));
            ready!(next.as_mut().poll(cx));
            let slow = self.came < self.least;
            if slow && self.slow {
                return Poll::Ready(());
            }
            (self.slow, self.came) = (slow, 0);
            next.as_mut().reset(Instant::now() + self.between);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Bytes that come each second, and after how many seconds the body is given up.
    async fn lasts(mut pace: Pace, bytes: usize) -> u64 {
        let begun = Instant::now();
        loop {
            let second = tokio::time::sleep(Duration::from_secs(1));
            tokio::select! {
                () = poll_fn(|cx| pace.poll_stalled(cx)) => return begun.elapsed().as_secs(),
                () = second => pace.came(bytes),
            }
            if begun.elapsed().as_secs() >= 1000 {
                return u64::MAX;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_stop_or_trickle_are_given_up_and_slow_ones_are_not() {
        let limit = Duration::from_secs(120);
        let mut grpc = HeaderMap::new();
        grpc.insert("content-type", http::HeaderValue::from_static("application/grpc+proto"));
        for (pace, bytes, expected) in [
            (Pace::steady(limit), 0, 120),
            (Pace::steady(limit), 1, 120),
            (Pace::steady(limit), LEAST as usize / 2, 120),
            (Pace::steady(limit), LEAST as usize + 10, u64::MAX),
            (Pace::of(&HeaderMap::new(), limit), 1, 120),
            (Pace::of(&grpc, limit), 0, 120),
            (Pace::of(&grpc, limit), 1, u64::MAX),
        ] {
            let what = format!("{pace:?}, {bytes} bytes a second");
            assert_eq!(lasts(pace, bytes).await, expected, "{what}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_waited_for_is_not_held_against_it() {
        // An upstream that takes nothing for long is no fault of the client's.
        let mut pace = Pace::steady(Duration::from_secs(2));
        assert!(!is_stalled(&mut pace).await);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(!is_stalled(&mut pace).await, "one look is not enough");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(is_stalled(&mut pace).await);
    }

    async fn is_stalled(pace: &mut Pace) -> bool {
        poll_fn(|cx| Poll::Ready(pace.poll_stalled(cx).is_ready())).await
    }
}
