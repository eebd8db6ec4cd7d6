//! `sluicegate stream streams`: any number of streams in one process, which come and go over HTTP.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use document::Fault;
use serde_json::{Value as Json, json};
use state::Secret;
use streams::{Http, Logger, Sort};

use super::cli::With;
use super::environment::{self, Given};
use super::lint::{check, sort_out};
use super::service::{self, Service, Signals};
use super::source::{Merged, Source};
use super::{FAILED, UNREADABLE, beside, fail, settings_with};
use crate::cli::Form;
use crate::components;
use crate::lint::{Report, files, tell};

/// Fields of the shared configuration.
const SHARED: [&str; 3] = ["http", "logger", "shutdown_timeout"];

/// A stream to begin with.
struct First {
    id: String,
    /// Where its file is; mappings read what is beside it.
    file: String,
    merged: Merged,
}

/// What was read before anything is started.
#[derive(Default)]
struct Read {
    shared: Json,
    firsts: Vec<First>,
    resources: Vec<(&'static str, String, Json)>,
    reports: Vec<Report>,
    unreadable: Vec<(String, String)>,
    /// Whether the streams run in spite of faults that lint finds.
    lenient: bool,
}

/// Runs streams until the process is told to stop.
pub(super) fn streams(paths: &[PathBuf], config: Option<&Path>, with: &With, chilled: bool) -> ExitCode {
    let given = match environment::read(&with.env_file) {
        Ok(given) => given,
        Err(error) => return fail(UNREADABLE, &error),
    };
    let mut settings = match settings_with(with, &given) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    settings.lines = Arc::new(components::StandardOutput);
    let lenient = streams::Settings { lenient: chilled, ..settings.clone() };
    let read = read(paths, config, with, &given, &lenient);
    if read.reports.iter().any(|report| !report.faults.is_empty()) || !read.unreadable.is_empty() {
        tell(&read.reports, &read.unreadable, Form::Human, &mut std::io::stderr().lock());
    }
    if !read.unreadable.is_empty() {
        return ExitCode::from(UNREADABLE);
    }
    if read.reports.iter().flat_map(|report| &report.faults).any(Fault::is_error) {
        return ExitCode::from(FAILED);
    }
    match start(read, settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &error),
    }
}

fn read(
    paths: &[PathBuf],
    config: Option<&Path>,
    with: &With,
    given: &Given,
    settings: &streams::Settings,
) -> Read {
    let mut read = Read { lenient: settings.lenient, ..Read::default() };
    if let Some(path) = config {
        match Source::read(path, given) {
            Ok(source) => {
                let faults = shared_faults(source.document.value());
                read.shared = source.document.value().clone();
                read.reports.push(source.report(faults));
            }
            Err(unread) => sort_out(vec![unread], &mut read.reports, &mut read.unreadable),
        }
    }
    for path in paths {
        let found = match files(path) {
            Ok(found) => found,
            Err(error) => {
                read.unreadable.push((path.display().to_string(), error.to_string()));
                continue;
            }
        };
        for file in found {
            let mut settings = settings.clone();
            settings.environment = beside(&settings, &file);
            match check(&file, with, given, &settings) {
                Ok((merged, reports)) => {
                    read.reports.extend(reports);
                    let id = id_of(&file, path);
                    let file = file.canonicalize().unwrap_or(file).display().to_string();
                    read.firsts.push(First { id, file, merged });
                }
                Err(unread) => sort_out(unread, &mut read.reports, &mut read.unreadable),
            }
        }
    }
    shared_resources(with, given, &mut read);
    read
}

/// The id of a stream: its file's name without its ending, behind the folders on the way to it.
fn id_of(file: &Path, given: &Path) -> String {
    let below = file.strip_prefix(given).ok().filter(|below| !below.as_os_str().is_empty());
    let below = below.map_or_else(|| PathBuf::from(file.file_name().unwrap_or_default()), Path::to_path_buf);
    let parts = below.with_extension("");
    let parts: Vec<_> = parts.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("_")
}

/// What of the shared configuration cannot be used.
fn shared_faults(value: &Json) -> Vec<Fault> {
    let mut faults = Vec::new();
    for key in value.as_object().into_iter().flat_map(|members| members.keys()) {
        if !SHARED.contains(&key.as_str()) {
            let fault =
                Fault::error(document::pointer_join("", key), format!("`{key}` is a stream's own matter"));
            faults.push(fault.on_key().hint("here stand `http`, `logger` and `shutdown_timeout`"));
        }
    }
    faults.extend(Http::read(&value["http"], "/http").err());
    faults.extend(Logger::read(&value["logger"], "/logger").err());
    faults
}

/// Resources of files are there for streams that come later, too.
fn shared_resources(with: &With, given: &Given, read: &mut Read) {
    let empty = json!({});
    let Ok(source) = Source::parse("resources".to_owned(), document::Format::Json, empty.to_string(), given)
    else {
        return;
    };
    let with = With { resources: with.resources.clone(), ..With::default() };
    let merged = match Merged::read(source, &with, given) {
        Ok(merged) => merged,
        Err(unread) => return sort_out(unread, &mut read.reports, &mut read.unreadable),
    };
    for field in Sort::ALL.iter().filter_map(|sort| sort.resources()) {
        for resource in merged.value[field].as_array().into_iter().flatten() {
            if let Some(label) = resource["label"].as_str() {
                read.resources.push((field, label.to_owned(), resource.clone()));
            }
        }
    }
}

fn start(read: Read, settings: streams::Settings) -> Result<(), String> {
    let fault = |fault: Fault| format!("{}: {}", fault.pointer, fault.message);
    let http = Http::read(&read.shared["http"], "/http").map_err(fault)?;
    let logger = Logger::read(&read.shared["logger"], "/logger").map_err(fault)?;
    let shared = read.shared.clone();
    service::work(&shared, logger, |patience| until_stopped(read, &http, settings, patience))
}

async fn until_stopped(
    read: Read,
    http: &Http,
    settings: streams::Settings,
    patience: Duration,
) -> Result<(), String> {
    let mut signals = Signals::listen()?;
    let secret = std::env::var("TYK_GW_SECRET").ok().filter(|secret| !secret.is_empty()).map(Secret::new);
    let service = Service::open(http, settings, true, false, secret).await?;
    for (field, label, resource) in read.resources {
        service.gate.add_resource(field, &label, resource, read.lenient);
    }
    for First { id, file, merged } in read.firsts {
        let added = service.gate.add_stream(&id, merged.value.clone(), read.lenient, Some(&file));
        if let Err(faults) = added.await {
            tell(&merged.reports(faults), &[], Form::Human, &mut std::io::stderr().lock());
            return Err(format!("stream `{id}` was not started"));
        }
    }
    let serving = service.serve();
    tracing::info!("running");
    signals.stop().await;
    tracing::info!("stopping");
    tokio::select! {
        () = serving.stop(patience) => Ok(()),
        () = signals.stop() => Err("ended before everything was delivered".to_owned()),
    }
}
