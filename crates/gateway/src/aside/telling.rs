//! What the other nodes are to know, on its way to the store: a queue with a bound. Nobody waits for it, and what does not
//! arrive is counted: the others find it out for themselves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::gate::Gate;

/// What may wait.
const QUEUE: usize = 1024;

/// Records on their way. One after the other, so that of two under one key the later one stays.
#[derive(Debug)]
pub(crate) struct Telling {
    waiting: mpsc::Sender<Told>,
    receiver: Mutex<Option<mpsc::Receiver<Told>>>,
    untold: AtomicU64,
}

#[derive(Debug)]
struct Told {
    key: String,
    value: Vec<u8>,
    /// It is of no use afterwards.
    until: Instant,
}

impl Default for Telling {
    fn default() -> Self {
        let (waiting, receiver) = mpsc::channel(QUEUE);
        Self { waiting, receiver: Mutex::new(Some(receiver)), untold: AtomicU64::new(0) }
    }
}

impl Telling {
    /// Lets the others know a record, for so long.
    pub(crate) fn tell(&self, key: &str, value: &[u8], keep: Duration) {
        match self.waiting.try_reserve() {
            Ok(place) => {
                // What lives longer than clocks go lives as long as they do.
                let until = Instant::now() + keep.min(Duration::from_secs(u64::from(u32::MAX)));
                place.send(Told { key: key.to_owned(), value: value.to_vec(), until });
            }
            Err(_) => self.miss("too much waits to be told already"),
        }
    }

    /// Writes what waits until the gate closes, and then what is left.
    pub(super) async fn run(&self, gate: &Gate) {
        let Some(mut receiver) = self.receiver.lock().take() else { return };
        loop {
            let next = tokio::select! {
                next = receiver.recv() => next,
                () = gate.closed() => break,
            };
            let Some(next) = next else { return };
            self.write(gate, next).await;
        }
        receiver.close();
        while let Ok(next) = receiver.try_recv() {
            self.write(gate, next).await;
        }
    }

    async fn write(&self, gate: &Gate, told: Told) {
        let left = told.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return self.miss("it was over before the store took it");
        }
        if let Err(away) = gate.state.put_record(&told.key, &told.value, Some(left)).await {
            self.miss(&away.to_string());
        }
    }

    fn miss(&self, why: &str) {
        self.untold.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(why, "other nodes are not told what an issuer has said");
    }

    /// What the others were not told.
    pub(crate) fn untold(&self) -> u64 {
        self.untold.load(Ordering::Relaxed)
    }

    /// What waits.
    pub(crate) fn queued(&self) -> u64 {
        (QUEUE - self.waiting.capacity()) as u64
    }

    /// Room for it.
    pub(crate) fn room(&self) -> u64 {
        QUEUE as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_finds_no_room_is_counted_and_holds_nobody() {
        let telling = Telling::default();
        for number in 0..QUEUE + 3 {
            telling.tell(&number.to_string(), b"x", Duration::MAX);
        }
        assert_eq!((telling.queued(), telling.untold()), (telling.room(), 3));
    }
}
