//! The canonical form of a schema and its fingerprint (Avro specification, "Parsing Canonical Form").

use std::collections::HashSet;
use std::fmt::Write as _;

use super::schema::{Id, Schema, Type, name_of};

/// The polynomial of CRC-64-AVRO, which is also the fingerprint of nothing.
const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

/// The fingerprint of the canonical form.
pub(super) fn fingerprint(schema: &Schema) -> u64 {
    let mut text = String::new();
    write(schema, schema.root, &mut HashSet::new(), &mut text);
    crc(text.as_bytes())
}

fn crc(bytes: &[u8]) -> u64 {
    bytes.iter().fold(EMPTY, |sum, byte| {
        let mut row = (sum ^ u64::from(*byte)) & 0xff;
        for _ in 0..8 {
            row = (row >> 1) ^ (EMPTY & (row & 1).wrapping_neg());
        }
        (sum >> 8) ^ row
    })
}

/// Nests as deeply as the schema's text does: a named type is written out once.
fn write(schema: &Schema, id: Id, written: &mut HashSet<Id>, out: &mut String) {
    let of = schema.get(id);
    let named = matches!(of, Type::Fixed { .. } | Type::Enum { .. } | Type::Record { .. });
    if named && !written.insert(id) {
        let _ = write!(out, "\"{}\"", name_of(of));
        return;
    }
    match of {
        Type::Fixed { name, size } => {
            let _ = write!(out, r#"{{"name":"{name}","type":"fixed","size":{size}}}"#);
        }
        Type::Enum { name, symbols, .. } => {
            let symbols: Vec<String> = symbols.iter().map(|symbol| format!("\"{symbol}\"")).collect();
            let _ = write!(out, r#"{{"name":"{name}","type":"enum","symbols":[{}]}}"#, symbols.join(","));
        }
        Type::Array(items) => {
            out.push_str(r#"{"type":"array","items":"#);
            write(schema, *items, written, out);
            out.push('}');
        }
        Type::Map(values) => {
            out.push_str(r#"{"type":"map","values":"#);
            write(schema, *values, written, out);
            out.push('}');
        }
        Type::Union(branches) => {
            out.push('[');
            for (index, branch) in branches.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write(schema, branch.id, written, out);
            }
            out.push(']');
        }
        Type::Record { name, fields } => {
            let _ = write!(out, r#"{{"name":"{name}","type":"record","fields":["#);
            for (index, field) in fields.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(out, r#"{comma}{{"name":"{}","type":"#, field.name);
                write(schema, field.id, written, out);
                out.push('}');
            }
            out.push_str("]}");
        }
        primitive => {
            let _ = write!(out, "\"{}\"", name_of(primitive));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_that_of_the_canonical_form() {
        let canonical = |text: &str| {
            let schema = Schema::parse(text).unwrap();
            let mut out = String::new();
            write(&schema, schema.root, &mut HashSet::new(), &mut out);
            out
        };
        for (text, expected) in [
            (r#"{"type":"int","doc":"x"}"#, r#""int""#),
            (
                r#"{"type":"record","doc":"d","namespace":"n","name":"R","fields":[{"default":1,"type":"int","name":"a"},{"name":"r","type":["null","R"]}]}"#,
                r#"{"name":"n.R","type":"record","fields":[{"name":"a","type":"int"},{"name":"r","type":["null","n.R"]}]}"#,
            ),
            (
                r#"{"size":4,"type":"fixed","name":"F","aliases":["x"]}"#,
                r#"{"name":"F","type":"fixed","size":4}"#,
            ),
            (
                r#"{"type":"enum","name":"E","symbols":["a","b"]}"#,
                r#"{"name":"E","type":"enum","symbols":["a","b"]}"#,
            ),
        ] {
            assert_eq!(canonical(text), expected);
        }
        // The fingerprints of the specification's simplest schemas.
        assert_eq!(crc(b"\"null\""), 0x63dd_24e7_cc25_8f8a);
        assert_eq!(crc(b"\"int\""), 0x7275_d51a_3f39_5c8f);
    }
}
