use serde_json::{Value as Json, json};

use crate::testing::{built, one};

fn rfc5424(strict: bool) -> Json {
    json!({ "parse_log": { "format": "syslog_rfc5424", "best_effort": !strict } })
}

fn rfc3164(more: &Json) -> Json {
    let mut config = json!({ "format": "syslog_rfc3164", "default_year": "2026" });
    if let (Some(config), Some(more)) = (config.as_object_mut(), more.as_object()) {
        config.extend(more.clone());
    }
    json!({ "parse_log": config })
}

#[tokio::test]
async fn lines_of_rfc_5424() {
    for (line, expected) in [
        (
            "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed",
            r#"{"appname":"su","facility":4,"hostname":"mymachine.example.com","message":"'su root' failed","msgid":"ID47","priority":34,"severity":2,"timestamp":"2003-10-11T22:14:15.003Z","version":1}"#,
        ),
        (
            "<165>1 2003-08-24T05:14:15.000000-07:00 192.0.2.1 myproc 8710 - - %% It's time.\n",
            r#"{"appname":"myproc","facility":20,"hostname":"192.0.2.1","message":"%% It's time.","priority":165,"procid":"8710","severity":5,"timestamp":"2003-08-24T05:14:15-07:00","version":1}"#,
        ),
        (
            r#"<165>1 2003-10-11T22:14:15.003Z h e - ID47 [a@1 iut="3" s="A \"q\" \\ \] \n"][b@2] m"#,
            r#"{"appname":"e","facility":20,"hostname":"h","message":"m","msgid":"ID47","priority":165,"severity":5,"structureddata":{"a@1":{"iut":"3","s":"A \"q\" \\ ] \\n"},"b@2":{}},"timestamp":"2003-10-11T22:14:15.003Z","version":1}"#,
        ),
        ("<0>1 - - - - - -", r#"{"facility":0,"priority":0,"severity":0,"version":1}"#),
        (
            "<191>999 - - - - - - m",
            r#"{"facility":23,"message":"m","priority":191,"severity":7,"version":999}"#,
        ),
    ] {
        assert_eq!(one(rfc5424(true), line).await, expected);
    }
}

#[tokio::test]
async fn wrong_lines_of_rfc_5424_give_what_came_before_or_nothing() {
    let begun = r#"{"facility":4,"priority":34,"severity":2,"version":1}"#;
    for (line, best, fault) in [
        ("", None, "a priority from <0>"),
        ("34>1", None, "a priority from <0>"),
        ("<192>1 - - - - - -", None, "a priority from <0>"),
        ("<034>1 - - - - - -", None, "a priority from <0>"),
        ("<34>0 - - - - - -", None, "a version is expected"),
        ("<34>1 yesterday - - - - -", Some(begun), "`yesterday` is no time"),
        ("<34>1 2003-10-11T22:14:15.1234567Z - - - - -", Some(begun), "is no time"),
        ("<34>1 2003-13-11T22:14:15Z - - - - -", Some(begun), "is no time"),
        ("<34>1 -", Some(begun), "the hostname is not"),
        (
            "<34>1 - h a\u{e9} - - -",
            Some(r#"{"facility":4,"hostname":"h","priority":34,"severity":2,"version":1}"#),
            "the appname is not",
        ),
        ("<34>1 - - - - - x", Some(begun), "structured data or `-` is expected"),
        ("<34>1 - - - - - [a k=\"v\"", Some(begun), "has no `]`"),
        ("<34>1 - - - - - [a k=v]", Some(begun), "has no value in quotes"),
        ("<34>1 - - - - - [a k=\"v]", Some(begun), "does not end"),
        ("<34>1 - - - - - [a=b]", Some(begun), "has no `]`"),
        ("<34>1 - - - - - -x", Some(begun), "a space is expected"),
    ] {
        let strict = one(rfc5424(true), line).await;
        assert!(strict.contains("!parse_log: ") && strict.contains(fault), "{line}: {strict}");
        let made = one(rfc5424(false), line).await;
        match best {
            Some(best) => assert_eq!(made, best, "{line}"),
            None => assert_eq!(made, strict, "{line}"),
        }
    }
}

#[tokio::test]
async fn lines_of_rfc_3164() {
    for (more, line, expected) in [
        (
            json!({}),
            "<34>Oct 11 22:14:15 mymachine su[10]: 'su root' failed",
            r#"{"appname":"su","facility":4,"hostname":"mymachine","message":"'su root' failed","priority":34,"procid":"10","severity":2,"timestamp":"2026-10-11T22:14:15Z"}"#,
        ),
        (
            json!({ "default_timezone": "America/New_York" }),
            "<13>Feb  5 17:32:18 10.0.0.99 app: m",
            r#"{"appname":"app","facility":1,"hostname":"10.0.0.99","message":"m","priority":13,"severity":5,"timestamp":"2026-02-05T17:32:18-05:00"}"#,
        ),
        (
            json!({ "default_year": "" }),
            "<13>Feb 05 17:32:18 h Use the BFG!",
            r#"{"facility":1,"hostname":"h","message":"Use the BFG!","priority":13,"severity":5,"timestamp":"0000-02-05T17:32:18Z"}"#,
        ),
        (
            json!({}),
            "<13>2026-03-01T10:00:00.500+01:00 h a[b]:m",
            r#"{"appname":"a","facility":1,"hostname":"h","message":"m","priority":13,"procid":"b","severity":5,"timestamp":"2026-03-01T10:00:00.5+01:00"}"#,
        ),
        (
            json!({ "allow_rfc3339": false }),
            "<13>2026-03-01T10:00:00Z h a: m",
            r#"{"facility":1,"priority":13,"severity":5}"#,
        ),
        (json!({}), "<13>Feb 29 17:32:18 h m", r#"{"facility":1,"priority":13,"severity":5}"#),
        (
            json!({ "default_year": 2024 }),
            "<13>Feb 29 17:32:18 h m",
            r#"{"facility":1,"hostname":"h","message":"m","priority":13,"severity":5,"timestamp":"2024-02-29T17:32:18Z"}"#,
        ),
        (json!({ "best_effort": false }), "<13>Feb 29 h", "<13>Feb 29 h!parse_log: a time such as"),
        (json!({}), "no syslog", "no syslog!parse_log: a priority from"),
    ] {
        let made = one(rfc3164(&more), line).await;
        assert!(
            made == expected || (expected.contains('!') && made.starts_with(expected)),
            "{more} {line}: {made}"
        );
    }
    let made = one(json!({ "parse_log": { "format": "syslog_rfc3164" } }), "<13>Mar  1 00:00:00 h m").await;
    assert!(
        made.contains(&format!("\"timestamp\":\"{}-03-01T00:00:00Z\"", jiff::Zoned::now().year())),
        "{made}"
    );
}

#[test]
fn settings_are_checked() {
    for (more, expected) in [
        (json!({ "default_year": "soon" }), "/parse_log/default_year: `soon` is no year"),
        (
            json!({ "default_timezone": "Mars/Base" }),
            "/parse_log/default_timezone: there is no time zone `Mars/Base`",
        ),
        (json!({ "format": "syslog" }), "`syslog` is no option of `format`"),
    ] {
        let fault = built(&rfc3164(&more)).unwrap_err();
        assert!(fault.contains(expected), "{more}: {fault}");
    }
}
