//! Tokens that have a session in the store: each is checked once, and its session is looked at each time.

use std::sync::Arc;

use super::session::{Owner, Sessions};
use super::source::Proof;
use super::verified::{Name, Verified};
use crate::clock::unix_now;
use crate::gate::Gate;
use crate::respond::Refusal;

/// A token that is good now: one that was checked before, or what `verify` makes of it, given the time. `name`: what it is
/// kept under. `still`: whether the key that signed it is still good.
pub(crate) async fn recall_or(
    gate: &Arc<Gate>,
    (org, sessions): (&str, &Sessions),
    name: Name,
    still: impl Fn(Proof) -> bool,
    verify: impl AsyncFnOnce(i64) -> Result<Verified, Refusal>,
) -> Result<Arc<Verified>, Refusal> {
    let now = unix_now();
    if let Some(known) = recall(gate, (org, sessions), &name, now, still).await? {
        return Ok(known);
    }
    let verified = Arc::new(verify(now).await?);
    gate.tokens.keep(name, Arc::clone(&verified));
    Ok(verified)
}

/// A token that was checked before, if it is still good; `None` if it has to be checked anew.
async fn recall(
    gate: &Arc<Gate>,
    (org, sessions): (&str, &Sessions),
    name: &Name,
    now: i64,
    still: impl Fn(Proof) -> bool,
) -> Result<Option<Arc<Verified>>, Refusal> {
    let Some(known) = gate.tokens.get(name) else { return Ok(None) };
    if now >= known.until || !still(known.proof) {
        gate.tokens.forget(name);
        return Ok(None);
    }
    // The usual case first: a session that we know, without an await.
    let same = |caller: &Arc<_>| Arc::ptr_eq(caller, &known.caller.load());
    if gate.callers.known(org, &known.session).as_ref().is_some_and(same) {
        return Ok(Some(known));
    }
    if known.proof == Proof::OfSession {
        // Its secret may be another one now.
        return Ok(None);
    }
    let owner = Owner { identity: &known.identity, key: &known.session, base: known.base.as_deref() };
    let caller = sessions.caller(gate, &known.claims, owner, known.until).await?;
    known.caller.store(caller);
    Ok(Some(known))
}
