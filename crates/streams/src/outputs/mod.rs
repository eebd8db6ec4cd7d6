//! The outputs of this crate.

mod broker;
mod drop;
mod http_server;
mod inproc;
mod stdout;
mod sync_response;

use crate::registry::OutputSpec;

/// All of them.
pub const ALL: &[&OutputSpec] =
    &[&broker::SPEC, &drop::SPEC, &http_server::SPEC, &inproc::SPEC, &stdout::SPEC, &sync_response::SPEC];
