//! The inputs of this crate.

mod batched;
mod broker;
mod child;
mod file;
mod gateway_events;
mod generate;
mod http_server;
mod inproc;
mod join;
mod read_until;
mod resource;
mod schedule;
mod sequence;
mod stdin;

use crate::registry::InputSpec;

/// All of them.
pub const ALL: &[&InputSpec] = &[
    &batched::SPEC,
    &broker::SPEC,
    &file::SPEC,
    &gateway_events::SPEC,
    &generate::SPEC,
    &http_server::SPEC,
    &inproc::SPEC,
    &read_until::SPEC,
    &resource::SPEC,
    &sequence::SPEC,
    &stdin::SPEC,
];
