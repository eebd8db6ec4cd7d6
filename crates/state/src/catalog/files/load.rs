//! Reading definitions. Everything here is blocking.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use apidef::references::{Lookup, Seal};
use apidef::{Definition, Source, as_mcp};
use document::Fault;
use serde::Deserialize;

use super::{
    Loaded,
    disk::{self, Stamp},
};
use crate::catalog::{Parsed, parallel};

/// What companions of `<x>.json` are called: `<x>-oas.json`, `<x>-mcp.json`.
pub(super) const COMPANIONS: [&str; 2] = ["-oas", "-mcp"];

/// One definition file, with its companions, as it was last read.
#[derive(Debug)]
pub(super) struct Entry {
    /// Of the file and of its companions.
    stamps: [Option<Stamp>; 3],
    digest: u64,
    /// Which values kept elsewhere it was read with.
    seal: Seal,
    /// The file that the text is in.
    pub(super) text_path: PathBuf,
    pub(super) parsed: Parsed,
}

/// One definition file as it is now.
struct Found {
    path: PathBuf,
    stamps: [Option<Stamp>; 3],
}

/// What came of reading it: an entry, or the old one again because the content is the same.
enum Read {
    Entry(Box<Entry>),
    Same,
}

/// Lists the folder, reads what may have changed, and parses what did.
pub(super) fn definitions(
    folder: &Path,
    cache: &mut HashMap<PathBuf, Entry>,
    lookup: &dyn Lookup,
    loaded: &mut Loaded,
) {
    let names = match disk::json_names(folder) {
        Ok(names) => names,
        Err(error) => {
            let fault = Fault::error("", format!("cannot list the folder of definitions: {error}"))
                .hint("create it, or set app_path to the folder that holds them");
            loaded.definitions.push((folder.to_owned(), Err(vec![fault])));
            loaded.complete = false;
            return;
        }
    };
    let (found, lone) = pair(folder, &names);
    let changed: Vec<&Found> = found
        .iter()
        .filter(|found| cache.get(&found.path).is_none_or(|entry| !entry.is_current(&found.stamps, lookup)))
        .collect();
    let read = parallel::map(&changed, |found| read(found, cache.get(&found.path), lookup));

    let mut next = HashMap::with_capacity(found.len());
    let mut read: HashMap<&Path, Read> = changed.iter().map(|found| found.path.as_path()).zip(read).collect();
    for Found { path, stamps } in &found {
        let entry = match (read.remove(path.as_path()), cache.remove(path)) {
            (Some(Read::Entry(entry)), _) => {
                loaded.parsed += 1;
                *entry
            }
            (Some(Read::Same), Some(entry)) => Entry { stamps: stamps.clone(), ..entry },
            (_, Some(entry)) => entry,
            (_, None) => continue,
        };
        loaded.definitions.push((entry.text_path.clone(), entry.parsed.clone()));
        next.insert(path.clone(), entry);
    }
    *cache = next;
    loaded.definitions.extend(lone);
}

impl Entry {
    fn is_current(&self, stamps: &[Option<Stamp>; 3], lookup: &dyn Lookup) -> bool {
        self.stamps == *stamps && stamps.iter().flatten().all(Stamp::settled) && self.seal.holds(lookup)
    }
}

/// Definition files with their companions, and companions without a definition.
fn pair(folder: &Path, names: &[String]) -> (Vec<Found>, Vec<(PathBuf, Parsed)>) {
    let known: HashSet<&str> = names.iter().map(String::as_str).collect();
    let mut found = Vec::with_capacity(names.len());
    let mut lone = Vec::new();
    for name in names {
        let stem = name.trim_end_matches(".json");
        if let Some(owner) = COMPANIONS.iter().find_map(|ending| stem.strip_suffix(ending)) {
            let owner = format!("{owner}.json");
            if !known.contains(owner.as_str()) {
                let fault = Fault::warning(
                    "",
                    format!("this file belongs to {owner}, which is not there, so it is left out"),
                )
                .hint(
                    "give it a name that does not end in -oas.json or -mcp.json to have it loaded by itself",
                );
                lone.push((folder.join(name), Err(vec![fault])));
            }
            continue;
        }
        let companion = |ending: &str| {
            let name = format!("{stem}{ending}.json");
            known.contains(name.as_str()).then(|| Stamp::of(&folder.join(name))).flatten()
        };
        let path = folder.join(name);
        // A name that is gone by now, or is that of a folder, is no definition.
        if let Some(stamp) = Stamp::of(&path) {
            found.push(Found {
                path,
                stamps: [Some(stamp), companion(COMPANIONS[0]), companion(COMPANIONS[1])],
            });
        }
    }
    (found, lone)
}

fn read(found: &Found, before: Option<&Entry>, lookup: &dyn Lookup) -> Read {
    let [_, oas, mcp] = &found.stamps;
    let companions = [(oas, COMPANIONS[0]), (mcp, COMPANIONS[1])];
    let present = companions.into_iter().find(|(stamp, _)| stamp.is_some());
    let companion = present.map(|(_, ending)| companion_path(&found.path, ending));
    let texts = disk::read(&found.path)
        .and_then(|text| Ok((text, companion.as_deref().map(disk::read).transpose()?)));
    let entry = |digest, text_path: &Path, (parsed, seal): apidef::Read| {
        let (stamps, parsed) = (found.stamps.clone(), parsed.map(Arc::new));
        Read::Entry(Box::new(Entry { stamps, digest, seal, text_path: text_path.to_owned(), parsed }))
    };
    let (text, companion_text) = match texts {
        Ok(texts) => texts,
        Err(error) => return entry(0, &found.path, (Err(vec![unreadable(&error)]), Seal::default())),
    };
    let digest = disk::digest([text.as_str()].into_iter().chain(companion_text.as_deref()));
    if before
        .is_some_and(|before| before.digest == digest && before.parsed.is_ok() && before.seal.holds(lookup))
    {
        return Read::Same;
    }
    match (companion, companion_text) {
        (Some(path), Some(companion)) => match projection(&text) {
            Some(of) => {
                let companion = if of.is_mcp() || is_mcp(&path) { as_mcp(&companion) } else { companion };
                entry(digest, &path, Definition::read(&companion, Some(Source::Oas), lookup))
            }
            None => entry(digest, &found.path, Definition::read(&text, None, lookup)),
        },
        _ => entry(digest, &found.path, Definition::read(&text, None, lookup)),
    }
}

/// What a classic definition says that is only the projection of an OpenAPI document.
#[derive(Deserialize)]
struct Projection {
    #[serde(default)]
    is_oas: bool,
    #[serde(default)]
    application_protocol: String,
}

impl Projection {
    /// Whether the document speaks MCP: others say so there, and not in the document.
    fn is_mcp(&self) -> bool {
        self.application_protocol == "mcp"
    }
}

/// A classic definition that is only the projection of the OpenAPI document beside it (contract 3.1).
fn projection(text: &str) -> Option<Projection> {
    serde_json::from_str(text).ok().filter(|projection: &Projection| projection.is_oas)
}

/// Whether a file is the companion of an API that speaks MCP.
pub(super) fn is_mcp(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with(COMPANIONS[1]))
}

/// `<x>-oas.json` for `<x>.json`.
pub(super) fn companion_path(path: &Path, ending: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}{ending}.json"))
}

pub(super) fn unreadable(error: &io::Error) -> Fault {
    let fault = Fault::error("", format!("cannot read this file: {error}"));
    match error.kind() {
        io::ErrorKind::PermissionDenied => fault.hint("let the user of this process read it"),
        io::ErrorKind::InvalidData => fault.hint("save it as UTF-8"),
        _ => fault,
    }
}
