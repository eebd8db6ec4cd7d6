//! The caches of this crate.

mod eviction;
mod lru;
mod memory;
mod multilevel;
mod noop;
mod order;
mod ttlru;

use crate::registry::CacheSpec;

/// All of them.
pub const ALL: &[&CacheSpec] = &[&lru::SPEC, &memory::SPEC, &multilevel::SPEC, &noop::SPEC, &ttlru::SPEC];
