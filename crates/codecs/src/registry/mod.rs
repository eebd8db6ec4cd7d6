//! Messages as a schema registry frames them, and the schemas that such a registry holds (the wire format of the Confluent
//! Schema Registry). Fetching is not done here.

mod codec;
pub mod frame;
#[cfg(test)]
mod tests;

pub use codec::{Codec, Language, Options, Reference};
