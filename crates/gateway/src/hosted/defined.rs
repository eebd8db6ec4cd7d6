//! Streams of definitions, as the API of streams tells of them: they are shown, and changed with their definitions only.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json};
use streams::Watcher;

use super::api::life;
use crate::backend::Backend;
use crate::gate::Gate;
use crate::snapshot::RunningApi;

/// A stream of an API.
pub(super) struct Defined {
    api: Arc<RunningApi>,
    name: Arc<str>,
    pub(super) watcher: Watcher,
    pub(super) uptime: Duration,
}

impl Defined {
    /// Its id among all streams (streams contract 1.2).
    pub(super) fn id(&self) -> String {
        format!("{}_{}", self.api.identity.id, self.name)
    }

    pub(super) fn api(&self) -> &str {
        &self.api.identity.id
    }

    pub(super) fn life(&self) -> Map<String, Json> {
        let mut life = life(&self.watcher, self.uptime);
        life.insert("api_id".to_owned(), self.api().into());
        life
    }

    pub(super) fn config(&self) -> Json {
        let apidef::Backend::Streams(model) = &self.api.model.backend else { return Json::Null };
        let found = model.streams.iter().find(|(name, _)| **name == *self.name);
        found.map(|(_, config)| config.clone()).unwrap_or_default()
    }
}

/// All of them. Where the ids of two are the same text, the first one has it.
pub(super) fn all(gate: &Gate) -> Vec<Defined> {
    let snapshot = gate.snapshot();
    let mut all = Vec::new();
    for api in snapshot.apis.values().filter(|api| !api.hosted) {
        let Backend::Stream(stream) = &api.backend else { continue };
        let (watchers, uptime) = stream.named_watchers();
        all.extend(watchers.into_iter().map(|(name, watcher)| Defined {
            api: Arc::clone(api),
            name,
            watcher,
            uptime,
        }));
    }
    all.sort_by(|one, other| (one.id(), one.api()).cmp(&(other.id(), other.api())));
    all
}

/// The one of this id.
pub(super) fn find(gate: &Gate, id: &str) -> Option<Defined> {
    all(gate).into_iter().find(|stream| stream.id() == id)
}
