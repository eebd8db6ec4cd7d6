//! Where the code of plugins comes from: the definition, files, bundles.

#![allow(clippy::disallowed_methods, reason = "definitions are compiled on threads that may block")]

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use apidef::{Plugin, Plugins};
use document::Fault;
use plugins::bundle::Bundle;
use plugins::javascript::Source;

use crate::gate::Gate;

/// Largest file of code, in bytes.
const LARGEST: u64 = 1 << 20;

/// A file, and what was in it.
#[derive(Debug)]
pub(crate) struct Read {
    path: PathBuf,
    text: Box<str>,
}

impl Read {
    /// Reads a file of bounded size.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let unreadable = |why: &dyn std::fmt::Display| format!("`{}` cannot be read: {why}", path.display());
        let size = path.metadata().map_err(|why| unreadable(&why))?.len();
        if size > LARGEST {
            return Err(unreadable(&format_args!("it is longer than {LARGEST} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|why| unreadable(&why))?;
        Ok(Self { path: path.to_owned(), text: text.into() })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_stale(&self) -> bool {
        std::fs::read_to_string(&self.path).map_or(true, |text| *text != *self.text)
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
    let lists = [&mut plugins.pre, &mut plugins.post_key_auth, &mut plugins.post, &mut plugins.response];
    let all = lists.into_iter().flatten().chain(plugins.auth.as_deref_mut());
    all.for_each(|plugin| plugin.pointer = model.bundle_pointer.clone());
    if plugins.auth.is_none() {
        plugins.auth.clone_from(&model.auth);
    }
    Ok((plugins, Some(bundle)))
}

/// The code of scripts, each file once, in the order in which plugins name them.
pub(super) fn of(
    model: &Plugins,
    bundle: Option<&Arc<Bundle>>,
    gate: &Gate,
    read: &mut Vec<Read>,
) -> Result<Vec<Source>, Vec<Fault>> {
    let mut sources: Vec<Source> = Vec::new();
    // Files of a bundle that no plugin is in may be what others import.
    let modules = bundle.iter().flat_map(|bundle| &bundle.files).filter(|(name, _)| name.ends_with(".mjs"));
    for (name, content) in modules {
        sources.push(Source { name: (&**name).into(), text: String::from_utf8_lossy(content).into() });
    }
    for plugin in model.all() {
        if bundle.is_none() && plugin.code.is_empty() {
            modules_beside(plugin, &gate.settings.plugins.folder, read, &mut sources);
        }
        let source = match bundle {
            _ if !plugin.code.is_empty() => {
                Source { name: format!("{}.js", plugin.name).into(), text: plugin.code.clone() }
            }
            Some(bundle) => in_bundle(bundle, plugin)?,
            None => file(plugin, &gate.settings.plugins.folder, read)?,
        };
        if !sources.iter().any(|other| other.name == source.name) {
            sources.push(source);
        }
    }
    Ok(sources)
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

/// The modules in the folder of a module: what it may import. One that cannot be read is missed by who imports it.
fn modules_beside(plugin: &Plugin, folder: &Path, read: &mut Vec<Read>, sources: &mut Vec<Source>) {
    if !plugin.path.ends_with(".mjs") {
        return;
    }
    let Ok(path) = place(plugin, folder) else { return };
    let Some(entries) = path.parent().and_then(|folder| folder.read_dir().ok()) else { return };
    let mut names: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.retain(|name| name.ends_with(".mjs"));
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
    let fault = |text: String| vec![Fault::error(document::pointer_join(&plugin.pointer, "path"), text)];
    let file = Read::open(&place(plugin, folder)?).map_err(fault)?;
    let source = Source { name: plugin.path.clone(), text: file.text().into() };
    read.push(file);
    Ok(source)
}
