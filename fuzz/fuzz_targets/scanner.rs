//! Every scanner cuts any bytes into the same messages whatever the chunks in which they come, and ends with the same
//! outcome.

#![no_main]

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value as Json, json};
use streams::{Message, Registry, Scanner, Settings};

static SCANNERS: LazyLock<Vec<(Json, Arc<dyn Scanner>)>> = LazyLock::new(|| {
    let mut registry = Registry::standard();
    codecs::register(&mut registry);
    let settings = Settings::new(registry);
    let unpacked =
        |algorithm: &str| json!({ "decompress": { "algorithm": algorithm, "into": { "lines": {} } } });
    let configs = [
        json!({ "lines": { "max_buffer_size": 20 } }),
        json!({ "lines": { "custom_delimiter": "aab", "omit_empty": true } }),
        json!({ "to_the_end": {} }),
        json!({ "json_documents": {} }),
        json!({ "chunker": { "size": 3 } }),
        json!({ "csv": {} }),
        json!({ "csv": { "custom_delimiter": ";", "lazy_quotes": true, "continue_on_error": true } }),
        json!({ "csv": { "parse_header_row": false, "expected_number_of_fields": 2, "continue_on_error": true } }),
        json!({ "re_match": { "pattern": "(?m)^\\d+:", "max_buffer_size": 20 } }),
        json!({ "xml_documents": { "cast": true } }),
        json!({ "tar": {} }),
        json!({ "avro": { "raw_json": true } }),
        json!({ "avro": {} }),
        json!({ "skip_bom": { "into": { "lines": {} } } }),
        json!({ "switch": [{ "re_match_name": "x$", "scanner": { "lines": {} } }, { "scanner": { "csv": {} } }] }),
        unpacked("gzip"),
        unpacked("zlib"),
        unpacked("flate"),
        unpacked("zstd"),
        unpacked("lz4"),
        unpacked("snappy"),
        unpacked("bzip2"),
    ];
    let built = configs.map(|config| {
        let scanner = streams::scanner(&config, "", &settings).expect("the configuration is right");
        (config, scanner)
    });
    built.into_iter().collect()
});

/// A message as far as anybody can tell.
fn seen(message: &Message) -> (Vec<u8>, bool, Vec<String>) {
    let meta = ["csv_row", "tar_name"]
        .map(|name| message.meta(name).map(|value| value.to_text()).unwrap_or_default());
    (message.bytes().to_vec(), message.error().is_some(), meta.to_vec())
}

type Outcome = (Vec<(Vec<u8>, bool, Vec<String>)>, bool);

/// The messages of these bytes, and whether the source ended well.
fn cut(scanner: &dyn Scanner, bytes: &[u8], size: usize) -> Outcome {
    let (mut scan, mut messages, mut well) = (scanner.scan("name"), Vec::new(), true);
    let mut take = |scan: &mut dyn streams::Scan| loop {
        match scan.take() {
            Ok(Some(message)) => messages.push(seen(&message)),
            Ok(None) => break,
            Err(_) => well = false,
        }
    };
    for chunk in bytes.chunks(size) {
        scan.push(Bytes::copy_from_slice(chunk));
        take(&mut *scan);
    }
    scan.finish();
    take(&mut *scan);
    (messages, well)
}

// Which scanner, the size of a chunk, and the bytes.
fuzz_target!(|input: (u8, u8, &[u8])| {
    let (which, size, bytes) = input;
    let (config, scanner) = &SCANNERS[which as usize % SCANNERS.len()];
    let whole = cut(&**scanner, bytes, bytes.len().max(1));
    let pieces = cut(&**scanner, bytes, usize::from(size).max(1));
    // What stands before a fault may have been handed on, or not: then one is where the other begins.
    let few = whole.0.len().min(pieces.0.len());
    let alike = if whole.1 { whole == pieces } else { !pieces.1 && whole.0[..few] == pieces.0[..few] };
    if whole.1 && pieces.1 || config.get("decompress").is_none() {
        assert!(alike, "{config}: {whole:?} {pieces:?}");
    }
});
