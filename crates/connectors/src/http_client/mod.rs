//! HTTP clients: input and output `http_client`, processor `http` (streams contract 2.1 to 2.3, 3.8).
//!
//! [`plan`] renders a request from a message, [`exchange`] sends it and follows redirects, [`client`] repeats what
//! failed and may be repeated, [`reply`] turns the answer into messages. [`auth`](crate::auth) holds the ways to say who asks.

mod client;
mod endless;
pub(crate) mod exchange;
mod fetch;
mod fields;
mod input;
mod output;
mod plan;
mod processor;
mod reply;
mod retry;

pub(crate) use fetch::documents;
#[cfg(feature = "kafka")]
pub(crate) use fields::OAUTH2_FIELDS;
#[cfg(feature = "schema_registry")]
pub(crate) use fields::TRANSPORT;
use streams::{InputSpec, Kind, OutputSpec, ProcessorSpec};

/// Input `http_client`.
pub static INPUT: InputSpec = InputSpec {
    name: "http_client",
    summary: "Asks a server again and again, or reads one endless answer.",
    config: Kind::Object(&fields::INPUT),
    build: input::build,
};

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
