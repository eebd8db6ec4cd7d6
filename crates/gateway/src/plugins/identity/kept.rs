//! Sessions that plugins gave, until the time that they named. Nothing is stored: a gate that starts asks its plugins anew.

use std::sync::Arc;

use apidef::Session;
use quick_cache::Equivalent;
use quick_cache::sync::Cache;

/// How many are kept; the least used make place for others.
const KEPT: usize = 50_000;

/// The kept sessions of one gate: by the extractor that found their id, and that id.
#[derive(Debug)]
pub(crate) struct Identities(Cache<Key, Arc<Identity>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    extractor: u64,
    id: Box<str>,
}

/// A key that is only looked for.
#[derive(Hash)]
struct Asked<'a> {
    extractor: u64,
    id: &'a str,
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.extractor == key.extractor && *self.id == *key.id
    }
}

/// Whom a plugin has let in.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Its session as the plugin gave it, without its policies.
    pub(crate) session: Arc<Session>,
    /// What changes of keys may call it.
    pub(crate) names: Vec<String>,
}

impl Default for Identities {
    fn default() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl Identities {
    /// The session of an id, unless its time is over, or that of the session itself is.
    pub(crate) fn get(&self, extractor: u64, id: &str, now: i64) -> Option<Arc<Session>> {
        let asked = Asked { extractor, id };
        let session = Arc::clone(&self.0.get(&asked)?.session);
        if may_keep(&session, now) {
            return Some(session);
        }
        self.0.remove(&asked);
        None
    }

    /// Keeps a session, if the plugin has said until when.
    pub(crate) fn keep(&self, extractor: u64, id: &str, identity: Identity, now: i64) {
        if may_keep(&identity.session, now) {
            self.0.insert(Key { extractor, id: id.into() }, Arc::new(identity));
        }
    }

    /// Forgets one.
    pub(crate) fn remove(&self, extractor: u64, id: &str) {
        self.0.remove(&Asked { extractor, id });
    }

    /// Forgets those that are called so: keys or their hashes.
    pub(crate) fn forget(&self, names: &[String]) {
        self.0.retain(|_, identity| !names.iter().any(|name| identity.names.contains(name)));
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        self.0.clear();
    }
}

fn may_keep(session: &Session, now: i64) -> bool {
    session.id_extractor_deadline > now && !session.is_expired(now) && !session.is_inactive
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(deadline: i64, expires: i64) -> Identity {
        let session = Session { id_extractor_deadline: deadline, expires, ..Session::default() };
        Identity { session: Arc::new(session), names: vec!["name".to_owned(), "hash".to_owned()] }
    }

    #[test]
    fn c6_1_a_session_is_kept_until_its_deadline_and_not_beyond_its_own_end() {
        for (deadline, expires, now, expected) in [
            (0, 0, 5, false),
            (5, 0, 5, false),
            (6, 0, 5, true),
            (6, 0, 6, false),
            (9, 7, 6, true),
            (9, 7, 7, false),
        ] {
            let kept = Identities::default();
            kept.keep(1, "id", identity(deadline, expires), 5);
            assert_eq!(kept.get(1, "id", now).is_some(), expected, "{deadline} {expires} {now}");
        }
    }

    #[test]
    fn what_is_changed_is_forgotten_and_others_are_not() {
        let kept = Identities::default();
        for id in ["a", "b"] {
            let mut identity = identity(9, 0);
            identity.names.push(id.to_owned());
            kept.keep(1, id, identity, 5);
        }
        kept.forget(&["a".to_owned()]);
        assert!(kept.get(1, "a", 5).is_none() && kept.get(1, "b", 5).is_some());
        assert!(kept.get(2, "b", 5).is_none(), "another plugin has not let it in");
        kept.forget(&["hash".to_owned()]);
        assert!(kept.get(1, "b", 5).is_none());
    }
}
