//! A change: loaded, checked, compiled, compared by content with what runs, swapped in as one pointer.
//!
//! One task applies changes, one after the other; whoever asks for a reload while one runs shares the next. What is at
//! fault is refused with every fault told, and the running version of it stays.

mod compile;
mod follow;
mod offer;
mod routes;
mod tools;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use apidef::Definition;
use document::{Fault, Severity};
use state::Loaded;
use streams::CloseReason;
use tokio::sync::{mpsc, oneshot};

use crate::gate::Gate;
use crate::listen::AskedByName;
use crate::pass_through;
use crate::plugins;
use crate::snapshot::{RunningApi, Snapshot};

pub use compile::check;
pub(crate) use compile::{compile, fetch, located, read};
pub use follow::follow;
use routes::passed;
pub(crate) use routes::routes;
pub(crate) use tools::{check as check_tools, dependants, of as tools_of};

/// How long the streams of a replaced API may take to deliver what is under way.
const STREAM_DRAIN: Duration = Duration::from_secs(5);

/// What a reload did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Number of the configuration that runs now.
    pub generation: u64,
    /// APIs added or replaced.
    pub changed: usize,
    /// APIs taken away.
    pub removed: usize,
    /// What was refused or is worth a warning, by file.
    pub faults: Vec<(PathBuf, Vec<Fault>)>,
}

type Reply = oneshot::Sender<Arc<Report>>;
/// The last version of each file that could be read.
type Good = HashMap<PathBuf, Arc<Definition>>;

/// The end at which reloads are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Reloads(mpsc::Sender<Option<Reply>>);

/// The end at which they are done; see [`run`].
#[derive(Debug)]
pub struct Requests(mpsc::Receiver<Option<Reply>>);

impl Reloads {
    pub(crate) fn new() -> (Self, Requests) {
        let (sender, receiver) = mpsc::channel(64);
        (Self(sender), Requests(receiver))
    }

    /// Reloads, and waits until the change is live. `None` when the gate is shutting down.
    pub(crate) async fn now(&self) -> Option<Arc<Report>> {
        let (reply, report) = oneshot::channel();
        self.0.send(Some(reply)).await.ok()?;
        report.await.ok()
    }

    /// Asks for a reload. Where so many are asked for already that there is no room, one of them will do.
    pub(crate) fn soon(&self) {
        let _ = self.0.try_send(None);
    }
}

impl Gate {
    /// Loads the catalog and applies what changed.
    pub async fn reload(&self) -> Option<Arc<Report>> {
        self.reloads.now().await
    }

    /// Asks for a reload without waiting for it.
    pub fn reload_soon(&self) {
        self.reloads.soon();
    }
}

/// Applies changes until the gate shuts down, then stops every stream.
pub async fn run(gate: Arc<Gate>, mut requests: Requests) {
    let mut good = Arc::new(HashMap::new());
    loop {
        let first = tokio::select! {
            request = requests.0.recv() => request,
            () = gate.closed() => None,
        };
        let Some(first) = first else { break };
        let mut replies: Vec<Reply> = first.into_iter().collect();
        while let Ok(more) = requests.0.try_recv() {
            replies.extend(more);
        }
        let report = Arc::new(apply(&gate, &mut good).await);
        tell(&gate, &report);
        for reply in replies {
            // Whoever asked may have gone away.
            let _ = reply.send(Arc::clone(&report));
        }
    }
    let apis: Vec<_> = gate.snapshot().apis.values().cloned().collect();
    let running = apis.iter().filter_map(|api| api.backend.streams());
    let stops = running.map(|streams| streams.stop(STREAM_DRAIN, CloseReason::ShuttingDown));
    futures_util::future::join_all(stops).await;
}

async fn apply(gate: &Arc<Gate>, good: &mut Arc<Good>) -> Report {
    let started = Instant::now();
    let _alone = gate.changing.lock().await;
    let catalog = Arc::clone(&gate.catalog);
    let worker = Arc::clone(gate);
    let known = Arc::clone(good);
    gate.stores.begin_load().await;
    let mut loaded = catalog.load().await;
    if gate.stores.fetch_new().await {
        // Now what definitions refer to is known.
        let first = loaded;
        loaded = catalog.load().await;
        loaded.papers_changed |= first.papers_changed;
    }
    gate.stores.end_load();
    let papers_changed = loaded.papers_changed;
    if papers_changed {
        gate.certificates.clear();
        gate.oauth.forget();
        gate.watched.doubt_papers();
    }
    let definitions = || loaded.definitions.iter().filter_map(|(_, definition)| definition.as_ref().ok());
    // All at once: one server of bundles that hangs is waited for once.
    futures_util::future::join_all(definitions().map(|definition| compile::fetch(gate, definition))).await;
    gate.bundles
        .keep(definitions().filter_map(|definition| definition.api.plugins.as_deref()?.bundle.as_deref()));
    let prepared = tokio::task::spawn_blocking(move || prepare(&worker, loaded, &known)).await;
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            let fault = Fault::error("", format!("the reload failed inside and changed nothing: {error}"));
            let faults = vec![(gate.settings.app_path.clone(), vec![fault])];
            return Report { generation: gate.snapshot().generation, faults, ..Report::default() };
        }
    };
    *good = Arc::new(prepared.good);
    let mut report = Report { faults: prepared.faults, ..Report::default() };
    let Some(snapshot) = prepared.snapshot else {
        if papers_changed {
            gate.offer_domains().await;
        }
        report.generation = gate.snapshot().generation;
        return report;
    };
    report.generation = snapshot.generation;
    report.changed = prepared.fresh.len();
    report.removed = prepared.removed;
    let new_policies = snapshot.policy_generation == snapshot.generation;
    let generation = snapshot.generation;
    for api in gate.snapshot().apis.values().filter(|api| !snapshot.runs(api)) {
        if let Some(streams) = api.backend.streams() {
            streams.leave();
        }
    }
    // Before anybody can ask for them: a producer that comes first must not be turned away.
    for api in &prepared.fresh {
        if let Some(streams) = api.backend.streams() {
            streams.start();
        }
    }
    let old = gate.swap(snapshot);
    if new_policies {
        gate.callers.forget_older(generation);
        gate.watched.doubt(gate, None);
    }
    gate.offer_domains().await;
    if !pass_through::settle(gate).await {
        gate.ports_wanted.notify_one();
    }
    for published in prepared.fresh.iter().flat_map(|api| api.chain.published()) {
        gate.key_sets.prefetch(gate, published);
    }
    retire(gate, &old);
    tracing::info!(
        generation,
        changed = report.changed,
        removed = report.removed,
        took_ms = started.elapsed().as_millis() as u64,
        "configuration applied"
    );
    report
}

/// Stops the streams of APIs that run no more. Nobody waits for it: the new ones serve already.
fn retire(gate: &Arc<Gate>, old: &Snapshot) {
    let now = gate.snapshot();
    let mut keeping = Vec::new();
    for (id, api) in &old.apis {
        if now.runs(api) {
            continue;
        }
        let successor = now.apis.get(id);
        if api.model.cache.is_some() {
            keeping.push(Arc::clone(id));
        }
        let reason = if successor.is_some() { CloseReason::Changed } else { CloseReason::Removed };
        let api = Arc::clone(api);
        if api.backend.streams().is_some() {
            tokio::spawn(async move {
                if let Some(streams) = api.backend.streams() {
                    streams.stop(STREAM_DRAIN, reason).await;
                }
            });
        }
    }
    if !keeping.is_empty() {
        forget_answers(gate, keeping);
    }
}

/// Drops the answers that replaced APIs kept: the new ones may give others. Those in a store that nodes share are dropped by
/// each node that changes, so that none of them stays that one kept meanwhile.
fn forget_answers(gate: &Arc<Gate>, apis: Vec<Arc<str>>) {
    let ids: Vec<&str> = apis.iter().map(|id| &**id).collect();
    gate.cache.forget(&ids);
    let gate = Arc::clone(gate);
    tokio::spawn(async move {
        let ids: Vec<&str> = apis.iter().map(|id| &**id).collect();
        if let Err(away) = gate.cache.drop_all(&ids).await {
            tracing::warn!(%away, "kept answers of changed APIs cannot be dropped");
        }
    });
}

struct Prepared {
    /// `None` when nothing changed.
    snapshot: Option<Snapshot>,
    fresh: Vec<Arc<RunningApi>>,
    removed: usize,
    faults: Vec<(PathBuf, Vec<Fault>)>,
    /// The last version of each file that could be read.
    good: Good,
}

/// Makes the next snapshot. Blocking: parses, compiles regular expressions and mappings.
fn prepare(gate: &Gate, loaded: Loaded, known: &Good) -> Prepared {
    let current = gate.snapshot();
    let mut faults = loaded.policy_faults;
    faults.extend(loaded.paper_faults);
    let mut good = HashMap::with_capacity(loaded.definitions.len());
    let mut apis: HashMap<Arc<str>, Arc<RunningApi>> = HashMap::with_capacity(loaded.definitions.len());
    let mut sources: HashMap<Arc<str>, PathBuf> = HashMap::new();
    let mut fresh = Vec::new();

    for (path, result) in loaded.definitions {
        let definition = match result {
            Ok(definition) => definition,
            Err(found) => {
                faults.push((path.clone(), found));
                // The version that could be read last stays.
                match known.get(&path) {
                    Some(definition) => Arc::clone(definition),
                    None => continue,
                }
            }
        };
        let running = current.apis.get(&*definition.api.id);
        if running.is_some_and(|running| running.hosted) {
            let id = &definition.api.id;
            let fault = Fault::error("/api_id", format!("API id `{id}` is that of a stream"));
            let hint = format!("take another id, or take the stream away: DELETE /tyk/streams/{id}");
            faults.push((path, vec![fault.hint(hint)]));
            continue;
        }
        let same = |running: &&Arc<RunningApi>| {
            running.definition.is_same(&definition)
                && !plugins::are_stale(running, gate)
                && !running.events.as_ref().is_some_and(|events| events.is_stale())
        };
        let kept = running.filter(same);
        let api = match kept {
            Some(running) => Arc::clone(running),
            None => match compile(gate, &definition, running, &gate.streams) {
                Ok(api) => {
                    if !definition.warnings.is_empty() {
                        faults.push((path.clone(), definition.warnings.clone()));
                    }
                    fresh.push(Arc::clone(&api));
                    api
                }
                Err(found) => {
                    faults.push((path.clone(), located_in(&path, found)));
                    match running {
                        Some(running) => Arc::clone(running),
                        None => continue,
                    }
                }
            },
        };
        if let Some(first) = sources.get(&api.identity.id) {
            let fault = Fault::error(
                "/api_id",
                format!("API id `{}` is already used by {}", api.identity.id, first.display()),
            );
            faults.push((path, vec![fault.hint("give every API an id of its own")]));
            fresh.retain(|other| !Arc::ptr_eq(other, &api));
            continue;
        }
        sources.insert(Arc::clone(&api.identity.id), path.clone());
        good.insert(path, Arc::clone(&api.definition));
        apis.insert(Arc::clone(&api.identity.id), api);
    }
    // Streams that came by hand stay until they are taken away.
    for (id, api) in current.apis.iter().filter(|(_, api)| api.hosted) {
        apis.insert(Arc::clone(id), Arc::clone(api));
    }
    if !loaded.complete {
        // What could not be listed may still be there.
        for (id, api) in &current.apis {
            apis.entry(Arc::clone(id)).or_insert_with(|| Arc::clone(api));
        }
        good.extend(known.iter().map(|(path, definition)| (path.clone(), Arc::clone(definition))));
    }

    let tools = tools::bind_all(&current, &mut apis, &mut fresh, &mut faults, &sources);
    let removed = current.apis.keys().filter(|id| !apis.contains_key(*id)).count();
    let policies: HashMap<String, _> =
        loaded.policies.into_iter().map(|(id, policy)| (id.into_string(), policy)).collect();
    let same_policies = policies.len() == current.policies.len()
        && policies.iter().all(|(id, policy)| {
            current.policies.get(id).is_some_and(|other| Arc::ptr_eq(other, policy) || other == policy)
        });
    let first_load = current.generation == 0;
    if first_load && !loaded.complete {
        // Nothing is known of what should run; a node that serves nothing is not ready.
        return Prepared { snapshot: None, fresh: Vec::new(), removed, faults, good };
    }
    if fresh.is_empty() && removed == 0 && same_policies && !first_load {
        return Prepared { snapshot: None, fresh, removed, faults, good };
    }
    let generation = current.generation + 1;
    let passed = passed(&current, &apis, &mut faults, &sources);
    let routes = routes(gate, &current, &apis, &passed, &mut faults, &sources);
    let snapshot = Snapshot {
        generation,
        policy_generation: if same_policies && !first_load { current.policy_generation } else { generation },
        asked: AskedByName::by(apis.values().map(|api| &*api.model), &gate.settings),
        tools,
        apis,
        passed,
        routes: routes.main,
        by_port: routes.by_port,
        policies: if same_policies { Arc::clone(&current.policies) } else { Arc::new(policies) },
        names: std::sync::OnceLock::new(),
    };
    Prepared { snapshot: Some(snapshot), fresh, removed, faults, good }
}

/// As [`located`], in a file. Blocking.
#[expect(clippy::disallowed_methods, reason = "documented as blocking: runs where definitions are compiled")]
fn located_in(path: &Path, faults: Vec<Fault>) -> Vec<Fault> {
    match std::fs::read_to_string(path) {
        Ok(text) => located(&text, faults),
        Err(_) => faults,
    }
}

/// Tells an operator what was refused, where, and what to do.
fn tell(gate: &Gate, report: &Report) {
    gate.metrics.reloads.fetch_add(1, Ordering::Relaxed);
    let mut failed = false;
    for (path, faults) in &report.faults {
        for fault in faults {
            let line = fault.place.map(|place| place.line);
            let (pointer, hint) = (&*fault.pointer, fault.hint.as_deref());
            if fault.severity == Severity::Error {
                failed = true;
                tracing::error!(file = %path.display(), line, pointer, hint, "{}", fault.message);
            } else {
                tracing::warn!(file = %path.display(), line, pointer, hint, "{}", fault.message);
            }
        }
    }
    if failed {
        gate.metrics.failed_reloads.fetch_add(1, Ordering::Relaxed);
    }
}
