//! Any text is a schema of a registry or none, and any bytes behind the frame are a message of it or none.

#![no_main]

use codecs::avro::Unions;
use codecs::registry::{Codec, Language, Options, frame};
use libfuzzer_sys::fuzz_target;
use streams::Message;

const AVRO: &str = r#"{"type":"record","name":"a.R","fields":[
    {"name":"l","type":{"type":"array","items":["null","string","R","int"]}},
    {"name":"m","type":{"type":"map","values":{"type":"fixed","name":"F","size":2}}},
    {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]},"default":"A"},
    {"name":"t","type":{"type":"long","logicalType":"timestamp-micros"}}]}"#;
const PROTOBUF: &str = r#"syntax = "proto3";
    import "google/protobuf/any.proto"; import "google/protobuf/struct.proto"; import "google/protobuf/timestamp.proto";
    message M { int64 a = 1; repeated M b = 2; map<string, double> c = 3; google.protobuf.Any d = 4;
      oneof o { bytes e = 5; string f = 6; } google.protobuf.Struct g = 7; google.protobuf.Timestamp h = 8;
      message N { bool i = 1; } N j = 9; enum E { Z = 0; Y = 1; } E k = 10; }
    message Other { fixed32 a = 1; }"#;
const JSON: &str =
    r#"{"type":["object","array"],"properties":{"a":{"type":"integer"}},"items":{"type":"string"}}"#;

// Which language and whether its schema is the given one, the schema, and what follows the frame.
fuzz_target!(|input: (u8, &str, &[u8])| {
    let (which, text, body) = input;
    let (language, known) = match which % 3 {
        0 => (Language::Avro, AVRO),
        1 => (Language::Protobuf, PROTOBUF),
        _ => (Language::Json, JSON),
    };
    let text = if which & 128 == 0 { known } else { text };
    let Ok(codec) = Codec::new(language, text, &[]) else { return };
    let mut framed = Vec::new();
    frame::begin(7, &mut framed);
    framed.extend_from_slice(body);
    for unions in [Unions::Tagged, Unions::Bare] {
        for payload in [&framed[..], body] {
            let mut message = Message::new(payload.to_vec());
            match codec.decode(&mut message, Options { unions, logical: which & 64 != 0 }) {
                Err(_) => assert_eq!(&message.bytes()[..], payload),
                Ok(()) => {
                    let json = message.bytes().clone();
                    match codec.encode(&mut message, 7, unions) {
                        Err(_) => assert_eq!(message.bytes(), &json),
                        Ok(()) => assert!(message.bytes().starts_with(&[0, 0, 0, 0, 7])),
                    }
                }
            }
            let mut message = Message::new(body.to_vec());
            let _ = codec.encode(&mut message, 7, unions);
        }
    }
});
