//! What signatures are checked with (contract 5.5, "Secret"): a fixed key, published keys, or the secret of a session.

use std::sync::Arc;

use apidef::TokenKeys;

use super::claims::refused;
use super::key::Key;
use super::token::Token;
use crate::auth::jwks::{KeySets, Published};
use crate::gate::Gate;
use crate::respond::Refusal;

/// Where the keys of an API come from.
#[derive(Debug)]
pub(crate) enum Source {
    Fixed(Key),
    Published(Box<[Published]>),
    /// The session that the token names holds the secret.
    OfSession,
}

/// Which key has checked a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    Fixed,
    /// That of a session; it holds as long as the session stays as it was.
    OfSession,
    /// One of a published set, by its place in the list and its version.
    Published {
        set: usize,
        version: u64,
    },
}

impl Proof {
    /// The same, of a set at another place in its list.
    pub(crate) fn of(self, place: usize) -> Self {
        match self {
            Self::Published { version, .. } => Self::Published { set: place, version },
            other => other,
        }
    }
}

impl Source {
    pub(crate) fn new(keys: &TokenKeys, sets: &KeySets) -> Result<Self, String> {
        Ok(match keys {
            TokenKeys::OfSession => Self::OfSession,
            TokenKeys::Fixed(secret) => Self::Fixed(
                Key::written(secret.expose())
                    .map_err(|why| format!("the key of tokens cannot be used: {why}"))?,
            ),
            TokenKeys::Sets(addresses) => {
                Self::Published(addresses.iter().map(|address| sets.published(address)).collect())
            }
        })
    }

    /// Checks a signature with a key that is not a session's.
    pub(crate) async fn check(&self, gate: &Arc<Gate>, token: &Token<'_>) -> Result<Proof, Refusal> {
        match self {
            Self::Fixed(key) => check(key, token).map(|()| Proof::Fixed),
            Self::Published(sets) => {
                let id = token.key_id().ok_or_else(|| refused().detail("it names no key"))?;
                published(gate, sets, id, token).await
            }
            Self::OfSession => Err(refused()),
        }
    }

    /// Whether a key that checked a token before would do so today. Asks for newer keys where it is time to.
    pub(crate) fn still(&self, gate: &Arc<Gate>, proof: Proof) -> bool {
        match self {
            Self::Published(sets) => still(gate, sets, proof),
            Self::Fixed(_) | Self::OfSession => true,
        }
    }
}

/// Whether one of the sets still has the keys that a token was checked with.
pub(crate) fn still(gate: &Arc<Gate>, sets: &[Published], proof: Proof) -> bool {
    match proof {
        Proof::Published { set, version } => sets
            .get(set)
            .and_then(|published| gate.key_sets.known(gate, published))
            .is_some_and(|known| known.version == version),
        Proof::Fixed | Proof::OfSession => true,
    }
}

/// Checks a signature with a key, if it is one for such signatures.
pub(crate) fn check(key: &Key, token: &Token<'_>) -> Result<(), Refusal> {
    if key.verifies(token.algorithm, token.signed.as_bytes(), &token.signature) {
        return Ok(());
    }
    Err(refused().detail(if key.is_for(token.algorithm) {
        "its signature does not hold"
    } else {
        "the key is not for signatures of its kind"
    }))
}

/// The key of this id that has signed the token, in one of the sets: several issuers may use the same id. Sets that do not
/// have the id may have it by now: they are fetched again, as seldom as they allow.
pub(crate) async fn published(
    gate: &Arc<Gate>,
    sets: &[Published],
    id: &str,
    token: &Token<'_>,
) -> Result<Proof, Refusal> {
    let (mut away, mut refusal): (Option<String>, _) = (None, None);
    let mut had_it = vec![false; sets.len()];
    for again in [false, true] {
        away = None;
        for ((set, published), had_it) in sets.iter().enumerate().zip(&mut had_it) {
            let keys = if *had_it {
                continue;
            } else if again {
                gate.key_sets.newer(gate, published).await
            } else {
                gate.key_sets.get(gate, published).await
            };
            let keys = match keys {
                Ok(keys) => keys,
                Err(error) => {
                    away = Some(error);
                    continue;
                }
            };
            for key in keys.keys.named(id) {
                *had_it = true;
                match check(key, token) {
                    Ok(()) => return Ok(Proof::Published { set, version: keys.version }),
                    Err(refused) => refusal = Some(refused),
                }
            }
        }
    }
    // Without the keys nobody can tell whether the token is good: that is not the client's doing.
    Err(match (away, refusal) {
        (Some(away), _) => Refusal::keys_away(away),
        (None, Some(refusal)) => refusal,
        (None, None) => refused().detail("no key has the id that it names"),
    })
}
