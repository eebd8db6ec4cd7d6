//! The outputs of this crate.

mod broker;
pub(crate) mod cache;
mod children;
mod drop;
mod drop_on;
mod fallback;
mod file;
mod http_server;
mod inproc;
mod reject;
pub(crate) mod reject_errored;
mod resource;
mod retry;
mod stdout;
mod switch;
mod sync_response;

use crate::registry::OutputSpec;

/// All of them.
pub const ALL: &[&OutputSpec] = &[
    &broker::SPEC,
    &cache::SPEC,
    &drop::SPEC,
    &drop_on::SPEC,
    &fallback::SPEC,
    &file::SPEC,
    &http_server::SPEC,
    &inproc::SPEC,
    &reject::SPEC,
    &reject_errored::SPEC,
    &resource::SPEC,
    &retry::SPEC,
    &stdout::SPEC,
    &switch::SPEC,
    &sync_response::SPEC,
];
