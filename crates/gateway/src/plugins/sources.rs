//! Where the code of plugins comes from: the definition, files, bundles.

#![allow(clippy::disallowed_methods, reason = "definitions are compiled on threads that may block")]

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use apidef::{Plugin, Plugins};
use document::Fault;
use plugins::bundle::Bundle;
use plugins::javascript::Source;
use plugins::python;
use plugins::wasm::{self, Sees};

use super::by_place::is_by_place;
use crate::gate::Gate;

/// Largest file of code, in bytes.
const LARGEST: u64 = 1 << 20;
/// Largest module of WebAssembly, in bytes.
const LARGEST_MODULE: u64 = 16 << 20;

/// A file, and what was in it.
#[derive(Debug)]
pub(crate) struct Read {
    path: PathBuf,
    content: Box<[u8]>,
}

impl Read {
    /// Reads a file of at most so many bytes.
    pub(crate) fn open(path: &Path, longest: u64) -> Result<Self, String> {
        let unreadable = |why: &dyn std::fmt::Display| format!("`{}` cannot be read: {why}", path.display());
        let size = path.metadata().map_err(|why| unreadable(&why))?.len();
        if size > longest {
            return Err(unreadable(&format_args!("it is longer than {longest} bytes")));
        }
        let content = std::fs::read(path).map_err(|why| unreadable(&why))?;
        Ok(Self { path: path.to_owned(), content: content.into() })
    }

    /// What is in it, if that is text.
    pub(crate) fn text(&self) -> Result<&str, String> {
        str::from_utf8(&self.content)
            .map_err(|_| format!("`{}` cannot be read: it is no text", self.path.display()))
    }

    pub(crate) fn is_stale(&self) -> bool {
        std::fs::read(&self.path).map_or(true, |content| *content != *self.content)
    }
}

/// The plugins of a definition and of its bundle, which counts where both name some.
pub(super) fn with_bundle(
    model: &Plugins,
    gate: &Gate,
) -> Result<(Plugins, Option<Arc<Bundle>>), Vec<Fault>> {
    let Some(name) = &model.bundle else { return Ok((model.clone(), None)) };
    let at = |text: String| vec![Fault::error(&*model.bundle_pointer, text)];
    let bundle = gate.bundles.known(name).map_err(|why| at(format!("the bundle cannot be used: {why}")))?;
    let of_bundle = apidef::of_bundle(&bundle.manifest.custom_middleware).map_err(|faults| {
        let told = faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.message));
        at(format!("the manifest of the bundle: {}", told.collect::<Vec<_>>().join("; ")))
    })?;
    let mut plugins = Plugins { config: model.config.clone(), ..of_bundle };
    // Their places are in the manifest; the definition knows only the bundle.
    plugins.each_mut(|plugin| plugin.pointer = model.bundle_pointer.clone());
    if plugins.auth.is_none() {
        plugins.auth.clone_from(&model.auth);
    }
    if let Some(identity) = &mut plugins.identity {
        identity.pointer = model.bundle_pointer.clone();
    } else {
        plugins.identity.clone_from(&model.identity);
    }
    if plugins.records.is_none() {
        plugins.records.clone_from(&model.records);
    }
    Ok((plugins, Some(bundle)))
}

/// The code of scripts, each file once, in the order in which plugins name them; first what the configuration has for all.
pub(super) fn scripts(
    plugins: &[&Plugin],
    bundle: Option<&Arc<Bundle>>,
    gate: &Gate,
    read: &mut Vec<Read>,
) -> Result<Vec<Source>, Vec<Fault>> {
    let mut sources: Vec<Source> = Vec::new();
    sources.extend(for_all(gate, read)?);
    // Files of a bundle that no plugin is in may be what others import.
    let modules = bundle.iter().flat_map(|bundle| &bundle.files).filter(|(name, _)| name.ends_with(".mjs"));
    for (name, content) in modules {
        sources.push(Source { name: (&**name).into(), text: String::from_utf8_lossy(content).into() });
    }
    for plugin in plugins {
        let bundle = bundle.filter(|_| !is_by_place(plugin));
        if bundle.is_none() && plugin.code.is_empty() {
            modules_beside(plugin, ".mjs", &gate.settings.plugins.folder, read, &mut sources);
        }
        let source = match bundle {
            _ if !plugin.code.is_empty() => script_in(plugin, &sources)?,
            Some(bundle) => in_bundle(bundle, plugin)?,
            None => file(plugin, &gate.settings.plugins.folder, read)?,
        };
        if !sources.iter().any(|other| other.name == source.name) {
            sources.push(source);
        }
    }
    Ok(sources)
}

/// What the configuration has for the scripts of all APIs (`tyk_js_path`).
fn for_all(gate: &Gate, read: &mut Vec<Read>) -> Result<Option<Source>, Vec<Fault>> {
    let Some(path) = &gate.settings.plugins.for_all else { return Ok(None) };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
            // Configurations name the file of the original, which is built in here.
            tracing::warn!(path = %path.display(), "the file of `tyk_js_path` is not there; scripts run without it");
            return Ok(None);
        }
        Err(why) => {
            let text = format!("`{}` (`tyk_js_path`) cannot be read: {why}", path.display());
            return Err(vec![Fault::error("", text)]);
        }
    };
    read.push(Read { path: path.clone(), content: text.as_bytes().into() });
    Ok(Some(Source { name: path.to_string_lossy().into(), text: text.into() }))
}

/// The code that the definition itself has. Two functions of one name would be one.
fn script_in(plugin: &Plugin, sources: &[Source]) -> Result<Source, Vec<Fault>> {
    let source = Source { name: format!("{}.js", plugin.name).into(), text: plugin.code.clone() };
    if sources.iter().any(|other| other.name == source.name && other.text != source.text) {
        let text = format!("there is other code for `{}` in this definition", plugin.name);
        return Err(vec![Fault::error(&*plugin.pointer, text).hint("give one of them another name")]);
    }
    Ok(source)
}

fn in_bundle(bundle: &Bundle, plugin: &Plugin) -> Result<Source, Vec<Fault>> {
    let names = [plugin.path.to_string(), format!("{}.js", plugin.name)];
    let found = names.iter().find_map(|name| Some((name, bundle.files.get(name)?)));
    let Some((name, content)) = found else {
        let text = format!("the bundle has no file for `{}`: name it in `path`", plugin.name);
        return Err(vec![Fault::error(&*plugin.pointer, text)]);
    };
    Ok(Source { name: (&**name).into(), text: String::from_utf8_lossy(content).into() })
}

/// The files of Python that plugins name, or all at the top of their bundle.
pub(super) fn python(
    model: &Plugins,
    bundle: Option<&Arc<Bundle>>,
    gate: &Gate,
    read: &mut Vec<Read>,
) -> Result<python::Code, Vec<Fault>> {
    let mut code = python::Code { bundle: bundle.cloned(), ..python::Code::default() };
    let folder = &gate.settings.plugins.folder;
    for plugin in model.all() {
        if let Some(text) = inline(plugin, ".py") {
            code.texts.push(text);
            continue;
        }
        let files = match bundle {
            Some(bundle) => main_of(bundle, plugin, ".py")?.into_iter().map(PathBuf::from).collect(),
            None => {
                // It is read here to see later whether it is another one.
                file(plugin, folder, read)?;
                vec![place(plugin, folder)?]
            }
        };
        for file in files {
            if !code.files.contains(&file) {
                code.files.push(file);
            }
        }
    }
    Ok(code)
}

/// The files of Lua that plugins name, or all at the top of their bundle; and those that these can ask for.
pub(super) fn lua(
    model: &Plugins,
    bundle: Option<&Arc<Bundle>>,
    gate: &Gate,
    read: &mut Vec<Read>,
) -> Result<(Vec<Source>, Vec<Source>), Vec<Fault>> {
    let text = |name: &str, content: &[u8]| Source {
        name: name.into(),
        text: String::from_utf8_lossy(content).into(),
    };
    let folder = &gate.settings.plugins.folder;
    let (mut main, mut modules): (Vec<Source>, Vec<Source>) = (Vec::new(), Vec::new());
    let all = bundle.iter().flat_map(|bundle| &bundle.files).filter(|(name, _)| name.ends_with(".lua"));
    modules.extend(all.map(|(name, content)| text(name, content)));
    for plugin in model.all() {
        let found = match (inline(plugin, ".lua"), bundle) {
            (Some(source), _) => vec![source],
            (None, Some(bundle)) => {
                let names = main_of(bundle, plugin, ".lua")?;
                names.into_iter().map(|name| text(name, &bundle.files[name])).collect()
            }
            (None, None) => {
                modules_beside(plugin, ".lua", folder, read, &mut modules);
                vec![file(plugin, folder, read)?]
            }
        };
        for source in found {
            if !main.iter().any(|other| other.name == source.name) {
                main.push(source);
            }
        }
    }
    if bundle.is_none() {
        for module in &mut modules {
            // They are asked for by what stands beside.
            let name =
                Path::new(&*module.name).file_name().unwrap_or_default().to_string_lossy().into_owned();
            module.name = name.into();
        }
    }
    Ok((main, modules))
}

/// The modules of filters in WebAssembly.
pub(super) fn modules(
    model: &Plugins,
    bundle: Option<&Arc<Bundle>>,
    gate: &Gate,
    read: &mut Vec<Read>,
) -> Result<Vec<wasm::Code>, Vec<Fault>> {
    let requests = [&model.pre, &model.post_key_auth, &model.post].into_iter().flatten();
    let hooks = requests
        .chain(model.auth.as_deref())
        .map(|plugin| (plugin, Sees::Requests))
        .chain(model.response.iter().map(|plugin| (plugin, Sees::Answers)))
        .chain(model.records.as_deref().map(|plugin| (plugin, Sees::Records)));
    let code = |(plugin, sees): (&Plugin, Sees)| {
        let module = match bundle {
            Some(bundle) => {
                let named = main_of(bundle, plugin, ".wasm")?;
                bundle.files[named[0]].clone()
            }
            None => content(plugin, &gate.settings.plugins.folder, LARGEST_MODULE, read)?,
        };
        Ok(wasm::Code { name: plugin.name.clone(), module: module.into(), sees })
    };
    hooks.map(code).collect()
}

/// Code that is written in the definition itself.
fn inline(plugin: &Plugin, ending: &str) -> Option<Source> {
    let name = format!("{}{ending}", plugin.name).into();
    (!plugin.code.is_empty()).then(|| Source { name, text: plugin.code.clone() })
}

/// The file that a plugin of a bundle names; those at its top, where it names none.
fn main_of<'a>(bundle: &'a Bundle, plugin: &Plugin, ending: &str) -> Result<Vec<&'a str>, Vec<Fault>> {
    if let Some((name, _)) = bundle.files.get_key_value(&*plugin.path) {
        return Ok(vec![name]);
    }
    let names = bundle.manifest.file_list.iter().map(String::as_str);
    let names: Vec<&str> = names.filter(|name| name.ends_with(ending) && !name.contains('/')).collect();
    if names.is_empty() || plugin.path.ends_with(ending) {
        let text = format!("the bundle has no file for `{}`: name it in `path`", plugin.name);
        return Err(vec![Fault::error(&*plugin.pointer, text)]);
    }
    Ok(names)
}

/// The modules in the folder of a module: what it may import. One that cannot be read is missed by who imports it.
fn modules_beside(
    plugin: &Plugin,
    ending: &str,
    folder: &Path,
    read: &mut Vec<Read>,
    sources: &mut Vec<Source>,
) {
    if !plugin.path.ends_with(ending) {
        return;
    }
    let Ok(path) = place(plugin, folder) else { return };
    let Some(entries) = path.parent().and_then(|folder| folder.read_dir().ok()) else { return };
    let mut names: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.retain(|name| name.ends_with(ending));
    names.sort_unstable();
    for name in names {
        let path = Path::new(&*plugin.path).with_file_name(&name);
        let beside = Plugin { path: path.to_string_lossy().into(), ..plugin.clone() };
        if !sources.iter().any(|other| *other.name == *beside.path) {
            sources.extend(file(&beside, folder, read));
        }
    }
}

/// Where the file of a plugin is: below the folder of plugins.
fn place(plugin: &Plugin, folder: &Path) -> Result<PathBuf, Vec<Fault>> {
    let fault = |text: String| vec![Fault::error(document::pointer_join(&plugin.pointer, "path"), text)];
    if plugin.path.is_empty() {
        return Err(fault(format!(
            "where is `{}`? Name its file in `path`, or write it into `code`",
            plugin.name
        )));
    }
    let written = Path::new(&*plugin.path);
    // Existing definitions name files from where the gate runs (`middleware/a.js`), or from the folder.
    let below = written.strip_prefix(folder).unwrap_or(written);
    let is_plain = below.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !is_plain {
        let text = format!("`{}` leads out of the folder of plugins (`middleware_path`)", plugin.path);
        return Err(fault(text));
    }
    let below = below
        .strip_prefix(folder.file_name().unwrap_or_default())
        .ok()
        .filter(|below| folder.join(below).is_file())
        .unwrap_or(below);
    Ok(folder.join(below))
}

pub(super) fn file(plugin: &Plugin, folder: &Path, read: &mut Vec<Read>) -> Result<Source, Vec<Fault>> {
    let file = open(plugin, folder, LARGEST)?;
    let text = file.text().map_err(|why| unreadable(plugin, why))?.into();
    read.push(file);
    Ok(Source { name: plugin.path.clone(), text })
}

/// What is in the file of a plugin.
fn content(
    plugin: &Plugin,
    folder: &Path,
    longest: u64,
    read: &mut Vec<Read>,
) -> Result<Vec<u8>, Vec<Fault>> {
    let file = open(plugin, folder, longest)?;
    let content = file.content.to_vec();
    read.push(file);
    Ok(content)
}

fn open(plugin: &Plugin, folder: &Path, longest: u64) -> Result<Read, Vec<Fault>> {
    Read::open(&place(plugin, folder)?, longest).map_err(|why| unreadable(plugin, why))
}

/// What is wrong with a plugin where it stands; by its file, where no definition names it.
pub(super) fn fault(plugin: &Plugin, why: impl std::fmt::Display) -> Fault {
    match is_by_place(plugin) {
        true => Fault::error("", format!("`{}`: {why}", plugin.path)),
        false => Fault::error(&*plugin.pointer, why.to_string()),
    }
}

fn unreadable(plugin: &Plugin, why: String) -> Vec<Fault> {
    if is_by_place(plugin) {
        return vec![Fault::error("", why)];
    }
    vec![Fault::error(document::pointer_join(&plugin.pointer, "path"), why)]
}
