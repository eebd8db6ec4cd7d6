use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use streams::Message;

use super::{Form, Types};
use crate::testing::{built_under, messages_of, told, with_files};

const PERSON: &str = r#"
    syntax = "proto3";
    package people;
    import "things/place.proto";
    import "google/protobuf/timestamp.proto";
    message Person {
        string first_name = 1;
        int64 big = 2;
        bytes raw = 3;
        repeated Person friends = 4;
        map<string, int32> scores = 5;
        Mood mood = 6;
        oneof contact { string mail = 7; int32 phone = 8; }
        things.Place place = 9;
        google.protobuf.Timestamp born = 10;
        message Inner { bool ok = 1; }
    }
    enum Mood { CALM = 0; WILD = 1; }
"#;
const PLACE: &str = r#"syntax = "proto3"; package things; message Place { double x = 1; }"#;

const PEOPLE: &[(&str, &str)] = &[("folder/people.proto", PERSON), ("folder/things/place.proto", PLACE)];

fn processor(fields: Json) -> Json {
    let mut config = json!({"operator": "to_json", "message": "people.Person", "import_paths": ["folder"]});
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"protobuf": config})
}

#[tokio::test]
async fn messages_are_converted_both_ways() {
    let whole = r#"{"firstName":"Zoë","big":"-5","raw":"AP8=","friends":[{"firstName":"a"}],"scores":{"x":1},"mood":"WILD","phone":5,"place":{"x":1.5},"born":"2026-01-02T03:04:05Z"}"#;
    for (json, from, to, expected) in [
        (whole, json!({}), json!({}), whole),
        (
            r#"{"first_name":"a","big":7,"mood":1}"#,
            json!({}),
            json!({}),
            r#"{"firstName":"a","big":"7","mood":"WILD"}"#,
        ),
        (r#"{"firstName":"a"}"#, json!({}), json!({"use_proto_names": true}), r#"{"first_name":"a"}"#),
        (r#"{"mood":"WILD"}"#, json!({}), json!({"use_enum_numbers": true}), r#"{"mood":1}"#),
        (r#"{"new":1,"mood":"WILD"}"#, json!({"discard_unknown": true}), json!({}), r#"{"mood":"WILD"}"#),
        ("{}", json!({}), json!({}), "{}"),
        (
            "{}",
            json!({"message": "people.Person.Inner"}),
            json!({"message": ".people.Person.Inner", "emit_unpopulated": true}),
            r#"{"ok":false}"#,
        ),
    ] {
        let mut from = from;
        from["operator"] = json!("from_json");
        let list = json!([processor(from), processor(to)]);
        assert_eq!(
            told(&messages_of(&with_files(PEOPLE), &list, vec![Message::new(json)]).await),
            [expected]
        );
    }
}

#[tokio::test]
async fn what_is_no_such_message_stays_flagged() {
    // A friend of a friend of a friend ...
    let mut deep = Vec::new();
    for _ in 0..300 {
        let mut outer = vec![0x22];
        prost::encoding::encode_varint(deep.len() as u64, &mut outer);
        outer.extend(deep);
        deep = outer;
    }
    for (operator, payload, expected) in [
        ("to_json", &b"\x0a\x05ab"[..], "protobuf: "),
        ("to_json", b"\x0a\x01\xff", "UTF-8"),
        ("to_json", &deep, "recursion limit"),
        ("from_json", br#"{"new":1}"#, "new"),
        ("from_json", br#"{"big":"x"}"#, "protobuf: "),
        ("from_json", b"{} {}", "trailing"),
        ("from_json", b"", "protobuf: "),
        ("from_json", "[".repeat(5000).as_bytes(), "protobuf: "),
    ] {
        let list = json!([processor(json!({"operator": operator}))]);
        let made = told(&messages_of(&with_files(PEOPLE), &list, vec![Message::new(payload.to_vec())]).await);
        let (kept, fault) = made[0].split_once('!').unwrap_or_else(|| panic!("{expected}: {made:?}"));
        assert_eq!(kept, String::from_utf8_lossy(payload));
        assert!(fault.starts_with("protobuf: ") && fault.contains(expected), "{expected}: {fault}");
    }
}

#[test]
fn wrong_files_are_told_with_their_place() {
    let lonely: &[(&str, &str)] = &[("folder/people.proto", PERSON)];
    let broken: &[(&str, &str)] = &[("folder/a.proto", "syntax = \"proto3\";\nmessage A { int32 = 1; }")];
    let circle: &[(&str, &str)] =
        &[("folder/a.proto", "import \"b.proto\";"), ("folder/b.proto", "import \"a.proto\";")];
    let single: &[(&str, &str)] = &[("people.proto", PERSON), ("things/place.proto", PLACE)];
    for (files, processor, expected) in [
        (PEOPLE, processor(json!({})), ""),
        (
            PEOPLE,
            processor(json!({"message": "Person"})),
            "there is no message `Person`; there are people.Person, people.Person.Inner, things.Place",
        ),
        (lonely, processor(json!({})), "things/place.proto"),
        (broken, processor(json!({"message": "A"})), "a.proto:2:"),
        (circle, processor(json!({"message": "A"})), "a.proto"),
        (PEOPLE, processor(json!({"import_paths": []})), "must name a folder"),
        (PEOPLE, processor(json!({"import_paths": ["/no/such/folder"]})), "cannot be read"),
        (PEOPLE, processor(json!({"bsr": [{"module": "m"}]})), "`bsr` is not supported"),
        (single, processor(json!({"import_paths": ["people.proto", "things/place.proto"]})), ""),
        (single, processor(json!({"import_paths": ["people.proto"]})), "things/place.proto"),
        (&[], processor(json!({})), "`folder` cannot be read: there is none"),
    ] {
        let fault = built_under(&with_files(files), &processor).err().unwrap_or_default();
        assert!(
            if expected.is_empty() { fault.is_empty() } else { fault.contains(expected) },
            "{expected}: {fault}"
        );
    }
}

#[test]
fn anys_in_anys_do_not_take_the_stack() {
    let text = r#"syntax = "proto3"; import "google/protobuf/any.proto"; message Box { google.protobuf.Any any = 1; }"#;
    let types =
        Types::compile(["a.proto"], BTreeMap::from([("a.proto".to_owned(), text.to_owned())])).unwrap();
    let message = types.message("Box").unwrap();
    let nested = |levels: usize| {
        let field = |tag: u8, bytes: &[u8]| {
            let mut out = vec![tag];
            prost::encoding::encode_varint(bytes.len() as u64, &mut out);
            out.extend_from_slice(bytes);
            out
        };
        (0..levels)
            .fold(Vec::new(), |inner, _| field(0x0a, &[field(0x0a, b"t/Box"), field(0x12, &inner)].concat()))
    };
    let json = Form::default().to_json(&message, &nested(2)).unwrap();
    assert_eq!(String::from_utf8_lossy(&json), r#"{"any":{"@type":"t/Box","any":{"@type":"t/Box"}}}"#);
    let fault = Form::default().to_json(&message, &nested(2000)).unwrap_err();
    assert!(fault.contains("levels deep"), "{fault}");
}
