//! Methods that compress and decompress.

use std::io::{Read, Write};

use super::receive::bytes;
use super::{Example, Fixed, Kind, Parameter, Spec};
use crate::Value;
use crate::run::{Arguments, Context, Evaluated, Failure};

/// Largest result of `decompress`, in bytes: a few bytes can stand for gigabytes.
const MAX_DECOMPRESSED: u64 = 256 << 20;
const COMPRESS: &[&str] = &["flate", "gzip", "pgzip", "lz4", "snappy", "zlib", "zstd"];
const DECOMPRESS: &[&str] = &["bzip2", "flate", "gzip", "pgzip", "lz4", "snappy", "zlib", "zstd"];

pub(crate) static TABLE: &[Spec] = &[
    Spec::method("Encoding", "compress", "Text or bytes compressed, as bytes. `flate` is raw deflate, `snappy` its block format, `lz4` its frame format; `pgzip` is `gzip`.", |context, value, arguments| {
        let algorithm = arguments.text(context, 0)?;
        let level = arguments.integer(context, 1)?;
        let compressed = compress(&algorithm, level, &bytes(&value)?);
        compressed.map(|bytes| Value::Bytes(bytes.into())).map_err(|why| Failure::new(format!("failed to compress value: {why}")))
    })
    .parameters(&[
        Parameter::required("algorithm", Kind::Choice(COMPRESS), "The algorithm."),
        Parameter::with_default("level", Kind::Integer, Fixed::Int(-1), "The effort; -1 for what the algorithm takes to be usual. `lz4` and `snappy` have none."),
    ])
    .examples(&[
        Example(r#"root = this.compress("zlib").decompress("zlib").string()"#, r#""hello hello""#, r#""hello hello""#),
        Example(r#"root = this.compress(algorithm: "flate", level: 9).encode("hex")"#, r#""aaaaaaaaaa""#, r#""4b4c840100""#),
    ]),
    Spec::method("Encoding", "decompress", "Compressed bytes as they were, at most 256 MiB.", decompress)
        .parameters(&[Parameter::required("algorithm", Kind::Choice(DECOMPRESS), "The algorithm.")])
        .examples(&[
            Example(r#"root = this.decode("hex").decompress("snappy").string()"#, r#""0b1468656c6c6f200506""#, r#""hello hello""#),
            Example(r#"root = this.decompress("gzip")"#, r#""nonsense""#, "error: failed to decompress value"),
        ]),
];

fn level(level: i64) -> flate2::Compression {
    u32::try_from(level)
        .map_or_else(|_| flate2::Compression::default(), |level| flate2::Compression::new(level.min(9)))
}

fn compress(algorithm: &str, effort: i64, data: &[u8]) -> Result<Vec<u8>, String> {
    if !(-2..=22).contains(&effort) {
        return Err(format!("invalid compression level: {effort}"));
    }
    let out = Vec::with_capacity(data.len() / 2);
    let written = |result: std::io::Result<Vec<u8>>| result.map_err(|error| error.to_string());
    match algorithm {
        "gzip" | "pgzip" => {
            let mut encoder = flate2::write::GzEncoder::new(out, level(effort));
            written(encoder.write_all(data).and_then(|()| encoder.finish()))
        }
        "zlib" => {
            let mut encoder = flate2::write::ZlibEncoder::new(out, level(effort));
            written(encoder.write_all(data).and_then(|()| encoder.finish()))
        }
        "flate" => {
            let mut encoder = flate2::write::DeflateEncoder::new(out, level(effort));
            written(encoder.write_all(data).and_then(|()| encoder.finish()))
        }
        "lz4" => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(out);
            encoder.write_all(data).map_err(|error| error.to_string())?;
            encoder.finish().map_err(|error| error.to_string())
        }
        "snappy" => snap::raw::Encoder::new().compress_vec(data).map_err(|error| error.to_string()),
        "zstd" => {
            let effort = if effort < 1 { 0 } else { i32::try_from(effort).unwrap_or(0) };
            written(zstd::stream::encode_all(data, effort))
        }
        other => Err(format!("unrecognised compression type: {other}")),
    }
}

fn decompress(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let algorithm = arguments.text(context, 0)?;
    let data = bytes(&value)?;
    decompressed(&algorithm, &data)
        .map(|bytes| Value::Bytes(bytes.into()))
        .map_err(|why| Failure::new(format!("failed to decompress value: {why}")))
}

fn decompressed(algorithm: &str, data: &[u8]) -> Result<Vec<u8>, String> {
    match algorithm {
        "gzip" | "pgzip" => all(flate2::read::MultiGzDecoder::new(data)),
        "zlib" => all(flate2::read::ZlibDecoder::new(data)),
        "flate" => all(flate2::read::DeflateDecoder::new(data)),
        "lz4" => all(lz4_flex::frame::FrameDecoder::new(data)),
        "bzip2" => all(bzip2::read::MultiBzDecoder::new(data)),
        "zstd" => all(zstd::stream::read::Decoder::with_buffer(data).map_err(|error| error.to_string())?),
        "snappy" => {
            let size = snap::raw::decompress_len(data).map_err(|error| error.to_string())?;
            if size as u64 > MAX_DECOMPRESSED {
                return Err(too_large());
            }
            snap::raw::Decoder::new().decompress_vec(data).map_err(|error| error.to_string())
        }
        other => Err(format!("unrecognised decompression type: {other}")),
    }
}

fn all(reader: impl Read) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let read = reader.take(MAX_DECOMPRESSED + 1).read_to_end(&mut out).map_err(|error| error.to_string())?;
    if read as u64 > MAX_DECOMPRESSED { Err(too_large()) } else { Ok(out) }
}

fn too_large() -> String {
    format!("the result would be larger than {MAX_DECOMPRESSED} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_comes_back() {
        for algorithm in COMPRESS {
            for data in [&b""[..], b"a", &[7; 100_000]] {
                for effort in [-1, 0, 9] {
                    let small = compress(algorithm, effort, data).unwrap();
                    assert_eq!(decompressed(algorithm, &small).unwrap(), data, "{algorithm} {effort}");
                }
            }
        }
        let bzip2 = [
            0x42, 0x5a, 0x68, 0x39, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, 0x04, 0x08, 0x0d, 0x8e, 0x00, 0x00,
            0x01, 0x91, 0x00, 0x40, 0x00, 0x02, 0x44, 0xa0, 0x00, 0x21, 0x20, 0x06, 0x68, 0x35, 0x1c, 0xa6,
            0x0e, 0x2e, 0xe4, 0x8a, 0x70, 0xa1, 0x20, 0x08, 0x10, 0x1b, 0x1c,
        ];
        assert_eq!(decompressed("bzip2", &bzip2).unwrap(), b"hello hello");
    }

    #[test]
    fn bombs_are_refused() {
        let bomb = compress("zstd", 3, &vec![0; usize::try_from(MAX_DECOMPRESSED).unwrap() + 1]).unwrap();
        assert!(decompressed("zstd", &bomb).unwrap_err().contains("larger than"));
        assert!(decompressed("snappy", &[255, 255, 255, 255, 15]).is_err());
    }
}
