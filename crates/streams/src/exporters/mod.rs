//! The exporters of counters of this crate.

mod none;

use crate::registry::MetricsSpec;

/// All of them.
pub const ALL: &[&MetricsSpec] = &[&none::SPEC];
