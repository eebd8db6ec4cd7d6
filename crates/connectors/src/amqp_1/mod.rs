//! AMQP 1.0: Azure Service Bus, ActiveMQ, Qpid, RabbitMQ with its plug-in (streams contract 2.11).
//!
//! A connection that is lost ends, and the stream makes a new one; links are not resumed.

mod connection;
mod fields;
mod input;
mod message;
mod output;

use streams::{InputSpec, Kind, OutputSpec};

/// Input `amqp_1`.
pub static INPUT: InputSpec = InputSpec {
    name: "amqp_1",
    summary: "Receives messages from an AMQP 1.0 server. One that was delivered is accepted, one that failed is given back.",
    config: Kind::Object(fields::INPUT),
    build: input::build,
};

/// Output `amqp_1`.
pub static OUTPUT: OutputSpec = OutputSpec {
    name: "amqp_1",
    summary: "Sends messages to an AMQP 1.0 server, which accepts each of them.",
    config: Kind::Object(fields::OUTPUT),
    build: output::build,
};
