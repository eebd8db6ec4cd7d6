use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value as Json, json};

use crate::build::BuildContext;
use crate::node::Node;
use crate::registry::{Kind, Registry};
use crate::scanner::{ScanError, Scanner};
use crate::settings::Settings;

fn scanner(config: &Json) -> Result<Arc<dyn Scanner>, String> {
    let settings = Settings::new(Registry::standard());
    let mut context = BuildContext::new(&settings, "test", "");
    context.scanner(&Node::new(config, Kind::Scanner, ""), "lines").map_err(|fault| fault.message)
}

/// What is cut of these bytes, in chunks of a size, and how the source ended.
fn scanned(config: &Json, bytes: &str, size: usize) -> (Vec<String>, Result<(), String>) {
    let mut scan = scanner(config).unwrap().scan("");
    let mut texts = Vec::new();
    let mut chunks = bytes.as_bytes().chunks(size);
    loop {
        match scan.take() {
            Ok(Some(message)) => texts.push(String::from_utf8_lossy(message.bytes()).into_owned()),
            Err(ScanError(fault)) => return (texts, Err(fault)),
            Ok(None) => match chunks.next() {
                Some(chunk) => scan.push(Bytes::copy_from_slice(chunk)),
                None => {
                    scan.finish();
                    while let Some(message) = match scan.take() {
                        Ok(taken) => taken,
                        Err(ScanError(fault)) => return (texts, Err(fault)),
                    } {
                        texts.push(String::from_utf8_lossy(message.bytes()).into_owned());
                    }
                    return (texts, Ok(()));
                }
            },
        }
    }
}

#[test]
fn messages_are_the_same_whatever_the_chunks() {
    let short = json!({ "lines": { "max_buffer_size": 3 } });
    let joined = json!({ "lines": { "custom_delimiter": "X-", "omit_empty": true } });
    let long = "a".repeat(100_000);
    for (config, bytes, expected, fault) in [
        (json!(null), "a\r\n\nb", &["a", "", "b"][..], None),
        (json!({ "lines": {} }), "a\n", &["a"], None),
        (json!({ "lines": {} }), "", &[], None),
        (joined, "aX-X-b\nX", &["a", "b\nX"], None),
        (short.clone(), "a\nabcd\n", &["a"], Some("longer than 3 bytes")),
        (short, "a\nabcd", &["a"], Some("longer than 3 bytes")),
        (json!({ "lines": {} }), &long, &[], Some("longer than 65536 bytes")),
        (json!({ "to_the_end": {} }), "a\nb", &["a\nb"], None),
        (json!({ "to_the_end": {} }), "", &[""], None),
        (json!({ "chunker": { "size": 3 } }), "abcdefgh", &["abc", "def", "gh"], None),
        (json!({ "json_documents": {} }), " {\"a\": 1}\n[2] 3", &["{\"a\": 1}", "[2]", "3"], None),
        (json!({ "json_documents": {} }), "\n", &[], None),
        (json!({ "json_documents": {} }), "{} [", &["{}"], Some("")),
        (json!({ "json_documents": {} }), "{} nonsense {}", &["{}"], Some("")),
    ] {
        for size in [1, 2, 5, 200_000] {
            let (made, ended) = scanned(&config, bytes, size);
            assert_eq!(made, expected, "{config} by {size}");
            match (ended, fault) {
                (Ok(()), None) => {}
                (Err(told), Some(fault)) if told.contains(fault) => {}
                other => panic!("{config} by {size}: {other:?}"),
            }
        }
    }
    assert!(scanner(&json!({ "chunker": { "size": 0 } })).err().unwrap().contains("from 1"));
}
