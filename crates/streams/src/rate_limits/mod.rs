//! The rate limits of this crate.

mod local;

use crate::registry::RateLimitSpec;

/// All of them.
pub const ALL: &[&RateLimitSpec] = &[&local::SPEC];
