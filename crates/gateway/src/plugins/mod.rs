//! The code of users on the way of requests and answers (contract 9): what runs it is in the room `plugins`; here is what
//! becomes of exchanges when it is called.

mod answers;
mod authenticate;
mod bundles;
mod handlers;
mod outside;
mod requests;
mod settings;
mod sources;

use std::sync::Arc;

use apidef::{Api, Plugin};
use document::Fault as DefinitionFault;
use plugins::grpc::Servers;
use plugins::javascript::Scripts;
use plugins::{Call, Fault, Outcome, Spec};

use crate::gate::Gate;

pub(crate) use answers::After;
pub(crate) use bundles::Bundles;
pub(crate) use handlers::script_of_events;
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

/// What runs them.
#[derive(Debug)]
enum Host {
    Scripts(Arc<Scripts>),
    Servers(Servers),
}

impl Plugins {
    /// Loads the plugins of an API, or tells what is wrong with them.
    pub(crate) fn compile(api: &Api, gate: &Gate) -> Result<Option<Arc<Self>>, Vec<DefinitionFault>> {
        let Some(model) = api.plugins.as_deref() else { return Ok(None) };
        let (model, bundle) = sources::with_bundle(model, gate)?;
        let Some(first) = model.all().next() else { return Ok(None) };
        let is_ours = matches!(&*model.driver, "otto" | "javascript" | "grpc" | "");
        if !is_ours && model.is_for_callers_alone() {
            // Who embeds the gate may have something that runs it.
            return Ok(None);
        }
        let fault = |plugin: &Plugin, text: String| vec![DefinitionFault::error(&*plugin.pointer, text)];
        let settings = &gate.settings.plugins;
        let mut read = Vec::new();
        let host = match &*model.driver {
            "otto" | "javascript" => {
                if !settings.javascript {
                    let text = "plugins in JavaScript are switched off; the API is refused so that it does not run without them";
                    let fault = DefinitionFault::error(&*first.pointer, text);
                    return Err(vec![fault.hint("set `enable_jsvm` in the configuration")]);
                }
                let outside = outside::World::new(gate, api);
                let files = sources::of(&model, bundle.as_ref(), gate, &mut read)?;
                let scripts = Scripts::load(files, settings.limits, Arc::new(outside))
                    .map_err(|why| fault(first, why.to_string()))?;
                for plugin in model.all() {
                    scripts.check(&plugin.name).map_err(|why| fault(plugin, why.to_string()))?;
                }
                Host::Scripts(Arc::new(scripts))
            }
            "grpc" | "" => match &settings.servers {
                Some(servers) => {
                    Host::Servers(Servers::new(servers.clone()).map_err(|why| fault(first, why.to_string()))?)
                }
                None => {
                    let text = "no server of plugins is known; the API is refused so that it does not run without them";
                    let fault = DefinitionFault::error(&*first.pointer, text);
                    return Err(vec![fault.hint("set `coprocess_options.enable_coprocess` and `coprocess_options.coprocess_grpc_server` in the configuration")]);
                }
            },
            driver => {
                let text = format!(
                    "nothing here runs plugins of the driver `{driver}`; the API is refused so that it does not run without them"
                );
                let hint =
                    "write them in JavaScript (`javascript`), or run them in a server of their own (`grpc`)";
                return Err(vec![DefinitionFault::error(&*first.pointer, text).hint(hint)]);
            }
        };
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
        match &self.host {
            Host::Scripts(scripts) => scripts.call(&plugin.name, call).await,
            Host::Servers(servers) => servers.call(&plugin.name, call).await,
        }
    }
}
