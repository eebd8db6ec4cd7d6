//! The inputs of this crate.
use crate::registry::InputSpec;

/// All of them.
pub const ALL: &[&InputSpec] = &[];
