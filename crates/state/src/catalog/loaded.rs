//! What a load of a catalog gives.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use apidef::{Definition, Policy};
use document::Fault;

use super::CatalogError;

/// What a definition file says, or why it says nothing.
pub type Parsed = Result<Arc<Definition>, Vec<Fault>>;

/// What a load found.
#[derive(Debug)]
pub struct Loaded {
    /// Every definition, in the order of their names: what it says, or why it says nothing. A fault never hides
    /// another one. The path is of the file that the definition's text is in, or tells its row. A file that is left out
    /// without harm has warnings only.
    pub definitions: Vec<(PathBuf, Parsed)>,
    /// By id. A policy that cannot be read any more stays as it was last read.
    pub policies: HashMap<Box<str>, Arc<Policy>>,
    /// What is wrong with policies.
    pub policy_faults: Vec<(PathBuf, Vec<Fault>)>,
    /// What is wrong with certificates and clients.
    pub paper_faults: Vec<(PathBuf, Vec<Fault>)>,
    /// Whether a certificate or client is another than at the last load.
    pub papers_changed: bool,
    /// False when definitions could not be listed: they may exist, so keep those that run.
    pub complete: bool,
    /// How many were parsed; the others were unchanged.
    pub parsed: usize,
}

impl Default for Loaded {
    fn default() -> Loaded {
        Loaded {
            definitions: Vec::new(),
            policies: HashMap::new(),
            policy_faults: Vec::new(),
            paper_faults: Vec::new(),
            papers_changed: false,
            complete: true,
            parsed: 0,
        }
    }
}

impl Loaded {
    /// Everything that is wrong, warnings too, by place.
    pub fn faults(&self) -> impl Iterator<Item = (&Path, &[Fault])> {
        let refused =
            self.definitions.iter().filter_map(|(path, parsed)| Some((path, parsed.as_ref().err()?)));
        let others = self.policy_faults.iter().chain(&self.paper_faults).map(|(path, faults)| (path, faults));
        refused.chain(others).map(|(path, faults)| (path.as_path(), faults.as_slice()))
    }

    /// Fails on the first error.
    pub(super) fn refuse_faults(&self) -> Result<(), CatalogError> {
        for (path, faults) in self.faults() {
            if faults.iter().any(Fault::is_error) {
                return Err(CatalogError::of_faults(&path.display().to_string(), faults));
            }
        }
        Ok(())
    }
}

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which files, absolute, without repetition; empty when it is not known which, as it is of databases.
    pub paths: Vec<PathBuf>,
}
