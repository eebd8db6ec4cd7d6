//! Where definitions and policies lie: files.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use apidef::{Definition, Policy};
use document::Fault;
use tokio::sync::mpsc;

/// Where policies lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// There are none.
    None,
    /// One file: a map from id to policy (`policies.policy_record_name`). Not written by the admin API of others, but by
    /// [`Catalog::put_policy`].
    File(PathBuf),
    /// A folder of `<id>.json` (`policies.policy_path`).
    Folder(PathBuf),
}

/// Definitions and policies in files. Cloning costs one reference count; clones share what was loaded.
#[derive(Clone, Debug)]
pub struct Catalog(Arc<PathBuf>);

/// What a load found.
#[derive(Debug)]
pub struct Loaded {
    /// Every definition file, in the order of their names: what it says, or why it says nothing. A fault never hides
    /// another file.
    pub definitions: Vec<(PathBuf, Result<Arc<Definition>, Vec<Fault>>)>,
    /// By id. A policy whose file cannot be read any more stays as it was last read.
    pub policies: HashMap<Box<str>, Arc<Policy>>,
    /// What is wrong with policy files.
    pub policy_faults: Vec<(PathBuf, Vec<Fault>)>,
    /// False when a folder could not be listed: what is missing above may exist, so keep what runs.
    pub complete: bool,
    /// How many files were parsed; the others were unchanged.
    pub parsed: usize,
}

/// Files that changed, one or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which, without repetition; empty when it is not known which.
    pub paths: Vec<PathBuf>,
}

/// Why a file of the catalog was not written.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// An id that cannot be a file name.
    #[error("id {0:?} cannot name a file: use 1 to 200 of A-Z a-z 0-9 _ . ~ -, not beginning with a dot")]
    Id(String),
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
    /// The catalog of `<app_path>/*.json` and of the policies.
    pub fn files(app_path: impl Into<PathBuf>, _policies: PolicySource) -> Catalog {
        Catalog(Arc::new(app_path.into()))
    }

    /// Reads what changed since the last load. Blocking: call it from `spawn_blocking` or a thread of its own.
    pub fn load(&self) -> Loaded {
        Loaded { definitions: vec![], policies: HashMap::new(), policy_faults: vec![], complete: false, parsed: 0 }
    }

    /// Writes a definition; returns its file.
    pub async fn put_api(&self, _definition: &Definition) -> Result<PathBuf, CatalogError> {
        Err(CatalogError::NoPolicySource)
    }

    /// Removes a definition; tells whether there was one.
    pub async fn delete_api(&self, _id: &str) -> Result<bool, CatalogError> {
        Err(CatalogError::NoPolicySource)
    }

    /// Writes a policy; returns its file.
    pub async fn put_policy(&self, _policy: &Policy) -> Result<PathBuf, CatalogError> {
        Err(CatalogError::NoPolicySource)
    }

    /// Removes a policy; tells whether there was one.
    pub async fn delete_policy(&self, _id: &str) -> Result<bool, CatalogError> {
        Err(CatalogError::NoPolicySource)
    }

    /// Tells when files change, until the receiver is dropped.
    pub fn watch(&self) -> mpsc::Receiver<Change> {
        mpsc::channel(1).1
    }
}

impl PolicySource {
    /// A folder or a file, as `path` is or, where it is neither yet, as its name says (`*.json` is a file).
    pub fn at(path: &Path) -> PolicySource {
        let file = path.is_file() || (!path.is_dir() && path.extension().is_some_and(|ending| ending == "json"));
        if file { PolicySource::File(path.to_owned()) } else { PolicySource::Folder(path.to_owned()) }
    }
}
