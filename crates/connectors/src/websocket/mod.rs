//! WebSocket client: input and output `websocket` (streams contract 3.9, 3.10).
//!
//! [`link`] connects, keeps alive and closes one connection; [`input`] reads it, [`output`] lets a task own it, so that
//! the server's pings are answered while nothing is written.

mod fields;
mod input;
mod link;
mod output;

use streams::{InputSpec, Kind, OutputSpec};

/// Input `websocket`.
pub static INPUT: InputSpec = InputSpec {
    name: "websocket",
    summary: "Connects to a WebSocket server; each of its messages is one of the stream.",
    config: Kind::Object(&fields::INPUT),
    build: input::build,
};

/// Output `websocket`.
pub static OUTPUT: OutputSpec = OutputSpec {
    name: "websocket",
    summary: "Connects to a WebSocket server and sends it messages.",
    config: Kind::Object(&fields::OUTPUT),
    build: output::build,
};
