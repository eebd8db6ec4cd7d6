//! The buffers of this crate.

mod none;

use crate::registry::BufferSpec;

/// All of them.
pub const ALL: &[&BufferSpec] = &[&none::SPEC];
