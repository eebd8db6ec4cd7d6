//! The gate: what all connections share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use analytics::{Recorder, Store};
use arc_swap::{ArcSwap, Guard};
use state::{Catalog, State};
use tokio::sync::{Notify, Semaphore, watch};

use crate::acme::Acme;
use crate::aside::{Liveness, Telling};
use crate::auth::jwks::KeySets;
use crate::auth::jwt::{Checked, Tokens, Verified};
use crate::auth::{Authenticators, Callers, Passwords};
use crate::backend::stream::Watched;
use crate::backend::upstream::{Pools, UpstreamSettings, UpstreamTokens};
use crate::cache::Cache;
use crate::certificates::CertificateStore;
use crate::events::Events;
use crate::health::Noted;
use crate::hosted::Kept;
use crate::limits::{AtOnce, Organisations, Windows};
use crate::listen::tls::Certificates;
use crate::listen::{OwnPorts, ServerTls};
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::pass_through::{self, Busy, Ports};
use crate::plugins::{Bundles, Edits};
use crate::reload::Reloads;
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::stores::Stores;
use crate::traces::Tracer;
use crate::uptime::Hosts;

/// Calls of the admin API that are worked on at once.
const ADMIN_CALLS: usize = 32;
/// Most counts under way that no request waits for.
const COUNTS: usize = 4096;
/// Most requests that wait out their rate.
const WAITING: usize = 10_000;

/// Plugins have no longer for records that still wait when a gate ends.
const SETTLING: Duration = Duration::from_secs(5);

/// What a gate is made of; see [`Gate::new`].
pub struct Parts {
    /// What the configuration says.
    pub settings: Settings,
    /// Where sessions and counters live.
    pub state: State,
    /// Where answers are kept, if not there.
    pub answers: Option<State>,
    /// Where definitions and policies come from. It asks the stores below for what definitions refer to.
    pub catalog: Catalog,
    /// Where values are kept that definitions refer to.
    pub stores: Arc<Stores>,
    /// How upstreams are reached.
    pub upstream: UpstreamSettings,
    /// What streams are built with.
    pub streams: streams::Settings,
    /// What the listeners offer, so that APIs may add certificates for their domains.
    pub offered: Option<Arc<ServerTls>>,
    /// Obtains certificates for the listeners; `None`: they are given.
    pub acme: Option<Acme>,
    /// What runs plugins that say who is calling.
    pub authenticators: Authenticators,
    /// Where records go; `None` keeps none.
    pub records: Option<(Store, Recorder)>,
    /// Where traces of requests go; `None`: nothing is traced. Sent by [`crate::traces::run`].
    pub tracer: Option<Tracer>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// One gate. Shared by all connections; what changes is swapped behind its pointers.
pub struct Gate {
    /// What the configuration says.
    pub settings: Settings,
    /// Where sessions and counters live.
    pub state: State,
    /// Where definitions and policies come from.
    pub catalog: Arc<Catalog>,
    /// Where values are kept that definitions refer to.
    pub stores: Arc<Stores>,
    /// How upstreams are reached.
    pub upstream: UpstreamSettings,
    /// What streams are built with.
    pub streams: streams::Settings,
    /// Connections to upstreams.
    pub pools: Pools,
    /// Where records are handed over.
    pub recorder: Option<Recorder>,
    /// Where records can be read.
    pub records: Option<Store>,
    /// Counters.
    pub metrics: Metrics,
    /// Client connections.
    pub connections: Connections,
    pub(crate) certificates: Arc<CertificateStore>,
    /// Ports of APIs whose connections are passed through.
    pub(crate) ports: Ports,
    /// APIs through which connections go.
    pub(crate) busy: Busy,
    /// Told when ports have to be looked at again.
    pub(crate) ports_wanted: Notify,
    /// What the listeners offer; `None` where there is no TLS.
    pub(crate) offered: Option<Arc<Certificates>>,
    /// How they speak TLS.
    pub(crate) tls: Option<Arc<ServerTls>>,
    /// Ports of APIs beside the gate's own.
    pub(crate) own_ports: OwnPorts,
    /// Obtains certificates for the listeners.
    pub(crate) acme: Option<Box<Acme>>,
    pub(crate) windows: Arc<Windows>,
    pub(crate) callers: Arc<Callers>,
    pub(crate) organisations: Organisations,
    pub(crate) at_once: Arc<AtOnce>,
    pub(crate) watched: Watched,
    pub(crate) nodes: Nodes,
    /// Permits for counts that are made aside; without one a request waits for its count.
    pub(crate) counts: Arc<Semaphore>,
    /// Permits for requests that wait out their rate; without one a request is refused at once.
    pub(crate) waiting: Semaphore,
    /// Tokens whose signature has been checked.
    pub(crate) tokens: Tokens<Verified>,
    /// The same of tokens without a session of their own.
    pub(crate) checked: Tokens<Checked>,
    /// Issuers that are asked about tokens and have failed.
    pub(crate) issuers: crate::auth::Issuers,
    /// Keys of tokens, as their issuers publish them.
    pub(crate) key_sets: KeySets,
    pub(crate) passwords: Passwords,
    pub(crate) authenticators: Authenticators,
    pub(crate) upstream_tokens: UpstreamTokens,
    /// Which hosts of upstreams are down.
    pub(crate) hosts: Hosts,
    /// What the OAuth 2.0 servers of all APIs share.
    pub(crate) oauth: crate::oauth::Shared,
    /// Tokens that were exchanged for those of callers.
    pub(crate) exchanged: crate::auth::Exchanges,
    pub(crate) reloads: Reloads,
    /// Held while APIs come or go, so that no change is made on top of what another one replaces.
    pub(crate) changing: tokio::sync::Mutex<()>,
    /// Streams that stand in no catalog.
    pub(crate) hosted: Kept,
    /// Held while the admin API writes definitions, until they are live: what one change builds upon, no other replaces.
    pub(crate) defining: tokio::sync::Mutex<()>,
    /// Permits for calls of the admin API that are worked on; the others wait.
    pub(crate) admin_calls: Arc<Semaphore>,
    /// Bundles of plugins.
    pub(crate) bundles: Bundles,
    /// Records that wait for the plugins of their APIs.
    pub(crate) edits: Arc<Edits>,
    /// Answers that are kept.
    pub(crate) cache: Cache,
    /// What happens, on its way to who is told.
    pub(crate) events: Events,
    /// What other nodes are to know, on its way to the store.
    pub(crate) telling: Telling,
    /// What happened to APIs, on its way there.
    pub(crate) noted: Noted,
    /// Whether the store takes what is written.
    pub(crate) liveness: Liveness,
    /// Decides which traces are recorded, and sends them.
    pub(crate) tracer: Option<Arc<Tracer>>,
    /// The gate itself, for what may outlive it.
    me: Weak<Self>,
    snapshot: ArcSwap<Snapshot>,
    closing: watch::Sender<bool>,
    is_closing: AtomicBool,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("generation", &self.snapshot().generation).finish_non_exhaustive()
    }
}

impl Gate {
    /// A gate that serves nothing yet: run its reloader ([`crate::reload::run`]) and its listeners.
    pub fn new(parts: Parts) -> (Arc<Self>, crate::reload::Requests) {
        // The embedded store tells whether anything has changed; where it has, asking it again every second costs little.
        let believed = match parts.state.kind() {
            "embedded" => parts.settings.keys.cache_for.min(Duration::from_secs(1)),
            _ => parts.settings.keys.cache_for,
        };
        let (reloads, requests) = Reloads::new();
        let lookup = Arc::<Stores>::clone(&parts.stores);
        let catalog = Arc::new(parts.catalog.with_lookup(lookup));
        let (records, recorder) = parts.records.unzip();
        let make = |me: &Weak<Self>| Self {
            me: Weak::clone(me),
            bundles: Bundles::default(),
            edits: Arc::default(),
            cache: Cache::new(parts.settings.cache, parts.answers.as_ref().unwrap_or(&parts.state)),
            events: Events::default(),
            telling: Telling::default(),
            noted: Noted::default(),
            liveness: Liveness::default(),
            snapshot: ArcSwap::from_pointee(Snapshot::empty(parts.settings.strict_routes)),
            callers: Arc::new(Callers::new(believed, parts.state.clone())),
            organisations: Organisations::new(believed),
            at_once: Arc::default(),
            watched: Watched::default(),
            nodes: Nodes::new(),
            counts: Arc::new(Semaphore::new(COUNTS)),
            waiting: Semaphore::new(WAITING),
            certificates: Arc::new(CertificateStore::new(
                parts.state.clone(),
                Arc::clone(&catalog),
                parts.settings.certificates.passphrase.clone(),
            )),
            upstream_tokens: UpstreamTokens::default(),
            hosts: Hosts::default(),
            offered: parts.offered.as_ref().map(|tls| Arc::clone(&tls.certificates)),
            tls: parts.offered,
            own_ports: OwnPorts::default(),
            acme: parts.acme.map(Box::new),
            ports: Ports::default(),
            busy: Busy::default(),
            ports_wanted: Notify::new(),
            tokens: Tokens::default(),
            checked: Tokens::default(),
            issuers: crate::auth::Issuers::default(),
            key_sets: KeySets::new(parts.settings.key_sets.keep, parts.settings.key_sets.insecure),
            passwords: Passwords::default(),
            authenticators: parts.authenticators,
            oauth: crate::oauth::Shared::new(believed),
            exchanged: crate::auth::Exchanges::default(),
            settings: parts.settings,
            state: parts.state,
            catalog,
            stores: parts.stores,
            upstream: parts.upstream,
            streams: parts.streams,
            pools: Pools::default(),
            recorder,
            records,
            tracer: parts.tracer.map(Arc::new),
            metrics: Metrics::default(),
            connections: Connections::default(),
            windows: Arc::default(),
            reloads,
            changing: tokio::sync::Mutex::default(),
            hosted: Kept::default(),
            defining: tokio::sync::Mutex::default(),
            admin_calls: Arc::new(Semaphore::new(ADMIN_CALLS)),
            closing: watch::Sender::new(false),
            is_closing: AtomicBool::new(false),
        };
        (Arc::new_cyclic(make), requests)
    }

    /// The gate itself, for what may outlive it.
    pub(crate) fn me(&self) -> Weak<Self> {
        Weak::clone(&self.me)
    }

    /// The running configuration. Take it once for each exchange.
    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    pub(crate) fn swap(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        self.snapshot.swap(Arc::new(snapshot))
    }

    /// Resolves when the gate begins to shut down.
    pub async fn closed(&self) {
        let mut closing = self.closing.subscribe();
        // The sender lives as long as the gate does.
        drop(closing.wait_for(|closing| *closing).await);
    }

    /// Whether the gate shuts down.
    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed)
    }

    /// Tells `/ready` that this node should get no more traffic.
    pub fn announce_closing(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }

    /// Waits until plugins have edited the records of exchanges that are over: some seconds, then the rest is stored as it is.
    pub async fn settle_records(&self) {
        pass_through::tell(self);
        self.edits.settle(SETTLING).await;
    }

    /// Waits until the spans of exchanges that are over have been sent: some seconds, then the rest is dropped.
    pub async fn settle_traces(&self) {
        if let Some(tracer) = &self.tracer {
            tracer.finish().await;
        }
    }

    /// Leaves what is known of callers to the end of the process, which frees it at once; one by one a million of them take
    /// seconds. Files are closed as ever. For the very end: nothing of it is freed any more.
    pub fn leave_memory(&self) {
        std::mem::forget(Arc::clone(&self.callers));
        std::mem::forget(Arc::clone(&self.windows));
        self.state.leave_memory();
    }

    /// Ends listening, and every connection as soon as its exchange is over.
    pub fn close(&self) {
        self.announce_closing();
        self.closing.send_replace(true);
    }
}

/// How many client connections are open.
#[derive(Debug, Default)]
pub struct Connections(Arc<AtomicU64>);

/// Counts one connection for as long as it lives.
#[derive(Debug)]
pub(crate) struct Open(Arc<AtomicU64>);

impl Connections {
    /// Counts one more.
    pub(crate) fn open(&self) -> Open {
        self.0.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(&self.0))
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
