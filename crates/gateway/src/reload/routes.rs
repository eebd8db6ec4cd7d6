//! Where each API is found: its port, its host and its path.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use document::Fault;

use crate::gate::Gate;
use crate::pass_through::tenants;
use crate::route::{Place, Table};
use crate::snapshot::{OwnRoutes, RunningApi, Snapshot};

/// How many other places are looked at for an API whose own one is taken.
const MOST_TRIED: usize = 16;

/// What is refused, by file.
type Faults = Vec<(PathBuf, Vec<Fault>)>;
type Apis = HashMap<Arc<str>, Arc<RunningApi>>;

/// The routing tables.
pub(crate) struct Routes {
    /// That of the gate's own port.
    pub(crate) main: Table<Arc<RunningApi>>,
    /// Those of the ports of APIs.
    pub(crate) by_port: BTreeMap<u16, OwnRoutes>,
}

impl Routes {
    fn of(&mut self, api: &RunningApi) -> Option<&mut Table<Arc<RunningApi>>> {
        match api.own_port {
            None => Some(&mut self.main),
            Some((port, _)) => self.by_port.get_mut(&port).map(|own| &mut own.routes),
        }
    }
}

/// Every API at its listen path and at `/<id>/` (contract 2.9), on its port.
pub(crate) fn routes(
    gate: &Gate,
    current: &Snapshot,
    apis: &Apis,
    passed: &[Arc<RunningApi>],
    faults: &mut Faults,
    sources: &HashMap<Arc<str>, PathBuf>,
) -> Routes {
    let strict = gate.settings.strict_routes;
    let mut routes = Routes { main: Table::new(strict), by_port: BTreeMap::new() };
    let over_http = |api: &&Arc<RunningApi>| !api.model.internal && api.model.pass_through.is_none();
    let mut ordered: Vec<_> = apis.values().filter(over_http).collect();
    first_come(current.apis.keys(), &mut ordered);
    ordered.retain(|api| match own_port(api, &mut routes.by_port, passed, strict) {
        Ok(()) => true,
        Err(reason) => {
            faults.push(port_taken(api, reason, sources));
            false
        }
    });
    for api in &ordered {
        let Some(table) = routes.of(api) else { continue };
        let host = gate.settings.host_of(&api.model);
        let (path, compiled) = (&*api.model.listen_path, api.listens.path());
        if let Err((api, reason)) = table.add(&Place { host, path, compiled }, Arc::clone(api)) {
            let pointer = match api.definition.source {
                apidef::Source::Classic => "/proxy/listen_path",
                apidef::Source::Oas => "/x-tyk-api-gateway/server/listenPath/value",
            };
            let from = source(&api, sources);
            let text = match fall_back(table, host, api) {
                Some(fallback) => format!("{reason}; it is served at `{fallback}`"),
                None => reason,
            };
            faults.push((from, vec![Fault::error(pointer, text)]));
        }
    }
    for api in ordered {
        let Some(table) = routes.of(api) else { continue };
        let path = format!("/{}/", api.identity.id);
        let host = gate.settings.host_of(&api.model);
        // Somebody may listen there on purpose.
        let _ = table.add(&Place { host, path: &path, compiled: None }, Arc::clone(api));
    }
    routes
}

/// Where an API is served whose place is taken (contract 2.9).
fn fall_back(
    table: &mut Table<Arc<RunningApi>>,
    host: Option<&str>,
    mut api: Arc<RunningApi>,
) -> Option<String> {
    let mut path = format!("{}-{}", api.model.listen_path, api.identity.id);
    for _ in 0..MOST_TRIED {
        match table.add(&Place { host, path: &path, compiled: None }, api) {
            Ok(()) => return Some(path),
            Err((refused, _)) => api = refused,
        }
        path.push('_');
    }
    None
}

/// A place in the table of an API's port; why it cannot have that port.
fn own_port(
    api: &RunningApi,
    by_port: &mut BTreeMap<u16, OwnRoutes>,
    passed: &[Arc<RunningApi>],
    strict: bool,
) -> Result<(), String> {
    let Some((port, tls)) = api.own_port else { return Ok(()) };
    let of_connections =
        |other: &&Arc<RunningApi>| other.model.pass_through.as_ref().is_some_and(|other| other.port == port);
    if let Some(other) = passed.iter().find(of_connections) {
        return Err(format!("port {port} is that of API `{}`, which is no API of HTTP", other.identity.id));
    }
    let there = by_port.entry(port).or_insert_with(|| OwnRoutes { tls, routes: Table::new(strict) });
    if there.tls != tls {
        let (here, other) = if tls { ("over TLS", "in clear") } else { ("in clear", "over TLS") };
        return Err(format!(
            "port {port} is served {other} for another API, and would be {here} for this one"
        ));
    }
    Ok(())
}

/// The APIs whose connections are passed through; those that serve already keep their ports when a newcomer asks for one.
pub(super) fn passed(
    current: &Snapshot,
    apis: &Apis,
    faults: &mut Faults,
    sources: &HashMap<Arc<str>, PathBuf>,
) -> Vec<Arc<RunningApi>> {
    let mut ordered: Vec<_> = apis.values().filter(|api| api.model.pass_through.is_some()).collect();
    if ordered.is_empty() {
        return Vec::new();
    }
    first_come(current.passed.iter().map(|api| &api.identity.id), &mut ordered);
    let serving: HashSet<&Arc<str>> = current.passed.iter().map(|api| &api.identity.id).collect();
    ordered.retain(|api| {
        let Some(port) = api.model.pass_through.as_ref().map(|own| own.port) else { return false };
        if serving.contains(&api.identity.id) || !current.by_port.contains_key(&port) {
            return true;
        }
        let stays = |other: &&Arc<RunningApi>| {
            other.own_port.is_some_and(|(own, _)| own == port)
                && current.apis.contains_key(&other.identity.id)
        };
        let Some(other) = apis.values().find(stays) else { return true };
        let reason = format!("port {port} is that of API `{}`, which is served over HTTP", other.identity.id);
        faults.push(port_taken(api, reason, sources));
        false
    });
    let (by_port, refused) = tenants(ordered);
    for (api, reason) in refused {
        faults.push(port_taken(api, reason, sources));
    }
    by_port.into_values().flatten().cloned().collect()
}

/// Those that serve already keep their places when a newcomer asks for the same; else the order is that of ids.
fn first_come<'a>(serving: impl Iterator<Item = &'a Arc<str>>, apis: &mut [&Arc<RunningApi>]) {
    let serving: HashSet<&Arc<str>> = serving.collect();
    apis.sort_by_key(|api| (!serving.contains(&api.identity.id), &api.identity.id));
}

fn port_taken(
    api: &RunningApi,
    reason: String,
    sources: &HashMap<Arc<str>, PathBuf>,
) -> (PathBuf, Vec<Fault>) {
    let pointer = match api.definition.source {
        apidef::Source::Classic => "/listen_port",
        apidef::Source::Oas => "/x-tyk-api-gateway/server/port",
    };
    (source(api, sources), vec![Fault::error(pointer, reason).hint("give it another port")])
}

fn source(api: &RunningApi, sources: &HashMap<Arc<str>, PathBuf>) -> PathBuf {
    sources.get(&api.identity.id).map_or(Path::new(""), PathBuf::as_path).to_owned()
}
