//! What runs plugins, made ready from where their code is.

use std::sync::Arc;

use apidef::{Api, Plugin};
use document::Fault as DefinitionFault;
use plugins::bundle::Bundle;
use plugins::grpc::Servers;
use plugins::javascript::Scripts;
use plugins::lua::{self, Lua};
use plugins::python::Python;
use plugins::wasm::Wasm;
use plugins::{Call, Fault, Outcome, Spec};

use super::{outside, sources};
use crate::gate::Gate;

/// What runs them.
#[derive(Debug)]
pub(super) enum Host {
    Scripts(Arc<Scripts>),
    Servers(Servers),
    Python(Arc<Python>),
    Lua(Arc<Lua>),
    Wasm(Wasm),
}

/// The drivers of scripts.
pub(super) fn runs_scripts(driver: &str) -> bool {
    matches!(driver, "otto" | "javascript")
}

/// The drivers that something here runs.
pub(super) fn is_ours(driver: &str) -> bool {
    runs_scripts(driver) || matches!(driver, "grpc" | "" | "python" | "lua" | "wasm")
}

/// Refuses a plugin on records that cannot be called here.
pub(super) fn check_records(model: &apidef::Plugins) -> Result<(), Vec<DefinitionFault>> {
    let Some(plugin) = &model.records else { return Ok(()) };
    if !plugin.path.ends_with(".so") {
        return Ok(());
    }
    let text = format!(
        "`{}` is a Go plugin, which nothing here runs; the API is refused so that records are not stored without their plugin",
        plugin.path
    );
    let fault = DefinitionFault::error(&*plugin.pointer, text);
    Err(vec![fault.hint("write it in JavaScript (`javascript`), Python, Lua or WebAssembly, or for a server (`grpc`), and name that `driver`")])
}

impl Host {
    /// Loads the plugins of an API that are no scripts; `first` is one of them, to name where nothing else is at fault.
    pub(super) fn load(
        model: &apidef::Plugins,
        first: &Plugin,
        bundle: Option<&Arc<Bundle>>,
        (api, gate): (&Api, &Gate),
        read: &mut Vec<sources::Read>,
    ) -> Result<Self, Vec<DefinitionFault>> {
        let settings = &gate.settings.plugins;
        let fault = |why: Fault| vec![DefinitionFault::error(&*first.pointer, why.to_string())];
        let off = |what: &str, hint: &str| {
            let text = format!("{what}; the API is refused so that it does not run without them");
            vec![DefinitionFault::error(&*first.pointer, text).hint(hint)]
        };
        let names: Vec<&str> = model.all().map(|plugin| &*plugin.name).collect();
        let outside = Arc::new(outside::World::new(gate, api));
        match &*model.driver {
            "grpc" | "" => match &settings.servers {
                Some(servers) => Servers::new(servers.clone()).map(Self::Servers).map_err(fault),
                None => Err(off(
                    "no server of plugins is known",
                    "set `coprocess_options.enable_coprocess` and `coprocess_options.coprocess_grpc_server` in the configuration",
                )),
            },
            "python" => {
                if !settings.coprocess {
                    let hint = "set `coprocess_options.enable_coprocess` in the configuration";
                    return Err(off("plugins in Python are switched off", hint));
                }
                let code = sources::python(model, bundle, gate, read)?;
                let loaded = Python::load(&code, &names, settings.python.clone(), outside);
                Ok(Self::Python(Arc::new(loaded.map_err(fault)?)))
            }
            "lua" => {
                if !settings.coprocess {
                    let hint = "set `coprocess_options.enable_coprocess` in the configuration";
                    return Err(off("plugins in Lua are switched off", hint));
                }
                let (main, modules) = sources::lua(model, bundle, gate, read)?;
                let code = lua::Code { main, modules };
                let loaded = Lua::load(code, &names, settings.limits, outside);
                Ok(Self::Lua(Arc::new(loaded.map_err(fault)?)))
            }
            "wasm" => {
                if !settings.coprocess {
                    let hint = "set `coprocess_options.enable_coprocess` in the configuration";
                    return Err(off("plugins in WebAssembly are switched off", hint));
                }
                let modules = sources::modules(model, bundle, gate, read)?;
                let outside: Arc<dyn plugins::Outside> = outside;
                let loaded = Wasm::load(modules, &model.config, settings.limits, &outside);
                loaded.map(Self::Wasm).map_err(fault)
            }
            driver => Err(off(
                &format!("nothing here runs plugins of the driver `{driver}`"),
                "write them in JavaScript (`javascript`), Python, Lua or WebAssembly (`wasm`), or run them in a server of their own (`grpc`)",
            )),
        }
    }

    pub(super) async fn call(&self, plugin: &Plugin, call: &Call<'_>) -> Result<Outcome, Fault> {
        match self {
            Self::Scripts(scripts) => scripts.call(&plugin.name, call).await,
            Self::Servers(servers) => servers.call(&plugin.name, call).await,
            Self::Python(python) => python.call(&plugin.name, call).await,
            Self::Lua(lua) => lua.call(&plugin.name, call).await,
            Self::Wasm(wasm) => wasm.call(&plugin.name, call).await,
        }
    }

    /// Has a plugin edit a record, which is JSON before and after.
    pub(super) async fn record(&self, name: &str, record: &str, spec: &Spec) -> Result<String, Fault> {
        match self {
            Self::Scripts(scripts) => scripts.record(name, record, spec).await,
            Self::Python(python) => python.record(name, record, spec).await,
            Self::Lua(lua) => lua.record(name, record, spec).await,
            Self::Servers(servers) => servers.record(name, record, spec).await,
            Self::Wasm(wasm) => wasm.record(name, record, spec).await,
        }
    }

    /// Whether plugins see the objects of the coprocess protocol: sessions in any case, and the key is in the metadata
    /// (contract 9.3).
    pub(super) const fn is_coprocess(&self) -> bool {
        matches!(self, Self::Servers(_) | Self::Python(_) | Self::Lua(_))
    }
}

/// Loads the scripts that functions and plugins are in.
pub(super) fn scripts(
    of: &[&Plugin],
    bundle: Option<&Arc<Bundle>>,
    gate: &Gate,
    world: outside::World,
    read: &mut Vec<sources::Read>,
) -> Result<Arc<Scripts>, Vec<DefinitionFault>> {
    let settings = &gate.settings.plugins;
    let first = |text: String| match of.first() {
        Some(plugin) => sources::fault(plugin, text),
        None => DefinitionFault::error("", text),
    };
    if !settings.javascript {
        let text =
            "plugins in JavaScript are switched off; the API is refused so that it does not run without them";
        return Err(vec![first(text.to_owned()).hint("set `enable_jsvm` in the configuration")]);
    }
    let files = sources::scripts(of, bundle, gate, read)?;
    let scripts =
        Scripts::load(files, settings.limits, Arc::new(world)).map_err(|why| vec![first(why.to_string())])?;
    for plugin in of {
        scripts.check(&plugin.name).map_err(|why| vec![sources::fault(plugin, why)])?;
    }
    Ok(Arc::new(scripts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c9_1_a_plugin_on_records_that_nothing_calls_is_refused_at_its_place() {
        for (driver, path, expected) in [
            ("javascript", "mask.js", None),
            ("otto", "", None),
            ("lua", "mask.lua", None),
            ("python", "mask.py", None),
            ("python", "mask.so", Some("`mask.so` is a Go plugin")),
            ("", "mask.so", Some("`mask.so` is a Go plugin")),
            ("", "", None),
            ("grpc", "", None),
            ("wasm", "mask.wasm", None),
        ] {
            let records = Plugin { path: path.into(), pointer: "/here".into(), ..Plugin::default() };
            let model = apidef::Plugins {
                driver: driver.into(),
                records: Some(Box::new(records)),
                ..apidef::Plugins::default()
            };
            match (check_records(&model), expected) {
                (Ok(()), None) => {}
                (Err(faults), Some(expected)) => {
                    assert_eq!(faults[0].pointer, "/here");
                    assert!(faults[0].message.starts_with(expected), "{driver} {path}: {faults:?}");
                }
                (found, _) => panic!("{driver} {path}: {found:?}"),
            }
        }
    }
}
