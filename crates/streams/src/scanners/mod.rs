//! The scanners of this crate (streams contract 3.11).

mod chunker;
pub mod codec;
mod cut;
mod json_documents;
pub mod json_split;
mod lines;
#[cfg(test)]
mod tests;
mod to_the_end;

pub use cut::{Cut, Cutting, Inner};

use crate::registry::ScannerSpec;

/// What a scanner keeps of bytes that are no whole message yet, where no field says another limit: 64 MiB.
pub const LARGEST: usize = 64 * 1024 * 1024;

/// All of them.
pub const ALL: &[&ScannerSpec] = &[&chunker::SPEC, &json_documents::SPEC, &lines::SPEC, &to_the_end::SPEC];
