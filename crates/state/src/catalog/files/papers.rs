//! Certificates and clients of a folder that is a whole catalog: one file each, named by its id.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use document::Fault;

use super::{CatalogError, Kind, Loaded, Papers, disk, load::unreadable};
use crate::catalog::papers::PaperMap;

/// Reads every file. They are few and small, and not parsed.
pub(super) fn load(root: &Path, papers: &Papers, loaded: &mut Loaded) {
    let since = papers.writes();
    let mut read: PaperMap = HashMap::new();
    for kind in [Kind::Certificate, Kind::Client] {
        let folder = root.join(kind.folder());
        let names = match disk::names(&folder, kind.ending()) {
            Ok(names) => names,
            // There need not be any.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                let fault = Fault::error("", format!("cannot list this folder: {error}"));
                loaded.paper_faults.push((folder, vec![fault]));
                read.extend(papers.of(kind));
                continue;
            }
        };
        for name in names {
            let path = folder.join(&name);
            let Some(id) = disk::decoded(name.trim_end_matches(kind.ending())) else {
                let fault = Fault::error("", "the name of this file is no id: `%` and two digits are a byte");
                loaded.paper_faults.push((path, vec![fault]));
                continue;
            };
            match disk::read(&path) {
                Ok(text) => drop(read.insert((kind, id.into()), Arc::from(text))),
                Err(error) => {
                    loaded.paper_faults.push((path, vec![unreadable(&error)]));
                    if let Some(text) = papers.get(kind, &id) {
                        read.insert((kind, id.into()), text);
                    }
                }
            }
        }
    }
    // Where that overlapped a write, the watch tells of the file that was written, and it is read again.
    loaded.papers_changed = papers.set(read, since).changed;
}

pub(super) fn put(root: Option<&Path>, kind: Kind, id: &str, text: &str) -> Result<(), CatalogError> {
    let path = path(root, kind, id)?;
    disk::replace_private(&path, text).map_err(|source| CatalogError::Io { path, source })
}

pub(super) fn delete(root: Option<&Path>, kind: Kind, id: &str) -> Result<bool, CatalogError> {
    let path = path(root, kind, id)?;
    disk::remove(&path).map_err(|source| CatalogError::Io { path, source })
}

fn path(root: Option<&Path>, kind: Kind, id: &str) -> Result<PathBuf, CatalogError> {
    let root = root.ok_or(CatalogError::NotKept(kind))?;
    let name = disk::encoded(id).ok_or_else(|| CatalogError::Id(id.to_owned()))?;
    Ok(root.join(kind.folder()).join(format!("{name}{}", kind.ending())))
}
