//! The inputs of this crate.

mod broker;
mod generate;
mod http_server;
mod inproc;
mod resource;

use crate::registry::InputSpec;

/// All of them.
pub const ALL: &[&InputSpec] =
    &[&broker::SPEC, &generate::SPEC, &http_server::SPEC, &inproc::SPEC, &resource::SPEC];
