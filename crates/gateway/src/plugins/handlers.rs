//! Scripts that are told of events.

use std::sync::Arc;

use apidef::Plugin;
use document::Fault;
use plugins::javascript::Scripts;

use super::outside::World;
use super::sources::{self, Read};
use crate::gate::Gate;

/// Loads the script of a handler: `name` in the file `path`. `api` is empty for handlers of the gate.
pub(crate) fn script_of_events(
    gate: &Gate,
    api: &str,
    (name, path): (&str, &str),
    pointer: &str,
    read: &mut Vec<Read>,
) -> Result<Arc<Scripts>, Vec<Fault>> {
    let plugin =
        Plugin { name: name.into(), path: path.into(), pointer: pointer.into(), ..Plugin::default() };
    let settings = &gate.settings.plugins;
    let source = sources::file(&plugin, &settings.folder, read)?;
    let fault = |why: plugins::Fault| vec![Fault::error(pointer, why.to_string())];
    let scripts =
        Scripts::load(vec![source], settings.limits, Arc::new(World::of(gate, api))).map_err(fault)?;
    scripts.check(name).map_err(fault)?;
    Ok(Arc::new(scripts))
}
