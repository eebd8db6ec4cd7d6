//! Quotas of keys as the admin API shows and resets them (contract 6.6, 7.3).

use apidef::{Limit, Session};
use state::Unavailable;

use super::super::together::together;
use crate::auth::Grant;
use crate::clock::unix_now;
use crate::gate::Gate;
use crate::limits;

/// Counters that are reset at the same time.
const RESETS: usize = 64;

/// Puts what is left of the running windows into a session: of the session's own quota, and of each API that has one.
pub(super) async fn show(gate: &Gate, session: &mut Session, name: &str) -> Result<(), Unavailable> {
    let counters: Vec<(String, String)> = session
        .access_rights
        .iter()
        .filter(|(_, access)| access.limit.quota_max > 0)
        .map(|(api, _)| (api.clone(), Grant::counter(session, name, api)))
        .collect();
    let used = together(counters.iter().map(|(_, counter)| gate.state.peek_quota(counter))).await?;
    for ((api, _), used) in counters.iter().zip(used) {
        let Some(limit) = session.access_rights.get_mut(api).map(|access| &mut access.limit) else {
            continue;
        };
        limit.quota_remaining = used.map_or(limit.quota_max, |count| count.remaining(limit.quota_max));
        if let Some(count) = used {
            limit.quota_renews = count.renews_at;
        }
    }
    if session.quota_max > 0 {
        // A key of one API may be counted under a scope of its own.
        let counter = match session.access_rights.keys().next() {
            Some(api) if session.access_rights.len() == 1 => Grant::counter(session, name, api),
            _ => name.to_owned(),
        };
        let used = gate.state.peek_quota(&counter).await?;
        session.quota_remaining = used.map_or(session.quota_max, |count| count.remaining(session.quota_max));
        if let Some(count) = used {
            session.quota_renews = count.renews_at;
        }
    }
    Ok(())
}

/// Begins all windows of a key anew, those of its scopes and of its subscribers included.
pub(super) async fn reset(gate: &Gate, session: &Session, name: &str) -> Result<(), Unavailable> {
    let mut counters = vec![name.to_owned()];
    counters.extend(session.access_rights.keys().map(|api| Grant::counter(session, name, api)));
    counters.sort_unstable();
    counters.dedup();
    for counter in counters.clone() {
        counters.extend(limits::subscriber_names(&counter));
    }
    // Many at the same time, and all are tried.
    let mut outcome = Ok(());
    for counters in counters.chunks(RESETS) {
        let resets: Vec<_> = counters.iter().map(|counter| reset_one(gate, counter)).collect();
        outcome = futures_util::future::join_all(resets).await.into_iter().fold(outcome, Result::and);
    }
    outcome
}

async fn reset_one(gate: &Gate, counter: &str) -> Result<(), Unavailable> {
    gate.windows.forget(&limits::alone_name(counter));
    gate.state.reset_quota(counter).await
}

/// Writes full quotas into a session that is about to be stored.
pub(super) fn fill(session: &mut Session) {
    let now = unix_now();
    (session.quota_remaining, session.quota_renews) = full(
        session.quota_max,
        session.quota_renewal_rate,
        (session.quota_remaining, session.quota_renews),
        now,
    );
    for access in session.access_rights.values_mut() {
        let limit = &mut access.limit;
        (limit.quota_remaining, limit.quota_renews) =
            full(limit.quota_max, limit.quota_renewal_rate, (limit.quota_remaining, limit.quota_renews), now);
    }
}

/// What is left of a full quota, and when it renews; unlimited ones stay as they are.
fn full(max: i64, renewal: i64, given: (i64, i64), now: i64) -> (i64, i64) {
    match max {
        ..=0 => given,
        max if renewal > 0 => (max, now.saturating_add(renewal)),
        max => (max, given.1),
    }
}

/// Lets the windows of `before` go on in a session that replaces it (`suppress_reset`).
pub(super) fn carry_on(session: &mut Session, before: &Session) {
    session.quota_renews = before.quota_renews;
    session.quota_remaining = before.quota_remaining;
    session.last_updated.clone_from(&before.last_updated);
    for (api, access) in &mut session.access_rights {
        let Some(held) = before.access_rights.get(api) else { continue };
        if access.limit != Limit::default() && held.limit != Limit::default() {
            access.limit.quota_renews = held.limit.quota_renews;
            access.limit.quota_remaining = held.limit.quota_remaining;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn windows_begin_anew_or_go_on() {
        let read = |value| serde_json::from_value::<Session>(value).unwrap();
        let mut fresh = read(json!({
            "quota_max": 10, "quota_renewal_rate": 60,
            "access_rights": {"a": {"limit": {"quota_max": 5}}, "b": {"limit": {"quota_max": -1}}, "c": {}}
        }));
        fill(&mut fresh);
        assert_eq!(fresh.quota_remaining, 10);
        assert!((0..=1).contains(&(unix_now() + 60 - fresh.quota_renews)), "{}", fresh.quota_renews);
        let left = |api: &str| fresh.access_rights[api].limit.quota_remaining;
        assert_eq!((left("a"), left("b"), left("c")), (5, 0, 0));

        let before = read(json!({
            "quota_remaining": 3, "quota_renews": 77, "last_updated": "11",
            "access_rights": {"a": {"limit": {"quota_max": 5, "quota_remaining": 1, "quota_renews": 88}}, "c": {}}
        }));
        carry_on(&mut fresh, &before);
        assert_eq!((fresh.quota_remaining, fresh.quota_renews, fresh.last_updated.as_str()), (3, 77, "11"));
        let limit = &fresh.access_rights["a"].limit;
        assert_eq!((limit.quota_remaining, limit.quota_renews), (1, 88));
        assert_eq!(fresh.access_rights["c"].limit, Limit::default(), "no limit appears from nowhere");
    }
}
