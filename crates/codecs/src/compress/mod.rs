//! Compression: whole payloads (streams contract 3.7), and bytes as they arrive.

mod pack;
mod push;
mod unpack;

use document::Fault;
use streams::{BuildContext, Default, Field, Kind, Message, Node, Processor, ProcessorSpec};

use crate::each::{Change, Each};
use crate::values::LARGEST;

pub(crate) use push::Push;
pub(crate) use unpack::{snappy_block, unpack};

/// A format of compressed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// Unpacked only.
    Bzip2,
    Flate,
    Gzip,
    Lz4,
    Snappy,
    Zlib,
    Zstd,
}

/// Those that are packed, as they are written in a configuration.
const PACKED: &[&str] = &["flate", "gzip", "lz4", "pgzip", "snappy", "zlib", "zstd"];
/// Those that are unpacked.
pub(crate) const UNPACKED: &[&str] = &["bzip2", "flate", "gzip", "lz4", "pgzip", "snappy", "zlib", "zstd"];

impl Algorithm {
    /// The algorithm that the field `algorithm` names.
    pub(crate) fn read(node: &Node<'_>) -> Result<Algorithm, Fault> {
        Ok(match &*node.text("algorithm")? {
            "bzip2" => Algorithm::Bzip2,
            "flate" => Algorithm::Flate,
            // The same format, written by several threads in the original.
            "gzip" | "pgzip" => Algorithm::Gzip,
            "lz4" => Algorithm::Lz4,
            "snappy" => Algorithm::Snappy,
            "zlib" => Algorithm::Zlib,
            "zstd" => Algorithm::Zstd,
            other => return Err(node.field_fault("algorithm", format!("`{other}` is not known here"))),
        })
    }
}

pub(crate) static COMPRESS: ProcessorSpec = ProcessorSpec {
    name: "compress",
    summary: "Compresses each payload. `flate` is raw deflate, `snappy` its block format, `lz4` its frame format; `pgzip` is `gzip`.",
    config: Kind::Object(&[
        Field::required("algorithm", Kind::Choice(PACKED), "The format."),
        Field::new(
            "level",
            Kind::Int,
            Default::Int(-1),
            "How hard to try; -1 leaves it to the library. `flate`, `gzip` and `zlib` know 0 to 9, `zstd` 1 to 22; the others have one level.",
        ),
    ]),
    build: build_compress,
};

pub(crate) static DECOMPRESS: ProcessorSpec = ProcessorSpec {
    name: "decompress",
    summary: "Decompresses each payload. What would become larger than 256 MiB is refused, so that a small message cannot fill the memory.",
    config: Kind::Object(&[Field::required("algorithm", Kind::Choice(UNPACKED), "The format.")]),
    build: build_decompress,
};

fn build_compress(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let algorithm = Algorithm::read(node)?;
    let level = node.integer("level")?;
    let known = match algorithm {
        Algorithm::Flate | Algorithm::Gzip | Algorithm::Zlib => Some(0..=9),
        Algorithm::Zstd => Some(1..=22),
        _ => None,
    };
    let level = match known {
        Some(known) if level != -1 => {
            let fault = || format!("`level` must be -1 or from {} to {}", known.start(), known.end());
            let level = u32::try_from(level).ok().filter(|level| known.contains(level));
            Some(level.ok_or_else(|| node.field_fault("level", fault()))?)
        }
        _ => None,
    };
    Ok(Box::new(Each(Compress { algorithm, level })))
}

fn build_decompress(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    Ok(Box::new(Each(Decompress { algorithm: Algorithm::read(node)? })))
}

struct Compress {
    algorithm: Algorithm,
    level: Option<u32>,
}

impl Change for Compress {
    fn change(&self, message: &mut Message) -> Result<(), String> {
        let packed = pack::pack(self.algorithm, self.level, message.bytes());
        message.set_bytes(packed.map_err(|error| format!("compress: {error}"))?);
        Ok(())
    }
}

struct Decompress {
    algorithm: Algorithm,
}

impl Change for Decompress {
    fn change(&self, message: &mut Message) -> Result<(), String> {
        let unpacked = unpack(self.algorithm, message.bytes(), LARGEST);
        message.set_bytes(unpacked.map_err(|error| format!("decompress: {error}"))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const ALL: [Algorithm; 6] = [
        Algorithm::Flate,
        Algorithm::Gzip,
        Algorithm::Lz4,
        Algorithm::Snappy,
        Algorithm::Zlib,
        Algorithm::Zstd,
    ];

    fn packed(algorithm: Algorithm, data: &[u8]) -> Vec<u8> {
        pack::pack(algorithm, None, data).unwrap()
    }

    #[test]
    fn what_was_packed_is_unpacked_and_what_was_not_is_told() {
        let long = b"abc".repeat(10_000);
        for algorithm in ALL {
            for data in [&b""[..], b"x", &long] {
                let packed = packed(algorithm, data);
                assert_eq!(unpack(algorithm, &packed, LARGEST).unwrap(), data, "{algorithm:?}");
                assert!(unpack(algorithm, b"\x37not packed at all", LARGEST).is_err(), "{algorithm:?}");
            }
            let whole = packed(algorithm, &long);
            let told = unpack(algorithm, &whole, 1000).unwrap_err();
            assert!(told.contains("larger than 1000 bytes"), "{algorithm:?}: {told}");
            assert!(unpack(algorithm, &whole[..whole.len() / 2], LARGEST).is_err(), "{algorithm:?}: cut off");
            assert!(unpack(algorithm, &whole[..whole.len() - 1], LARGEST).is_err(), "{algorithm:?}: cut off");
        }
    }

    /// `hello hello`, as the program bzip2 packs it.
    const BZIP2: [u8; 43] = [
        0x42, 0x5a, 0x68, 0x39, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, 0x04, 0x08, 0x0d, 0x8e, 0x00, 0x00, 0x01,
        0x91, 0x00, 0x40, 0x00, 0x02, 0x44, 0xa0, 0x00, 0x21, 0x20, 0x06, 0x68, 0x35, 0x1c, 0xa6, 0x0e, 0x2e,
        0xe4, 0x8a, 0x70, 0xa1, 0x20, 0x08, 0x10, 0x1b, 0x1c,
    ];

    #[test]
    fn bzip2_is_unpacked_whole_in_pieces_and_one_after_the_other() {
        let two = [BZIP2, BZIP2].concat();
        assert_eq!(unpack(Algorithm::Bzip2, &BZIP2, LARGEST).unwrap(), b"hello hello");
        assert_eq!(unpack(Algorithm::Bzip2, &two, LARGEST).unwrap(), b"hello hellohello hello");
        assert!(unpack(Algorithm::Bzip2, &two, 20).unwrap_err().contains("larger than 20 bytes"));
        for wrong in [&BZIP2[..20], &BZIP2[..42], b"BZh9", b"nothing"] {
            assert!(unpack(Algorithm::Bzip2, wrong, LARGEST).is_err(), "{wrong:?}");
            let mut push = Push::new(Algorithm::Bzip2);
            push.feed(&Bytes::copy_from_slice(wrong), &mut |_| Ok(())).unwrap();
            assert!(push.finish(&mut |_| Ok(())).is_err(), "{wrong:?}");
        }
        let (mut push, mut out) = (Push::new(Algorithm::Bzip2), Vec::new());
        for chunk in two.chunks(7) {
            push.feed(&Bytes::copy_from_slice(chunk), &mut |_| Ok(())).unwrap();
        }
        push.finish(&mut |bytes| {
            out.extend_from_slice(&bytes);
            Ok(())
        })
        .unwrap();
        assert_eq!(out, b"hello hellohello hello");
    }

    #[test]
    fn what_arrives_in_pieces_is_unpacked_as_it_arrives() {
        use std::io::Write as _;
        let data = b"0123456789".repeat(5_000);
        for algorithm in ALL {
            let mut whole = packed(algorithm, &data);
            if algorithm == Algorithm::Snappy {
                let mut encoder = snap::write::FrameEncoder::new(Vec::new());
                encoder.write_all(&data).unwrap();
                whole = encoder.into_inner().unwrap();
            }
            for size in [1, 100, whole.len()] {
                let (mut push, mut out) = (Push::new(algorithm), Vec::new());
                for chunk in whole.chunks(size) {
                    push.feed(&Bytes::copy_from_slice(chunk), &mut |bytes| {
                        out.extend_from_slice(&bytes);
                        Ok(())
                    })
                    .unwrap();
                }
                push.finish(&mut |bytes| {
                    out.extend_from_slice(&bytes);
                    Ok(())
                })
                .unwrap();
                assert_eq!(out, data, "{algorithm:?} by {size}");
            }
            let mut push = Push::new(algorithm);
            let cut = Bytes::copy_from_slice(&whole[..whole.len() - 3]);
            let fed = push.feed(&cut, &mut |_| Ok(()));
            assert!(fed.and_then(|()| push.finish(&mut |_| Ok(()))).is_err(), "{algorithm:?}: cut off");
        }
    }
}
