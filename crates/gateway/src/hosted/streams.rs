//! Streams come and go by their ids.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use apidef::Definition;
use document::Fault;
use serde_json::{Value as Json, json};
use streams::{CloseReason, Watcher};

use crate::backend::Backend;
use crate::gate::Gate;
use crate::listen::AskedByName;
use crate::reload::compile;
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
}

impl Gate {
    /// Builds a stream, starts it and serves its endpoints; one of the same id is stopped when the new one runs.
    ///
    /// # Errors
    /// Every fault, with its pointer in the configuration.
    pub async fn host(self: &Arc<Self>, place: Place<'_>, config: Json) -> Result<Watcher, Vec<Fault>> {
        let _alone = self.hosting.lock().await;
        let (id, path) = (place.id.to_owned(), place.path.to_owned());
        let gate = Arc::clone(self);
        let settings = streams::Settings { lenient: place.lenient, ..self.streams.clone() };
        let compiled = tokio::task::spawn_blocking(move || {
            let definition = Arc::new(definition(&id, &path, config)?);
            compile(&gate, &definition, gate.snapshot().apis.get(&*id), &settings)
                .map_err(|faults| inside(&id, faults))
        });
        let api = compiled.await.unwrap_or_else(|error| Err(vec![Fault::error("", error.to_string())]))?;
        let Backend::Stream(stream) = &api.backend else {
            return Err(vec![Fault::error("", "this is no stream")]);
        };
        stream.start();
        let Some(watcher) = stream.watchers().pop() else {
            return Err(vec![Fault::error("", "the stream did not start")]);
        };
        let mut apis = self.snapshot().apis.clone();
        let old = apis.insert(place.id.into(), Arc::clone(&api));
        self.serve_hosted(apis);
        if let Some(old) = old {
            tokio::spawn(async move { stop(&old, PATIENCE, CloseReason::Changed).await });
        }
        Ok(watcher)
    }

    /// Stops a stream and serves its endpoints no more; `false` when there is none of this id.
    pub async fn dismiss(&self, id: &str, patience: Duration) -> bool {
        let removed = {
            let _alone = self.hosting.lock().await;
            let mut apis = self.snapshot().apis.clone();
            let removed = apis.remove(id);
            if removed.is_some() {
                self.serve_hosted(apis);
            }
            removed
        };
        match removed {
            Some(api) => {
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

    fn serve_hosted(&self, apis: HashMap<Arc<str>, Arc<RunningApi>>) {
        let current = self.snapshot();
        let mut routes = route::Table::new(true);
        for api in apis.values() {
            // Ids differ, and with them the paths.
            let _ = routes.add(&route::Place { host: None, path: &api.model.listen_path }, Arc::clone(api));
        }
        let generation = current.generation + 1;
        let policies = Arc::clone(&current.policies);
        let policy_generation = current.policy_generation;
        let asked = AskedByName::default();
        self.swap(Snapshot { generation, policy_generation, apis, routes, asked, policies });
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
