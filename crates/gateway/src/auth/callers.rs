//! Sessions as the data plane uses them: looked up once, merged with their policies, kept for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use apidef::policies::{self, PolicyError};
use apidef::{Session, keys};
use parking_lot::RwLock;
use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use state::Unavailable;

use super::grant::Grant;
use super::names::{hash, is_of_certificate, store_name, store_names, user_names};
use super::token::disallowed;
use crate::gate::Gate;
use crate::limits::Context;
use crate::respond::Refusal;

/// How many callers are kept.
const KEPT: usize = 100_000;

/// Who is calling, with everything that the chain asks of a session at hand.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The session with its policies applied.
    pub session: Session,
    /// Its name in the state store: the hash of its key, or the key where keys are not hashed.
    pub name: Arc<str>,
    /// What records call it: always a hash.
    pub(crate) hash: Arc<str>,
    /// Its key is made of the certificate that it is bound to, which is no secret.
    pub(crate) of_certificate: bool,
    /// The session without its policies, where no store has it.
    unstored: Option<Arc<Session>>,
    /// What it may do with each API, compiled when an API is first called.
    grants: RwLock<Vec<(Box<str>, Arc<Grant>)>>,
    limits: Context,
    /// Policies as they were when the session was merged.
    generation: u64,
    read_at: Instant,
}

impl Caller {
    /// Whether its session is this one, and stored nowhere.
    pub(super) fn is_of(&self, session: &Session) -> bool {
        self.unstored.as_deref() == Some(session)
    }

    /// What the caller may do with an API.
    pub(crate) fn grant(&self, api: &str) -> Arc<Grant> {
        if let Some((_, grant)) = self.grants.read().iter().find(|(id, _)| **id == *api) {
            return Arc::clone(grant);
        }
        let grant = Arc::new(Grant::compile(&self.session, &self.name, api, &self.limits));
        self.grants.write().push((api.into(), Arc::clone(&grant)));
        grant
    }
}

/// The callers known to this node.
#[derive(Debug)]
pub(crate) struct Callers {
    known: Cache<CallerKey, Arc<Caller>>,
    /// How long a session is believed before the store is asked again.
    believed: Duration,
    /// Counts purges, so that a session read before one is not kept after it.
    purges: AtomicU64,
}

#[derive(Debug, PartialEq, Eq, Hash, Clone)]
struct CallerKey {
    org: Box<str>,
    token: Box<str>,
}

#[derive(Hash)]
struct Asked<'a> {
    org: &'a str,
    token: &'a str,
}

impl Equivalent<CallerKey> for Asked<'_> {
    fn equivalent(&self, key: &CallerKey) -> bool {
        self.org == &*key.org && self.token == &*key.token
    }
}

impl Callers {
    /// `believed`: how long a session is used before the store is asked again.
    pub(crate) fn new(believed: Duration) -> Self {
        Self { known: Cache::new(KEPT), believed, purges: AtomicU64::new(0) }
    }

    /// The caller with this token, if it is known and still believed.
    pub(crate) fn known(&self, org: &str, token: &str) -> Option<Arc<Caller>> {
        let caller = self.known.get(&Asked { org, token })?;
        (caller.read_at.elapsed() < self.believed).then_some(caller)
    }

    /// Reads the session of a token from the state store, in one round trip.
    pub(crate) async fn look_up(
        &self,
        gate: &Gate,
        org: &str,
        token: &str,
    ) -> Result<Option<Arc<Caller>>, Refusal> {
        self.read(gate, org, token, || store_names(&gate.settings.keys, org, token)).await
    }

    /// The caller whose key was made for a user's name (contract 5.3).
    pub(crate) async fn user(
        &self,
        gate: &Gate,
        org: &str,
        user: &str,
    ) -> Result<Option<Arc<Caller>>, Refusal> {
        let settings = &gate.settings.keys;
        let key = keys::generate(org, Some(user), settings.algorithm);
        match self.known(org, &key) {
            Some(caller) => Ok(Some(caller)),
            None => self.read(gate, org, &key, || user_names(settings, org, user, &key)).await,
        }
    }

    /// Reads the session that is stored under the first of `names` that there is, in one round trip.
    async fn read(
        &self,
        gate: &Gate,
        org: &str,
        token: &str,
        names: impl FnOnce() -> Vec<String>,
    ) -> Result<Option<Arc<Caller>>, Refusal> {
        if token.len() < gate.settings.keys.min_length {
            return Ok(None);
        }
        let purges = self.mark();
        let names = names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = gate.state.first_session(&names).await.map_err(Refusal::store_away)?;
        let Some((index, session)) = found else {
            self.known.remove(&Asked { org, token });
            return Ok(None);
        };
        let caller = Arc::new(merge(gate, names[index], &session)?);
        self.keep((org, token), &caller, purges);
        Ok(Some(caller))
    }

    /// Where the purges stand; for [`Callers::adopt`].
    pub(crate) fn mark(&self) -> u64 {
        self.purges.load(Ordering::Acquire)
    }

    /// The session of a full key as it is stored, without its policies, and its name in the store.
    pub(crate) async fn stored(
        &self,
        gate: &Gate,
        key: &str,
    ) -> Result<(String, Option<Arc<Session>>), Refusal> {
        let name = store_name(&gate.settings.keys, key);
        let session = gate.state.session(&name).await.map_err(Refusal::store_away)?;
        Ok((name, session))
    }

    /// A caller whose session is stored nowhere, kept as that of `token`.
    pub(crate) fn unstored(
        &self,
        gate: &Gate,
        (org, token, name): (&str, &str, &str),
        session: Session,
    ) -> Result<Arc<Caller>, PolicyError> {
        let mark = self.mark();
        let caller = compile(gate, name, &session)?;
        let caller = Arc::new(Caller { unstored: Some(Arc::new(session)), ..caller });
        self.keep((org, token), &caller, mark);
        Ok(caller)
    }

    /// Merges a session with its policies and keeps it as that of a key. `mark`: as it was before the session was read.
    pub(crate) fn adopt(
        &self,
        gate: &Gate,
        (org, key, name): (&str, &str, &str),
        session: &Session,
        mark: u64,
    ) -> Result<Arc<Caller>, PolicyError> {
        let caller = Arc::new(compile(gate, name, session)?);
        self.keep((org, key), &caller, mark);
        Ok(caller)
    }

    /// `mark`: as it was before the session was read.
    fn keep(&self, (org, token): (&str, &str), caller: &Arc<Caller>, mark: u64) {
        self.known.insert(CallerKey { org: org.into(), token: token.into() }, Arc::clone(caller));
        if self.mark() != mark {
            // Something changed meanwhile: this exchange may use the session, the next one asks again.
            self.known.remove(&Asked { org, token });
        }
    }

    /// Callers as they are now: their sessions read again, in one round trip, and merged with the policies that count
    /// now. `None`: it is none any more.
    pub(crate) async fn again(
        &self,
        gate: &Gate,
        callers: &[Arc<Caller>],
    ) -> Result<Vec<Option<Arc<Caller>>>, Unavailable> {
        let stored = callers.iter().filter(|caller| caller.unstored.is_none());
        let names: Vec<&str> = stored.map(|caller| &*caller.name).collect();
        let mut found = gate.state.sessions(&names).await?.into_iter();
        let again = callers.iter().map(|caller| {
            if let Some(session) = &caller.unstored {
                let unstored = Some(Arc::clone(session));
                let again = compile(gate, &caller.name, session).ok()?;
                return Some(Arc::new(Caller { unstored, ..again }));
            }
            let session = found.next().flatten()?;
            merge(gate, &caller.name, &session).ok().map(Arc::new)
        });
        Ok(again.collect())
    }

    /// Forgets sessions that have changed. `names` are keys or their hashes.
    pub(crate) fn forget(&self, names: &[String]) {
        self.purges.fetch_add(1, Ordering::AcqRel);
        self.known
            .retain(|key, caller| !names.iter().any(|name| **name == *caller.name || **name == *key.token));
    }

    /// Forgets callers merged with other policies than those of `generation`.
    pub(crate) fn forget_older(&self, generation: u64) {
        self.purges.fetch_add(1, Ordering::AcqRel);
        self.known.retain(|_, caller| caller.generation == generation);
    }

    /// Forgets everybody.
    pub(crate) fn clear(&self) {
        self.purges.fetch_add(1, Ordering::AcqRel);
        self.known.clear();
    }
}

fn merge(gate: &Gate, name: &str, session: &Session) -> Result<Caller, Refusal> {
    compile(gate, name, session).map_err(|error| disallowed().detail(error))
}

fn compile(gate: &Gate, name: &str, session: &Session) -> Result<Caller, PolicyError> {
    let snapshot = gate.snapshot();
    let merged = policies::apply(session, &|id| snapshot.policies.get(id).cloned())?;
    let name: Arc<str> = name.into();
    let hash = if gate.settings.keys.hashed {
        Arc::clone(&name)
    } else {
        hash(&gate.settings.keys, &name, None).into()
    };
    let of_certificate = is_of_certificate(&gate.settings.keys, session, &name);
    Ok(Caller {
        of_certificate,
        unstored: None,
        session: merged,
        name,
        hash,
        grants: RwLock::default(),
        limits: Context::of(gate),
        generation: snapshot.policy_generation,
        read_at: Instant::now(),
    })
}
