//! Methods that compress and decompress.

use super::receive::bytes;
use super::{Example, Fixed, Kind, Parameter, Spec};
use crate::Value;
use crate::formats::LARGEST;
use crate::formats::compression::{Algorithm, PACKED, UNPACKED, pack, unpack};
use crate::run::{Arguments, Context, Evaluated, Failure};

pub(crate) static TABLE: &[Spec] = &[
    Spec::method("Encoding", "compress", "Text or bytes compressed, as bytes. `flate` is raw deflate, `snappy` its block format, `lz4` its frame format; `pgzip` is `gzip`.", |context, value, arguments| {
        let algorithm = arguments.text(context, 0)?;
        let level = arguments.integer(context, 1)?;
        let data = bytes(&value)?;
        // The hard tries take a microsecond for each byte and more.
        let effort = if algorithm == "zstd" { level.saturating_sub(9).max(0) } else { level.saturating_sub(6).max(0) };
        context.budget.step((data.len() as u64).saturating_mul(1 + effort.unsigned_abs()) / 16)?;
        let compressed = compress(&algorithm, level, &data);
        compressed.map(|bytes| Value::Bytes(bytes.into())).map_err(|why| Failure::new(format!("failed to compress value: {why}")))
    })
    .parameters(&[
        Parameter::required("algorithm", Kind::Choice(PACKED), "The algorithm."),
        Parameter::with_default("level", Kind::Integer, Fixed::Int(-1), "The effort; -1 for what the algorithm takes to be usual. `lz4` and `snappy` have none."),
    ])
    .examples(&[
        Example(r#"root = this.compress("zlib").decompress("zlib").string()"#, r#""hello hello""#, r#""hello hello""#),
        Example(r#"root = this.compress(algorithm: "flate", level: 9).encode("hex")"#, r#""aaaaaaaaaa""#, r#""4b4c840100""#),
    ]),
    Spec::method("Encoding", "decompress", "Compressed bytes as they were: at most 256 MiB, and what is larger than 16 MiB at most 1100 times its compressed size.", decompress)
        .parameters(&[Parameter::required("algorithm", Kind::Choice(UNPACKED), "The algorithm.")])
        .examples(&[
            Example(r#"root = this.decode("hex").decompress("snappy").string()"#, r#""0b1468656c6c6f200506""#, r#""hello hello""#),
            Example(r#"root = this.decompress("gzip")"#, r#""nonsense""#, "error: failed to decompress value"),
        ]),
];

fn compress(name: &str, level: i64, data: &[u8]) -> Result<Vec<u8>, String> {
    let algorithm = Algorithm::named(name).ok_or_else(|| format!("unrecognised compression type: {name}"))?;
    pack(algorithm, algorithm.effort(level)?, data)
}

fn decompress(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let name = arguments.text(context, 0)?;
    let data = bytes(&value)?;
    let unpacked = match Algorithm::named(&name) {
        Some(algorithm) => unpack(algorithm, &data, LARGEST),
        None => Err(format!("unrecognised decompression type: {name}")),
    };
    unpacked
        .map(|bytes| Value::Bytes(bytes.into()))
        .map_err(|why| Failure::new(format!("failed to decompress value: {why}")))
}
