//! What runs the plugins of streams, made ready from their configuration.

use std::net::IpAddr;
use std::sync::Arc;

use document::Fault;
use plugins::grpc::{self, Border, Servers};
use plugins::javascript::{Limits, Scripts};
use plugins::lua::Lua;
use plugins::python::{self, Python};
use plugins::wasm::{self, Wasm};
use plugins::{Call, Outcome, Outside};
use streams::{BuildContext, Egress, Node};

use super::code::Code;
use super::inside::Inside;

/// Largest message to and from servers, in bytes.
const LARGEST_MESSAGE: usize = 64 << 20;

/// What runs a plugin.
pub(super) enum Host {
    Scripts(Arc<Scripts>),
    Lua(Arc<Lua>),
    Wasm(Wasm),
    Python(Arc<Python>),
    Servers(Servers),
}

impl Host {
    pub(super) fn build(
        node: &Node<'_>,
        config: &serde_json::Value,
        context: &BuildContext<'_>,
    ) -> Result<Self, Fault> {
        let (driver, name) = (node.text("driver")?, node.text("name")?);
        let limits = limits(node)?;
        if driver == "grpc" {
            return servers(node, limits, context).map(Self::Servers);
        }
        if node.has("servers") {
            return Err(node.field_fault("servers", format!("`{driver}` asks no servers: that is `grpc`")));
        }
        let code = Code::read(node, context)?;
        let told = |why: plugins::Fault| code.fault(node, &why);
        let outside = Arc::new(Inside(context.stream.clone())) as Arc<dyn Outside>;
        Ok(match &*driver {
            "lua" => {
                Self::Lua(Arc::new(Lua::load(code.lua(node)?, &[&name], limits, outside).map_err(told)?))
            }
            "wasm" => {
                let sees = wasm::Sees::Requests;
                let filter = wasm::Code { name: (&*name).into(), module: code.module(), sees };
                Self::Wasm(Wasm::load(vec![filter], config, limits, &outside).map_err(told)?)
            }
            "python" => {
                allow_python(node, context)?;
                let settings = python::Settings { limits, ..python::Settings::default() };
                let loaded = Python::load(&code.python(node)?, &[&name], settings, outside);
                Self::Python(Arc::new(loaded.map_err(told)?))
            }
            _ => {
                let scripts = Scripts::load(code.scripts(node)?, limits, outside).map_err(told)?;
                scripts.check(&name).map_err(told)?;
                Self::Scripts(Arc::new(scripts))
            }
        })
    }

    pub(super) async fn call(&self, name: &str, call: &Call<'_>) -> Result<Outcome, plugins::Fault> {
        match self {
            Self::Scripts(scripts) => scripts.call(name, call).await,
            Self::Lua(lua) => lua.call(name, call).await,
            Self::Wasm(wasm) => wasm.call(name, call).await,
            Self::Python(python) => python.call(name, call).await,
            Self::Servers(servers) => servers.call(name, call).await,
        }
    }
}

fn limits(node: &Node<'_>) -> Result<Limits, Fault> {
    let usual = Limits::default();
    let time = node.duration("timeout")?.unwrap_or(usual.time);
    if time.is_zero() {
        return Err(node.field_fault("timeout", "a call needs some time: write a duration such as `5s`"));
    }
    Ok(Limits { time, ..usual })
}

/// Python does what the gate may do, so that whoever runs the gate has to allow it.
fn allow_python(node: &Node<'_>, context: &BuildContext<'_>) -> Result<(), Fault> {
    let settings = context.settings;
    if settings.alone || settings.allow_unsafe.iter().any(|allowed| allowed == "python") {
        return Ok(());
    }
    let text = "the driver `python` is not allowed: it reaches the machine that the gate runs on";
    let hint = "whoever runs the gate can add `python` to `streaming.allow_unsafe`";
    Err(node.field_fault("driver", text).hint(hint))
}

fn servers(node: &Node<'_>, limits: Limits, context: &BuildContext<'_>) -> Result<Servers, Fault> {
    if let Some(field) = ["code", "file", "bundle", "module"].into_iter().find(|field| node.has(field)) {
        return Err(node.field_fault(field, "servers have their code themselves: name them in `servers`"));
    }
    let servers = node.texts("servers")?;
    if servers.is_empty() {
        return Err(node.field_fault("servers", "`grpc` needs `servers`, such as `tcp://127.0.0.1:5555`"));
    }
    let settings = grpc::Settings {
        servers: servers.join(","),
        authority: String::new(),
        largest_answer: LARGEST_MESSAGE,
        largest_question: LARGEST_MESSAGE,
        time: limits.time,
    };
    let border: Arc<dyn Border> = Arc::new(Within(Arc::clone(&context.settings.egress)));
    Servers::within(settings, Some(&border)).map_err(|why| node.field_fault("servers", why.to_string()))
}

/// The egress policy, for servers of plugins.
#[derive(Debug)]
struct Within(Arc<Egress>);

impl Border for Within {
    fn check(&self, host: &str, port: u16, address: IpAddr) -> Result<(), String> {
        self.0.check(host, port, address)
    }

    fn check_socket(&self, path: &str) -> Result<(), String> {
        self.0.check_socket(path)
    }
}
