//! Bare sockets: inputs `socket` and `socket_server`, output `socket` (streams contract 3.12).
//!
//! [`server`] listens and hands what its connections send through one bounded channel; [`listen`] is what is below it.
//! All of them reach the machine the gate runs on, and are refused unless whoever runs it names them.

mod fields;
mod input;
mod listen;
mod output;
mod server;

use streams::{InputSpec, Kind, OutputSpec, Registry};

/// Adds the components of this module.
pub fn register(registry: &mut Registry) {
    registry.add_input(&INPUT);
    registry.add_input(&SERVER);
    registry.add_output(&OUTPUT);
}

/// Input `socket`.
static INPUT: InputSpec = InputSpec {
    name: "socket",
    summary: "Connects to a TCP or Unix socket and cuts what comes from it into messages; connects again when it ends.",
    config: Kind::Object(&fields::INPUT),
    build: input::build,
};

/// Input `socket_server`.
static SERVER: InputSpec = InputSpec {
    name: "socket_server",
    summary: "Listens on a socket of TCP, TLS, UDP or Unix and cuts what clients send into messages. Such clients are not told what became of them.",
    config: Kind::Object(&fields::SERVER),
    build: server::build,
};

/// Output `socket`.
static OUTPUT: OutputSpec = OutputSpec {
    name: "socket",
    summary: "Connects to a socket of TCP, UDP or Unix and writes messages to it. A message counts as delivered when the machine has taken it: nobody confirms it.",
    config: Kind::Object(&fields::OUTPUT),
    build: output::build,
};
