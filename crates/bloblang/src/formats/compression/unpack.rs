//! Whole payloads, unpacked up to a limit.

use std::io::{self, Read};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::Algorithm;

/// Up to this size a payload may become whatever its packed size is: 16 MiB.
const FREE: usize = 16 << 20;
/// What is larger is at most so many times as large as it was packed: the utmost that deflate reaches, so that only what
/// other formats make of nearly nothing is refused.
const RATIO: usize = 1100;

/// Unpacks a payload, unless it becomes larger than `limit`, or more than 1100 times as large and larger than 16 MiB.
///
/// # Errors
/// What is wrong with the packed bytes, or that they become too large.
pub fn unpack(algorithm: Algorithm, data: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let limit = limit.min(FREE.max(data.len().saturating_mul(RATIO)));
    if algorithm == Algorithm::Lz4 && !lz4_is_whole(data) {
        return Err(CUT.to_owned());
    }
    let read = match algorithm {
        Algorithm::Bzip2 => drain(bzip2::read::MultiBzDecoder::new(data), limit),
        Algorithm::Flate => drain(DeflateDecoder::new(data), limit),
        Algorithm::Gzip => drain(MultiGzDecoder::new(data), limit),
        Algorithm::Lz4 => drain(lz4_flex::frame::FrameDecoder::new(data), limit),
        Algorithm::Zlib => drain(ZlibDecoder::new(data), limit),
        Algorithm::Zstd => zstd::stream::read::Decoder::new(data).and_then(|decoder| drain(decoder, limit)),
        Algorithm::Snappy => return snappy_block(data, limit),
    };
    let out = read.map_err(|error| error.to_string())?;
    if out.len() > limit { Err(too_large(limit)) } else { Ok(out) }
}

/// Unpacks snappy's block format, which says its size first.
fn snappy_block(data: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    if snap::raw::decompress_len(data).map_err(|error| error.to_string())? > limit {
        return Err(too_large(limit));
    }
    snap::raw::Decoder::new().decompress_vec(data).map_err(|error| error.to_string())
}

pub(super) const CUT: &str = "the packed bytes end too early";

/// Whether the bytes end as frames do: with an empty block, and a checksum where there is one. The decoder takes the end
/// of its bytes for the end of the frame.
pub(super) fn lz4_is_whole(data: &[u8]) -> bool {
    let ends = |data: &[u8]| data.ends_with(&[0; 4]);
    ends(data) || data.len().checked_sub(4).is_some_and(|end| ends(&data[..end]))
}

/// Reads one byte more than the limit at most.
pub(super) fn drain(from: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    from.take(limit as u64 + 1).read_to_end(&mut out)?;
    Ok(out)
}

pub(super) fn too_large(limit: usize) -> String {
    format!("the result is larger than {limit} bytes")
}
