//! The code of users on the way of requests and answers (contract 9): what runs it is in the room `plugins`; here is what
//! becomes of exchanges when it is called.

mod answers;
mod authenticate;
mod bundles;
mod handlers;
mod hosts;
mod outside;
mod requests;
mod settings;
mod sources;

use std::sync::Arc;

use apidef::{Api, Plugin};
use document::Fault as DefinitionFault;
use plugins::{Call, Fault, Outcome, Spec};

use crate::gate::Gate;

pub(crate) use answers::After;
pub(crate) use bundles::Bundles;
pub(crate) use handlers::script_of_events;
use hosts::Host;
pub(crate) use requests::Before;
pub use settings::PluginSettings;
pub(crate) use sources::Read as FileRead;

/// The plugins of one API, ready to be called.
#[derive(Debug)]
pub(crate) struct Plugins {
    host: Host,
    spec: Spec,
    model: apidef::Plugins,
    /// The files that the code came from, as they were.
    read: Vec<sources::Read>,
}

impl Plugins {
    /// Loads the plugins of an API, or tells what is wrong with them.
    pub(crate) fn compile(api: &Api, gate: &Gate) -> Result<Option<Arc<Self>>, Vec<DefinitionFault>> {
        let Some(model) = api.plugins.as_deref() else { return Ok(None) };
        let (model, bundle) = sources::with_bundle(model, gate)?;
        let Some(first) = model.all().next() else { return Ok(None) };
        if !hosts::is_ours(&model.driver) && model.is_for_callers_alone() {
            // Who embeds the gate may have something that runs it.
            return Ok(None);
        }
        let mut read = Vec::new();
        let host = Host::load(&model, first, bundle.as_ref(), (api, gate), &mut read)?;
        let spec = Spec {
            org: api.org_id.to_string(),
            api: api.id.to_string(),
            config_data: model.config.clone(),
            bundle: bundle.map(|bundle| bundle.manifest.checksum.clone()).unwrap_or_default(),
        };
        Ok(Some(Arc::new(Self { host, spec, model, read })))
    }

    /// Whether a file that its code came from is another one now.
    pub(crate) fn is_stale(&self) -> bool {
        self.read.iter().any(sources::Read::is_stale)
    }

    async fn call(&self, plugin: &Plugin, call: &Call<'_>) -> Result<Outcome, Fault> {
        self.host.call(plugin, call).await
    }
}
