//! `sluicegate plugin`: begin plugins, try them out, and pack them.

#![allow(clippy::disallowed_methods, reason = "a command of its own, which may wait for the disk")]

mod alone;
mod begin;
mod settings;
mod trial;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use plugins::bundle::{self, Manifest};

pub(crate) use settings::settings;

/// What can be done with plugins.
#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Write the beginning of a plugin, to go on from
    New {
        /// Its file; its name is that of the plugin, its ending says the language: `.js`, `.mjs`, `.lua`, `.py`, or `.rs` for a
        /// filter in WebAssembly
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Call a plugin with a request or an answer, and print what it makes of it
    #[command(after_help = TEST_HELP)]
    Test(trial::Trial),
    /// Pack the files that a manifest names into a bundle
    #[command(after_help = BUNDLE_HELP)]
    Bundle {
        /// Folder with `manifest.json` and the files that it names
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// Where the bundle is written
        #[arg(short, long, value_name = "FILE", default_value = "bundle.zip")]
        output: PathBuf,
        /// Private RSA key (PEM) to sign it with
        #[arg(short, long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

const TEST_HELP: &str = "\
The request is written as plugins see it, for example:
  {\"Method\": \"POST\", \"URL\": \"/a?b=c\", \"Headers\": {\"X-Name\": [\"ann\"]}, \"Body\": \"text\"}
An answer is written alike, for example:
  {\"StatusCode\": 200, \"Headers\": {\"Server\": [\"x\"]}, \"Body\": \"text\"}
Requests of the plugin itself are not sent, and nothing is stored.";

const BUNDLE_HELP: &str = "\
manifest.json names the files in the order of the checksum, and the plugins in them:
  {\"file_list\": [\"a.js\"], \"custom_middleware\": {\"driver\": \"javascript\", \"pre\": [{\"name\": \"a\", \"path\": \"a.js\"}]}}";

pub(crate) fn plugin(asked: &Plugin) -> ExitCode {
    let done = match asked {
        Plugin::New { file } => begin::begin(file),
        Plugin::Test(trial) => trial::run(trial),
        Plugin::Bundle { folder, output, key } => pack(folder, output, key.as_deref()),
    };
    let (text, code) = match done {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(why) => {
            let _ = writeln!(io::stderr().lock(), "error: {why}");
            return ExitCode::FAILURE;
        }
    };
    let _ = writeln!(io::stdout().lock(), "{text}");
    code
}

fn pack(folder: &Path, output: &Path, key: Option<&Path>) -> Result<String, String> {
    let listed = folder.join("manifest.json");
    let manifest: Manifest = serde_json::from_str(&read(&listed)?)
        .map_err(|why| format!("{} cannot be used: {why}", listed.display()))?;
    let content = |name: &String| {
        let path = folder.join(name);
        let content =
            std::fs::read(&path).map_err(|why| format!("{} cannot be read: {why}", path.display()))?;
        Ok((name.clone(), content))
    };
    let files = manifest.file_list.iter().map(content).collect::<Result<Vec<_>, String>>()?;
    apidef::of_bundle(&manifest.custom_middleware).map_err(|faults| {
        let told = faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.message));
        format!("{}: custom_middleware{}", listed.display(), told.collect::<Vec<_>>().join("; "))
    })?;
    let key = key.map(read).transpose()?;
    let archive =
        bundle::make(&files, manifest.custom_middleware, key.as_deref()).map_err(|why| why.to_string())?;
    std::fs::write(output, archive)
        .map_err(|why| format!("{} cannot be written: {why}", output.display()))?;
    let signed = if key.is_some() { ", signed" } else { "" };
    Ok(format!("{}: {} files{signed}", output.display(), files.len()))
}

fn ending(file: &Path) -> &str {
    file.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
}

fn stem(file: &Path) -> String {
    file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|why| format!("{} cannot be read: {why}", path.display()))
}
