//! How much is under way at once: requests that are being answered, subscribers that are connected. Counted on this node.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use http::StatusCode;
use parking_lot::Mutex;

use crate::exchange::Exchange;
use crate::respond::Refusal;

/// Parts that are locked apart.
const PARTS: usize = 32;

/// Everything that is counted, by name. What is not under way takes no memory.
#[derive(Debug, Default)]
pub(crate) struct AtOnce {
    hasher: RandomState,
    parts: [Mutex<HashMap<Box<str>, u32>>; PARTS],
}

/// One that is under way; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    of: Arc<AtOnce>,
    name: Box<str>,
}

impl AtOnce {
    fn part(&self, name: &str) -> &Mutex<HashMap<Box<str>, u32>> {
        &self.parts[(self.hasher.hash_one(name) % PARTS as u64) as usize]
    }

    /// How many there are of a name.
    pub(crate) fn count(&self, name: &str) -> u32 {
        self.part(name).lock().get(name).copied().unwrap_or_default()
    }

    /// Lets one more in, unless there are `most` already.
    pub(crate) fn enter(self: &Arc<Self>, name: Box<str>, most: u32) -> Option<Held> {
        let mut part = self.part(&name).lock();
        match part.get_mut(&name) {
            Some(count) if *count >= most => return None,
            Some(count) => *count += 1,
            None if most == 0 => return None,
            None => drop(part.insert(name.clone(), 1)),
        }
        drop(part);
        Some(Held { of: Arc::clone(self), name })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut part = self.of.part(&self.name).lock();
        if let Some(count) = part.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                part.remove(&self.name);
            }
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Requests,
    Subscribers,
}

/// Takes the places of an exchange: of its API, of its address, of its key by the API's and by its own limit.
pub(crate) fn enter(exchange: &Exchange, kind: Kind) -> Result<Vec<Held>, Refusal> {
    let limits = &exchange.api.model.limits.at_once;
    let (letter, of_api, of_key, of_ip) = match kind {
        Kind::Requests => ('r', limits.requests, limits.requests_per_key, limits.requests_per_ip),
        Kind::Subscribers => ('s', limits.subscribers, limits.subscribers_per_key, limits.subscribers_per_ip),
    };
    let own = exchange.grant.as_ref().map_or(0, |grant| match kind {
        Kind::Requests => grant.at_once.requests,
        Kind::Subscribers => grant.at_once.subscribers,
    });
    if [of_api, of_key, of_ip, own] == [0; 4] {
        return Ok(Vec::new());
    }
    let api = &*exchange.api.model.id;
    let mut held = Vec::with_capacity(4);
    let mut take = |name: Option<String>, most: u32| match name {
        Some(name) if most > 0 => {
            let one = exchange.gate.at_once.enter(name.into_boxed_str(), most).ok_or_else(|| full(kind))?;
            held.push(one);
            Ok(())
        }
        _ => Ok(()),
    };
    take(Some(format!("{letter}a:{api}")), of_api)?;
    let address = if of_ip > 0 { exchange.client_address() } else { None };
    take(address.map(|address| format!("{letter}i:{api}:{address}")), of_ip)?;
    let key = exchange.caller.as_ref().map(|caller| &caller.name);
    take(key.map(|key| format!("{letter}k:{api}:{key}")), of_key)?;
    take(exchange.grant.as_ref().map(|grant| format!("{letter}g:{}", grant.quota.name)), own)?;
    Ok(held)
}

fn full(kind: Kind) -> Refusal {
    let text = match kind {
        Kind::Requests => "Too many requests at once",
        Kind::Subscribers => "Too many subscribers at once",
    };
    Refusal::client(StatusCode::TOO_MANY_REQUESTS, "RLT", text).retry_after(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_given_back_and_forgotten() {
        let all = Arc::new(AtOnce::default());
        let enter = |name: &str, most| all.enter(name.into(), most);
        let (first, second) = (enter("a", 2), enter("a", 2));
        assert!(first.is_some() && second.is_some() && enter("a", 2).is_none());
        assert!(enter("b", 1).is_some(), "names are apart");
        assert_eq!((all.count("a"), all.count("c")), (2, 0));
        drop(first);
        let third = enter("a", 2);
        assert!(third.is_some() && enter("a", 2).is_none() && enter("a", 0).is_none());
        drop((second, third));
        assert!(all.parts.iter().all(|part| part.lock().is_empty()));
    }
}
