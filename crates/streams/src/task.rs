//! Tasks that end with whoever started them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::metrics::Probe;
use crate::panics::guarded;

/// A task that is stopped when its handle is dropped, so that nothing goes on behind a stream that has ended.
#[derive(Debug)]
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(crate) fn spawn(work: impl Future<Output = T> + Send + 'static) -> Task<T> {
        Task(tokio::spawn(work))
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Components that run below another one, stopped when this is dropped. One that breaks down is told and counted.
#[derive(Debug, Default)]
pub(crate) struct Tasks(JoinSet<()>);

impl Tasks {
    /// Runs the component with these counters.
    pub(crate) fn spawn(&mut self, probe: Arc<Probe>, work: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(async move {
            if guarded(&probe, "running", work).await.is_err() {
                probe.lost();
            }
        });
    }

    /// Waits until all have ended.
    pub(crate) async fn finish(&mut self) {
        while self.0.join_next().await.is_some() {}
    }
}
