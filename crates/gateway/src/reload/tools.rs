//! Tools that are made of APIs follow these: with every change they are made anew where either of the two has changed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use apidef::Definition;
use document::Fault;

use super::located_in;
use crate::backend::tools::{Catalog, bind};
use crate::snapshot::{RunningApi, Snapshot};

type Apis = HashMap<Arc<str>, Arc<RunningApi>>;

/// The tools of all APIs that make some of others. Where that is no good any more, what runs stays as it is; an API that never
/// had any does not run, unless its address may be that of a path as well.
pub(super) fn bind_all(
    current: &Snapshot,
    apis: &mut Apis,
    fresh: &mut Vec<Arc<RunningApi>>,
    faults: &mut Vec<(PathBuf, Vec<Fault>)>,
    sources: &HashMap<Arc<str>, PathBuf>,
) -> HashMap<Arc<str>, Arc<Catalog>> {
    let mut all = HashMap::new();
    let mut makers: Vec<Arc<RunningApi>> =
        apis.values().filter(|api| api.model.tools.is_some()).map(Arc::clone).collect();
    makers.sort_unstable_by(|one, other| one.identity.id.cmp(&other.identity.id));
    for api in makers {
        let Some(wanted) = api.model.tools.as_deref() else { continue };
        let id = &api.identity.id;
        let before = current.tools.get(id);
        let found = match bind(&api.definition, wanted, apis.get(&*wanted.api), before) {
            Ok(Some((catalog, told))) => {
                all.insert(Arc::clone(id), catalog);
                told
            }
            Ok(None) => Vec::new(),
            Err(found) => {
                let running = current.apis.get(id);
                match (running, before) {
                    (Some(running), Some(before)) => {
                        apis.insert(Arc::clone(id), Arc::clone(running));
                        all.insert(Arc::clone(id), Arc::clone(before));
                    }
                    // It has led to a path so far, and goes on to.
                    (Some(running), None) => drop(apis.insert(Arc::clone(id), Arc::clone(running))),
                    (None, _) if !wanted.certain => {}
                    (None, _) => drop(apis.remove(id)),
                }
                let kept = apis.get(id).cloned();
                if !kept.is_some_and(|kept| Arc::ptr_eq(&kept, &api)) {
                    fresh.retain(|other| !Arc::ptr_eq(other, &api));
                }
                found
            }
        };
        if !found.is_empty() {
            let path = sources.get(id).cloned().unwrap_or_default();
            let found = located_in(&path, cover(&api.definition, found));
            faults.push((path, found));
        }
    }
    all
}

/// The faults for which the tools of a definition could not be made of what runs.
pub(crate) fn check(current: &Snapshot, definition: &Arc<Definition>) -> Vec<Fault> {
    let Some(wanted) = definition.api.tools.as_deref() else { return Vec::new() };
    match bind(definition, wanted, current.apis.get(&*wanted.api), None) {
        Ok(_) => Vec::new(),
        Err(found) => cover(definition, found),
    }
}

/// What is wrong with tools that are made of an API as it is now, by the APIs that have them. Blocking.
pub(crate) fn dependants(current: &Snapshot, source: &str) -> Vec<(Arc<str>, Vec<Fault>)> {
    let is_made =
        |api: &&Arc<RunningApi>| api.model.tools.as_deref().is_some_and(|tools| *tools.api == *source);
    let faults = |api: &Arc<RunningApi>| (Arc::clone(&api.identity.id), check(current, &api.definition));
    let all = current.apis.values().filter(is_made).map(faults);
    let mut all: Vec<_> = all.filter(|(_, found)| !found.is_empty()).collect();
    all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    all
}

/// The tools that a definition makes of what runs.
pub(crate) fn of(current: &Snapshot, definition: &Arc<Definition>) -> Option<Arc<Catalog>> {
    let wanted = definition.api.tools.as_deref()?;
    let bound = bind(definition, wanted, current.apis.get(&*wanted.api), None).ok()??;
    Some(bound.0)
}

/// What a fault tells is no value that stands elsewhere.
fn cover(definition: &Definition, mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.iter_mut().for_each(|fault| definition.cover(fault));
    faults
}
