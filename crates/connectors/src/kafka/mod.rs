//! Apache Kafka (streams contract 2.6 and 2.7), through librdkafka.
//!
//! Input: one thread owns the consumer ([`consumer`], with its callbacks in [`assignment`]); it admits messages partition by partition ([`partition`]),
//! hands them to the stream ([`input`]) and commits up to the lowest message that is not done. Output: a producer with
//! a polling thread ([`producer`]) reports on every message, and a write ends when all of its messages were reported on
//! ([`output`]).

mod assignment;
mod batching;
mod connection;
mod consumer;
mod fields;
mod input;
mod message;
mod output;
mod partition;
mod producer;
mod topics;

use streams::{InputSpec, Kind, OutputSpec};

/// Input `kafka`.
pub static INPUT: InputSpec = InputSpec {
    name: "kafka",
    summary: "Reads topics as a member of a consumer group, or explicit partitions.",
    config: Kind::Object(fields::INPUT),
    build: input::build,
};

/// Output `kafka`.
pub static OUTPUT: OutputSpec = OutputSpec {
    name: "kafka",
    summary: "Writes messages to topics.",
    config: Kind::Object(fields::OUTPUT),
    build: output::build,
};
