//! What only one stream at a time can have: the name under which a broker knows a client, a file, a port.
//!
//! A stream that replaces another one would throw it out of its place, be kept out of it, or get a second time what the
//! other has under way. So it waits until those that leave and claim the same are over. Streams that stay are not waited
//! for: two of them with the same claim are how somebody wrote it, and neither would ever begin.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

/// What the running streams of one gate claim.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    held: Arc<Mutex<Vec<Held>>>,
}

/// What one running stream claims.
#[derive(Debug)]
struct Held {
    claims: Vec<String>,
    leaving: Arc<AtomicBool>,
    ended: watch::Receiver<bool>,
}

impl Held {
    fn is_over(&self) -> bool {
        *self.ended.borrow() || self.ended.has_changed().is_err()
    }
}

/// The ends of streams that have to be over before another one begins.
#[derive(Debug, Default)]
pub(crate) struct Before(Vec<watch::Receiver<bool>>);

impl Claims {
    /// A stream begins: until it has ended these claims are its own. `leaving` tells that it is being replaced.
    pub(crate) fn enter(
        &self,
        claims: Vec<String>,
        leaving: Arc<AtomicBool>,
        ended: watch::Receiver<bool>,
    ) -> Before {
        if claims.is_empty() {
            return Before::default();
        }
        let mut held = self.held.lock();
        held.retain(|held| !held.is_over());
        let before = held
            .iter()
            .filter(|held| held.leaving.load(Ordering::Acquire))
            .filter(|held| held.claims.iter().any(|claim| claims.contains(claim)))
            .map(|held| held.ended.clone())
            .collect();
        held.push(Held { claims, leaving, ended });
        Before(before)
    }
}

impl Before {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until all of them are over.
    pub(crate) async fn over(self) {
        for mut ended in self.0 {
            // Whoever would say so being gone is the end, too.
            let _ = ended.wait_for(|ended| *ended).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stream {
        leaving: Arc<AtomicBool>,
        ended: watch::Sender<bool>,
        before: Before,
    }

    fn begin(all: &Claims, claims: &[&str]) -> Stream {
        let (ended, told) = watch::channel(false);
        let leaving = Arc::new(AtomicBool::new(false));
        let claims = claims.iter().map(|&claim| claim.to_owned()).collect();
        let before = all.enter(claims, leaving.clone(), told);
        Stream { leaving, ended, before }
    }

    #[test]
    fn only_streams_that_leave_and_claim_the_same_are_waited_for() {
        let all = Claims::default();
        let stays = begin(&all, &["a", "b"]);
        assert!(begin(&all, &["b"]).before.is_empty());
        stays.leaving.store(true, Ordering::Release);
        assert!(!begin(&all, &["c", "b"]).before.is_empty());
        assert!(begin(&all, &["c"]).before.is_empty());
        assert!(begin(&all, &[]).before.is_empty());
    }

    #[tokio::test]
    async fn the_wait_is_over_when_all_that_leave_have_ended() {
        let all = Claims::default();
        let streams = [begin(&all, &["a"]), begin(&all, &["a"])];
        streams.iter().for_each(|stream| stream.leaving.store(true, Ordering::Release));
        let next = begin(&all, &["a"]);
        let mut over = std::pin::pin!(next.before.over());
        streams[0].ended.send_replace(true);
        tokio::select! {
            biased;
            () = &mut over => panic!("the second one runs still"),
            () = std::future::ready(()) => {}
        }
        drop(streams);
        over.await;
        assert!(begin(&all, &["a"]).before.is_empty(), "what is over is not waited for");
    }
}
