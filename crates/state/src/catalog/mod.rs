//! Where definitions and policies lie: files that others of this kind read and write as well (contract 2, 3.1, 6.3).

mod files;
mod load;
mod policies;
mod watch;
mod write;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use apidef::{Definition, Policy};
use document::Fault;
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// Where policies lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// There are none.
    None,
    /// One file: a map from id to policy (`policies.policy_record_name`).
    File(PathBuf),
    /// A folder of `<id>.json` (`policies.policy_path`).
    Folder(PathBuf),
}

impl PolicySource {
    /// A folder or a file, as `path` is or, where it is neither yet, as its name says (`*.json` is a file). Blocking.
    pub fn at(path: &Path) -> PolicySource {
        let file =
            path.is_file() || (!path.is_dir() && path.extension().is_some_and(|ending| ending == "json"));
        if file { PolicySource::File(path.to_owned()) } else { PolicySource::Folder(path.to_owned()) }
    }
}

/// Definitions and policies in files. Cloning costs one reference count; clones share what was loaded.
#[derive(Clone, Debug)]
pub struct Catalog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    app_path: PathBuf,
    policies: PolicySource,
    cache: Mutex<Cache>,
    /// One writer at a time: a policy file is read, changed and written.
    writing: Mutex<()>,
}

/// What the last load saw.
#[derive(Debug, Default)]
struct Cache {
    definitions: HashMap<PathBuf, load::Entry>,
    policies: HashMap<PathBuf, policies::Entry>,
}

/// What a definition file says, or why it says nothing.
pub type Parsed = Result<Arc<Definition>, Vec<Fault>>;

/// What a load found.
#[derive(Debug)]
pub struct Loaded {
    /// Every definition file, in the order of their names: what it says, or why it says nothing. A fault never hides
    /// another file. The path is of the file that the definition's text is in. A file that is left out without harm has
    /// warnings only.
    pub definitions: Vec<(PathBuf, Parsed)>,
    /// By id. A policy whose file cannot be read any more stays as it was last read.
    pub policies: HashMap<Box<str>, Arc<Policy>>,
    /// What is wrong with policy files.
    pub policy_faults: Vec<(PathBuf, Vec<Fault>)>,
    /// False when the folder of definitions could not be listed: they may exist, so keep those that run.
    pub complete: bool,
    /// How many files were parsed; the others were unchanged.
    pub parsed: usize,
}

/// Files changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which, absolute, without repetition; empty when it is not known which.
    pub paths: Vec<PathBuf>,
}

/// Why a file of the catalog was not written.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// An id that cannot be a file name.
    #[error(
        "id {0:?} cannot name a file: use 1 to 200 of A-Z a-z 0-9 _ . ~ -, not beginning with a dot, \
         not ending in -oas or -mcp"
    )]
    Id(String),
    /// The file that the id asks for holds something else.
    #[error("{} holds the API {other:?}: rename that file first", path.display())]
    Taken {
        /// The file.
        path: PathBuf,
        /// What is in it.
        other: Box<str>,
    },
    /// No policy source is configured.
    #[error("no place for policies is set: set policies.policy_path to a folder")]
    NoPolicySource,
    /// The policy file cannot be changed, because it cannot be read.
    #[error("{} is not a map of policies, so it is not written: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The operating system refused.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its answer.
        source: std::io::Error,
    },
}

impl Catalog {
    /// The catalog of `<app_path>/*.json` (not of its subfolders) and of the policies.
    pub fn files(app_path: impl Into<PathBuf>, policies: PolicySource) -> Catalog {
        Catalog(Arc::new(Inner {
            app_path: app_path.into(),
            policies,
            cache: Mutex::default(),
            writing: Mutex::new(()),
        }))
    }

    /// Reads what changed since the last load: an unchanged file keeps its very [`Definition`]. Parses on all cores.
    ///
    /// Blocking: call it from `spawn_blocking` or a thread of its own.
    pub fn load(&self) -> Loaded {
        let inner = &*self.0;
        let mut cache = inner.cache.lock();
        let mut loaded = Loaded {
            definitions: Vec::new(),
            policies: HashMap::new(),
            policy_faults: Vec::new(),
            complete: true,
            parsed: 0,
        };
        load::definitions(&inner.app_path, &mut cache.definitions, &mut loaded);
        policies::load(&inner.policies, &mut cache.policies, &mut loaded);
        loaded
    }

    /// Writes a definition into the file it came from, or into `<id>.json` (and `<id>-oas.json`, contract 3.1); returns
    /// the file that its text is in. Readers see the old or the new content, never a part.
    pub async fn put_api(&self, definition: &Definition) -> Result<PathBuf, CatalogError> {
        let definition = definition.clone();
        self.write(move |inner| write::put_api(inner, &definition)).await
    }

    /// Removes a definition and its companions; tells whether there was one.
    pub async fn delete_api(&self, id: &str) -> Result<bool, CatalogError> {
        let id = id.to_owned();
        self.write(move |inner| write::delete_api(inner, &id)).await
    }

    /// Writes a policy; returns its file.
    pub async fn put_policy(&self, policy: &Policy) -> Result<PathBuf, CatalogError> {
        let policy = policy.clone();
        self.write(move |inner| write::put_policy(inner, &policy)).await
    }

    /// Removes a policy; tells whether there was one.
    pub async fn delete_policy(&self, id: &str) -> Result<bool, CatalogError> {
        let id = id.to_owned();
        self.write(move |inner| write::delete_policy(inner, &id)).await
    }

    /// Tells when files change, until the receiver is dropped. Bursts within some 20 ms are told as one. Also sees files
    /// that are replaced by renaming, and folders that are created or replaced later.
    ///
    /// Call it before the first [`Catalog::load`], so that no change falls between the two. Blocking for an instant.
    pub fn watch(&self) -> mpsc::Receiver<Change> {
        watch::start(&self.0.app_path, &self.0.policies)
    }

    async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Inner) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let inner = Arc::clone(&self.0);
        let run = move || {
            let _one = inner.writing.lock();
            write(&inner)
        };
        match tokio::task::spawn_blocking(run).await {
            Ok(result) => result,
            Err(error) => {
                Err(CatalogError::Io { path: self.0.app_path.clone(), source: std::io::Error::other(error) })
            }
        }
    }
}
