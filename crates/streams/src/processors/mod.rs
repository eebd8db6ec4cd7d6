//! The processors of this crate.
use crate::registry::ProcessorSpec;

/// All of them.
pub const ALL: &[&ProcessorSpec] = &[];
