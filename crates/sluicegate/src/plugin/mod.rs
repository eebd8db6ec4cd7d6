//! `sluicegate plugin`: begin plugins, try them out, and pack them.

#![allow(clippy::disallowed_methods, reason = "a command of its own, which may wait for the disk")]

mod alone;
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
    /// Write the beginning of a plugin in JavaScript, Lua or Python, to go on from
    New {
        /// Its file; its name is that of the plugin, its ending (`.js`, `.lua`, `.py`) says the language
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// It is in Python, however the file is called
        #[arg(long)]
        python: bool,
    },
    /// Call a plugin with a request, and print what it makes of it
    #[command(after_help = TEST_HELP)]
    Test {
        /// Its file (`.js`, `.mjs`, `.lua`, `.py`, `.wasm`); modules that it imports are looked for beside it
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What is called; without it, the name of the file
        #[arg(long)]
        name: Option<String>,
        /// The request as JSON, in a file or `-` for standard input; without it, an empty GET
        #[arg(long, value_name = "FILE")]
        request: Option<PathBuf>,
    },
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
Requests of the plugin itself are not sent, and nothing is stored.";

const BUNDLE_HELP: &str = "\
manifest.json names the files in the order of the checksum, and the plugins in them:
  {\"file_list\": [\"a.js\"], \"custom_middleware\": {\"driver\": \"javascript\", \"pre\": [{\"name\": \"a\", \"path\": \"a.js\"}]}}";

const JAVASCRIPT: &str = "\
// Called before the request goes on: change it, or answer in its place.
var NAME = new TykJS.TykMiddleware.NewMiddleware({});

NAME.NewProcessRequest(function (request, session, spec) {
    request.SetHeaders[\"X-Hello\"] = \"from NAME\";
    return NAME.ReturnData(request, session.meta_data);
});
";

const PYTHON: &str = "\
from tyk.decorators import *
from gateway import TykGateway as tyk


# Called before the request goes on: change it, or answer in its place.
@Hook
def NAME(request, session, spec):
    tyk.log(\"called with \" + request.object.url, \"info\")
    request.object.set_headers[\"X-Hello\"] = \"from NAME\"
    return request, session
";

const LUA: &str = "\
-- Called before the request goes on: change it, or answer in its place.
function NAME(request, session, spec)
    request.set_headers[\"X-Hello\"] = \"from NAME\"
    return request, session
end
";

pub(crate) fn plugin(asked: &Plugin) -> ExitCode {
    let done = match asked {
        Plugin::New { file, python } => begin(file, *python),
        Plugin::Test { file, name, request } => trial::run(file, name.as_deref(), request.as_deref()),
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

fn begin(file: &Path, python: bool) -> Result<String, String> {
    let beginning = match file.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
        _ if python => PYTHON,
        "py" => PYTHON,
        "lua" => LUA,
        _ => JAVASCRIPT,
    };
    let name = stem(file);
    let is_name = !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if name.is_empty() || !is_name {
        return Err(format!("`{name}` cannot be the name of a plugin: use letters, digits and `_`"));
    }
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(file);
    written
        .and_then(|mut new| new.write_all(beginning.replace("NAME", &name).as_bytes()))
        .map_err(|why| format!("{} cannot be written: {why}", file.display()))?;
    Ok(format!("{} is written; try it with `sluicegate plugin test {}`", file.display(), file.display()))
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

fn stem(file: &Path) -> String {
    file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|why| format!("{} cannot be read: {why}", path.display()))
}
