//! Stream components that read and write formats: codecs, parsers, scripts.
//!
//! They stand beside `streams` because of what they depend on. [`register`] adds all that are built in to a registry.
//!
//! What must hold here:
//! - Payloads come from anywhere. Every codec is total: what it unpacks, how deep it goes and how long it works are
//!   limited, and a message that it fails for is passed on as it was, flagged.
//! - Files that a configuration names are read once, when the component is built, and only where streams may read files.
//! - A scan is pure: bytes in, messages out, whatever the chunks.

mod archive;
pub mod avro;
mod compress;
mod each;
mod files;
mod grok;
mod inputs;
mod jmespath;
pub mod jq;
mod json_schema;
mod msgpack;
mod parse_log;
pub mod protobuf;
pub mod registry;
mod scanners;
mod schemas;
mod tar;
#[cfg(test)]
mod testing;
mod values;
mod xml;

use streams::Registry;

/// Adds every codec of this build to `registry`.
pub fn register(registry: &mut Registry) {
    for spec in [
        &archive::ARCHIVE,
        &archive::UNARCHIVE,
        &avro::SPEC,
        &compress::COMPRESS,
        &compress::DECOMPRESS,
        &grok::SPEC,
        &jmespath::SPEC,
        &jq::SPEC,
        &json_schema::SPEC,
        &msgpack::SPEC,
        &parse_log::SPEC,
        &protobuf::SPEC,
        &xml::SPEC,
    ] {
        registry.add_processor(spec);
    }
    registry.add_input(&inputs::CSV);
    for spec in scanners::ALL {
        registry.add_scanner(spec);
    }
}
