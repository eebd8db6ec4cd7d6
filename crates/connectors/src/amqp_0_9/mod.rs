//! AMQP 0.9.1, as RabbitMQ speaks it (streams contract 2.9 and 2.10).
//!
//! The client library's recovery is not used: a connection that is lost ends, and the stream makes a new one, which
//! declares everything again ([`connection`]).

mod connection;
mod fields;
mod input;
mod message;
mod output;

use streams::{InputSpec, Kind, OutputSpec};

/// Input `amqp_0_9`.
pub static INPUT: InputSpec = InputSpec {
    name: "amqp_0_9",
    summary: "Consumes a queue of an AMQP 0.9.1 broker such as RabbitMQ.",
    config: Kind::Object(fields::INPUT),
    build: input::build,
};

/// Output `amqp_0_9`.
pub static OUTPUT: OutputSpec = OutputSpec {
    name: "amqp_0_9",
    summary: "Publishes messages to an exchange of an AMQP 0.9.1 broker such as RabbitMQ, which confirms each of them.",
    config: Kind::Object(fields::OUTPUT),
    build: output::build,
};
