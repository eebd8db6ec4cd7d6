//! The exporters of counters of this crate.

mod json_api;
mod logger;
mod none;
mod text;

use crate::registry::MetricsSpec;

pub use json_api::object;
pub use text::{CONTENT_TYPE, Timings, exposition};

/// All of them.
pub const ALL: &[&MetricsSpec] = &[&json_api::SPEC, &logger::SPEC, &none::SPEC];
