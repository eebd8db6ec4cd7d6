//! Apache Kafka through librdkafka, with both field sets that there are: `kafka` (streams contract 2.6 and 2.7) and
//! `kafka_franz` (3.9 and 3.10).
//!
//! [`options`] and [`franz`] read the field sets into one plan each for inputs ([`plan`]) and outputs ([`output`]).
//! Input: one thread owns the consumer ([`consumer`], with its callbacks in [`assignment`], and what it asks brokers beside
//! messages in [`finding`]); it admits messages partition by partition ([`partition`]), hands them to the stream in pieces
//! ([`chunk`], [`input`]) and commits up to the lowest message that is not done. Output: a producer with a polling thread ([`producer`]) reports on every message, and a write ends when all of
//! its messages were reported on ([`output`]).

mod addressing;
mod assignment;
mod batching;
mod chunk;
mod connection;
mod consumer;
mod fields;
mod finding;
mod franz;
mod franz_fields;
mod input;
mod message;
mod options;
mod output;
mod partition;
mod partitioner;
mod plan;
mod producer;
mod security;
mod topics;

use streams::{InputSpec, Kind, OutputSpec};

/// Input `kafka`.
pub static INPUT: InputSpec = InputSpec {
    name: "kafka",
    summary: "Reads topics as a member of a consumer group, or explicit partitions.",
    config: Kind::Object(fields::INPUT),
    build: options::input,
};

/// Output `kafka`.
pub static OUTPUT: OutputSpec = OutputSpec {
    name: "kafka",
    summary: "Writes messages to topics.",
    config: Kind::Object(fields::OUTPUT),
    build: options::output,
};

/// Input `kafka_franz`.
pub static FRANZ_INPUT: InputSpec = InputSpec {
    name: "kafka_franz",
    summary: "Reads topics as a member of a consumer group, topics by pattern, or explicit partitions.",
    config: Kind::Object(franz_fields::INPUT),
    build: franz::input,
};

/// Output `kafka_franz`.
pub static FRANZ_OUTPUT: OutputSpec = OutputSpec {
    name: "kafka_franz",
    summary: "Writes messages to topics; idempotent, unless told otherwise.",
    config: Kind::Object(franz_fields::OUTPUT),
    build: franz::output,
};
