//! Tokens that were checked before, with their sessions as they are now.

use std::sync::Arc;

use super::session::{Owner, Sessions};
use super::source::Proof;
use super::verified::{Name, Verified};
use crate::gate::Gate;
use crate::respond::Refusal;

/// A token that was checked before, if it is still good; `None` if it has to be checked anew. `still`: whether the key
/// that signed it is.
pub(crate) async fn recall(
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
