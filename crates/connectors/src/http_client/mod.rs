//! HTTP clients: output `http_client` and processor `http` (streams contract 2.1, 2.3, 3.8).
//!
//! [`plan`] renders a request from a message, [`exchange`] sends it and follows redirects, [`client`] repeats what
//! failed and may be repeated, [`reply`] turns the answer into messages. [`auth`](crate::auth) holds the ways to say who asks.

mod client;
pub(crate) mod exchange;
mod fields;
mod output;
mod plan;
mod processor;
mod reply;
mod retry;

use streams::{Kind, OutputSpec, ProcessorSpec};

/// Output `http_client`.
pub static OUTPUT: OutputSpec = OutputSpec {
    name: "http_client",
    summary: "Sends messages to a server as requests.",
    config: Kind::Object(&fields::OUTPUT),
    build: output::build,
};

/// Processor `http`.
pub static PROCESSOR: ProcessorSpec = ProcessorSpec {
    name: "http",
    summary: "Sends messages to a server as requests, and puts the answers in their place.",
    config: Kind::Object(&fields::PROCESSOR),
    build: processor::build,
};
