//! `sluicegate stream run`: one stream as a process of its own.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use document::Fault;
use serde_json::{Value as Json, json};
use streams::{Built, CloseReason, Endpoint, EndpointPort, RunningStream, units};
use tokio::signal::unix::{SignalKind, signal};

use super::cli::With;
use super::environment;
use super::lint::{check, sort_out};
use super::{FAILED, UNREADABLE, fail, settings};
use crate::cli::Form;
use crate::components;
use crate::config::LogFormat;
use crate::lint::{Report, tell};

/// How long stopping may take when the configuration does not say.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the stream until it ends or is told to stop.
pub(super) fn run(file: &Path, with: &With) -> ExitCode {
    let given = match environment::read(&with.env_file) {
        Ok(given) => given,
        Err(error) => return fail(UNREADABLE, &error),
    };
    let mut settings = settings(components::registry(), &given);
    settings.lines = Arc::new(components::StandardOutput);
    settings.port = Arc::new(NoServer);
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
    let name = file.file_stem().map_or_else(|| "stream".into(), |stem| stem.to_string_lossy());
    let built = match streams::build(&name, &merged.value, "", &settings) {
        Ok(built) => built,
        Err(faults) => {
            let words: Vec<String> =
                faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.message)).collect();
            return fail(FAILED, &words.join("\n"));
        }
    };
    let logger = &merged.value["logger"];
    let level = logger["level"].as_str().unwrap_or("INFO").to_ascii_lowercase();
    let format = if logger["format"] == "json" { LogFormat::Json } else { LogFormat::Text };
    let level = match level.as_str() {
        "off" | "none" => "off",
        "fatal" => "error",
        "all" => "trace",
        other => other,
    };
    let log = match crate::logging::start(level, format) {
        Ok(log) => log,
        Err(error) => return fail(FAILED, &format!("cannot start the log: {error}")),
    };
    let patience = (merged.value["shutdown_timeout"].as_str())
        .and_then(|text| units::duration(text).ok())
        .unwrap_or(PATIENCE);
    let outcome = go_on(built, patience);
    drop(log);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &error),
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

/// Nobody listens here: what a gate serves needs a gate.
struct NoServer;

impl EndpointPort for NoServer {
    fn offer(&self, endpoint: Endpoint) -> Result<(), String> {
        Err(format!("nothing serves `{}` here; let a gate run this stream (`sluicegate run`)", endpoint.path))
    }
}

fn go_on(built: Built, patience: Duration) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start worker threads: {error}"))?;
    let outcome = runtime.block_on(until_stopped(built, patience));
    // A read of standard input cannot be interrupted, and does not hold the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

async fn until_stopped(built: Built, patience: Duration) -> Result<(), String> {
    let listen = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let mut stream: RunningStream = built.start();
    tracing::info!("running");
    tokio::select! {
        () = stream.ended() => {
            tracing::info!("the input has ended");
            return Ok(());
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    tokio::select! {
        () = stream.stop(patience, CloseReason::ShuttingDown) => Ok(()),
        _ = terminate.recv() => Err("ended before everything was delivered".to_owned()),
        _ = interrupt.recv() => Err("ended before everything was delivered".to_owned()),
    }
}
