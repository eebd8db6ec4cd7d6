//! The caches of this crate.

mod memory;
mod noop;

use crate::registry::CacheSpec;

/// All of them.
pub const ALL: &[&CacheSpec] = &[&memory::SPEC, &noop::SPEC];
