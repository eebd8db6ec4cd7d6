//! Streams come and go by their ids, in a process of their own or beside the APIs of a catalog.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use apidef::Definition;
use document::Fault;
use serde_json::{Value as Json, json};
use streams::{CloseReason, Watcher};

use super::own;
use crate::backend::Backend;
use crate::gate::Gate;
use crate::listen::AskedByName;
use crate::reload::{compile, routes};
use crate::route;
use crate::snapshot::{RunningApi, Snapshot};

/// Where the definition that is made for a stream has it.
const STREAMS: &str = "/x-tyk-streaming/streams";

/// What a stream is called and where its endpoints are.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its id, which is its name.
    pub id: &'a str,
    /// The path below which its endpoints are: `/` or `/orders/`.
    pub path: &'a str,
    /// Whether it runs in spite of faults that lint finds.
    pub lenient: bool,
    /// The file that it stands in: its mappings read what is beside that (`file_rel`).
    pub file: Option<&'a str>,
}

/// The settings for a stream that stands in a file.
pub(super) fn beside(mut settings: streams::Settings, file: Option<&str>) -> streams::Settings {
    if let Some(file) = file {
        settings.environment = settings.environment.beside(file);
    }
    settings
}

impl Gate {
    /// Builds a stream, and starts nothing.
    pub(super) async fn built(
        self: &Arc<Self>,
        place: Place<'_>,
        config: Json,
    ) -> Result<Arc<RunningApi>, Vec<Fault>> {
        let (id, path) = (place.id.to_owned(), place.path.to_owned());
        let gate = Arc::clone(self);
        let settings = streams::Settings { lenient: place.lenient, ..self.streams.clone() };
        let settings = beside(settings, place.file);
        let compiled = tokio::task::spawn_blocking(move || {
            let definition = Arc::new(definition(&id, &path, config)?);
            compile(&gate, &definition, gate.snapshot().apis.get(&*id), &settings)
                .map_err(|faults| inside(&id, faults))
        });
        compiled.await.unwrap_or_else(|error| Err(vec![Fault::error("", error.to_string())]))
    }

    /// Builds a stream, starts it and serves its endpoints; one of the same id is stopped when the new one runs.
    ///
    /// # Errors
    /// Every fault, with its pointer in the configuration.
    pub async fn host(self: &Arc<Self>, place: Place<'_>, config: Json) -> Result<Watcher, Vec<Fault>> {
        let _alone = self.changing.lock().await;
        self.may_host(place.id).map_err(|text| vec![Fault::error("", text)])?;
        let mut api = self.built(place, config).await?;
        if let Some(new) = Arc::get_mut(&mut api) {
            new.hosted = true;
        }
        let mut apis = self.snapshot().apis.clone();
        let old = apis.insert(place.id.into(), Arc::clone(&api));
        let snapshot = self.with_hosted(apis, Some(place.id))?;
        let Backend::Stream(stream) = &api.backend else {
            return Err(vec![Fault::error("", "this is no stream")]);
        };
        if stream.waits_for_requests() {
            let fault =
                Fault::error("", "`$tyk_context` and `$tyk_meta` are known of the requests of an API");
            return Err(vec![fault.hint("write the stream into an API definition")]);
        }
        let listeners = stream.own_listeners().map_err(|text| vec![Fault::error("", text)])?;
        let opened = own::bind(&self.hosted.own, place.id, &listeners).await?;
        if let Some(old) = old.as_ref().and_then(|old| old.backend.streams()) {
            old.leave();
        }
        stream.start();
        let Some(watcher) = stream.watchers().pop() else {
            return Err(vec![Fault::error("", "the stream did not start")]);
        };
        self.swap(snapshot);
        own::serve(self, &self.hosted.own, place.id, opened, &listeners);
        if let Some(old) = old {
            tokio::spawn(async move { stop(&old, PATIENCE, CloseReason::Changed).await });
        }
        Ok(watcher)
    }

    /// Stops a stream and serves its endpoints no more; `false` when there is none of this id.
    pub async fn dismiss(&self, id: &str, patience: Duration) -> bool {
        let removed = {
            let _alone = self.changing.lock().await;
            let mut apis = self.snapshot().apis.clone();
            let removed = apis.remove(id).filter(|api| api.hosted);
            if removed.is_some()
                && let Ok(snapshot) = self.with_hosted(apis, None)
            {
                self.swap(snapshot);
            }
            removed
        };
        match removed {
            Some(api) => {
                own::close(&self.hosted.own, id);
                stop(&api, patience, CloseReason::Removed).await;
                true
            }
            None => false,
        }
    }

    /// Stops every stream, as the process ends. Their endpoints answer meanwhile that they close.
    pub async fn stop_hosted(&self, patience: Duration) {
        let apis: Vec<_> = self.snapshot().apis.values().cloned().collect();
        let stops = apis.iter().map(|api| stop(api, patience, CloseReason::ShuttingDown));
        futures_util::future::join_all(stops).await;
    }

    /// Whether a stream of this id can stand beside what runs.
    fn may_host(&self, id: &str) -> Result<(), String> {
        let current = self.snapshot();
        if self.settings.service.is_none() && current.generation == 0 {
            return Err("the definitions are not loaded yet: ask again when the gate is ready".to_owned());
        }
        match current.apis.get(id) {
            Some(api) if !api.hosted => Err(format!("`{id}` is the id of an API")),
            _ => Ok(()),
        }
    }

    /// The snapshot with these APIs, or why the one of this id has no path.
    fn with_hosted(
        &self,
        apis: HashMap<Arc<str>, Arc<RunningApi>>,
        new: Option<&str>,
    ) -> Result<Snapshot, Vec<Fault>> {
        let current = self.snapshot();
        let (routes, by_port, asked) = if self.settings.service.is_some() {
            let mut routes = route::Table::new(true);
            for api in apis.values() {
                // Ids differ, and with them the paths.
                let path = &api.model.listen_path;
                let place = route::Place { host: None, path, compiled: api.listens.path() };
                let _ = routes.add(&place, Arc::clone(api));
            }
            (routes, BTreeMap::new(), AskedByName::default())
        } else {
            let own = PathBuf::from("stream");
            let sources = new.map(|id| (Arc::from(id), own.clone())).into_iter().collect();
            let mut faults = Vec::new();
            let routes = routes(self, &current, &apis, &current.passed, &mut faults, &sources);
            // That of others was told when they came.
            if let Some((_, taken)) = faults.into_iter().find(|(source, _)| *source == own) {
                return Err(taken
                    .into_iter()
                    .map(|fault| Fault { pointer: String::new(), ..fault })
                    .collect());
            }
            let asked = AskedByName::by(apis.values().map(|api| &*api.model), &self.settings);
            (routes.main, routes.by_port, asked)
        };
        Ok(Snapshot {
            generation: current.generation + 1,
            policy_generation: current.policy_generation,
            policies: Arc::clone(&current.policies),
            tools: current.tools.clone(),
            apis,
            passed: current.passed.clone(),
            routes,
            by_port,
            asked,
            names: std::sync::OnceLock::new(),
        })
    }
}

/// How long the streams that are replaced may take to deliver what is under way.
const PATIENCE: Duration = Duration::from_secs(20);

async fn stop(api: &RunningApi, patience: Duration, reason: CloseReason) {
    if let Backend::Stream(stream) = &api.backend {
        stream.stop(patience, reason).await;
    }
}

/// The definition of an open API that holds the stream.
fn definition(id: &str, path: &str, config: Json) -> Result<Definition, Vec<Fault>> {
    let definition = json!({
        "openapi": "3.0.3",
        "info": {"title": id, "version": "1"},
        "paths": {},
        "x-tyk-api-gateway": {
            "info": {"id": id, "name": id, "state": {"active": true}},
            "server": {"listenPath": {"value": path, "strip": true}},
        },
        "x-tyk-streaming": {"streams": {id: config}},
    });
    Definition::parse_oas(&definition.to_string()).map_err(|faults| inside(id, faults))
}

/// The faults with their pointers in the stream's configuration. Their places are in a text that nobody wrote.
fn inside(id: &str, mut faults: Vec<Fault>) -> Vec<Fault> {
    let base = document::pointer_join(STREAMS, id);
    for fault in &mut faults {
        fault.place = None;
        if let Some(rest) = fault.pointer.strip_prefix(&base) {
            fault.pointer = rest.to_owned();
        }
    }
    faults
}
