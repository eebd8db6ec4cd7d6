//! A plugin of any kind, called once without a gate around it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use apidef::Session;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use plugins::javascript::{Limits, Scripts, Source};
use plugins::lua::{self, Lua};
use plugins::python::{self, Python};
use plugins::wasm::{self, Wasm};
use plugins::{Call, Hook, Outcome, Outside, Request, Response, Spec};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{alone, ending, read, stem};

/// What is called, and with what.
#[derive(Debug, Args)]
pub(crate) struct Trial {
    /// Its file (`.js`, `.mjs`, `.lua`, `.py`, `.wasm`); modules that it imports are looked for beside it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What is called; without it, the name of the file
    #[arg(long)]
    name: Option<String>,
    /// Where it is called from
    #[arg(long, value_enum, default_value_t = At::Pre)]
    hook: At,
    /// The request as JSON, in a file or `-` for standard input; without it, an empty GET
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// The answer as JSON, for the hook `response`; without it, an empty 200
    #[arg(long, value_name = "FILE")]
    response: Option<PathBuf>,
    /// The session of the caller as JSON, as keys are written; without it, there is none
    #[arg(long, value_name = "FILE")]
    session: Option<PathBuf>,
    /// What the definition has as `config_data`, as JSON
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The hooks, as definitions call them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum At {
    Pre,
    #[value(alias = "auth_check")]
    Auth,
    PostKeyAuth,
    Post,
    Response,
}

impl At {
    const fn hook(self) -> Hook {
        match self {
            Self::Pre => Hook::Pre,
            Self::Auth => Hook::Auth,
            Self::PostKeyAuth => Hook::PostKeyAuth,
            Self::Post => Hook::Post,
            Self::Response => Hook::Response,
        }
    }
}

/// Calls a plugin; gives what it makes of the request or the answer as JSON.
pub(super) fn run(trial: &Trial) -> Result<String, String> {
    let (mut request, body): (Request, _) = message(trial.request.as_deref(), "request")?;
    request.body = body;
    if request.method.is_empty() {
        "GET".clone_into(&mut request.method);
    }
    if request.url.is_empty() {
        "/".clone_into(&mut request.url);
    }
    let response = match (trial.hook, trial.response.as_deref()) {
        (At::Response, given) => {
            let (mut response, body): (Response, _) = message(given, "answer")?;
            // Hooks on answers always see a body, however short.
            response.body = Some(body.unwrap_or_default());
            if response.status_code == 0 {
                response.status_code = 200;
            }
            Some(response)
        }
        (_, Some(_)) => return Err("an answer is seen at one hook only: add `--hook response`".to_owned()),
        (_, None) => None,
    };
    let session: Option<Session> =
        trial.session.as_deref().map(|path| parsed(json_of(path)?, "session")).transpose()?;
    let config_data = trial.config.as_deref().map_or_else(|| Ok(json!({})), json_of)?;
    let spec = Spec { config_data, ..Spec::default() };
    let call = Call {
        hook: trial.hook.hook(),
        request: &request,
        response: response.as_ref(),
        session: session.as_ref(),
        spec: &spec,
        raw_body_only: false,
    };
    let name = trial.name.clone().unwrap_or_else(|| stem(&trial.file));
    let outcome = outcome(trial, &name, &call)?;
    let mut told = json!({"Session": outcome.session, "SessionMeta": outcome.metadata});
    match &response {
        Some(before) => {
            let after = outcome.response.unwrap_or_else(|| before.clone()).with_seen(before);
            let status = if after.status_code == 0 { before.status_code } else { after.status_code };
            told["Response"] = shown(&after, after.body.as_ref().or(before.body.as_ref()))?;
            told["Response"]["StatusCode"] = status.into();
        }
        None => {
            let after = outcome.request.with_seen(&request);
            told["Request"] = shown(&after, after.body.as_ref().or(request.body.as_ref()))?;
        }
    }
    serde_json::to_string_pretty(&told).map_err(|why| why.to_string())
}

fn outcome(trial: &Trial, name: &str, call: &Call<'_>) -> Result<Outcome, String> {
    let file = &*trial.file;
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
            let sees = if trial.hook == At::Response { wasm::Sees::Answers } else { wasm::Sees::Requests };
            let code = wasm::Code { name: name.into(), module: module.into(), sees };
            let config = trial.config.as_ref().map_or(&Value::Null, |_| &call.spec.config_data);
            let wasm = Wasm::load(vec![code], config, limits, &outside).map_err(told)?;
            runtime.block_on(wasm.call(name, call))
        }
        "js" | "mjs" => {
            // Only modules import, and only modules are imported.
            let mut sources = if ending(file) == "mjs" { beside(file, "mjs")? } else { Vec::new() };
            sources.push(source(file)?);
            let scripts = Scripts::load(sources, limits, outside).map_err(told)?;
            scripts.check(name).map_err(told)?;
            runtime.block_on(Arc::new(scripts).call(name, call))
        }
        _ => {
            let known = "`.js`, `.mjs`, `.lua`, `.py` and `.wasm`";
            return Err(format!("{}: its ending says no kind of plugin; there are {known}", file.display()));
        }
    };
    called.map_err(told)
}

/// A message as plugins see it, and its body; an empty one where no file is named.
fn message<T: DeserializeOwned>(path: Option<&Path>, what: &str) -> Result<(T, Option<Bytes>), String> {
    let written = path.map_or_else(|| Ok(json!({})), json_of)?;
    let body = written["Body"].as_str().map(|body| body.to_owned().into());
    Ok((parsed(written, what)?, body))
}

fn parsed<T: DeserializeOwned>(written: Value, what: &str) -> Result<T, String> {
    serde_json::from_value(written).map_err(|why| format!("the {what} cannot be used: {why}"))
}

/// JSON of a file, or of standard input.
fn json_of(path: &Path) -> Result<Value, String> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map_err(|why| format!("standard input: {why}"))?;
        text
    } else {
        read(path)?
    };
    serde_json::from_str(&text).map_err(|why| format!("{} is no JSON: {why}", path.display()))
}

fn shown(message: &impl Serialize, body: Option<&Bytes>) -> Result<Value, String> {
    let mut shown = serde_json::to_value(message).map_err(|why| why.to_string())?;
    if let Some(body) = body {
        shown["Body"] = String::from_utf8_lossy(body).into();
    }
    Ok(shown)
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
