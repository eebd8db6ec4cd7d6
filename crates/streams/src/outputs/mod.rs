//! The outputs of this crate.
use crate::registry::OutputSpec;

/// All of them.
pub const ALL: &[&OutputSpec] = &[];
