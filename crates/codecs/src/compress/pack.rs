//! Whole payloads, packed.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::Algorithm;

/// Packs a payload.
pub(super) fn pack(algorithm: Algorithm, level: Option<u32>, data: &[u8]) -> io::Result<Vec<u8>> {
    let deflate = level.map_or(Compression::default(), Compression::new);
    let out = Vec::with_capacity(data.len() / 2 + 64);
    match algorithm {
        Algorithm::Bzip2 => Err(io::Error::other("bzip2 is unpacked only")),
        Algorithm::Flate => {
            let mut encoder = DeflateEncoder::new(out, deflate);
            encoder.write_all(data)?;
            encoder.finish()
        }
        Algorithm::Gzip => {
            let mut encoder = GzEncoder::new(out, deflate);
            encoder.write_all(data)?;
            encoder.finish()
        }
        Algorithm::Zlib => {
            let mut encoder = ZlibEncoder::new(out, deflate);
            encoder.write_all(data)?;
            encoder.finish()
        }
        Algorithm::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(out);
            encoder.write_all(data)?;
            encoder.finish().map_err(io::Error::other)
        }
        Algorithm::Snappy => snap::raw::Encoder::new().compress_vec(data).map_err(io::Error::other),
        Algorithm::Zstd => {
            let level = level.and_then(|level| i32::try_from(level).ok()).unwrap_or(0);
            zstd::stream::encode_all(data, level)
        }
    }
}
