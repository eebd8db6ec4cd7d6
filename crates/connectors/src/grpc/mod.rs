//! gRPC: methods of services as inputs and outputs (streams contract 3.9 and 3.10). Messages are JSON here, and are turned
//! into what the `.proto` files say.

mod call;
mod fields;
mod input;
mod output;

use streams::{InputSpec, Kind, OutputSpec};

/// Input `grpc_client`.
pub static INPUT: InputSpec = InputSpec {
    name: "grpc_client",
    summary: "Calls a method of gRPC, again and again, and gives what it answers, each message as JSON. A method that answers with a stream is read to its end before it is called again.",
    config: Kind::Object(fields::INPUT),
    build: input::build,
};

/// Output `grpc_client`.
pub static OUTPUT: OutputSpec = OutputSpec {
    name: "grpc_client",
    summary: "Calls a method of gRPC for each message, which is JSON; a method that takes a stream is called once for each batch. What was called counts as delivered when the server has answered that all is well.",
    config: Kind::Object(fields::OUTPUT),
    build: output::build,
};
