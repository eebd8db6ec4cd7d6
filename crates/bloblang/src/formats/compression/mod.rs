//! Compression: whole payloads, and bytes as they arrive.

mod pack;
mod push;
#[cfg(test)]
mod tests;
mod unpack;

pub use pack::pack;
pub use push::{Push, Sink};
pub use unpack::unpack;

/// A format of compressed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Unpacked only.
    Bzip2,
    /// Raw deflate.
    Flate,
    /// Also `pgzip`, the same format, written by several threads in the original.
    Gzip,
    /// Its frame format.
    Lz4,
    /// Whole payloads are its block format; what arrives in pieces is its frame format.
    Snappy,
    /// Deflate with a header and a checksum.
    Zlib,
    /// Zstandard.
    Zstd,
}

/// The names of those that are packed.
pub const PACKED: &[&str] = &["flate", "gzip", "lz4", "pgzip", "snappy", "zlib", "zstd"];
/// The names of those that are unpacked.
pub const UNPACKED: &[&str] = &["bzip2", "flate", "gzip", "lz4", "pgzip", "snappy", "zlib", "zstd"];

/// How hard to try; none leaves it to the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effort(Option<u32>);

impl Algorithm {
    /// The algorithm of a name.
    pub fn named(name: &str) -> Option<Algorithm> {
        Some(match name {
            "bzip2" => Algorithm::Bzip2,
            "flate" => Algorithm::Flate,
            "gzip" | "pgzip" => Algorithm::Gzip,
            "lz4" => Algorithm::Lz4,
            "snappy" => Algorithm::Snappy,
            "zlib" => Algorithm::Zlib,
            "zstd" => Algorithm::Zstd,
            _ => return None,
        })
    }

    /// The effort of a level as it is written in a configuration or a mapping: -1 is the usual one, and -2 of the deflate
    /// formats the least one that compresses (Huffman codes alone, in the original). Those without levels take any.
    ///
    /// # Errors
    /// Which levels there are.
    pub fn effort(self, level: i64) -> Result<Effort, String> {
        let (least, most) = match self {
            Algorithm::Flate | Algorithm::Gzip | Algorithm::Zlib => (-2, 9),
            Algorithm::Zstd => (-1, 22),
            Algorithm::Bzip2 | Algorithm::Lz4 | Algorithm::Snappy => return Ok(Effort(None)),
        };
        if !(least..=most).contains(&level) {
            return Err(format!("invalid compression level {level}: it must be from {least} to {most}"));
        }
        Ok(Effort(match (self, level) {
            (_, -1) | (Algorithm::Zstd, 0) => None,
            (_, -2) => Some(1),
            (_, level) => u32::try_from(level).ok(),
        }))
    }
}
