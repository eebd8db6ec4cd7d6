//! NATS: core subjects, JetStream and key/value buckets (streams contract 3.8 to 3.11).
//!
//! The client library's own reconnecting is not used: a connection that is lost ends, and the stream makes a new one
//! ([`connection`]). So nothing that was written to the lost one is sent a second time behind the stream's back.

mod auth;
mod bucket;
mod confirm;
mod connection;
mod consumer;
mod fields;
mod headers;
mod input;
mod jetstream_input;
mod jetstream_output;
mod kv_cache;
mod kv_input;
mod kv_output;
mod kv_processor;
mod output;
mod position;
mod progress;
mod request_reply;
mod retired;

use streams::{CacheSpec, InputSpec, Kind, OutputSpec, ProcessorSpec, Registry};

/// Input `nats`.
static INPUT: InputSpec = InputSpec {
    name: "nats",
    summary: "Subscribes to a NATS subject, alone or as a member of a queue group. NATS itself keeps nothing for a subscriber that is away.",
    config: Kind::Object(fields::INPUT),
    build: input::build,
};

/// Output `nats`.
static OUTPUT: OutputSpec = OutputSpec {
    name: "nats",
    summary: "Publishes messages to NATS subjects. A message counts as delivered when the server has taken it; whether anybody listens is not known.",
    config: Kind::Object(fields::OUTPUT),
    build: output::build,
};

/// Input `nats_jetstream`.
static JETSTREAM_INPUT: InputSpec = InputSpec {
    name: "nats_jetstream",
    summary: "Reads a stream of NATS JetStream through a consumer of either kind, pulled or pushed. What failed comes again.",
    config: Kind::Object(fields::JETSTREAM_INPUT),
    build: jetstream_input::build,
};

/// Output `nats_jetstream`.
static JETSTREAM_OUTPUT: OutputSpec = OutputSpec {
    name: "nats_jetstream",
    summary: "Stores messages in a stream of NATS JetStream, which confirms each. A header `Nats-Msg-Id` keeps the server from storing one twice.",
    config: Kind::Object(fields::JETSTREAM_OUTPUT),
    build: jetstream_output::build,
};

/// Processor `nats_request_reply`.
static REQUEST_REPLY: ProcessorSpec = ProcessorSpec {
    name: "nats_request_reply",
    summary: "Sends each message as a request over NATS; the reply takes its place. The reply's headers become metadata.",
    config: Kind::Object(fields::REQUEST_REPLY),
    build: request_reply::build,
};

/// Input `nats_kv`.
static KV_INPUT: InputSpec = InputSpec {
    name: "nats_kv",
    summary: "Watches keys of a NATS bucket: what they hold now, then every change.",
    config: Kind::Object(fields::KV_INPUT),
    build: kv_input::build,
};

/// Output `nats_kv`.
static KV_OUTPUT: OutputSpec = OutputSpec {
    name: "nats_kv",
    summary: "Stores each message under a key of a NATS bucket. The last one of a key wins.",
    config: Kind::Object(fields::KV_OUTPUT),
    build: kv_output::build,
};

/// Processor `nats_kv`.
static KV_PROCESSOR: ProcessorSpec = ProcessorSpec {
    name: "nats_kv",
    summary: "Reads, changes or lists keys of a NATS bucket.",
    config: Kind::Object(fields::KV_PROCESSOR),
    build: kv_processor::build,
};

/// Cache `nats_kv`.
static KV_CACHE: CacheSpec = CacheSpec {
    name: "nats_kv",
    summary: "Keeps values in a NATS bucket, as long as the bucket says: a time to live of single keys has no effect.",
    config: Kind::Object(fields::KV_CACHE),
    build: kv_cache::build,
};

/// Adds the components of this module.
pub(crate) fn register(registry: &mut Registry) {
    registry.add_input(&INPUT);
    registry.add_output(&OUTPUT);
    registry.add_input(&JETSTREAM_INPUT);
    registry.add_output(&JETSTREAM_OUTPUT);
    registry.add_processor(&REQUEST_REPLY);
    registry.add_input(&KV_INPUT);
    registry.add_output(&KV_OUTPUT);
    registry.add_processor(&KV_PROCESSOR);
    registry.add_cache(&KV_CACHE);
    registry.add_input(&retired::INPUT);
    registry.add_output(&retired::OUTPUT);
}
