#![expect(clippy::disallowed_methods, reason = "a test may block")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value as Json, json};
use streams::Message;

use super::{Form, Types};
use crate::testing::{built, processed};

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

/// A folder with files, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Folder {
        let folder = std::env::temp_dir().join(format!("codecs-proto-{}-{name}", std::process::id()));
        for (name, text) in files {
            let file = folder.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn processor(folder: &Folder, fields: Json) -> Json {
    let mut config = json!({"operator": "to_json", "message": "people.Person", "import_paths": [folder.0]});
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"protobuf": config})
}

#[tokio::test]
async fn messages_are_converted_both_ways() {
    let folder = Folder::new("both", &[("people.proto", PERSON), ("things/place.proto", PLACE)]);
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
        let list = json!([processor(&folder, from), processor(&folder, to)]);
        assert_eq!(processed(&list, vec![Message::new(json)]).await, [expected]);
    }
}

#[tokio::test]
async fn what_is_no_such_message_stays_flagged() {
    let folder = Folder::new("flagged", &[("people.proto", PERSON), ("things/place.proto", PLACE)]);
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
        let list = json!([processor(&folder, json!({"operator": operator}))]);
        let made = processed(&list, vec![Message::new(payload.to_vec())]).await;
        let (kept, fault) = made[0].split_once('!').unwrap_or_else(|| panic!("{expected}: {made:?}"));
        assert_eq!(kept, String::from_utf8_lossy(payload));
        assert!(fault.starts_with("protobuf: ") && fault.contains(expected), "{expected}: {fault}");
    }
}

#[test]
fn wrong_files_are_told_with_their_place() {
    let folder = Folder::new("wrong", &[("people.proto", PERSON), ("things/place.proto", PLACE)]);
    let lonely = Folder::new("lonely", &[("people.proto", PERSON)]);
    let broken = Folder::new("broken", &[("a.proto", "syntax = \"proto3\";\nmessage A { int32 = 1; }")]);
    let circle =
        Folder::new("circle", &[("a.proto", "import \"b.proto\";"), ("b.proto", "import \"a.proto\";")]);
    for (processor, expected) in [
        (processor(&folder, json!({})), ""),
        (
            processor(&folder, json!({"message": "Person"})),
            "there is no message `Person`; there are people.Person, people.Person.Inner, things.Place",
        ),
        (processor(&lonely, json!({})), "things/place.proto"),
        (processor(&broken, json!({"message": "A"})), "a.proto:2:"),
        (processor(&circle, json!({"message": "A"})), "a.proto"),
        (processor(&folder, json!({"import_paths": []})), "must name a folder"),
        (processor(&folder, json!({"import_paths": ["/no/such/folder"]})), "cannot be read"),
        (processor(&folder, json!({"bsr": [{"module": "m"}]})), "`bsr` is not supported"),
    ] {
        let fault = built(&processor).err().unwrap_or_default();
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
