//! Formats that methods of mappings and components of streams both read and write: one implementation each, with one set
//! of limits. Payloads come from anywhere, so every reader is total.

pub mod compression;
pub mod csv;
pub mod json_schema;
pub mod msgpack;
pub mod xml;

/// What a format makes of one payload is no larger than this: 256 MiB.
pub const LARGEST: usize = 256 << 20;
/// Documents nest this deep at most, which leaves mappings room to nest their values further.
pub const DEEPEST: usize = 100;
