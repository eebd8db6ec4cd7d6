//! Work that keeps its thread for long, on a runtime's thread.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs something that takes long while the other tasks of this thread go on elsewhere; none where there is no other thread.
pub(crate) fn in_place<T>(run: impl FnOnce() -> T) -> Option<T> {
    Handle::try_current().ok().filter(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)?;
    Some(tokio::task::block_in_place(run))
}

/// Waits on this thread until something is done, or the time is over: then none. The time ends also where the runtime's own clock
/// stands still, because all its threads wait.
pub(crate) fn park_until_done<F: Future>(mut asked: Pin<&mut F>, limit: Duration) -> Option<F::Output> {
    let waker = Waker::from(Arc::new(Parked(thread::current())));
    let end = Instant::now() + limit;
    loop {
        if let Poll::Ready(answer) = asked.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(answer);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
