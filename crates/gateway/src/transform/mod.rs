//! What changes on the way of requests to the backend, and of answers back.

mod ahead;
mod bodies;
mod coded;
mod coding;
mod compiled;
mod cors;
mod goal;
mod headers;
mod method;
#[cfg(test)]
mod plain;
mod programs;
mod rewrite;
mod text;
mod trigger;
mod variables;

pub(crate) use ahead::{Ahead, To, is_absolute};
pub(crate) use bodies::Made;
pub(crate) use coded::Coded;
pub(crate) use coding::{Coding, Undecoded};
pub(crate) use compiled::Transforms;
pub(crate) use cors::CrossOrigin;
pub(crate) use headers::{AnswerHeaders, RequestHeaders};
pub(crate) use method::Methods;
pub(crate) use programs::Programs;
pub(crate) use rewrite::Rewrites;
pub(crate) use text::{Secrets, Text, Variable};
pub(crate) use trigger::canonical;
pub(crate) use variables::{Variables, value as value_of};
