//! What JetStream is told of the messages that it sent: delivered, refused, or still being worked on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Subject};
use bytes::Bytes;
use parking_lot::Mutex;
use streams::{Ack, Outcome};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::input::nak;
use super::position::Position;

/// Longest pause before a refused message comes again.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A message that waits for its outcome.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    /// Where the server wants to hear of it.
    pub(super) reply: Subject,
    pub(super) sequence: u64,
    /// Which of all that its consumer sent.
    pub(super) delivery: u64,
    /// How often it was sent, this time included.
    pub(super) times: i64,
}

enum Note {
    Arrived(Pending),
    Done(Pending, bool),
    Close,
}

/// Tells the server of one connection's messages.
pub(super) struct Progress {
    // Bounded by the messages that the server sends ahead.
    notes: mpsc::UnboundedSender<Note>,
    task: JoinHandle<()>,
}

impl Progress {
    /// `ack_wait`: how long the server waits before it sends a message again. It is told in time that work goes on.
    pub(super) fn start(client: Client, ack_wait: Duration) -> Progress {
        let (notes, given) = mpsc::unbounded_channel();
        let every = (ack_wait / 3).max(Duration::from_millis(10));
        let task = tokio::spawn(tell(client, given, every));
        Progress { notes, task }
    }

    /// For a task that takes in messages. `position`: of a consumer whose messages all come here.
    pub(super) fn teller(&self, position: Option<Arc<Mutex<Position>>>) -> Teller {
        Teller { notes: self.notes.clone(), position }
    }

    /// Tells all outcomes there are. Messages without one come again at once, for whoever takes them.
    pub(super) async fn close(self) {
        let _ = self.notes.send(Note::Close);
        let _ = self.task.await;
    }
}

/// Notes what arrives.
#[derive(Clone)]
pub(super) struct Teller {
    notes: mpsc::UnboundedSender<Note>,
    position: Option<Arc<Mutex<Position>>>,
}

impl Teller {
    /// The ack of a message that arrived; from now on the server hears that it is worked on. `None`: it was delivered
    /// before.
    pub(super) fn arrived(&self, pending: Pending) -> Option<Ack> {
        let position = self.position.clone();
        if position.as_ref().is_some_and(|position| !position.lock().arrived(pending.sequence)) {
            let _ = self.notes.send(Note::Done(pending, true));
            return None;
        }
        let _ = self.notes.send(Note::Arrived(pending.clone()));
        let notes = self.notes.clone();
        Some(Ack::new(move |outcome: Outcome| {
            if let (Ok(()), Some(position)) = (&outcome, &position) {
                position.lock().delivered(pending.sequence);
            }
            let _ = notes.send(Note::Done(pending, outcome.is_ok()));
        }))
    }
}

/// How long the server waits with a message that was refused: nothing at first, then longer each time.
fn pause(times: i64) -> Option<Duration> {
    let doubled = u32::try_from(times - 1).ok().filter(|times| *times > 0)?;
    let pause = Duration::from_millis(1).saturating_mul(1 << doubled.min(10));
    Some(pause.min(LONGEST_PAUSE))
}

async fn tell(client: Client, mut notes: mpsc::UnboundedReceiver<Note>, every: Duration) {
    let mut held: BTreeMap<u64, (Subject, Instant)> = BTreeMap::new();
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What cannot be told means that the connection is gone: the server will send the message again.
    loop {
        tokio::select! {
            note = notes.recv() => match note {
                Some(Note::Arrived(pending)) => {
                    held.insert(pending.delivery, (pending.reply, Instant::now()));
                }
                Some(Note::Done(pending, delivered)) => {
                    held.remove(&pending.delivery);
                    let text =
                        if delivered { Bytes::from_static(b"+ACK") } else { nak(pause(pending.times)) };
                    let _ = client.publish(pending.reply, text).await;
                }
                Some(Note::Close) | None => break,
            },
            _ = tick.tick() => {
                for (reply, told) in held.values_mut().filter(|(_, told)| told.elapsed() >= every) {
                    *told = Instant::now();
                    let _ = client.publish(reply.clone(), Bytes::from_static(b"+WPI")).await;
                }
            }
        }
    }
    for (reply, _) in held.into_values() {
        let _ = client.publish(reply, nak(None)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_messages_come_again_slower_each_time() {
        for (times, expected) in [(0, None), (1, None), (2, Some(2)), (3, Some(4)), (50, Some(1000))] {
            assert_eq!(pause(times), expected.map(Duration::from_millis), "{times}");
        }
        assert_eq!(pause(i64::MAX), None, "no such number of times");
    }
}
