//! What sessions have in common: rights, limits and policies, understood once for all that say the same.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use apidef::Session;
use apidef::policies::{self, PolicyError};
use parking_lot::RwLock;
use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use state::Stored;

use super::terms::Terms;
use crate::gate::Gate;
use crate::limits::Context;
use crate::record::of_session;

/// How many profiles are kept; sessions of others are understood one by one.
const KEPT: usize = 4096;
/// Longer texts are not kept.
const LONGEST: usize = 64 << 10;

/// Sessions that differ in nothing but what [`Session::split`] calls their own.
#[derive(Debug)]
pub(crate) struct Profile {
    /// With its policies applied, and without what is own.
    pub(super) session: Session,
    pub(super) limits: Context,
    /// What records are labelled with.
    pub(super) tags: Arc<[Arc<str>]>,
    /// What it may do with each API, compiled when an API is first called.
    terms: RwLock<Vec<Arc<Terms>>>,
    /// Policies as they were when the session was merged.
    pub(super) generation: u64,
}

impl Profile {
    /// Merges a session with the policies that count now.
    pub(super) fn new(gate: &Gate, session: Session) -> Result<Arc<Self>, PolicyError> {
        let snapshot = gate.snapshot();
        let session = policies::apply_to(session, &|id| snapshot.policies.get(id).cloned())?;
        Ok(Arc::new(Self {
            tags: of_session(&session),
            session,
            limits: Context::of(gate),
            terms: RwLock::default(),
            generation: snapshot.policy_generation,
        }))
    }

    pub(super) fn terms(&self, api: &str) -> Arc<Terms> {
        if let Some(terms) = self.terms.read().iter().find(|terms| *terms.api == *api) {
            return Arc::clone(terms);
        }
        let terms = Arc::new(Terms::compile(&self.session, api, &self.limits));
        self.terms.write().push(Arc::clone(&terms));
        terms
    }
}

/// The profiles known to this node, by what their sessions have in common.
#[derive(Debug)]
pub(super) struct Profiles(Cache<Key, Arc<Profile>>);

#[derive(Debug, PartialEq, Eq, Hash, Clone)]
struct Key {
    generation: u64,
    common: Arc<[u8]>,
}

#[derive(Hash)]
struct Asked<'a> {
    generation: u64,
    common: &'a [u8],
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.generation == key.generation && *self.common == *key.common
    }
}

impl Default for Profiles {
    fn default() -> Self {
        Self(Cache::new(KEPT))
    }
}

/// Why a stored session makes no caller.
pub(super) enum Unusable {
    /// Its text cannot be read.
    Unreadable,
    Policies(PolicyError),
}

impl Profiles {
    /// The profile of a stored session, and what is own.
    pub(super) fn of<'t>(
        &self,
        gate: &Gate,
        stored: &'t Stored,
    ) -> Result<(Arc<Profile>, Option<apidef::Own<'t>>), Unusable> {
        let common = stored.common();
        let Some(own) = stored.own() else {
            return Ok((Profile::new(gate, read(common)?).map_err(Unusable::Policies)?, None));
        };
        let own = Session::split(own, &mut Vec::new(), &mut Vec::new()).unwrap_or_default();
        let generation = gate.snapshot().policy_generation;
        if let Some(profile) = self.0.get(&Asked { generation, common }) {
            return Ok((profile, Some(own)));
        }
        let profile = Profile::new(gate, read(common)?).map_err(Unusable::Policies)?;
        if common.len() <= LONGEST {
            let key = Key { generation: profile.generation, common: Arc::clone(common) };
            self.0.insert(key, Arc::clone(&profile));
        }
        Ok((profile, Some(own)))
    }

    /// Forgets profiles merged with other policies than those of `generation`.
    pub(super) fn forget_older(&self, generation: u64) {
        self.0.retain(|key, _| key.generation == generation);
    }
}

fn read(text: &[u8]) -> Result<Session, Unusable> {
    serde_json::from_slice(text).map_err(|error| {
        // The text may hold secrets, and the error may quote it: only where it broke is told.
        tracing::warn!(line = error.line(), column = error.column(), "a stored session cannot be read");
        Unusable::Unreadable
    })
}

/// A caller's session, with its policies applied: that of its profile, and what is own once somebody asks.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(super) profile: Arc<Profile>,
    /// As it is stored, if it is.
    pub(super) stored: Option<Stored>,
    /// The profile lacks what is the session's own.
    shared: bool,
    whole: OnceLock<Box<Session>>,
}

impl Merged {
    /// One whose profile lacks what is own.
    pub(super) fn shared(profile: Arc<Profile>, stored: Stored) -> Self {
        Self { profile, stored: Some(stored), shared: true, whole: OnceLock::new() }
    }

    /// One whose profile is of this session alone.
    pub(super) fn alone(profile: Arc<Profile>, stored: Option<Stored>) -> Self {
        Self { profile, stored, shared: false, whole: OnceLock::new() }
    }

    pub(super) fn is_shared(&self) -> bool {
        self.shared
    }
}

impl Deref for Merged {
    type Target = Session;

    fn deref(&self) -> &Session {
        let Some(own) = self.stored.as_ref().filter(|_| self.shared).and_then(Stored::own) else {
            return &self.profile.session;
        };
        self.whole.get_or_init(|| {
            // What can be split can be read if its profile could.
            let own = if own.is_empty() { Session::default() } else { read(own).unwrap_or_default() };
            Box::new(self.profile.session.clone().with_own(own))
        })
    }
}
