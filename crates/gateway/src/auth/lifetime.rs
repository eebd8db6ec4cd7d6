//! How long the store keeps a session (contract 6.2).

use std::time::Duration;

use apidef::Session;

use crate::clock::unix_now;
use crate::gate::Gate;

/// The longest that any API of the session asks for; `None` for ever. `effective` is the session with its policies.
pub(crate) fn lifetime(gate: &Gate, effective: &Session, session: &Session) -> Option<Duration> {
    if let Some(forced) = gate.settings.keys.forced_lifetime {
        return forced;
    }
    let now = unix_now();
    let always = gate.settings.keys.lifetime_respects_expiry;
    let snapshot = gate.snapshot();
    effective
        .access_rights
        .keys()
        .filter_map(|id| snapshot.apis.get(id.as_str()))
        .map(|api| {
            let respects = always || api.model.lifetime_respects_expiry;
            session.stored_for(api.model.session_lifetime, respects, now)
        })
        .reduce(|one, other| Some(one?.max(other?)))
        .unwrap_or_else(|| session.stored_for(None, always, now))
}
