//! The processors of this crate.

mod log;
pub(crate) mod mapping;
mod noop;
mod resource;
mod sync_response;

use crate::registry::ProcessorSpec;

/// All of them.
pub const ALL: &[&ProcessorSpec] = &[
    &log::SPEC,
    &mapping::BLOBLANG,
    &mapping::MAPPING,
    &mapping::MUTATION,
    &noop::SPEC,
    &resource::SPEC,
    &sync_response::SPEC,
];
