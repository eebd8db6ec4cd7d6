//! What goes wrong with a catalog.

use std::path::PathBuf;

use document::Fault;

use super::Kind;

/// Why the catalog was not written, or not read as a whole.
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
    /// Somebody else changed it after it was read: what was made of the old one would undo that.
    #[error("{0:?} was changed by somebody else meanwhile: read it again")]
    Changed(String),
    /// Certificates and clients lie elsewhere.
    #[error("this catalog keeps no {}", .0.plural())]
    NotKept(Kind),
    /// Something in it is at fault.
    #[error("{place}: {reason}")]
    Faulty {
        /// Where.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// There is none, and none is to be made.
    #[error("there is no catalog at {place}")]
    Missing {
        /// Where; without secrets.
        place: String,
    },
    /// The database cannot be asked now.
    #[error("catalog unavailable: {place}: {reason}")]
    Away {
        /// Which; without secrets.
        place: String,
        /// Why.
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

impl CatalogError {
    pub(super) fn of_faults(place: &str, faults: &[Fault]) -> CatalogError {
        let reason = match faults.iter().find(|fault| fault.is_error()).or_else(|| faults.first()) {
            Some(fault) if fault.pointer.is_empty() => fault.message.clone(),
            Some(fault) => format!("{}: {}", fault.pointer, fault.message),
            None => "it cannot be read".to_owned(),
        };
        CatalogError::Faulty { place: place.to_owned(), reason }
    }
}
