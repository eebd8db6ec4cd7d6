//! The inputs of this crate.

mod batched;
mod broker;
mod child;
mod generate;
mod http_server;
mod inproc;
mod resource;
mod sequence;

use crate::registry::InputSpec;

/// All of them.
pub const ALL: &[&InputSpec] = &[
    &batched::SPEC,
    &broker::SPEC,
    &generate::SPEC,
    &http_server::SPEC,
    &inproc::SPEC,
    &resource::SPEC,
    &sequence::SPEC,
];
