//! Protocol Buffers: `.proto` files compiled without `protoc`, messages in their binary form and as canonical JSON.
//!
//! What is limited beside the size of payloads: how deep messages nest (100, by the decoder), how deep a
//! `google.protobuf.Any` holds others, and how large the JSON of a message is.

mod convert;
mod processor;
#[cfg(test)]
mod tests;
mod types;

pub use convert::Form;
pub(crate) use processor::SPEC;
pub use types::{NoProcedure, Procedure, Types};
