use bloblang::Value;
use bytes::Bytes;

use super::*;
use streams::scanners::Cut as _;

fn json(text: &str) -> Value {
    Value::parse_json(text.as_bytes()).unwrap()
}

const LIST: &str =
    r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"],"default":null}]}"#;

#[test]
fn values_have_the_bytes_of_the_specification() {
    for (schema, value, bytes) in [
        (r#""null""#, "null", &b""[..]),
        (r#""boolean""#, "true", &[1]),
        ("int", "-1", &[1]),
        (r#""long""#, "64", &[0x80, 1]),
        (r#""long""#, "-9223372036854775808", &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        (r#""float""#, "0.1", &[0xcd, 0xcc, 0xcc, 0x3d]),
        (r#""double""#, "1", &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f]),
        (r#""string""#, r#""foo""#, &[6, b'f', b'o', b'o']),
        (r#""bytes""#, "\"a\\u00ff\"", &[4, b'a', 255]),
        (r#"{"type":"fixed","name":"F","size":2}"#, "\"\\u0000\\u0080\"", &[0, 128]),
        (r#"{"type":"enum","name":"E","symbols":["A","B"]}"#, r#""B""#, &[2]),
        (r#"{"type":"array","items":"long"}"#, "[3,27]", &[4, 6, 54, 0]),
        (r#"{"type":"array","items":"long"}"#, "[]", &[0]),
        (r#"{"type":"map","values":"int"}"#, r#"{"k":1}"#, &[2, 2, b'k', 2, 0]),
        (r#"["null","string"]"#, "null", &[0]),
        (r#"["null","string"]"#, r#"{"string":"a"}"#, &[2, 2, b'a']),
        (LIST, r#"{"next":{"L":{"next":null}}}"#, &[2, 0]),
        (
            r#"{"type":"record","name":"test","namespace":"n","fields":[{"name":"a","type":"long"},{"name":"b","type":["null",{"type":"enum","name":"S","symbols":["x"]}]}]}"#,
            r#"{"a":27,"b":{"n.S":"x"}}"#,
            &[54, 2, 0],
        ),
    ] {
        let schema = Schema::parse(schema).unwrap();
        let mut out = Vec::new();
        schema
            .encode(&json(value), Unions::Tagged, &mut out)
            .unwrap_or_else(|fault| panic!("{value}: {fault}"));
        assert_eq!(out, bytes, "{value}");
        let (read, rest) = schema.decode(&out, Unions::Tagged).unwrap();
        assert_eq!((read.to_json(), rest), (json(value).to_json(), &b""[..]));
    }
}

#[test]
fn bare_unions_defaults_and_logical_names_are_understood() {
    let schema = r#"{"type":"record","name":"R","fields":[
        {"name":"u","type":["null",{"type":"long","logicalType":"timestamp-millis"},"string"],"default":null},
        {"name":"d","type":{"type":"array","items":"int"},"default":[7]}]}"#;
    let schema = Schema::parse(schema).unwrap();
    for (unions, value, back) in [
        (Unions::Bare, r#"{"u":5}"#, r#"{"d":[7],"u":5}"#),
        (Unions::Bare, r#"{"u":"t","d":[],"more":1}"#, r#"{"d":[],"u":"t"}"#),
        (Unions::Tagged, "{}", r#"{"d":[7],"u":null}"#),
        (Unions::Tagged, r#"{"u":{"long.timestamp-millis":5}}"#, r#"{"d":[7],"u":{"long":5}}"#),
    ] {
        let mut out = Vec::new();
        schema.encode(&json(value), unions, &mut out).unwrap();
        assert_eq!(schema.decode(&out, unions).unwrap().0.to_json(), back);
    }
    let referring = Schema::parse_with(r#"["null","L"]"#, &[LIST]).unwrap();
    assert!(referring.decode(&[2, 0], Unions::Bare).is_ok());
}

#[test]
fn what_does_not_fit_is_told_with_its_place() {
    let record =
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":"int"}}]}"#;
    for (schema, value, fault) in [
        (record, r#"{"a":[1,"x"]}"#, "a: 1: int is expected, not string"),
        (record, "{}", "a: `R` needs this field"),
        (record, r#"{"a":[4294967296]}"#, "a: 0: 4294967296 does not fit an int"),
        (r#"["null","int"]"#, "1", "a union is written as null"),
        (r#"{"type":"fixed","name":"F","size":2}"#, r#""a""#, "`F` has 2 bytes, not 1"),
        (r#""bytes""#, r#""€""#, "U+0000"),
    ] {
        let schema = Schema::parse(schema).unwrap();
        let mut out = vec![9];
        let told = schema.encode(&json(value), Unions::Tagged, &mut out).unwrap_err();
        assert!(told.contains(fault), "{told}");
        assert_eq!(out, [9]);
    }
    for (schema, fault) in [
        ("{", "not JSON"),
        (r#"{"type":"recrod","name":"R"}"#, "no type `recrod`"),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"X"}]}"#,
            "field `a` of `R`: there is no type `X`",
        ),
        (r#"["int","int"]"#, "two branches `int`"),
        (r#"{"type":"record","name":"1","fields":[]}"#, "not a name"),
        (r#"[["int"]]"#, "no union directly"),
        ("3", "a schema is"),
    ] {
        let told = Schema::parse(schema).unwrap_err();
        assert!(told.contains(fault), "{told}");
    }
}

#[test]
fn hostile_bytes_are_refused_early() {
    for (schema, bytes, fault) in [
        (LIST, vec![2; 100_000], "nests deeper"),
        (
            r#"{"type":"array","items":"null"}"#,
            vec![254, 255, 255, 255, 255, 255, 255, 255, 127, 0],
            "too many values",
        ),
        (r#""string""#, vec![254, 255, 255, 255, 255, 255, 255, 255, 255, 1], "end too early"),
        (r#""long""#, vec![255; 11], "longer than 64 bits"),
        (r#""bytes""#, vec![1], "negative"),
        (r#"["null"]"#, vec![4], "no such branch"),
        (r#""string""#, vec![2, 255], "not UTF-8"),
    ] {
        let told = Schema::parse(schema).unwrap().decode(&bytes, Unions::Tagged).unwrap_err();
        assert!(told.contains(fault), "{told}");
    }
    // Trying branches of branches ends, too.
    let tree = r#"{"type":"record","name":"T","fields":[{"name":"n","type":["null",
        {"type":"record","name":"A","fields":[{"name":"n","type":["null","T"]},{"name":"x","type":"int"}]},
        {"type":"record","name":"B","fields":[{"name":"n","type":["null","T"]},{"name":"x","type":"int"}]}]}]}"#;
    let value = json(&format!("{}null{}", r#"{"n":"#.repeat(60), "}".repeat(60)));
    let told = Schema::parse(tree).unwrap().encode(&value, Unions::Bare, &mut Vec::new());
    assert!(told.is_err());
}

fn container(codec: &str, blocks: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut file = b"Obj\x01\x04".to_vec();
    for (key, value) in [("avro.codec", codec), ("avro.schema", "\"string\"")] {
        for text in [key, value] {
            file.push(u8::try_from(text.len() * 2).unwrap());
            file.extend_from_slice(text.as_bytes());
        }
    }
    file.push(0);
    file.extend_from_slice(&[7; 16]);
    for (count, data) in blocks {
        file.push(count * 2);
        file.push(u8::try_from(data.len() * 2).unwrap());
        file.extend_from_slice(data);
        file.extend_from_slice(&[7; 16]);
    }
    file
}

#[test]
fn containers_are_read_whatever_the_chunks() {
    use std::io::Write as _;
    let data = [2, b'a', 4, b'b', b'c'];
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    deflate.write_all(&data).unwrap();
    let mut snappy = snap::raw::Encoder::new().compress_vec(&data).unwrap();
    snappy.extend_from_slice(&[0; 4]);
    for (codec, block) in
        [("null", data.to_vec()), ("deflate", deflate.finish().unwrap()), ("snappy", snappy)]
    {
        let file = container(codec, &[(2, block.clone()), (2, block)]);
        for size in [1, 7, file.len()] {
            let (mut scan, mut out) = (ContainerScan::new(Unions::Tagged), Vec::new());
            for chunk in file.chunks(size) {
                scan.feed(Bytes::copy_from_slice(chunk), &mut out).unwrap();
            }
            scan.finish(&mut out).unwrap();
            let texts: Vec<_> = out.iter().map(|message| message.bytes().clone()).collect();
            assert_eq!(texts, ["a", "bc", "a", "bc"], "{codec}");
        }
    }
    let file = container("null", &[(2, data.to_vec())]);
    let mut scan = ContainerScan::new(Unions::Tagged);
    scan.feed(Bytes::copy_from_slice(&file[..file.len() - 1]), &mut Vec::new()).unwrap();
    assert!(scan.finish(&mut Vec::new()).is_err());
    let mut other = file.clone();
    *other.last_mut().unwrap() = 8;
    let told = ContainerScan::new(Unions::Tagged).feed(other.into(), &mut Vec::new()).unwrap_err();
    assert!(told.contains("mark of its file"), "{told}");
}
