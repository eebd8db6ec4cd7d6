//! How often clients may guess. Who brings a wrong secret, password, code or token too often in a minute has to wait, by the
//! address that asks and by the client that is asked for. What succeeds counts nothing, so that nobody notices who is not guessing.
//!
//! Each node counts by itself, in fixed minutes: at most twice the limit in any minute, and what is under way when the
//! limit is reached. A client that somebody else guesses for stays usable from addresses that have succeeded of late.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use quick_cache::sync::Cache;

use crate::exchange::Exchange;
use crate::respond::Refusal;

/// How many addresses and clients are counted at once; the least used ones are forgotten.
const KEPT: usize = 100_000;
/// How many addresses are known to have succeeded.
const GOOD: usize = 10_000;
const MINUTE: Duration = Duration::from_secs(60);
/// How long an address that has succeeded is believed.
const BELIEVED: Duration = Duration::from_secs(3600);

/// What was guessed wrongly.
#[derive(Debug)]
pub(super) struct Guesses {
    /// By a keyed hash of whom they are of.
    wrong: Cache<u64, Arc<Wrong>>,
    good: Cache<u64, Instant>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Wrong {
    since: Instant,
    count: AtomicU32,
}

/// Who asks: the other end of the connection, and the client's address as the contract finds it. Both, so that a header alone
/// charges nobody else.
pub(super) type Asker = (IpAddr, Option<IpAddr>);

/// Whom wrong guesses are counted for.
#[derive(Debug, Clone, Copy)]
enum Whose<'a> {
    Address(Asker),
    /// By API and id.
    Client(&'a str, &'a str),
}

impl Default for Guesses {
    fn default() -> Self {
        Self { wrong: Cache::new(KEPT), good: Cache::new(GOOD), hasher: RandomState::new() }
    }
}

/// Who makes a request.
pub(super) fn asker(exchange: &Exchange) -> Asker {
    (network(exchange.peer.address), exchange.client_address().map(network))
}

/// Who has one address of version 6 has as many as they like, of one network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

impl Guesses {
    /// Refuses an address that has guessed too often.
    pub(super) fn may(&self, asker: Asker, most: u32, now: Instant) -> Result<(), Refusal> {
        self.check(Whose::Address(asker), most, now)
    }

    /// Refuses whoever asks for a client that has been guessed for too often, unless they have succeeded of late.
    pub(super) fn may_ask_for(
        &self,
        (api, client): (&str, &str),
        asker: Asker,
        most: u32,
        now: Instant,
    ) -> Result<(), Refusal> {
        let succeeded = || {
            let known = self.good.get(&self.hasher.hash_one((api, client, asker)));
            known.is_some_and(|at| now.saturating_duration_since(at) < BELIEVED)
        };
        match self.check(Whose::Client(api, client), most, now) {
            Err(refusal) if !succeeded() => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Somebody at an address has guessed wrongly.
    pub(super) fn wrong(&self, asker: Asker, now: Instant) {
        self.count(Whose::Address(asker), now);
    }

    /// Somebody has guessed wrongly for a client.
    pub(super) fn wrong_for(&self, (api, client): (&str, &str), now: Instant) {
        self.count(Whose::Client(api, client), now);
    }

    /// Somebody has got what they asked for.
    pub(super) fn right(&self, (api, client): (&str, &str), asker: Asker, now: Instant) {
        self.good.insert(self.hasher.hash_one((api, client, asker)), now);
    }

    fn key(&self, whose: Whose<'_>) -> u64 {
        match whose {
            Whose::Address(asker) => self.hasher.hash_one((0_u8, asker)),
            Whose::Client(api, client) => self.hasher.hash_one((1_u8, api, client)),
        }
    }

    fn check(&self, whose: Whose<'_>, most: u32, now: Instant) -> Result<(), Refusal> {
        let Some(wrong) = self.wrong.get(&self.key(whose)).filter(|_| most > 0) else { return Ok(()) };
        let gone = now.saturating_duration_since(wrong.since);
        if gone >= MINUTE || wrong.count.load(Ordering::Relaxed) < most {
            return Ok(());
        }
        let left = u32::try_from((MINUTE - gone).as_secs() + 1).unwrap_or(60);
        let by = match whose {
            Whose::Address(_) => "too many wrong guesses from this address",
            Whose::Client(..) => "too many wrong guesses for this client",
        };
        Err(Refusal::client(StatusCode::TOO_MANY_REQUESTS, "RLT", "Too many failed requests")
            .retry_after(left)
            .detail(by))
    }

    fn count(&self, whose: Whose<'_>, now: Instant) {
        let key = self.key(whose);
        let known = self.wrong.get(&key).filter(|known| now.saturating_duration_since(known.since) < MINUTE);
        match known {
            Some(known) => {
                known.count.fetch_add(1, Ordering::Relaxed);
            }
            None => self.wrong.insert(key, Arc::new(Wrong { since: now, count: AtomicU32::new(1) })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(text: &str) -> Asker {
        let address: IpAddr = text.parse().unwrap();
        (network(address), Some(network(address)))
    }

    #[test]
    fn who_guesses_has_to_wait_and_nobody_else() {
        let (guesses, start) = (Guesses::default(), Instant::now());
        let (one, other) = (asker("192.0.2.1"), asker("192.0.2.2"));
        for _ in 0..3 {
            guesses.may(one, 3, start).unwrap();
            guesses.wrong(one, start);
        }
        let refusal = guesses.may(one, 3, start + Duration::from_secs(50)).unwrap_err();
        assert_eq!((refusal.status.as_u16(), refusal.retry_after), (429, Some(11)));
        guesses.may(other, 3, start).unwrap();
        // A header names somebody else: neither is taken for the other.
        guesses.may((one.0, other.1), 3, start).unwrap();
        guesses.may(one, 0, start).unwrap();
        guesses.may(one, 3, start + MINUTE).unwrap();
        guesses.wrong(one, start + MINUTE);
        guesses.may(one, 3, start + MINUTE).unwrap();
    }

    #[test]
    fn a_client_that_is_guessed_for_stays_usable_where_it_was_used() {
        let (guesses, start) = (Guesses::default(), Instant::now());
        let (owner, thief, new) = (asker("192.0.2.1"), asker("192.0.2.2"), asker("192.0.2.3"));
        let client = ("api", "client");
        guesses.right(client, owner, start);
        for _ in 0..2 {
            guesses.may_ask_for(client, thief, 2, start).unwrap();
            guesses.wrong_for(client, start);
        }
        for stranger in [thief, new] {
            guesses.may_ask_for(client, stranger, 2, start).unwrap_err();
        }
        guesses.may_ask_for(client, owner, 2, start).unwrap();
        guesses.may_ask_for(("api", "clien"), thief, 2, start).unwrap();
        guesses.may_ask_for(("apic", "lient"), thief, 2, start).unwrap();
        guesses.may_ask_for(client, thief, 2, start + MINUTE).unwrap();
        let later = start + BELIEVED;
        for _ in 0..2 {
            guesses.wrong_for(client, later);
        }
        guesses.may_ask_for(client, owner, 2, later).unwrap_err();
    }

    #[test]
    fn a_network_of_version_6_is_one_address() {
        assert_eq!(asker("2001:db8::1"), asker("2001:db8::ffff:1"));
        assert_ne!(asker("2001:db8::1"), asker("2001:db8:0:1::1"));
        assert_eq!(asker("::ffff:192.0.2.1"), asker("192.0.2.1"));
        assert_ne!(asker("192.0.2.1"), asker("192.0.2.2"));
    }
}
