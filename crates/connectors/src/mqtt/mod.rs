//! MQTT 3.1.1 and 5 (streams contract 2.8).
//!
//! A task drives each connection ([`link`]); [`v4`] and [`v5`] are the two versions of the protocol behind one face.
//! The client library's own way of connecting again is not used: a connection that is lost ends, and the stream makes
//! a new one, so that its state is always what the broker says it is.

mod fields;
mod input;
mod link;
mod output;
mod room;
mod settings;
mod v4;
mod v5;

use streams::{InputSpec, Kind, OutputSpec};

/// Input `mqtt`.
pub static INPUT: InputSpec = InputSpec {
    name: "mqtt",
    summary: "Subscribes to topics of an MQTT broker.",
    config: Kind::Object(fields::INPUT),
    build: input::build,
};

/// Output `mqtt`.
pub static OUTPUT: OutputSpec = OutputSpec {
    name: "mqtt",
    summary: "Publishes messages to an MQTT broker.",
    config: Kind::Object(fields::OUTPUT),
    build: output::build,
};
