use std::io::Write as _;

use serde_json::json;
use streams::Message;

use super::unpack::{Format, Unarchive};
use super::zips;
use crate::each::Split as _;
use crate::testing::{built, processed};

fn parts(format: &str, payload: &[u8]) -> Result<Vec<String>, String> {
    let mut message = Message::new(payload.to_vec());
    message.set_meta("k", "v");
    let parts = Unarchive { format: Format::read(format).unwrap() }.split(&message)?;
    Ok(parts
        .iter()
        .map(|part| {
            assert_eq!(part.meta("k").unwrap().to_text(), "v");
            let name = part.meta("archive_filename").or(part.meta("archive_key"));
            let name = name.map(|name| format!("{}=", name.to_text())).unwrap_or_default();
            format!("{name}{}", String::from_utf8_lossy(part.bytes()))
        })
        .collect())
}

#[test]
fn archives_are_taken_apart() {
    for (format, payload, expected) in [
        ("lines", "a\n\nb", &["a", "", "b"][..]),
        ("json_array", r#"[{"a":1},"x",null]"#, &[r#"{"a":1}"#, r#""x""#, "null"]),
        ("json_documents", "{\"a\":1} 2\n[3]\"x\"", &[r#"{"a":1}"#, "2", "[3]", r#""x""#]),
        ("json_map", r#"{"a":{"b":1},"c":"x"}"#, &[r#"a={"b":1}"#, r#"c="x""#]),
        ("csv", "x,y\n1,\"2,3\"\n", &[r#"{"x":"1","y":"2,3"}"#]),
        ("csv:;", "x;y\r\n1;2\r\n", &[r#"{"x":"1","y":"2"}"#]),
        ("binary", "\0\0\0\x02\0\0\0\x01a\0\0\0\0", &["a", ""]),
        ("xml_documents_to_json", "<a>1</a>\n<b c='2'/>", &[r#"{"a":"1"}"#, r#"{"b":{"-c":"2"}}"#]),
        ("xml_documents_to_json:cast", "<a>1</a>", &[r#"{"a":1}"#]),
    ] {
        assert_eq!(parts(format, payload.as_bytes()).unwrap(), expected, "{format}");
    }
    for (format, payload, fault) in [
        ("json_array", "{}", "no JSON array"),
        ("json_map", "[]", "no JSON object"),
        ("json_documents", "{} {", "unarchive"),
        ("csv", "a,b\n1", "record on line 2: wrong number of fields"),
        ("binary", "\0\0\0\x02\0\0\0\x01a", "end too early"),
        ("binary", "\u{7f}\u{7f}\u{7f}\u{7f}", "end too early"),
        ("tar", "no", "within a member"),
        ("zip", "no", "unarchive"),
        ("xml_documents_to_json", "<a>", "unarchive"),
    ] {
        let told = parts(format, payload.as_bytes()).unwrap_err();
        assert!(told.contains(fault), "{format}: {told}");
    }
    assert!(Format::read("rar").err().unwrap().contains("no archive format `rar`"));
}

#[tokio::test]
async fn what_is_archived_comes_apart_again() {
    for (format, archive) in [
        // Texts of JSON keep their quotes: the bare word is no JSON, and could not go into an array again.
        ("lines", json!("lines")),
        ("binary", json!("binary")),
        ("tar", json!("tar")),
        ("zip", json!("zip")),
        ("json_array", json!("json_array")),
    ] {
        let processors = json!([
            { "archive": { "format": archive, "path": "f${! batch_index() }" } },
            { "unarchive": { "format": format } },
        ]);
        let messages = vec![Message::new("\"1\""), Message::new("[2]")];
        assert_eq!(processed(&processors, messages).await, ["\"1\"", "[2]"], "{format}");
    }
    let joined = json!([{ "archive": { "format": "concatenate" } }]);
    assert_eq!(processed(&joined, vec![Message::new("a"), Message::new("b")]).await, ["ab"]);
    let array = json!([{ "archive": { "format": "json_array" } }]);
    let flagged = processed(&array, vec![Message::new("1"), Message::new("no json")]).await;
    assert_eq!(
        flagged.iter().map(|text| text.split('!').next().unwrap()).collect::<Vec<_>>(),
        ["1", "no json"]
    );
    assert!(flagged.iter().all(|text| text.contains("!archive: message 1")), "{flagged:?}");
}

#[test]
fn a_zip_that_unpacks_to_more_than_fits_is_refused() {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let zeros = vec![0_u8; 1 << 20];
    for file in 0..3 {
        writer.start_file(format!("{file}"), zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(&zeros).unwrap();
    }
    let archive = writer.finish().unwrap().into_inner();
    assert_eq!(zips::read(&archive, 3 << 20).unwrap().len(), 3);
    assert!(zips::read(&archive, (3 << 20) - 1).unwrap_err().contains("larger than"));
}

#[test]
fn formats_are_judged_when_the_stream_is_built() {
    assert!(built(&json!({ "unarchive": { "format": "csv:\"" } })).is_err());
    assert!(built(&json!({ "unarchive": { "format": "csv:|" } })).is_ok());
    assert!(built(&json!({ "archive": { "format": "rar" } })).is_err());
}
