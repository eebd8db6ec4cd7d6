use bloblang::Value;
use streams::Message;

use super::{Codec, Language, Options, Reference, frame};
use crate::avro::Unions;

const TAGGED: Options = Options { unions: Unions::Tagged, logical: false };

fn reference(name: &str, text: &str) -> Reference {
    Reference { name: name.to_owned(), text: text.to_owned() }
}

#[test]
fn frames_are_read_and_written() {
    for (payload, expected) in [
        (&b"\0\0\0\x01\x02ab"[..], Ok((258, &b"ab"[..]))),
        (b"\0\xff\xff\xff\xff", Ok((u32::MAX, b""))),
        (b"\0\0\0\x01", Err("shorter than a frame's 5 bytes")),
        (b"{\"a\":1}", Err("it begins with 123, not 0")),
    ] {
        match (frame::split(payload), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, _) => panic!("{payload:?}: {found:?}"),
        }
    }
    for (way, bytes) in [
        (vec![0], &b"\0"[..]),
        (vec![1], b"\x02\x02"),
        (vec![0, 0], b"\x04\0\0"),
        (vec![2, 100], b"\x04\x04\xc8\x01"),
    ] {
        let mut out = Vec::new();
        frame::write_indices(&way, &mut out);
        assert_eq!(out, bytes);
        out.push(7);
        assert_eq!(frame::indices(&out).unwrap(), (way, &[7][..]));
    }
    for wrong in [
        &b""[..],
        b"\x02",
        b"\x01",
        b"\x02\x01",
        b"\xff\xff\xff\xff\x0f",
        b"\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ] {
        assert!(frame::indices(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn messages_come_back_through_every_language() {
    let address =
        r#"{"type":"record","name":"Address","namespace":"x","fields":[{"name":"city","type":"string"}]}"#;
    let person =
        r#"{"type":"record","name":"P","namespace":"x","fields":[{"name":"a","type":["null","Address"]}]}"#;
    let proto = r#"syntax = "proto3"; import "place.proto"; message A { int32 n = 1; message In { place.P p = 1; } } message B { string s = 1; }"#;
    let place = r#"syntax = "proto3"; package place; message P { string city = 1; }"#;
    let json = r#"{"properties":{"a":{"$ref":"address.json"}},"required":["a"]}"#;
    let text = r#"{"type":"string"}"#;
    let (avro, protobuf, schema) = (Language::Avro, Language::Protobuf, Language::Json);
    for (language, text, references, document, begin, wrong) in [
        (
            avro,
            person,
            vec![reference("x.Address", address)],
            r#"{"a":{"x.Address":{"city":"Bern"}}}"#,
            &b"\0\0\0\0\x07\x02\x08Bern"[..],
            r#"{"a":1}"#,
        ),
        (avro, "\"string\"", vec![], "\"5\"", b"\0\0\0\0\x07\x025", "5"),
        (
            protobuf,
            proto,
            vec![reference("place.proto", place)],
            r#"{"n":5}"#,
            b"\0\0\0\0\x07\0\x08\x05",
            r#"{"x":1}"#,
        ),
        (
            protobuf,
            proto,
            vec![reference("place.proto", place)],
            r#"{"s":"x"}"#,
            b"\0\0\0\0\x07\x02\x02\x0a\x01x",
            r#"{"s":1}"#,
        ),
        (
            protobuf,
            proto,
            vec![reference("place.proto", place)],
            r#"{"p":{"city":"Bern"}}"#,
            b"\0\0\0\0\x07\x04\0\0\x0a",
            "[]",
        ),
        (
            schema,
            json,
            vec![reference("address.json", text)],
            r#"{ "a": "x" }"#,
            b"\0\0\0\0\x07{ ",
            r#"{"a":1}"#,
        ),
    ] {
        let codec = Codec::new(language, text, &references).unwrap();
        let mut message = Message::new(document);
        codec.encode(&mut message, 7, Unions::Tagged).unwrap();
        assert!(message.bytes().starts_with(begin), "{document}: {:?}", message.bytes());
        codec.decode(&mut message, TAGGED).unwrap();
        assert_eq!(String::from_utf8_lossy(message.bytes()), document);
        let mut message = Message::new(wrong);
        assert!(codec.encode(&mut message, 7, Unions::Tagged).is_err(), "{wrong}");
        assert_eq!(String::from_utf8_lossy(message.bytes()), wrong);
        let broken = b"\0\0\0\0\x07\x06\x80";
        let mut message = Message::new(&broken[..]);
        assert!(codec.decode(&mut message, TAGGED).is_err());
        assert_eq!(&message.bytes()[..], broken);
    }
}

#[test]
fn the_message_that_fitted_is_tried_first() {
    let proto = r#"syntax = "proto3"; message A { int32 n = 1; } message B { int32 n = 1; string s = 2; }"#;
    let codec = Codec::new(Language::Protobuf, proto, &[]).unwrap();
    for (document, way) in [(r#"{"n":1}"#, vec![0]), (r#"{"s":"x"}"#, vec![1]), (r#"{"n":1}"#, vec![1])] {
        let mut message = Message::new(document);
        codec.encode(&mut message, 1, Unions::Bare).unwrap();
        assert_eq!(frame::indices(&message.bytes()[frame::HEAD..]).unwrap().0, way);
    }
}

#[test]
fn wrong_schemas_are_refused() {
    for (language, text, expected) in [
        (Language::Avro, "{", "not JSON"),
        (Language::Avro, "\"x.Unknown\"", "there is no type"),
        (Language::Protobuf, "message {", ".proto:1:"),
        (Language::Protobuf, "syntax = \"proto3\";", "defines no message"),
        (Language::Json, "{", "EOF"),
        (Language::Json, r#"{"$ref":"unknown.json"}"#, "is not present"),
    ] {
        let fault = Codec::new(language, text, &[]).unwrap_err();
        assert!(fault.contains(expected), "{fault}");
    }
    assert!(Language::named(Some("XML")).unwrap_err().contains("`XML`"));
}

#[test]
fn times_become_timestamps_when_wanted() {
    let schema = r#"{"type":"record","name":"R","fields":[
        {"name":"ms","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"us","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
        {"name":"n","type":"long"}]}"#;
    let codec = Codec::new(Language::Avro, schema, &[]).unwrap();
    let document = r#"{"ms":1500,"n":5,"us":1000001}"#;
    let mut message = Message::new(document);
    codec.encode(&mut message, 1, Unions::Bare).unwrap();
    let mut plain = message.clone();
    codec.decode(&mut plain, Options { unions: Unions::Bare, logical: false }).unwrap();
    assert_eq!(String::from_utf8_lossy(plain.bytes()), document);
    codec.decode(&mut message, Options { unions: Unions::Bare, logical: true }).unwrap();
    assert!(matches!(message.value().unwrap().get("ms"), Some(Value::Timestamp(_))));
    assert_eq!(
        String::from_utf8_lossy(message.bytes()),
        r#"{"ms":"1970-01-01T00:00:01.5Z","n":5,"us":"1970-01-01T00:00:01.000001Z"}"#
    );
}
