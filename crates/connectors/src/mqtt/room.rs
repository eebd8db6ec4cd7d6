//! Room for messages of quality of service 0, which the broker sends whether or not the stream takes them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// Most messages that wait for the stream.
const UNCONFIRMED: usize = 1024;
/// The log hears of messages that were dropped no more often than this.
const TOLD: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Room {
    free: Arc<Semaphore>,
    /// How long the connection may stand still for one message. Only a connection that moves on sends pings and
    /// acknowledgements.
    patience: Duration,
    /// There was no room within that time, and has been none since.
    full: bool,
    dropped: u64,
    told: Option<Instant>,
}

impl Room {
    /// `keepalive` of the connection, in seconds; zero: there is none.
    pub(super) fn new(keepalive: u16) -> Room {
        Room::of(UNCONFIRMED, keepalive)
    }

    fn of(messages: usize, keepalive: u16) -> Room {
        let keepalive = if keepalive == 0 { u16::MAX } else { keepalive };
        Room {
            free: Arc::new(Semaphore::new(messages)),
            // The client library takes up to some dozens of messages between two pings.
            patience: (Duration::from_secs(keepalive.into()) / 64).min(Duration::from_secs(1)),
            full: false,
            dropped: 0,
            told: None,
        }
    }

    /// A place for a message, held until the stream has taken it. `None`: the message is dropped.
    pub(super) async fn place(&mut self) -> Option<OwnedSemaphorePermit> {
        let place = match self.free.clone().try_acquire_owned() {
            Ok(place) => Some(place),
            // The stream stands still: messages behind the first do not wait for it, too.
            Err(_) if self.full => None,
            Err(_) => match timeout(self.patience, self.free.clone().acquire_owned()).await {
                Ok(place) => place.ok(),
                Err(_) => None,
            },
        };
        self.full = place.is_none();
        self.dropped += u64::from(self.full);
        place
    }

    /// How many messages were dropped since this last gave a number; none more often than once a second.
    pub(super) fn dropped(&mut self) -> Option<u64> {
        if self.dropped == 0 || self.told.is_some_and(|told| told.elapsed() < TOLD) {
            return None;
        }
        self.told = Some(Instant::now());
        Some(std::mem::take(&mut self.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_room_waits_a_little_and_then_drops() {
        let mut room = Room::of(2, 10);
        let (one, two) = (room.place().await, room.place().await);
        assert!(one.is_some() && two.is_some());
        assert_eq!(room.dropped(), None);
        // One that becomes free in time is used.
        let (place, ()) = tokio::join!(room.place(), async { drop(one) });
        assert!(place.is_some());
        let begun = Instant::now();
        for _ in 0..100 {
            assert!(room.place().await.is_none());
        }
        // Far from the keep-alive: only the first of them waited.
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(room.dropped(), Some(100));
        assert!(room.place().await.is_none());
        assert_eq!(room.dropped(), None, "told a moment ago");
        drop(two);
        assert!(room.place().await.is_some());
    }
}
