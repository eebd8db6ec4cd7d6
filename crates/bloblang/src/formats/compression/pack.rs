//! Whole payloads, packed.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use lz4_flex::frame::{BlockMode, FrameEncoder, FrameInfo};

use super::{Algorithm, Effort};

/// Packs a payload.
///
/// # Errors
/// `bzip2`, which is unpacked only, and snappy for more than 4 GiB.
pub fn pack(algorithm: Algorithm, effort: Effort, data: &[u8]) -> Result<Vec<u8>, String> {
    packed(algorithm, effort, data).map_err(|error| error.to_string())
}

fn packed(algorithm: Algorithm, Effort(level): Effort, data: &[u8]) -> io::Result<Vec<u8>> {
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
            // As the original writes them: blocks that stand for themselves, and a checksum of the whole behind them.
            let info = FrameInfo::new().block_mode(BlockMode::Independent).content_checksum(true);
            let mut encoder = FrameEncoder::with_frame_info(info, out);
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
