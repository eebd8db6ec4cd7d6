use std::io::Write as _;

use bytes::Bytes;
use serde_json::{Value as Json, json};
use streams::{Scan, ScanError};

use crate::testing::settings;

/// What is cut of these bytes, in chunks of a size, each behind its place, and how the source ended.
fn scanned(config: &Json, bytes: &[u8], size: usize) -> (Vec<String>, Result<(), String>) {
    let scanner =
        streams::scanner(config, "", &settings()).unwrap_or_else(|fault| panic!("{}", fault.message));
    let mut scan = scanner.scan("data/names.csv.gz");
    let mut texts = Vec::new();
    let mut ended = Ok(());
    let mut take = |scan: &mut dyn Scan| loop {
        match scan.take() {
            Ok(Some(message)) => {
                let flag = if message.error().is_some() { "!" } else { "" };
                let place = message.meta("csv_row").or(message.meta("tar_name"));
                let place = place.map(|place| place.to_text()).unwrap_or_default();
                texts.push(format!("{place}{flag}{}", String::from_utf8_lossy(message.bytes())));
            }
            Ok(None) => break,
            Err(ScanError(fault)) => ended = Err(fault),
        }
    };
    for chunk in bytes.chunks(size) {
        scan.push(Bytes::copy_from_slice(chunk));
        take(&mut *scan);
    }
    scan.finish();
    take(&mut *scan);
    (texts, ended)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn messages_are_the_same_whatever_the_chunks() {
    let unzip = json!({ "decompress": { "algorithm": "gzip", "into": { "lines": {} } } });
    let bom = json!({ "skip_bom": { "into": { "lines": {} } } });
    let csv = json!({ "csv": {} });
    let going = json!({ "csv": { "continue_on_error": true } });
    let switch = json!({ "switch": [
        { "re_match_name": "\\.tar$", "scanner": { "tar": {} } },
        { "re_match_name": "\\.csv\\.gz$", "scanner": { "decompress": { "algorithm": "gzip", "into": { "csv": {} } } } },
        { "scanner": { "to_the_end": {} } },
    ] });
    let mut archive = crate::tar::Writer::default();
    archive.add("a", 0, b"1");
    archive.add("b", 0, b"2");
    for (config, bytes, expected) in [
        (
            json!({ "re_match": { "pattern": "(?m)^\\d+:" } }),
            b"x 1:\n1: a\nb\n2: c".to_vec(),
            &["x 1:\n", "1: a\nb\n", "2: c"][..],
        ),
        (json!({ "re_match": { "pattern": "ab?" } }), b"aabaa".to_vec(), &["a", "ab", "a", "a"]),
        (
            json!({ "xml_documents": { "cast": true } }),
            b"<a>1</a> <b/>".to_vec(),
            &[r#"{"a":1}"#, r#"{"b":""}"#],
        ),
        (unzip.clone(), gzip("a\nb"), &["a", "b"]),
        (unzip, [gzip("a\n"), gzip("b")].concat(), &["a", "b"]),
        (json!({ "decompress": { "algorithm": "gzip" } }), gzip("a\nb"), &["a\nb"]),
        (switch, gzip("k\nv\n"), &[r#"0{"k":"v"}"#]),
        (bom.clone(), b"\xef\xbb\xbfa\nb".to_vec(), &["a", "b"]),
        (bom.clone(), b"\xff\xfea".to_vec(), &["a"]),
        (bom.clone(), b"\xef\xbb\xbf\xef\xbb\xbf\xff\xfe\0\0a".to_vec(), &["a"]),
        (bom.clone(), b"\xff\xfe\0".to_vec(), &["\0"]),
        (bom.clone(), b"\xef\xbb\xbf\xff\xfe".to_vec(), &[]),
        (bom.clone(), b"\xefa".to_vec(), &["\u{fffd}a"]),
        (bom.clone(), b"a".to_vec(), &["a"]),
        (bom, b"\xef".to_vec(), &["\u{fffd}"]),
        (csv, "x,y\n1,\"2\n3\"\r\n\nä,b".into(), &[r#"0{"x":"1","y":"2\n3"}"#, r#"1{"x":"ä","y":"b"}"#]),
        (
            json!({ "csv": { "parse_header_row": false } }),
            b"x,y\n1,2\n".to_vec(),
            &[r#"0["x","y"]"#, r#"1["1","2"]"#],
        ),
        (
            json!({ "csv": { "custom_delimiter": ";", "lazy_quotes": true } }),
            b"x;y\na\"b;c\n".to_vec(),
            &[r#"0{"x":"a\"b","y":"c"}"#],
        ),
        (going, b"x\n1,2\n3\n4\"\n5\n".to_vec(), &["0!", r#"1{"x":"3"}"#, "2!", r#"3{"x":"5"}"#]),
        (json!({ "tar": {} }), archive.finish(), &["a1", "b2"]),
    ] {
        for size in [1, 2, 5, 4096] {
            let (made, ended) = scanned(&config, &bytes, size);
            assert_eq!(
                (made.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), ended),
                (expected, Ok(())),
                "{config} by {size}"
            );
        }
    }
}

#[test]
fn what_is_wrong_ends_the_source_after_what_was_right() {
    for (config, bytes, messages, fault) in [
        (json!({ "csv": {} }), &b"a,b\n1,2\n3\n"[..], 1, "1 fields, not 2"),
        (json!({ "csv": {} }), b"a\n1\n\xff\n", 1, "not UTF-8"),
        (json!({ "csv": {} }), b"a\n1\n\xc3", 1, "not UTF-8"),
        (json!({ "csv": { "expected_headers": ["a"] } }), b"b\n1\n", 0, "the header is"),
        (json!({ "csv": { "expected_number_of_fields": 2 } }), b"b\n1\n", 0, "1 fields, not 2"),
        (json!({ "xml_documents": {} }), b"<a/><b>", 1, "ends within"),
        (json!({ "tar": {} }), &[b'x'; 600], 0, "no tar archive"),
        (
            json!({ "re_match": { "pattern": "a", "max_buffer_size": 4 } }),
            b"abbabbbbbbb",
            1,
            "longer than 4 bytes",
        ),
        (
            json!({ "re_match": { "pattern": "a", "max_buffer_size": 4 } }),
            b"abbbbbab",
            0,
            "longer than 4 bytes",
        ),
        (json!({ "decompress": { "algorithm": "gzip" } }), b"no gzip here", 0, ""),
        (json!({ "switch": [{ "re_match_name": "^x$", "scanner": { "tar": {} } }] }), b"a", 0, "no case"),
        (json!({ "avro": {} }), b"no avro", 0, "no Avro container"),
    ] {
        for size in [1, 4096] {
            let (made, ended) = scanned(&config, bytes, size);
            let told = ended.unwrap_err();
            assert!(told.contains(fault), "{told}");
            assert_eq!(made.len(), messages, "{config} by {size}");
        }
    }
    for (config, fault) in [
        (json!({ "csv": { "custom_delimiter": "ab" } }), "one character"),
        (json!({ "re_match": { "pattern": "(" } }), "unclosed group"),
        (json!({ "re_match": { "pattern": "(a{1000}){1000}" } }), "size limit"),
        (json!({ "switch": [] }), "at least one case"),
    ] {
        let told = streams::scanner(&config, "", &settings()).err().unwrap().message;
        assert!(told.contains(fault), "{told}");
    }
}
