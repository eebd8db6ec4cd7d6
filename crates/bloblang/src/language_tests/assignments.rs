//! What statements do to the document and its metadata.

use super::check;
use crate::testing::{Batch, message, payload};
use crate::{Environment, Mapping, MetadataEdit, Value};

#[test]
fn assignments() {
    check(&[
        ("root = this", r#"{"b":1,"a":2}"#, r#"{"a":2,"b":1}"#),
        ("root.a.b = 5", "{}", r#"{"a":{"b":5}}"#),
        ("a.b = 5\nroot.c = this.x", r#"{"x":[1]}"#, r#"{"a":{"b":5},"c":[1]}"#),
        ("root = this\nroot.a = deleted()", r#"{"a":1,"b":2}"#, r#"{"b":2}"#),
        ("root = this\nroot.a = if false { 1 }", r#"{"a":7}"#, r#"{"a":7}"#),
        ("root = deleted()", "{}", "deleted"),
        ("let x = 5", "{}", "unchanged"),
        ("", "{}", "unchanged"),
        ("# nothing here\n", "{}", "unchanged"),
        ("this.a = 1", "{}", r#"{"this":{"a":1}}"#),
        (r#"root."a.b"."c d" = 1"#, "{}", r#"{"a.b":{"c d":1}}"#),
        ("root = \"text\"", "{}", "text"),
        ("root.a = 1\nroot.b = root.a + 1", "{}", r#"{"a":1,"b":2}"#),
        ("root = this\nroot.list.1 = 9\nroot.list.\"-\" = 10", r#"{"list":[1,2]}"#, r#"{"list":[1,9,10]}"#),
        (
            "root = this\nroot.a.b = 9",
            r#"{"a":1}"#,
            "run: failed assignment (line 2): unable to set target path a.b as the value of a was a non-object type (number)",
        ),
        ("this.a + 1", r#"{"a":1}"#, "2"),
        ("root = this\r\nroot.b = 1\r\n", r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
    ]);
}

#[test]
fn a_written_copy_leaves_the_message_alone() {
    check(&[(
        "root = this\nroot.a.b = 2\nroot.old = this.a.b",
        r#"{"a":{"b":1}}"#,
        r#"{"a":{"b":2},"old":1}"#,
    )]);
}

#[test]
fn metadata() {
    let mut input = message("{}");
    input.metadata = vec![("a".into(), Value::from("1")), ("b".into(), Value::from("2"))];
    let batch = Batch(vec![input]);
    let mapping = "meta a = \"new\"\nroot.out = @a\nroot.in = metadata(\"a\")\nmeta b = deleted()\nroot.all = @\nmeta \"c d\" = {\"x\":1}\nroot.c = @\"c d\".x";
    let outcome = Mapping::parse(&Environment::pure(), mapping).unwrap().apply(&batch, 0).unwrap();
    assert_eq!(payload(&outcome), r#"{"all":{"a":"new"},"c":1,"in":"1","out":"new"}"#);
    let object = Value::parse_json(br#"{"x":1}"#).unwrap();
    assert_eq!(
        outcome.metadata,
        [
            MetadataEdit::Set("a".into(), Value::from("new")),
            MetadataEdit::Delete("b".into()),
            MetadataEdit::Set("c d".into(), object),
        ]
    );
}

#[test]
fn mutation_reads_what_it_wrote() {
    let batch = Batch(vec![message(r#"{"a":1}"#)]);
    let mapping = Mapping::parse(&Environment::pure(), "root.a = 5\nroot.b = this.a + 1").unwrap();
    assert_eq!(payload(&mapping.mutate(&batch, 0).unwrap()), r#"{"a":5,"b":6}"#);
    assert_eq!(payload(&mapping.apply(&batch, 0).unwrap()), r#"{"a":5,"b":2}"#);
    let untouched = Mapping::parse(&Environment::pure(), "meta a = this.a").unwrap();
    assert_eq!(payload(&untouched.mutate(&batch, 0).unwrap()), "unchanged");
    let base = Value::parse_json(br#"{"z":0}"#).unwrap();
    assert_eq!(payload(&mapping.overlay(&batch, 0, base).unwrap()), r#"{"a":5,"b":2,"z":0}"#);
}
