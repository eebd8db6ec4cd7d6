//! The processors `compress` and `decompress` (streams contract 3.7).

use bloblang::formats::LARGEST;
use bloblang::formats::compression::{Algorithm, Effort, PACKED, UNPACKED, pack, unpack};
use document::Fault;
use streams::{BuildContext, Default, Field, Kind, Message, Node, Processor, ProcessorSpec};

use crate::each::{Change, Each};

/// The algorithm that the field `algorithm` names.
pub(crate) fn algorithm(node: &Node<'_>) -> Result<Algorithm, Fault> {
    let name = node.text("algorithm")?;
    let fault = || node.field_fault("algorithm", format!("`{name}` is not known here"));
    Algorithm::named(&name).ok_or_else(fault)
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
            "How hard to try; -1 leaves it to the library. `flate`, `gzip` and `zlib` know -2 to 9, `zstd` 1 to 22; the others have one level.",
        ),
    ]),
    build: build_compress,
};

pub(crate) static DECOMPRESS: ProcessorSpec = ProcessorSpec {
    name: "decompress",
    summary: "Decompresses each payload. What would become larger than 256 MiB, or more than 1100 times as large and larger than 16 MiB, is refused, so that a small message cannot fill the memory.",
    config: Kind::Object(&[Field::required("algorithm", Kind::Choice(UNPACKED), "The format.")]),
    build: build_decompress,
};

fn build_compress(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let algorithm = algorithm(node)?;
    let effort =
        algorithm.effort(node.integer("level")?).map_err(|fault| node.field_fault("level", fault))?;
    Ok(Box::new(Each(Compress { algorithm, effort })))
}

fn build_decompress(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    Ok(Box::new(Each(Decompress { algorithm: algorithm(node)? })))
}

struct Compress {
    algorithm: Algorithm,
    effort: Effort,
}

impl Change for Compress {
    fn change(&self, message: &mut Message) -> Result<(), String> {
        let packed = pack(self.algorithm, self.effort, message.bytes());
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
    use serde_json::json;

    use crate::testing::{built, one};

    #[tokio::test]
    async fn payloads_come_back_and_what_is_not_packed_is_flagged() {
        for algorithm in super::PACKED {
            let packed = json!({ "compress": { "algorithm": algorithm, "level": -1 } });
            let both = json!({ "processors": [packed, { "decompress": { "algorithm": algorithm } }] });
            assert_eq!(one(both, "some text").await, "some text", "{algorithm}");
        }
        for algorithm in super::UNPACKED {
            let made = one(json!({ "decompress": { "algorithm": algorithm } }), "7 not packed").await;
            assert!(made.starts_with("7 not packed!decompress: "), "{algorithm}: {made}");
        }
        let level = built(&json!({ "compress": { "algorithm": "gzip", "level": 10 } })).unwrap_err();
        assert!(level.contains("/level: invalid compression level 10: it must be from -2 to 9"), "{level}");
    }
}
