//! The processors of this crate.

pub(crate) mod branch;
mod cache;
mod group;
mod group_by;
mod log;
pub(crate) mod mapping;
mod metric;
mod noop;
mod order;
mod parts;
mod resource;
mod retry;
mod switch;
mod sync_response;
mod waits;
mod while_loop;
mod workflow;

use crate::registry::ProcessorSpec;

/// All of them.
pub const ALL: &[&ProcessorSpec] = &[
    &branch::SPEC,
    &cache::CACHED,
    &cache::DEDUPE,
    &cache::SPEC,
    &group::CATCH,
    &group::FOR_EACH,
    &group::PARALLEL,
    &group::PROCESSORS,
    &group::TRY,
    &group_by::CHECKS,
    &group_by::VALUE,
    &log::SPEC,
    &mapping::BLOBLANG,
    &mapping::MAPPING,
    &mapping::MUTATION,
    &metric::SPEC,
    &noop::SPEC,
    &parts::BOUNDS,
    &parts::INSERT,
    &parts::SELECT,
    &parts::SPLIT,
    &resource::SPEC,
    &retry::SPEC,
    &switch::SPEC,
    &sync_response::SPEC,
    &waits::RATE_LIMIT,
    &waits::SLEEP,
    &while_loop::SPEC,
    &workflow::SPEC,
];
