//! Redis: streams, lists, channels and keys (streams contract 3.8 to 3.12).
//!
//! One [`link`] for each component: the connection there is, and what an error means; [`reach`] is how Redis is reached.

mod cache;
mod command;
mod fields;
mod hash_output;
mod heard;
mod holding;
mod link;
mod list_input;
mod list_output;
mod pubsub_input;
mod pubsub_output;
mod rate_limit;
mod reach;
mod reply;
mod scan_input;
mod script;
mod streams_input;
mod streams_output;
mod write;

use streams::{CacheSpec, InputSpec, Kind, OutputSpec, ProcessorSpec, RateLimitSpec, Registry};

static STREAMS_INPUT: InputSpec = InputSpec {
    name: "redis_streams",
    summary: "Reads Redis streams as a member of a consumer group. What is not acknowledged stays pending in Redis and is read again after a restart.",
    config: Kind::Object(fields::STREAMS_INPUT),
    build: streams_input::build,
};

static LIST_INPUT: InputSpec = InputSpec {
    name: "redis_list",
    summary: "Takes elements off a Redis list. What is under way is kept in a list beside it until it is delivered, so that a killed process loses nothing; what fails or is left at a stop goes back to the list.",
    config: Kind::Object(fields::LIST_INPUT),
    build: list_input::build,
};

static PUBSUB_INPUT: InputSpec = InputSpec {
    name: "redis_pubsub",
    summary: "Subscribes to channels of Redis. Redis keeps nothing: what is published while the stream is not connected is lost. What was received is delivered before a stop ends.",
    config: Kind::Object(fields::PUBSUB_INPUT),
    build: pubsub_input::build,
};

static SCAN_INPUT: InputSpec = InputSpec {
    name: "redis_scan",
    summary: "Walks the keys of a database once and gives `{\"key\": …, \"value\": …}` for each that holds text, then ends.",
    config: Kind::Object(fields::SCAN_INPUT),
    build: scan_input::build,
};

static STREAMS_OUTPUT: OutputSpec = OutputSpec {
    name: "redis_streams",
    summary: "Adds messages to a Redis stream (`XADD`), their metadata as fields of the entry.",
    config: Kind::Object(fields::STREAMS_OUTPUT),
    build: streams_output::build,
};

static LIST_OUTPUT: OutputSpec = OutputSpec {
    name: "redis_list",
    summary: "Adds messages to a Redis list.",
    config: Kind::Object(fields::LIST_OUTPUT),
    build: list_output::build,
};

static PUBSUB_OUTPUT: OutputSpec = OutputSpec {
    name: "redis_pubsub",
    summary: "Publishes messages to a channel of Redis. Delivered means that Redis took them; whether anybody listened is not known.",
    config: Kind::Object(fields::PUBSUB_OUTPUT),
    build: pubsub_output::build,
};

static HASH_OUTPUT: OutputSpec = OutputSpec {
    name: "redis_hash",
    summary: "Sets fields of a Redis hash.",
    config: Kind::Object(fields::HASH_OUTPUT),
    build: hash_output::build,
};

static CACHE: CacheSpec = CacheSpec {
    name: "redis",
    summary: "Keeps values in Redis, shared by everything that uses the same server and prefix.",
    config: Kind::Object(fields::CACHE),
    build: cache::build,
};

static RATE_LIMIT: RateLimitSpec = RateLimitSpec {
    name: "redis",
    summary: "Lets so many accesses through per interval, counted in Redis over everything that uses the same key.",
    config: Kind::Object(fields::RATE_LIMIT),
    build: rate_limit::build,
};

static COMMAND: ProcessorSpec = ProcessorSpec {
    name: "redis",
    summary: "Runs a Redis command for each message; its reply becomes the payload.",
    config: Kind::Object(fields::COMMAND),
    build: command::build,
};

static SCRIPT: ProcessorSpec = ProcessorSpec {
    name: "redis_script",
    summary: "Runs a Lua script in Redis for each message; what it returns becomes the payload.",
    config: Kind::Object(fields::SCRIPT),
    build: script::build,
};

/// Adds all of them.
pub(crate) fn register(registry: &mut Registry) {
    for input in [&STREAMS_INPUT, &LIST_INPUT, &PUBSUB_INPUT, &SCAN_INPUT] {
        registry.add_input(input);
    }
    for output in [&STREAMS_OUTPUT, &LIST_OUTPUT, &PUBSUB_OUTPUT, &HASH_OUTPUT] {
        registry.add_output(output);
    }
    registry.add_processor(&COMMAND);
    registry.add_processor(&SCRIPT);
    registry.add_cache(&CACHE);
    registry.add_rate_limit(&RATE_LIMIT);
}
