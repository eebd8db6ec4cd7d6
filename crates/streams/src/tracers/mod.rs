//! The tracers of this crate.

mod none;

use crate::registry::TracerSpec;

/// All of them.
pub const ALL: &[&TracerSpec] = &[&none::SPEC];
