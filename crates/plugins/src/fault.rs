//! Why a plugin gave no outcome.

use std::time::Duration;

/// Why a plugin gave no outcome. Its text is for those who run the gate, not for clients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The code cannot be used at all.
    #[error("{0}")]
    Unusable(String),
    /// There is nothing of this name in the code.
    #[error("the plugin has no `{0}`: define it in one of its files, at the top level")]
    Missing(String),
    /// It threw something.
    #[error("the plugin failed: {0}")]
    Thrown(String),
    /// It was ended for the time that it took.
    #[error("the plugin was ended: it takes longer than {0:?}")]
    Late(Duration),
    /// It was ended for the memory that it took.
    #[error("the plugin was ended: it needs more than {0} bytes of memory")]
    Memory(usize),
    /// It gave something else than it should.
    #[error("the plugin gave no outcome that can be used: {0}")]
    Shape(String),
    /// Its server cannot be reached, or failed.
    #[error("the plugin's server gave no answer: {0}")]
    Away(String),
}
