//! What the other nodes are to know, on its way to the store: a queue with a bound. Nobody waits for it, and what does not
//! arrive is counted: the others find it out for themselves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::gate::Gate;

/// What may wait.
const QUEUE: usize = 1024;
/// What is written at once.
const BATCH: usize = 64;

/// Records on their way, a batch after the other. Of two under one key the later one stays.
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
        let mut batch = Vec::new();
        loop {
            let came = tokio::select! {
                came = receiver.recv_many(&mut batch, BATCH) => came,
                () = gate.closed() => break,
            };
            if came == 0 {
                return;
            }
            self.write_all(gate, &mut batch).await;
        }
        receiver.close();
        while receiver.recv_many(&mut batch, BATCH).await > 0 {
            self.write_all(gate, &mut batch).await;
        }
    }

    /// All at once: what waits for one round trip to the store need not wait for many.
    async fn write_all(&self, gate: &Gate, batch: &mut Vec<Told>) {
        join_all(last_of_each(batch).map(|told| self.write(gate, told))).await;
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

/// Takes all, and gives of what has one key the last: they are written at the same time.
fn last_of_each(batch: &mut Vec<Told>) -> impl Iterator<Item = Told> {
    let last: BTreeMap<String, Told> = batch.drain(..).map(|told| (told.key.clone(), told)).collect();
    last.into_values()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_has_one_key_the_last_stays() {
        let told = |key: &str, value: u8| Told { key: key.into(), value: vec![value], until: Instant::now() };
        let mut batch = vec![told("a", 1), told("b", 2), told("a", 3), told("c", 4), told("a", 5)];
        let left: Vec<_> = last_of_each(&mut batch).map(|told| (told.key, told.value[0])).collect();
        assert_eq!(left, [("a".to_owned(), 5), ("b".to_owned(), 2), ("c".to_owned(), 4)]);
        assert!(batch.is_empty());
    }

    #[tokio::test]
    async fn what_finds_no_room_is_counted_and_holds_nobody() {
        let telling = Telling::default();
        for number in 0..QUEUE + 3 {
            telling.tell(&number.to_string(), b"x", Duration::MAX);
        }
        assert_eq!((telling.queued(), telling.untold()), (telling.room(), 3));
    }
}
