//! Processors that read a format take any payload: they make messages of it, or flag it and leave it as it was.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{Value as Json, json};
use streams::{Message, Processors, Registry, Settings};
use tokio::runtime::{Builder, Runtime};

/// Everything that Avro has, itself included.
const AVRO: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"l","type":{"type":"array","items":["null","string","R"]}},
    {"name":"m","type":{"type":"map","values":"long"}},
    {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},
    {"name":"f","type":{"type":"fixed","name":"F","size":2}},
    {"name":"b","type":["null","bytes","boolean","double","float","int"]},
    {"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}}]}"#;

static PROCESSORS: LazyLock<Vec<(Json, Processors)>> = LazyLock::new(|| {
    let mut registry = Registry::standard();
    codecs::register(&mut registry);
    let settings = Settings::new(registry);
    let mut configs = Vec::new();
    for format in [
        "binary",
        "csv",
        "csv:|",
        "json_array",
        "json_documents",
        "json_map",
        "lines",
        "tar",
        "xml_documents_to_json",
        "xml_documents_to_json:cast",
        "zip",
    ] {
        configs.push(json!({ "unarchive": { "format": format } }));
    }
    for algorithm in ["bzip2", "flate", "gzip", "lz4", "snappy", "zlib", "zstd"] {
        configs.push(json!({ "decompress": { "algorithm": algorithm } }));
    }
    for encoding in ["textual", "binary", "single"] {
        for operator in ["to_json", "from_json"] {
            configs.push(json!({ "avro": { "operator": operator, "encoding": encoding, "schema": AVRO } }));
        }
    }
    configs.push(json!({ "msgpack": { "operator": "to_json" } }));
    configs.push(json!({ "msgpack": { "operator": "from_json" } }));
    configs.push(json!({ "xml": { "operator": "to_json", "cast": true } }));
    configs.push(json!({ "json_schema": { "schema": "{\"$ref\":\"#/d\",\"d\":{\"items\":{\"$ref\":\"#/d\"},\"type\":[\"array\",\"string\"],\"maxLength\":2}}" } }));
    let built = configs.into_iter().map(|config| {
        let list = Json::Array(vec![config.clone()]);
        (config, Processors::build(&list, "", &settings).expect("the configuration is right"))
    });
    built.collect()
});

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

// Which processor, and the payload.
fuzz_target!(|input: (u8, &[u8])| {
    let (which, payload) = input;
    let (config, processors) = &PROCESSORS[which as usize % PROCESSORS.len()];
    let mut message = Message::new(payload.to_vec());
    message.set_meta("k", "v");
    let made: Vec<Message> = RUNTIME.block_on(processors.run(vec![message])).into_iter().flatten().collect();
    for message in &made {
        assert!(message.meta("k").is_some(), "{config}");
        if message.error().is_some() {
            assert!(made.len() == 1 && message.bytes() == payload, "{config}");
        }
        let _ = message.value();
    }
});
