//! How much is under way at once: requests that are being answered, subscribers that are connected. Counted on this node.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;
use parking_lot::Mutex;

use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::respond::Refusal;

/// Parts that are locked apart.
const PARTS: usize = 32;

/// What is counted together: two hashes under secrets of this process, so wide that no two names are the same.
type Name = (u64, u64);

/// Everything that is counted, by name. What is not under way takes no memory.
#[derive(Debug, Default)]
pub(crate) struct AtOnce {
    hashers: (RandomState, RandomState),
    parts: [Mutex<HashMap<Name, u32>>; PARTS],
}

/// One that is under way; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    of: Arc<AtOnce>,
    name: Name,
}

impl AtOnce {
    fn part(&self, name: Name) -> &Mutex<HashMap<Name, u32>> {
        &self.parts[(name.0 % PARTS as u64) as usize]
    }

    fn name(&self, of: impl Hash) -> Name {
        (self.hashers.0.hash_one(&of), self.hashers.1.hash_one(&of))
    }

    /// How many there are of a name.
    pub(crate) fn count(&self, name: impl Hash) -> u32 {
        let name = self.name(name);
        self.part(name).lock().get(&name).copied().unwrap_or_default()
    }

    /// Lets one more of this name in, unless there are `most` already.
    pub(crate) fn enter(self: &Arc<Self>, name: impl Hash, most: u32) -> Option<Held> {
        let name = self.name(name);
        let mut part = self.part(name).lock();
        match part.get_mut(&name) {
            Some(count) if *count >= most => return None,
            Some(count) => *count += 1,
            None if most == 0 => return None,
            None => drop(part.insert(name, 1)),
        }
        drop(part);
        Some(Held { of: Arc::clone(self), name })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut part = self.of.part(self.name).lock();
        if let Some(count) = part.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                part.remove(&self.name);
            }
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Requests,
    Subscribers,
}

/// Over whom.
#[derive(Hash)]
enum Of<'a> {
    Api(&'a str),
    Address(&'a str, IpAddr),
    KeyAt(&'a str, &'a str),
    Key(&'a str),
}

/// Takes the places of an exchange: of its API, of its address, of its key by the API's and by its own limit.
pub(crate) fn enter(exchange: &Exchange, kind: Kind) -> Result<Vec<Held>, Refusal> {
    let limits = &exchange.api.model.limits.at_once;
    let (of_api, of_key, of_ip) = match kind {
        Kind::Requests => (limits.requests, limits.requests_per_key, limits.requests_per_ip),
        Kind::Subscribers => (limits.subscribers, limits.subscribers_per_key, limits.subscribers_per_ip),
    };
    let own = exchange.grant.as_ref().map_or(0, |grant| match kind {
        Kind::Requests => grant.terms.at_once.requests,
        Kind::Subscribers => grant.terms.at_once.subscribers,
    });
    if [of_api, of_key, of_ip, own] == [0; 4] {
        return Ok(Vec::new());
    }
    let api = &*exchange.api.model.id;
    let mut held = Vec::with_capacity(4);
    let mut take = |of: Option<Of<'_>>, most: u32| match of {
        Some(of) if most > 0 => {
            held.push(exchange.gate.at_once.enter((kind, of), most).ok_or_else(|| full(kind))?);
            Ok(())
        }
        _ => Ok(()),
    };
    take(Some(Of::Api(api)), of_api)?;
    let address = if of_ip > 0 { exchange.client_address() } else { None };
    take(address.map(|address| Of::Address(api, address)), of_ip)?;
    take(exchange.caller.as_ref().map(|caller| Of::KeyAt(api, &caller.name)), of_key)?;
    take(exchange.grant.as_ref().map(|grant| Of::Key(grant.name())), own)?;
    Ok(held)
}

/// The same of a connection that is passed through; `None` where there is no place.
pub(crate) fn enter_connection(gate: &Gate, api: &apidef::Api, address: IpAddr) -> Option<Vec<Held>> {
    let (limits, id) = (&api.limits.at_once, &*api.id);
    let places = [(Of::Api(id), limits.requests), (Of::Address(id, address), limits.requests_per_ip)];
    let limited = places.into_iter().filter(|(_, most)| *most > 0);
    limited.map(|(of, most)| gate.at_once.enter((Kind::Requests, of), most)).collect()
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
        let enter = |name: &str, most| all.enter(name, most);
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
