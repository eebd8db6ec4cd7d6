//! Sessions as the data plane uses them: looked up once, merged with their policies, kept for a while.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use apidef::policies::PolicyError;
use apidef::{Session, keys};
use parking_lot::RwLock;
use smallvec::SmallVec;
use state::{State, Stored, Unavailable, near};

use super::grant::Grant;
use super::known::{Known, Place};
use super::names::{hash, is_of_certificate, store_name, store_names, user_names};
use super::profile::{Merged, Profile, Profiles, Unusable};
use super::token::disallowed;
use crate::clock::{unix_millis, unix_now};
use crate::gate::Gate;
use crate::plugins::{Identities, Identity};
use crate::respond::Refusal;

/// Who is calling, with everything that the chain asks of a session at hand.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The session with its policies applied. What guards ask of every request they ask of [`Caller::common`].
    pub session: Merged,
    /// Its name in the state store: the hash of its key, or the key where keys are not hashed.
    pub name: Arc<str>,
    /// The name of the session for humans.
    pub(crate) alias: Option<Arc<str>>,
    /// Unix seconds; 0 or less = never.
    pub(crate) expires: i64,
    /// Its key is made of the certificate that it is bound to, which is no secret.
    pub(crate) of_certificate: bool,
    /// `None`: nothing of it.
    rare: Option<Box<Rare>>,
    /// What it may do with each API, put together when an API is first called.
    grants: RwLock<SmallVec<[Arc<Grant>; 1]>>,
    /// When its session ends in the store, in Unix milliseconds; 0 = nobody knows.
    until: u64,
    /// Milliseconds of [`Callers::now`].
    read_at: AtomicU64,
    /// What [`State::session_changes`] said then.
    changes: AtomicU64,
}

/// What few callers have. There may be a million of them, so each is to be small.
#[derive(Debug, Default)]
struct Rare {
    /// What records call it, where its name is no hash.
    hash: Option<Arc<str>>,
    /// The session without its policies, where no store has it.
    unstored: Option<Arc<Session>>,
}

impl Caller {
    /// Whether its session is this one, and stored nowhere.
    pub(super) fn is_of(&self, session: &Session) -> bool {
        self.unstored().is_some_and(|unstored| **unstored == *session)
    }

    fn unstored(&self) -> Option<&Arc<Session>> {
        self.rare.as_ref()?.unstored.as_ref()
    }

    fn with_unstored(mut self, session: Arc<Session>) -> Self {
        self.rare.get_or_insert_default().unstored = Some(session);
        self
    }

    /// Whether others have the same profile, so that it takes little room.
    pub(super) fn shares_its_profile(&self) -> bool {
        self.session.is_shared()
    }

    /// The session without what [`Session::split`] calls its own, such as expiry, alias and data.
    pub(crate) fn common(&self) -> &Session {
        &self.session.profile.session
    }

    /// What its records are labelled with.
    pub(crate) fn tags(&self) -> &Arc<[Arc<str>]> {
        &self.session.profile.tags
    }

    /// See [`Session::is_expired`].
    pub(crate) fn is_expired(&self, now: i64) -> bool {
        self.expires > 0 && self.expires <= now
    }

    /// What records call it: always a hash.
    pub(crate) fn hash(&self) -> &Arc<str> {
        self.rare.as_ref().and_then(|rare| rare.hash.as_ref()).unwrap_or(&self.name)
    }

    /// Asks the memory for what guards are about to read of it.
    pub(super) fn ask_for(&self) {
        near::ask_for(&self.session);
        near::ask_for(&self.name);
        near::ask_for(&self.grants);
        near::ask_for(&self.expires);
        near::ask_for(&self.read_at);
    }

    /// As [`Caller::ask_for`], when its own parts are there.
    pub(super) fn ask_for_more(&self) {
        near::ask_for_text(&self.name);
    }

    /// What it may do with the API that it first called.
    pub(super) fn first_grant(&self) -> Option<Arc<Grant>> {
        self.grants.read().first().map(Arc::clone)
    }

    /// What the caller may do with an API.
    pub(crate) fn grant(&self, api: &str) -> Arc<Grant> {
        if let Some(grant) = self.grants.read().iter().find(|grant| *grant.terms.api == *api) {
            return Arc::clone(grant);
        }
        let profile = &self.session.profile;
        let grant = Arc::new(Grant::new(profile.terms(api), &self.name));
        self.grants.write().push(Arc::clone(&grant));
        grant
    }
}

/// The callers known to this node.
#[derive(Debug)]
pub(crate) struct Callers {
    known: Known,
    profiles: Profiles,
    /// Sessions that plugins gave for ids.
    identities: Identities,
    state: State,
    /// How long a session is believed before the store is asked again, where it does not tell whether anything has changed.
    believed: Duration,
    started: Instant,
    /// Counts purges, so that a session read before one is not kept after it.
    purges: AtomicU64,
}

impl Callers {
    /// `believed`: how long a session of `state` is used before it is asked again.
    pub(crate) fn new(believed: Duration, state: State) -> Self {
        Self {
            known: Known::default(),
            profiles: Profiles::default(),
            identities: Identities::default(),
            state,
            believed,
            started: Instant::now(),
            purges: AtomicU64::new(0),
        }
    }

    /// Milliseconds since this was made.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The caller with this token, if it is known and still believed.
    pub(crate) fn known(&self, org: &str, token: &str) -> Option<Arc<Caller>> {
        let caller = self.known.get(org, token)?;
        let age = self.now().saturating_sub(caller.read_at.load(Ordering::Relaxed));
        (u128::from(age) < self.believed.as_millis() || self.is_unchanged(&caller)).then_some(caller)
    }

    /// Whether there are so many that it pays to foresee who is asked for.
    pub(crate) fn are_many(&self) -> bool {
        self.known.are_many()
    }

    /// Asks the memory for somebody who is about to be asked for.
    pub(crate) fn foresee(&self, org: &str, token: &str) -> Place {
        self.known.foresee(org, token)
    }

    /// The same a little later: for what was not to be found before.
    pub(crate) fn foresee_more(&self, place: Place) {
        self.known.foresee_more(place);
    }

    /// Whether the store would say the same of its session as it did.
    fn is_unchanged(&self, caller: &Caller) -> bool {
        let changes = caller.changes.load(Ordering::Relaxed);
        let ends = |until: u64| until != u64::MAX && until <= u64::try_from(unix_millis()).unwrap_or(0);
        self.state.session_changes() == Some(changes) && !ends(caller.until)
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
        // Before the store is asked: what changes meanwhile is asked for again.
        let changes = self.state.session_changes().unwrap_or_default();
        let names = names();
        let names: SmallVec<[&str; 4]> = names.iter().map(String::as_str).collect();
        let found = self.state.find_session(&names, |name, stored, until| {
            let caller = self.understand(gate, (org, token, name), (stored, until))?;
            if let Ok(Seen::Before(caller) | Seen::Now(caller)) = &caller {
                caller.changes.store(changes, Ordering::Relaxed);
            }
            Some(caller)
        });
        match found.await.map_err(Refusal::store_away)? {
            Some(Ok(Seen::Before(caller))) => Ok(Some(caller)),
            Some(Ok(Seen::Now(caller))) => {
                self.keep((org, token), &caller, purges);
                Ok(Some(caller))
            }
            Some(Err(error)) => Err(disallowed().detail(error)),
            None => {
                self.known.remove(org, token);
                Ok(None)
            }
        }
    }

    /// The caller of a session as it is stored; `None` where that cannot be read.
    fn understand(
        &self,
        gate: &Gate,
        (org, token, name): (&str, &str, &Arc<str>),
        (stored, until): (&Stored, u64),
    ) -> Option<Result<Seen, PolicyError>> {
        let read_at = self.now();
        if let Some(caller) = self.known.get(org, token)
            && caller.name == *name
            && caller.until == until
            && caller.session.stored.as_ref().is_some_and(|known| known.is(stored))
            && caller.session.profile.generation == gate.snapshot().policy_generation
        {
            caller.read_at.store(read_at, Ordering::Relaxed);
            return Some(Ok(Seen::Before(caller)));
        }
        let caller = match self.profiles.of(gate, stored) {
            Ok((profile, Some(own))) => {
                let alias = (!own.alias.is_empty()).then(|| own.alias.into());
                let session = Merged::shared(profile, stored.clone());
                caller(gate, name, session, (alias, own.expires), read_at)
            }
            Ok((profile, None)) => alone(gate, name, profile, Some(stored.clone()), read_at),
            Err(Unusable::Policies(error)) => return Some(Err(error)),
            Err(Unusable::Unreadable) => return None,
        };
        Some(Ok(Seen::Now(Arc::new(Caller { until, ..caller }))))
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
        let caller = self.compile(gate, name, Cow::Borrowed(&session))?;
        let caller = Arc::new(caller.with_unstored(Arc::new(session)));
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
        let caller = Arc::new(self.compile(gate, name, Cow::Borrowed(session))?);
        self.keep((org, key), &caller, mark);
        Ok(caller)
    }

    /// The session that a plugin gave for an id, while it may be used.
    pub(crate) fn identity(&self, (extractor, id): (u64, &str)) -> Option<Arc<Session>> {
        self.identities.get(extractor, id, unix_now())
    }

    /// Keeps the session of an id, if its plugin has said until when. `mark`: as it was before the plugin was asked.
    pub(crate) fn keep_identity(&self, (extractor, id): (u64, &str), identity: Identity, mark: u64) {
        self.identities.keep(extractor, id, identity, unix_now());
        if self.mark() != mark {
            // Some session changed meanwhile, maybe this one.
            self.identities.remove(extractor, id);
        }
    }

    /// `mark`: as it was before the session was read.
    fn keep(&self, (org, token): (&str, &str), caller: &Arc<Caller>, mark: u64) {
        self.known.insert(org, token, Arc::clone(caller));
        if self.mark() != mark {
            // Something changed meanwhile: this exchange may use the session, the next one asks again.
            self.known.remove(org, token);
        }
    }

    /// Callers as they are now: their sessions read again, in one round trip, and merged with the policies that count
    /// now. `None`: it is none any more.
    pub(crate) async fn again(
        &self,
        gate: &Gate,
        callers: &[Arc<Caller>],
    ) -> Result<Vec<Option<Arc<Caller>>>, Unavailable> {
        let stored = callers.iter().filter(|caller| caller.unstored().is_none());
        let names: Vec<&str> = stored.map(|caller| &*caller.name).collect();
        let mut found = gate.state.sessions(&names).await?.into_iter();
        let again = callers.iter().map(|caller| {
            if let Some(session) = caller.unstored() {
                let again = self.compile(gate, &caller.name, Cow::Borrowed(session)).ok()?;
                return Some(Arc::new(again.with_unstored(Arc::clone(session))));
            }
            let session = Arc::unwrap_or_clone(found.next().flatten()?);
            self.compile(gate, &caller.name, Cow::Owned(session)).ok().map(Arc::new)
        });
        Ok(again.collect())
    }

    /// Forgets sessions that have changed. `names` are keys or their hashes.
    pub(crate) fn forget(&self, names: &[String]) {
        self.purges.fetch_add(1, Ordering::AcqRel);
        self.known.forget(names);
        self.identities.forget(names);
    }

    /// Forgets callers merged with other policies than those of `generation`.
    pub(crate) fn forget_older(&self, generation: u64) {
        self.purges.fetch_add(1, Ordering::AcqRel);
        self.known.retain(|caller| caller.session.profile.generation == generation);
        self.profiles.forget_older(generation);
    }

    /// Forgets everybody.
    pub(crate) fn clear(&self) {
        self.purges.fetch_add(1, Ordering::AcqRel);
        self.known.clear();
        self.identities.clear();
    }

    /// A caller with a profile of its own.
    fn compile(&self, gate: &Gate, name: &str, session: Cow<'_, Session>) -> Result<Caller, PolicyError> {
        let read_at = self.now();
        Ok(alone(gate, &name.into(), Profile::new(gate, session.into_owned())?, None, read_at))
    }
}

/// What a look into the store found.
enum Seen {
    /// A caller that has not changed.
    Before(Arc<Caller>),
    Now(Arc<Caller>),
}

/// A caller that shares its profile with nobody.
fn alone(
    gate: &Gate,
    name: &Arc<str>,
    profile: Arc<Profile>,
    stored: Option<Stored>,
    read_at: u64,
) -> Caller {
    let session = &profile.session;
    let alias = (!session.alias.is_empty()).then(|| session.alias.as_str().into());
    let own = (alias, session.expires);
    caller(gate, name, Merged::alone(profile, stored), own, read_at)
}

fn caller(
    gate: &Gate,
    name: &Arc<str>,
    session: Merged,
    (alias, expires): (Option<Arc<str>>, i64),
    read_at: u64,
) -> Caller {
    let settings = &gate.settings.keys;
    let of_certificate = is_of_certificate(settings, &session.profile.session, name);
    let hash = (!settings.hashed).then(|| hash(settings, name, None).into());
    Caller {
        session,
        name: Arc::clone(name),
        alias,
        expires,
        of_certificate,
        rare: hash.map(|hash| Box::new(Rare { hash: Some(hash), unstored: None })),
        grants: RwLock::default(),
        until: 0,
        read_at: AtomicU64::new(read_at),
        changes: AtomicU64::default(),
    }
}
