//! `sluicegate stream run`: one stream as a process of its own.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use document::Fault;
use gateway::Place;
use serde_json::{Value as Json, json};
use streams::{Http, Logger};

use super::cli::With;
use super::environment;
use super::lint::{check, sort_out};
use super::service::{self, Service};
use super::source::Merged;
use super::{FAILED, UNREADABLE, beside, fail, settings_with};
use crate::cli::Form;
use crate::components;
use crate::lint::{Report, tell};

/// Runs the stream until it ends or is told to stop.
pub(super) fn run(file: &Path, with: &With, chilled: bool) -> ExitCode {
    let given = match environment::read(&with.env_file) {
        Ok(given) => given,
        Err(error) => return fail(UNREADABLE, &error),
    };
    let mut settings = match settings_with(with, &given) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    settings.lines = Arc::new(components::StandardOutput);
    settings.lenient = chilled;
    settings.environment = beside(&settings, file);
    let (mut merged, reports) = match check(file, with, &given, &settings) {
        Ok(checked) => checked,
        Err(unread) => {
            let (mut reports, mut unreadable) = (Vec::new(), Vec::new());
            sort_out(unread, &mut reports, &mut unreadable);
            return tell(&reports, &unreadable, Form::Human, &mut std::io::stderr().lock());
        }
    };
    if reports.iter().any(|report| !report.faults.is_empty()) {
        tell(&reports, &[], Form::Human, &mut std::io::stderr().lock());
    }
    if reports.iter().flat_map(|report: &Report| &report.faults).any(Fault::is_error) {
        return ExitCode::from(FAILED);
    }
    complete(&mut merged.value);
    let name = file.file_stem().map_or_else(|| "stream".into(), |stem| stem.to_string_lossy().into_owned());
    match start(&name, &merged, settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Faults(faults)) => {
            tell(&merged.reports(faults), &[], Form::Human, &mut std::io::stderr().lock())
        }
        Err(Failure::Other(error)) => fail(FAILED, &error),
    }
}

/// Standard input and standard output where nothing else is written.
fn complete(config: &mut Json) {
    if config.is_null() {
        *config = json!({});
    }
    for (key, component) in [("input", "stdin"), ("output", "stdout")] {
        if config[key].is_null() {
            config[key] = json!({ component: {} });
        }
    }
}

/// Why the stream does not run, or not on.
enum Failure {
    Faults(Vec<Fault>),
    Other(String),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        Failure::Faults(vec![fault])
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure::Other(text)
    }
}

fn start(name: &str, merged: &Merged, settings: streams::Settings) -> Result<(), Failure> {
    let config = &merged.value;
    let http = Http::read(&config["http"], "/http")?;
    let logger = Logger::read(&config["logger"], "/logger")?;
    service::work(config, logger, |patience| until_stopped(name, config, &http, settings, patience))
}

async fn until_stopped(
    name: &str,
    config: &Json,
    http: &Http,
    settings: streams::Settings,
    patience: Duration,
) -> Result<(), Failure> {
    let mut signals = service::Signals::listen()?;
    let lenient = settings.lenient;
    let service = Service::open(http, settings, false, !needs_server(config), None).await?;
    let place = Place { id: name, path: "/", lenient, file: None };
    let stream = service.gate.host(place, config.clone()).await;
    let stream = stream.map_err(Failure::Faults)?;
    let serving = service.serve();
    tracing::info!("running");
    let whole = tokio::select! {
        whole = stream.ended() => whole,
        () = signals.stop() => {
            tracing::info!("stopping");
            true
        }
    };
    tokio::select! {
        () = serving.stop(patience) => match whole {
            true => Ok(()),
            false => Err(Failure::Other("the stream broke down".to_owned())),
        },
        () = signals.stop() => Err(Failure::Other("ended before everything was delivered".to_owned())),
    }
}

/// Whether an `http_server` anywhere in the configuration has no listener of its own.
fn needs_server(value: &Json) -> bool {
    let shares = |config: &Json| config["address"].as_str().is_none_or(str::is_empty);
    match value {
        Json::Object(members) => members.iter().any(|(key, inner)| match key.as_str() {
            "http_server" => shares(inner),
            "type" if inner == "http_server" => {
                let config = value.get("plugin").or_else(|| value.get("http_server"));
                shares(config.unwrap_or(&Json::Null))
            }
            _ => needs_server(inner),
        }),
        Json::Array(items) => items.iter().any(needs_server),
        _ => false,
    }
}
