//! Streams whose configuration names what only a request knows (streams contract 1.6): one runs for each set of values that
//! requests bring, for as long as somebody uses it.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use apidef::Session;
use document::Fault;
use http::StatusCode;
use parking_lot::Mutex;
use serde_json::Value as Json;
use streams::placeholders::{self, Filled, Placeholder, Source};
use streams::{CloseReason, Probe, Sample, Watcher, merged_samples};
use tokio::sync::{OnceCell, Semaphore};

use super::StreamBackend;
use crate::context;
use crate::exchange::Exchange;
use crate::limits::{AtOnce, Held};
use crate::respond::Refusal;

/// Most variants of one stream at a time.
const MOST: usize = 1000;
/// How long one that nobody uses goes on, so that the next request of the same kind finds it (as long as in the original).
const IDLE: Duration = Duration::from_secs(60);
/// How often it is looked whether somebody uses them.
const LOOK: Duration = Duration::from_millis(500);
/// So many are built at once: building takes a core, and those of strangers may all be in vain.
const BUILT_AT_ONCE: usize = 4;
/// How long one that ends may take to deliver what is under way.
const DRAIN: Duration = Duration::from_secs(5);

/// All variants of one stream.
pub(super) struct Family {
    name: Arc<str>,
    /// Secrets are put in; the rest is left for requests.
    config: Json,
    pointer: Box<str>,
    wanted: Vec<Placeholder>,
    settings: streams::Settings,
    /// How long one that nobody uses goes on.
    idle: Duration,
    users: Arc<AtOnce>,
    building: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: HashMap<Values, Arc<Variant>>,
    /// No request finds them any more; they deliver what they have.
    ending: Vec<Arc<Variant>>,
    /// What those counted that run no more.
    past: [Vec<Sample>; 2],
    next: u64,
    closed: bool,
}

/// What requests bring, in the order of `wanted`.
type Values = Box<[Option<String>]>;

struct Variant {
    /// Under which its users are counted.
    name: String,
    backend: OnceCell<Arc<StreamBackend>>,
    unused_since: Mutex<Option<Instant>>,
}

/// The variant that serves a request, for as long as the place among its users is held.
pub(super) struct Chosen {
    pub(super) backend: Arc<StreamBackend>,
    pub(super) held: Held,
}

/// Why there is no variant for a request.
enum Unbuilt {
    /// A value is missing or can stand nowhere: the client's matter.
    Values(Vec<Fault>),
    /// The stream cannot be built with them.
    Stream(Vec<Fault>),
}

/// A variant that may have to be built first. When that fails, or who asked is gone before it is done, its place is free
/// again: what cannot be built must not keep others out.
struct Attempt<'a> {
    family: &'a Family,
    values: &'a Values,
    variant: &'a Arc<Variant>,
    held: Option<Held>,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            // First, so that the last of several who wait for the same sees that nobody is left.
            drop(held);
            self.family.give_up(self.values, self.variant);
        }
    }
}

impl std::fmt::Debug for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Family").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What of a stream's configuration requests fill in; faults for what no request can.
pub(super) fn wanted(
    config: &Json,
    pointer: &str,
    settings: &streams::Settings,
) -> Result<Vec<Placeholder>, Vec<Fault>> {
    let (mut wanted, mut faults) = placeholders::placeholders(config, pointer, settings);
    wanted.retain(|placeholder| !placeholder.source.is_secret());
    for placeholder in &wanted {
        if placeholder.source == Source::Context && !context::is_known(&placeholder.name) {
            let fault = Fault::error(pointer, format!("`{placeholder}` is known of no request"));
            faults.push(fault.hint(
                "there are `path`, `path_parts`, `remote_addr`, `request_id`, `token`, `headers_…`, `cookies_…`, `request_data_…` and `jwt_claims_…`",
            ));
        }
    }
    if faults.is_empty() { Ok(wanted) } else { Err(faults) }
}

impl Family {
    pub(super) fn new(
        name: &str,
        config: Json,
        pointer: &str,
        wanted: Vec<Placeholder>,
        settings: streams::Settings,
    ) -> Arc<Self> {
        // Of an id that no other request has, nobody else will ask.
        let once = |placeholder: &Placeholder| {
            placeholder.source == Source::Context && placeholder.name == "request_id"
        };
        let idle = if wanted.iter().any(once) { Duration::ZERO } else { IDLE };
        Arc::new(Self {
            name: name.into(),
            config,
            pointer: pointer.into(),
            wanted,
            settings,
            idle,
            users: Arc::default(),
            building: Semaphore::new(BUILT_AT_ONCE),
            state: Mutex::default(),
        })
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The variant for a request, built and started if there is none.
    pub(super) async fn choose(self: &Arc<Self>, exchange: &Exchange) -> Result<Chosen, Refusal> {
        let session = exchange.caller.as_ref().map(|caller| &*caller.session);
        let values: Values = self.wanted.iter().map(|wanted| value(exchange, session, wanted)).collect();
        self.with(values).await
    }

    /// The variant for these values.
    async fn with(self: &Arc<Self>, values: Values) -> Result<Chosen, Refusal> {
        let (variant, held) = self.place(&values)?;
        let mut attempt = Attempt { family: self, values: &values, variant: &variant, held: Some(held) };
        let built = variant.backend.get_or_try_init(|| self.build(&values)).await;
        match (built, attempt.held.take()) {
            (Ok(backend), Some(held)) => Ok(Chosen { backend: Arc::clone(backend), held }),
            (Ok(_), None) => {
                Err(Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, "SVF", "invalid route handler"))
            }
            (Err(unbuilt), held) => {
                attempt.held = held;
                Err(self.refusal(&unbuilt))
            }
        }
    }

    /// Gives the place of a variant back that was not built and that nobody else waits for.
    fn give_up(&self, values: &Values, variant: &Arc<Variant>) {
        let mut state = self.state.lock();
        let is_it = state.running.get(values).is_some_and(|other| Arc::ptr_eq(other, variant));
        if is_it && variant.backend.get().is_none() && self.users.count(&variant.name) == 0 {
            state.running.remove(values);
        }
    }

    /// The variant's place, and one among its users.
    fn place(&self, values: &Values) -> Result<(Arc<Variant>, Held), Refusal> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refusal::gate(StatusCode::SERVICE_UNAVAILABLE, "SCL", "Server closing"));
        }
        if !state.running.contains_key(values) {
            if state.running.len() >= MOST {
                let text = "too many variants of the stream run";
                return Err(Refusal::gate(StatusCode::SERVICE_UNAVAILABLE, "SMV", text).retry_after(5));
            }
            state.next += 1;
            let variant = Variant {
                name: state.next.to_string(),
                backend: OnceCell::new(),
                unused_since: Mutex::default(),
            };
            state.running.insert(values.clone(), Arc::new(variant));
        }
        let found = state.running.get(values).map(Arc::clone);
        let held = found.and_then(|variant| {
            let held = self.users.enter(variant.name.clone().into_boxed_str(), u32::MAX)?;
            Some((variant, held))
        });
        held.ok_or_else(|| Refusal::gate(StatusCode::SERVICE_UNAVAILABLE, "SMV", "too many use the stream"))
    }

    async fn build(self: &Arc<Self>, values: &Values) -> Result<Arc<StreamBackend>, Unbuilt> {
        let filled = placeholders::fill(&self.config, &self.pointer, &self.settings, &|placeholder| {
            let at = self.wanted.iter().position(|wanted| wanted == placeholder);
            match at.and_then(|at| values.get(at)).and_then(Option::as_ref) {
                Some(value) => Filled::With(value.clone()),
                None => Filled::Missing,
            }
        });
        let filled = filled.map_err(Unbuilt::Values)?;
        let _turn = self.building.acquire().await;
        let family = Arc::clone(self);
        // Mappings are compiled: that takes a while.
        let built = tokio::task::spawn_blocking(move || {
            let model = apidef::Streams {
                streams: vec![((*family.name).into(), filled)],
                pointer: family.pointer.rsplit_once('/').map_or("", |(base, _)| base).into(),
            };
            StreamBackend::of(&model, &family.settings)
        });
        let built = built.await.unwrap_or_else(|error| Err(vec![Fault::error("", error.to_string())]));
        let backend = built.map_err(Unbuilt::Stream)?;
        backend.start();
        Ok(Arc::new(backend))
    }

    fn refusal(&self, unbuilt: &Unbuilt) -> Refusal {
        let first = |faults: &[Fault]| {
            let told = faults.first().map(|fault| fault.message.clone());
            told.unwrap_or_else(|| "the stream cannot be built".to_owned())
        };
        match unbuilt {
            Unbuilt::Values(faults) => Refusal::client(StatusCode::BAD_REQUEST, "SVM", first(faults)),
            Unbuilt::Stream(faults) => {
                Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, "SVF", "invalid route handler")
                    .detail(format!("stream `{}` with the values of a request: {}", self.name, first(faults)))
            }
        }
    }

    /// Begins to look after the variants.
    pub(super) fn start(self: &Arc<Self>) {
        tokio::spawn(look_after(Arc::downgrade(self)));
    }

    /// Lets nobody find any more what nobody uses.
    fn unused(&self) -> Vec<Arc<Variant>> {
        let mut state = self.state.lock();
        let mut gone = Vec::new();
        state.running.retain(|_, variant| {
            let mut since = variant.unused_since.lock();
            if self.users.count(&variant.name) > 0 {
                *since = None;
                return true;
            }
            let unused = since.get_or_insert_with(Instant::now).elapsed();
            let stays = unused < self.idle;
            if !stays {
                gone.push(Arc::clone(variant));
            }
            stays
        });
        state.ending.extend(gone.iter().cloned());
        gone
    }

    /// Ends one that is among those that end; what it counted until then stays counted.
    async fn end(&self, variant: &Arc<Variant>, deadline: Duration, reason: CloseReason) {
        let backend = variant.backend.get();
        if let Some(backend) = backend {
            backend.stop_own(deadline, reason).await;
        }
        let mut state = self.state.lock();
        state.ending.retain(|other| !Arc::ptr_eq(other, variant));
        let Some(backend) = backend else { return };
        for (own, past) in state.past.iter_mut().enumerate() {
            let counted = backend.samples(own == 1).into_iter().map(|(_, sample)| sample);
            past.extend(counted.filter(|sample| !sample.is_gauge()));
            *past = merged_samples(std::mem::take(past));
        }
    }

    /// Says that every variant will be stopped.
    pub(super) fn leave(&self) {
        self.backends().iter().for_each(|backend| backend.leave());
    }

    /// Stops every variant, and lets none begin.
    pub(super) async fn stop(&self, deadline: Duration, reason: CloseReason) {
        let all: Vec<_> = {
            let mut state = self.state.lock();
            state.closed = true;
            let all: Vec<_> = state.running.drain().map(|(_, variant)| variant).collect();
            state.ending.extend(all.iter().cloned());
            all
        };
        let ends = all.iter().map(|variant| self.end(variant, deadline, reason));
        futures_util::future::join_all(ends).await;
    }

    fn backends(&self) -> Vec<Arc<StreamBackend>> {
        let state = self.state.lock();
        state.running.values().filter_map(|variant| variant.backend.get().cloned()).collect()
    }

    pub(super) fn probes(&self) -> Vec<(Arc<str>, Arc<Probe>)> {
        self.backends().iter().flat_map(|backend| backend.probes()).collect()
    }

    pub(super) fn watchers(&self) -> Vec<Watcher> {
        self.backends().iter().flat_map(|backend| backend.watchers()).collect()
    }

    /// What all of them counted together.
    pub(super) fn samples(&self, own: bool) -> Vec<(Arc<str>, Sample)> {
        // In one look, so that one that ends meanwhile is counted once.
        let (mut all, backends) = {
            let state = self.state.lock();
            let variants = state.running.values().chain(&state.ending);
            let backends: Vec<_> = variants.filter_map(|variant| variant.backend.get().cloned()).collect();
            (state.past[usize::from(own)].clone(), backends)
        };
        for backend in backends {
            all.extend(backend.samples(own).into_iter().map(|(_, sample)| sample));
        }
        merged_samples(all).into_iter().map(|sample| (Arc::clone(&self.name), sample)).collect()
    }
}

fn value(exchange: &Exchange, session: Option<&Session>, wanted: &Placeholder) -> Option<String> {
    let found = match wanted.source {
        Source::Context => context::value(exchange, &wanted.name),
        _ => session?.meta_data.get(&wanted.name).and_then(context::plain).map(|text| text.into_owned()),
    };
    found.filter(|value| !value.is_empty())
}

/// Ends variants that nobody uses, until the family is gone or closed.
async fn look_after(family: Weak<Family>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(family) = family.upgrade() else { return };
        if family.state.lock().closed {
            return;
        }
        let gone = family.unused();
        let ends = gone.iter().map(|variant| family.end(variant, DRAIN, CloseReason::Removed));
        futures_util::future::join_all(ends).await;
    }
}

#[cfg(test)]
mod tests;
