//! Messages framed for a schema registry (streams contract 3.7), which speaks the REST API of the Confluent Schema Registry.
//!
//! [`client`] asks the registry, [`cache`] asks it once for many messages, [`schema`] makes of its answers what
//! `codecs::registry` reads and writes.

mod cache;
mod client;
mod decode;
mod encode;
mod fields;
mod schema;

use streams::{Kind, ProcessorSpec};

/// Processor `schema_registry_decode`.
pub static DECODE: ProcessorSpec = ProcessorSpec {
    name: "schema_registry_decode",
    summary: "Turns messages that are framed for a schema registry into JSON, by the schema that their frame names: Avro, Protocol Buffers or JSON Schema. A schema is fetched once and kept while it is used. A message whose schema cannot be had, or that is not of it, is flagged and passed on as it was.",
    config: Kind::Object(fields::DECODE),
    build: decode::build,
};

/// Processor `schema_registry_encode`.
pub static ENCODE: ProcessorSpec = ProcessorSpec {
    name: "schema_registry_encode",
    summary: "Turns JSON into messages that are framed for a schema registry, by the latest schema of a subject: Avro, Protocol Buffers or JSON Schema. While the registry is away, the schema that is known goes on being used. A message that is not of the schema, or whose schema cannot be had, is flagged and passed on as it was.",
    config: Kind::Object(fields::ENCODE),
    build: encode::build,
};
