//! One question at a time: whoever asks what is being asked already waits for that answer. Bounded: when too much is being
//! asked, there is no answer, and the caller says so.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

type Running<V> = Mutex<HashMap<[u8; 32], watch::Receiver<Option<V>>>>;

/// Questions under way, by the digest of what is asked.
#[derive(Debug)]
pub(crate) struct Flights<V> {
    running: Arc<Running<V>>,
    most: usize,
}

impl<V: Clone + Send + Sync + 'static> Flights<V> {
    /// At most so many at once.
    pub(crate) fn new(most: usize) -> Self {
        Self { running: Arc::default(), most }
    }

    /// The answer, asked for by `ask` unless somebody does already; `None` when too much is being asked.
    pub(crate) async fn join<F>(&self, key: [u8; 32], ask: impl FnOnce() -> F) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut answer = self.start(key, ask)?;
        let answer = answer.wait_for(Option::is_some).await.ok()?;
        answer.clone()
    }

    /// Asks, unless somebody does already or too much is being asked, and waits for no answer.
    pub(crate) fn begin<F>(&self, key: [u8; 32], ask: impl FnOnce() -> F)
    where
        F: Future<Output = V> + Send + 'static,
    {
        drop(self.start(key, ask));
    }

    fn start<F>(&self, key: [u8; 32], ask: impl FnOnce() -> F) -> Option<watch::Receiver<Option<V>>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut running = self.running.lock();
        if let Some(answer) = running.get(&key) {
            return Some(answer.clone());
        }
        if running.len() >= self.most {
            return None;
        }
        let (send, answer) = watch::channel(None);
        running.insert(key, answer.clone());
        let (question, landed) = (ask(), Landed(Arc::clone(&self.running), key));
        // A task of its own: whoever asked first may go away.
        tokio::spawn(async move {
            let answer = question.await;
            drop(landed);
            send.send_replace(Some(answer));
        });
        Some(answer)
    }
}

/// Takes the question off, however it ends.
struct Landed<V>(Arc<Running<V>>, [u8; 32]);

impl<V> Drop for Landed<V> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn the_same_is_asked_once_and_not_too_much_at_once() {
        let flights: Arc<Flights<usize>> = Arc::new(Flights::new(2));
        let (asked, may_end) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let join = |key: u8| {
            let (flights, asked, may_end) = (Arc::clone(&flights), Arc::clone(&asked), Arc::clone(&may_end));
            tokio::spawn(async move {
                let question = || {
                    let number = asked.fetch_add(1, Ordering::SeqCst);
                    async move {
                        let _permit = may_end.acquire().await;
                        number
                    }
                };
                flights.join([key; 32], question).await
            })
        };
        let joined: Vec<_> = [1, 1, 1, 2].map(join).into_iter().collect();
        while asked.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(join(3).await.unwrap(), None, "two are under way");
        may_end.add_permits(1);
        let mut answers = Vec::new();
        for joined in joined {
            answers.push(joined.await.unwrap());
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert!(answers[..3].iter().all(|answer| *answer == answers[0]) && answers[3] != answers[0]);
        assert!(flights.running.lock().is_empty());
    }
}
