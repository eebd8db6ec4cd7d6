//! A plugin of any kind, called once without a gate around it.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use plugins::javascript::{Limits, Scripts, Source};
use plugins::lua::{self, Lua};
use plugins::python::{self, Python};
use plugins::wasm::{self, Wasm};
use plugins::{Call, Hook, Outcome, Outside, Request, Spec};
use serde_json::{Value, json};

use super::{alone, read, stem};

/// Calls a plugin with a request; gives what it makes of it as JSON.
pub(super) fn run(file: &Path, name: Option<&str>, request: Option<&Path>) -> Result<String, String> {
    let text = match request {
        None => json!({"Method": "GET", "URL": "/"}).to_string(),
        Some(path) if path == Path::new("-") => {
            let mut text = String::new();
            io::stdin().lock().read_to_string(&mut text).map_err(|why| format!("standard input: {why}"))?;
            text
        }
        Some(path) => read(path)?,
    };
    let written: Value =
        serde_json::from_str(&text).map_err(|why| format!("the request is no JSON: {why}"))?;
    let mut request: Request =
        serde_json::from_str(&text).map_err(|why| format!("the request cannot be used: {why}"))?;
    request.body = written["Body"].as_str().map(|body| body.to_owned().into());
    let name = name.map_or_else(|| stem(file), str::to_owned);
    let call = Call {
        hook: Hook::Pre,
        request: &request,
        response: None,
        session: None,
        spec: &Spec::default(),
        raw_body_only: false,
    };
    let outcome = outcome(file, &name, &call)?;
    let after = outcome.request.with_seen(&request);
    let mut made = serde_json::to_value(&after).map_err(|why| why.to_string())?;
    if let Some(body) = &after.body {
        made["Body"] = String::from_utf8_lossy(body).into();
    }
    let told = json!({"Request": made, "Session": outcome.session, "SessionMeta": outcome.metadata});
    serde_json::to_string_pretty(&told).map_err(|why| why.to_string())
}

fn outcome(file: &Path, name: &str, call: &Call<'_>) -> Result<Outcome, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|why| why.to_string())?;
    let (limits, outside) = (Limits::default(), Arc::new(alone::Alone) as Arc<dyn Outside>);
    let told = |why: plugins::Fault| why.to_string();
    let called = match ending(file) {
        "py" => {
            let code = python::Code { files: vec![file.to_owned()], ..python::Code::default() };
            let python = Python::load(&code, &[name], python::Settings::default(), outside).map_err(told)?;
            runtime.block_on(Arc::new(python).call(name, call))
        }
        "lua" => {
            let code = lua::Code { main: vec![source(file)?], modules: beside(file, "lua")? };
            let lua = Lua::load(code, &[name], limits, outside).map_err(told)?;
            runtime.block_on(Arc::new(lua).call(name, call))
        }
        "wasm" => {
            let module = std::fs::read(file);
            let module = module.map_err(|why| format!("{} cannot be read: {why}", file.display()))?;
            let code = wasm::Code { name: name.into(), module: module.into(), sees: wasm::Sees::Requests };
            let wasm = Wasm::load(vec![code], &Value::Null, limits, &outside).map_err(told)?;
            runtime.block_on(wasm.call(name, call))
        }
        ending => {
            // Only modules import, and only modules are imported.
            let mut sources = if ending == "mjs" { beside(file, "mjs")? } else { Vec::new() };
            sources.push(source(file)?);
            let scripts = Scripts::load(sources, limits, outside).map_err(told)?;
            scripts.check(name).map_err(told)?;
            runtime.block_on(Arc::new(scripts).call(name, call))
        }
    };
    called.map_err(told)
}

fn ending(file: &Path) -> &str {
    file.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
}

/// The other files of this ending in the folder of a file.
fn beside(file: &Path, wanted: &str) -> Result<Vec<Source>, String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = folder.read_dir().map_err(|why| format!("{}: {why}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .filter(|path| path.file_name() != file.file_name() && ending(path) == wanted)
        .map(|path| source(&path))
        .collect()
}

fn source(path: &Path) -> Result<Source, String> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Source { name: name.into(), text: read(path)?.into() })
}
