//! The code of users on the way of requests and answers (contract 9): what runs it is in the room `plugins`; here is what
//! becomes of exchanges when it is called.

mod answers;
mod authenticate;
mod bundles;
mod by_place;
mod handlers;
mod hosts;
mod identity;
mod outside;
mod records;
mod requests;
mod settings;
mod sources;
mod trial;
mod virtuals;

use std::sync::Arc;

use apidef::{Api, Plugin};
use document::Fault as DefinitionFault;
use plugins::javascript::Scripts;
use plugins::{Call, Fault, Outcome, Spec};

use crate::gate::Gate;
use crate::snapshot::RunningApi;

pub(crate) use answers::After;
pub(crate) use bundles::Bundles;
pub(crate) use handlers::script_of_events;
use hosts::Host;
pub(crate) use identity::{Identities, Identity};
pub(crate) use records::Edits;
pub(crate) use requests::{AtPaths, Before};
pub use settings::PluginSettings;
pub(crate) use sources::Read as FileRead;
pub(crate) use trial::{Trial, Tried, try_out};
pub(crate) use virtuals::Virtuals;

/// The plugins of one API, ready to be called.
#[derive(Debug)]
pub(crate) struct Plugins {
    host: Host,
    /// What is loaded of scripts, for hooks and for paths that scripts answer.
    scripts: Option<Arc<Scripts>>,
    spec: Spec,
    model: apidef::Plugins,
    /// Finds the ids of callers, where those whom a plugin let in are known by them.
    extractor: Option<identity::Extractor>,
    /// Those that wait for the plugin on records.
    records: records::Records,
    /// The files that the code came from, as they were.
    read: Vec<sources::Read>,
    /// Those of them that no definition names.
    by_place: Vec<Box<str>>,
}

/// Whether a file that the plugins of a running API came from is another one now, or there are others.
pub(crate) fn are_stale(api: &RunningApi, gate: &Gate) -> bool {
    let (read, by_place) = match &api.plugins {
        None => (&[][..], &[][..]),
        Some(plugins) => (&plugins.read[..], &plugins.by_place[..]),
    };
    read.iter().any(sources::Read::is_stale)
        || by_place::files(&gate.settings.plugins.folder, &api.model) != by_place
}

impl Plugins {
    /// Loads the plugins of an API, or tells what is wrong with them.
    pub(crate) fn compile(api: &Api, gate: &Gate) -> Result<Option<Arc<Self>>, Vec<DefinitionFault>> {
        let mut functions: Vec<&Plugin> = api.paths.virtuals.iter().map(|one| &one.value.function).collect();
        if gate.settings.plugins.refuse_inline
            && let Some(function) = functions.iter().find(|function| !function.code.is_empty())
        {
            let text = "code inside of definitions is switched off (`disable_virtual_path_blobs`)";
            let fault = DefinitionFault::error(&*function.pointer, text);
            return Err(vec![fault.hint("put it into a file, and name that")]);
        }
        functions.extend(api.paths.hooks.iter().map(|hook| &hook.value));
        let nothing = apidef::Plugins::default();
        let (mut model, bundle) = match api.plugins.as_deref() {
            Some(model) => sources::with_bundle(model, gate)?,
            None => (nothing, None),
        };
        let by_place = by_place::files(&gate.settings.plugins.folder, api);
        by_place::add(&mut model, &by_place, api)?;
        if model.all().next().is_none() && functions.is_empty() {
            return Ok(None);
        }
        hosts::check_records(&model)?;
        if !hosts::is_ours(&model.driver) && model.is_for_callers_alone() {
            // Who embeds the gate may have something that runs it.
            if functions.is_empty() {
                return Ok(None);
            }
            model.auth = None;
        }
        let mut read = Vec::new();
        // Functions that paths have are scripts, whatever runs the plugins.
        let runs_scripts = hosts::runs_scripts(&model.driver);
        let scripted: Vec<&Plugin> =
            model.all().filter(|_| runs_scripts).chain(functions.iter().copied()).collect();
        let scripts = match &*scripted {
            [] => None,
            scripted => {
                let world = outside::World::new(gate, api);
                Some(hosts::scripts(scripted, bundle.as_ref(), gate, world, &mut read)?)
            }
        };
        let host = match (model.all().next(), &scripts) {
            (Some(first), _) if !runs_scripts => {
                Host::load(&model, first, bundle.as_ref(), (api, gate), &mut read)?
            }
            (_, Some(scripts)) => Host::Scripts(Arc::clone(scripts)),
            (_, None) => return Ok(None),
        };
        let spec = Spec {
            org: api.org_id.to_string(),
            api: api.id.to_string(),
            config_data: model.config.clone(),
            bundle: bundle.map(|bundle| bundle.manifest.checksum.clone()).unwrap_or_default(),
        };
        let extractor = model.identity.as_deref().filter(|_| model.auth.is_some());
        let extractor =
            extractor.map(|model| identity::Extractor::compile(model, &api.org_id)).transpose()?;
        let records = records::Records::new(&gate.edits);
        Ok(Some(Arc::new(Self { host, scripts, spec, model, extractor, records, read, by_place })))
    }

    async fn call(&self, plugin: &Plugin, call: &Call<'_>) -> Result<Outcome, Fault> {
        self.host.call(plugin, call).await
    }
}
