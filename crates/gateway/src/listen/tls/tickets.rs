//! Tickets, with which clients resume without state here. Their keys live in memory alone and are replaced every few
//! hours: whoever comes to know one can read no more than what was resumed with it.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{GetRandomFailed, aws_lc_rs};
use rustls::server::ProducesTickets;
use rustls::ticketer::TicketRotator;

use super::TlsError;

/// How long a key gives tickets. It takes them for as long again.
pub(super) const EVERY: Duration = Duration::from_secs(6 * 3600);

/// Gives tickets, each key for so long.
pub(super) fn ticketer(every: Duration) -> Result<Arc<dyn ProducesTickets>, TlsError> {
    let seconds = u32::try_from(every.as_secs()).unwrap_or(u32::MAX);
    match TicketRotator::new(seconds, key) {
        Ok(rotator) => Ok(Arc::new(rotator)),
        Err(error) => Err(TlsError::new(format!("cannot set up tls: {error}"))),
    }
}

fn key() -> Result<Box<dyn ProducesTickets>, GetRandomFailed> {
    match aws_lc_rs::Ticketer::new() {
        Ok(key) => Ok(Box::new(Key(key))),
        Err(_) => Err(GetRandomFailed),
    }
}

/// One key. (It would replace itself, too, but does not live long enough.)
#[derive(Debug)]
struct Key(Arc<dyn ProducesTickets>);

impl ProducesTickets for Key {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(cipher)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// The wall clock decides, so it is waited for: some three seconds.
    #[tokio::test]
    async fn keys_are_replaced_and_old_tickets_end() {
        let tickets = ticketer(Duration::from_secs(1)).unwrap();
        assert!(tickets.enabled());
        let first = tickets.encrypt(b"session").unwrap();
        assert_eq!(tickets.decrypt(&first).as_deref(), Some(&b"session"[..]));
        // The first bytes of a ticket name its key.
        let name = |ticket: &[u8]| ticket[..16].to_vec();
        let start = Instant::now();
        let (mut names, mut outlived) = (vec![name(&first)], false);
        while tickets.decrypt(&first).is_some() {
            let now = name(&tickets.encrypt(b"session").unwrap());
            if !names.contains(&now) {
                names.push(now);
                // A ticket outlives its key's turn by one.
                outlived |= tickets.decrypt(&first).is_some();
            }
            assert!(start.elapsed() < Duration::from_secs(20), "keys are not replaced");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(names.len() >= 2 && outlived, "{} keys, outlived: {outlived}", names.len());
    }
}
