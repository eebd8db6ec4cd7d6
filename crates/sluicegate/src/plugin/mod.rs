//! `sluicegate plugin`: begin plugins, try them out, and pack them.

#![allow(clippy::disallowed_methods, reason = "a command of its own, which may wait for the disk")]

mod alone;
mod settings;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use plugins::bundle::{self, Manifest};
use plugins::javascript::{Limits, Scripts, Source};
use plugins::{Call, Hook, Request, Spec};
use serde_json::{Value, json};

pub(crate) use settings::settings;

/// What can be done with plugins.
#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Write the beginning of a plugin in JavaScript, to go on from
    New {
        /// Its file; its name is that of the plugin
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Call a plugin in JavaScript with a request, and print what it makes of it
    #[command(after_help = TEST_HELP)]
    Test {
        /// Its file; modules that it imports are looked for beside it
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

const BEGINNING: &str = "\
// Called before the request goes on: change it, or answer in its place.
var NAME = new TykJS.TykMiddleware.NewMiddleware({});

NAME.NewProcessRequest(function (request, session, spec) {
    request.SetHeaders[\"X-Hello\"] = \"from NAME\";
    return NAME.ReturnData(request, session.meta_data);
});
";

pub(crate) fn plugin(asked: &Plugin) -> ExitCode {
    let done = match asked {
        Plugin::New { file } => begin(file),
        Plugin::Test { file, name, request } => test(file, name.as_deref(), request.as_deref()),
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

fn begin(file: &Path) -> Result<String, String> {
    let name = stem(file);
    let is_name = !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if name.is_empty() || !is_name {
        return Err(format!("`{name}` cannot be the name of a plugin: use letters, digits and `_`"));
    }
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(file);
    written
        .and_then(|mut new| new.write_all(BEGINNING.replace("NAME", &name).as_bytes()))
        .map_err(|why| format!("{} cannot be written: {why}", file.display()))?;
    Ok(format!("{} is written; try it with `sluicegate plugin test {}`", file.display(), file.display()))
}

fn test(file: &Path, name: Option<&str>, request: Option<&Path>) -> Result<String, String> {
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
    let mut sources = Vec::new();
    // Only modules import, and only modules are imported.
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if file.extension().is_some_and(|end| end == "mjs") {
        let entries = folder.read_dir().map_err(|why| format!("{}: {why}", folder.display()))?;
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path != file && path.extension().is_some_and(|end| end == "mjs") {
                sources.push(source(&path)?);
            }
        }
    }
    sources.push(source(file)?);
    let name = name.map_or_else(|| stem(file), str::to_owned);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|why| why.to_string())?;
    let scripts =
        Scripts::load(sources, Limits::default(), Arc::new(alone::Alone)).map_err(|why| why.to_string())?;
    scripts.check(&name).map_err(|why| why.to_string())?;
    let call = Call {
        hook: Hook::Pre,
        request: &request,
        response: None,
        session: None,
        spec: &Spec::default(),
        raw_body_only: false,
    };
    let outcome = runtime.block_on(Arc::new(scripts).call(&name, &call)).map_err(|why| why.to_string())?;
    let mut made = serde_json::to_value(&outcome.request).map_err(|why| why.to_string())?;
    if let Some(body) = &outcome.request.body {
        made["Body"] = String::from_utf8_lossy(body).into();
    }
    let told = json!({"Request": made, "Session": outcome.session, "SessionMeta": outcome.metadata});
    serde_json::to_string_pretty(&told).map_err(|why| why.to_string())
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

fn source(path: &Path) -> Result<Source, String> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Source { name: name.into(), text: read(path)?.into() })
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|why| format!("{} cannot be read: {why}", path.display()))
}
