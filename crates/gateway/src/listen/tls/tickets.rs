//! Tickets by which clients resume their sessions (RFC 5077; RFC 8446 section 4.6.1): sealed with keys that are replaced, so
//! that who learns one can read what was sealed in two periods, and no more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ProducesTickets;

/// How long a key seals. It opens for as long again.
pub(super) const PERIOD: Duration = Duration::from_secs(6 * 3600);

type Key = Arc<dyn ProducesTickets>;

/// The keys of one way of asking clients.
#[derive(Debug)]
pub(super) struct Tickets {
    period: Duration,
    keys: RwLock<Keys>,
}

#[derive(Debug)]
struct Keys {
    /// `None`: none could be made, so that clients get no tickets.
    current: Option<Key>,
    previous: Option<Key>,
    began: Instant,
}

impl Tickets {
    /// # Errors
    /// There is no randomness.
    pub(super) fn new(period: Duration, now: Instant) -> Result<Self, rustls::Error> {
        let keys = Keys { current: Some(Ticketer::new()?), previous: None, began: now };
        Ok(Self { period, keys: RwLock::new(keys) })
    }

    pub(super) fn seal(&self, plain: &[u8], now: Instant) -> Option<Vec<u8>> {
        let (current, _) = self.keys(now);
        current?.encrypt(plain)
    }

    pub(super) fn open(&self, sealed: &[u8], now: Instant) -> Option<Vec<u8>> {
        let (current, previous) = self.keys(now);
        let open = |key: Option<Key>| key?.decrypt(sealed);
        open(current).or_else(|| open(previous))
    }

    /// Those of now: this period's, and that of the one before.
    fn keys(&self, now: Instant) -> (Option<Key>, Option<Key>) {
        let keys = self.keys.read();
        if now.saturating_duration_since(keys.began) < self.period && keys.current.is_some() {
            return (keys.current.clone(), keys.previous.clone());
        }
        drop(keys);
        let mut keys = self.keys.write();
        let elapsed = now.saturating_duration_since(keys.began);
        if elapsed >= self.period * 2 {
            *keys = Keys { current: None, previous: None, began: now };
        } else if elapsed >= self.period {
            *keys = Keys { previous: keys.current.take(), current: None, began: keys.began + self.period };
        }
        if keys.current.is_none() {
            keys.current = Ticketer::new()
                .inspect_err(|error| tracing::error!(%error, "no key for session tickets can be made"))
                .ok();
        }
        (keys.current.clone(), keys.previous.clone())
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.period.as_secs() * 2).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, Instant::now())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher, Instant::now())
    }
}
