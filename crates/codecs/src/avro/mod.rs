//! Avro: schemas, and values in their binary form and as JSON (Avro specification 1.12).
//!
//! A hand-written codec, because payloads come from anywhere: the depth of recursive schemas, the number of values of
//! no size and the attempts to find a union's branch are all limited, and values are read into what mappings work with
//! without a tree between.

mod canonical;
mod container;
mod decode;
mod encode;
mod logical;
mod names;
mod processor;
mod schema;
#[cfg(test)]
mod tests;

pub(crate) use container::ContainerScan;
pub(crate) use processor::SPEC;
pub use schema::Schema;

/// How values of a union are written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unions {
    /// As Avro's own JSON encoding does: `null`, or an object whose one field is the name of the type.
    Tagged,
    /// As they are.
    Bare,
}

/// Values nest this deep at most.
const MAX_DEPTH: usize = 100;

/// How many values may be read from, or tried for, a payload of so many bytes.
fn budget(bytes: usize) -> usize {
    bytes.saturating_mul(8).saturating_add(65_536)
}
