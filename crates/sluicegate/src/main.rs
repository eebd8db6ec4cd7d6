//! The `sluicegate` binary: command line, configuration, wiring. It holds no logic of the gate itself.

mod acme;
mod blobl;
mod catalog;
mod cli;
mod components;
mod config;
mod convert;
mod errors;
mod events;
mod lint;
mod logging;
mod mappings;
mod pid_file;
mod plugin;
mod public_key;
mod run;
mod stores;
mod stream;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use config::{Source, Variables};

/// Memory for Rust and, in place of `malloc`, for the C libraries: messages are made on one thread and let go on
/// another, which costs the system's allocator a quarter of a stream's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Could not start, could not go on, or faults found.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run { conf } => start(conf.as_deref()),
        Command::Lint { files, conf, format } => lint(&files, conf.as_deref(), format),
        Command::Convert { files, to, out } => convert::convert(&files, to, out.as_deref()),
        Command::Blobl(asked) => blobl::blobl(&asked),
        Command::Stream(asked) => stream::stream(&asked),
        Command::Catalog(command) => catalog::catalog(&command),
        Command::Plugin(asked) => plugin::plugin(&asked),
        Command::Version { json } => version(json),
    }
}

fn load(conf: Option<&Path>) -> Result<config::Loaded, config::Broken> {
    let variables: Variables = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect();
    let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    config::load(conf, &folder, &variables)
}

fn lint(files: &[PathBuf], conf: Option<&Path>, form: cli::Form) -> ExitCode {
    let judge = match conf {
        None => Ok(lint::Judge::default()),
        Some(_) => load(conf)
            .map_err(|broken| broken.to_string())
            .and_then(|loaded| lint::Judge::of(&loaded.config).map_err(|error| format!("error: {error}"))),
    };
    match judge {
        Ok(judge) => lint::lint(files, &judge, form, &mut io::stdout().lock()),
        Err(error) => fail(&format!("{error}\n")),
    }
}

fn start(conf: Option<&Path>) -> ExitCode {
    let loaded = match load(conf) {
        Ok(loaded) => loaded,
        Err(broken) => return fail(&format!("{broken}\n")),
    };
    let log = match logging::start(&loaded.config.log_level, loaded.config.log_format) {
        Ok(log) => log,
        Err(error) => return fail(&format!("error: cannot start the log: {error}\n")),
    };
    match &loaded.source {
        Source::File(path) => tracing::info!(file = %path.display(), "configuration read"),
        Source::BuiltIn => {
            tracing::info!(looked_at = %config::LOOKED_AT.join(", "), "no configuration file: built-in defaults are used");
        }
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("the TLS provider was there already");
    }
    let outcome = run::run(loaded.config);
    drop(log); // the last lines come before the last words
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("error: {error}\n")),
    }
}

fn version(json: bool) -> ExitCode {
    let version = env!("CARGO_PKG_VERSION");
    let text = match json {
        true => serde_json::json!({ "name": "sluicegate", "version": version }).to_string(),
        false => format!("sluicegate {version}"),
    };
    match writeln!(io::stdout().lock(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(FAILED),
    }
}

fn fail(text: &str) -> ExitCode {
    let _ = io::stderr().lock().write_all(text.as_bytes()); // nowhere left to tell it
    ExitCode::from(FAILED)
}
