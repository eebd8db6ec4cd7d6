//! Formats that methods of mappings and components of streams both read and write.

pub mod json_schema;
pub mod msgpack;
