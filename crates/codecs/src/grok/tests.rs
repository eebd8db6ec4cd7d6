use std::collections::BTreeMap;
use std::sync::Arc;

use bloblang::{Environment, File, Files};
use serde_json::{Value as Json, json};
use streams::{Message, Processors};

use super::{Expression, patterns};
use crate::testing::{built, one, settings};

fn grok(expression: &str) -> Json {
    json!({ "grok": { "expressions": [expression] } })
}

#[test]
fn every_default_pattern_is_an_expression() {
    let known: BTreeMap<String, String> =
        patterns::DEFAULT.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
    assert_eq!(known.len(), patterns::DEFAULT.len(), "a name stands there twice");
    let page = include_str!("../../../../docs/codecs.md");
    for name in known.keys() {
        assert!(page.contains(&format!("`{name}`")), "docs/codecs.md does not tell of {name}");
    }
    for name in known.keys() {
        for all in [true, false] {
            let compiled = Expression::compile(&format!("^%{{{name}:x}}$"), &known, all);
            assert!(compiled.is_ok(), "{name}: {:?}", compiled.err());
        }
    }
}

#[tokio::test]
async fn default_patterns_match_what_they_say_and_nothing_else() {
    for (name, right, wrong) in [
        ("INT", vec!["5", "-17", "+3"], vec!["1.5", "x", ""]),
        ("NUMBER", vec!["5", "-1.5", ".5"], vec!["1.", "1e5", "x"]),
        ("BASE16NUM", vec!["0xFF", "ff"], vec!["0xg"]),
        ("WORD", vec!["a_1"], vec!["a b", "-"]),
        ("QS", vec![r#""a \" b""#, "'x'", "`y`"], vec![r#""a"#, "x"]),
        ("UUID", vec!["123e4567-e89b-12d3-a456-426614174000"], vec!["123e4567e89b12d3a456426614174000"]),
        ("MAC", vec!["00:11:22:aa:BB:cc", "00-11-22-33-44-55", "0011.2233.4455"], vec!["00:11:22"]),
        ("IPV4", vec!["127.0.0.1", "255.255.255.255"], vec!["256.1.1.1", "1.2.3"]),
        (
            "IPV6",
            vec!["::", "::1", "fe80::1%eth0", "2001:db8:0:0:0:0:0:1", "::ffff:1.2.3.4", "1:2::7:8"],
            vec!["1.2.3.4", "1:2:3", "xyz::"],
        ),
        ("IPORHOST", vec!["1.2.3.4", "::1", "a.b-c.example"], vec!["-a", "a..b"]),
        ("HOSTPORT", vec!["example.org:80"], vec!["example.org", "example.org:0"]),
        ("EMAILADDRESS", vec!["a.b+c@example.org"], vec!["@example.org", "a@"]),
        ("UNIXPATH", vec!["/", "/var/log/a-b.log"], vec!["var", "/a b"]),
        ("WINPATH", vec![r"C:\a\b.txt", r"\\host\share"], vec!["/a"]),
        ("URI", vec!["https://u:p@example.org:8080/a/b?c=d&e", "file:///a"], vec!["example.org", "http:/a"]),
        ("MONTH", vec!["Jan", "sept", "October"], vec!["Foo", "Mart"]),
        ("DATE", vec!["12/31/2026", "31.12.2026", "1-2-26"], vec!["2026", "31.12"]),
        ("TIME", vec!["23:59:60", "0:05", "12:00:00.123"], vec!["24:00:00", "12:60"]),
        (
            "TIMESTAMP_ISO8601",
            vec!["2026-03-01T10:00:00Z", "2026-03-01 10:00", "2026-03-01T10:00:00.5+02:00"],
            vec!["2026-13-01T10:00:00Z", "2026-03-01"],
        ),
        ("DATESTAMP_RFC2822", vec!["Mon, 2 Mar 2026 10:00:00 +0100"], vec!["Mon 2 Mar"]),
        ("HTTPDATE", vec!["10/Oct/2000:13:55:36 -0700"], vec!["10/10/2000:13:55:36 -0700"]),
        ("SYSLOGTIMESTAMP", vec!["Oct 11 22:14:15", "Feb  5 17:32:18"], vec!["11 Oct 22:14:15"]),
        ("LOGLEVEL", vec!["INFO", "warn", "Error", "EMERG"], vec!["LOUD"]),
    ] {
        let expression = grok(&format!("^%{{{name}:x}}$"));
        for text in right {
            let made = one(expression.clone(), text).await;
            let value: Json =
                serde_json::from_str(&made).unwrap_or_else(|_| panic!("{name} of {text}: {made}"));
            assert_eq!(value["x"], text, "{name}");
        }
        for text in wrong {
            let made = one(expression.clone(), text).await;
            assert!(made.ends_with("!grok: no expression gives a value"), "{name} of {text}: {made}");
        }
    }
}

#[tokio::test]
async fn expressions_make_objects() {
    let access = r#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326"#;
    for (config, text, expected) in [
        (
            json!({ "expressions": ["%{WORD:a} %{INT:n:int} %{NUMBER:f:float} %{WORD}"] }),
            "x 5 1.5 y",
            r#"{"a":"x","f":1.5,"n":5}"#,
        ),
        (
            json!({ "expressions": ["^%{WORD:a} %{WORD}$"], "named_captures_only": false }),
            "x y",
            r#"{"WORD":"y","a":"x"}"#,
        ),
        (json!({ "expressions": ["%{INT:a}", "%{WORD:b}"] }), "x", r#"{"b":"x"}"#),
        (json!({ "expressions": ["(?P<own>x+)%{GREEDYDATA:rest}"] }), "xxyz", r#"{"own":"xx","rest":"yz"}"#),
        (json!({ "expressions": ["%{WORD:a.b} %{WORD:a.c}"] }), "x y", r#"{"a":{"b":"x","c":"y"}}"#),
        (json!({ "expressions": ["%{WORD:a}(?:-%{WORD:b})?"] }), "x", r#"{"a":"x"}"#),
        (
            json!({ "expressions": ["%{WORD:a}(?:-%{WORD:b})?"], "remove_empty_values": false }),
            "x",
            r#"{"a":"x","b":""}"#,
        ),
        (json!({ "expressions": ["^(?:%{INT:v}i|%{DATA:v}w)$"] }), "abw", r#"{"v":"ab"}"#),
        (json!({ "expressions": ["%{WORD:n:int}"] }), "abc", r#"{"n":"abc"}"#),
        (
            json!({ "expressions": ["%{PAIR:p}"], "pattern_definitions": { "PAIR": "%{KEY:k}=%{INT:v:int}", "KEY": "[a-z]+" } }),
            "a=5",
            r#"{"k":"a","p":"a=5","v":5}"#,
        ),
        (
            json!({ "expressions": ["%{INT:v}"], "pattern_definitions": { "INT": "[a-z]+" } }),
            "5x",
            r#"{"v":"x"}"#,
        ),
        (
            json!({ "expressions": ["%{COMMONAPACHELOG}"] }),
            access,
            r#"{"auth":"frank","bytes":"2326","clientip":"127.0.0.1","httpversion":"1.0","ident":"-","request":"/a.gif","response":"200","timestamp":"10/Oct/2000:13:55:36 -0700","verb":"GET"}"#,
        ),
        (
            json!({ "expressions": ["%{SYSLOGBASE} %{GREEDYDATA:message}"] }),
            "Oct 11 22:14:15 mymachine su[10]: 'su root' failed",
            r#"{"logsource":"mymachine","message":"'su root' failed","pid":"10","program":"su","timestamp":"Oct 11 22:14:15"}"#,
        ),
        (json!({ "expressions": ["%{WORD}"] }), "x", "x!grok: no expression gives a value"),
        (json!({ "expressions": ["%{WORD:a} %{WORD:a.b}"] }), "x y", "x y!unable to set target path"),
    ] {
        let made = one(json!({ "grok": config }), text).await;
        assert!(
            made == expected || (expected.contains('!') && made.starts_with(expected)),
            "{config}: {made}"
        );
    }
}

#[test]
fn wrong_expressions_are_refused_with_their_place() {
    let long = "%{A}".repeat(10);
    for (config, expected) in [
        (json!({ "expressions": [] }), "/grok/expressions: `expressions` must name at least one"),
        (
            json!({ "expressions": ["x", "%{WROD:a}"] }),
            "/grok/expressions/1: there is no pattern `WROD`; did you mean `WORD`?",
        ),
        (json!({ "expressions": ["%{WORD:a"] }), "a `%{` has no `}`"),
        (json!({ "expressions": ["%{WORD:a:bool}"] }), "`bool` in `%{WORD:a:bool}` is no type"),
        (json!({ "expressions": ["(?<=a)b"] }), "look-around"),
        (json!({ "expressions": ["(a"] }), "the expression cannot be used: unclosed group"),
        (
            json!({ "expressions": ["%{A}"], "pattern_definitions": { "A": "%{B}", "B": "%{A}" } }),
            "the pattern `A` stands in itself: A -> B",
        ),
        (
            json!({ "expressions": ["%{D}"], "pattern_definitions": { "A": "x".repeat(1000), "B": long, "C": "%{B}".repeat(100), "D": "%{C}".repeat(100) } }),
            "bytes with its patterns put in",
        ),
        (
            json!({ "expressions": ["%{WORD:a}"], "use_default_patterns": false }),
            "there is no pattern `WORD`",
        ),
        (json!({ "expressions": ["\\w{1000}{1000}"] }), "the expression is too large"),
        (
            json!({ "expressions": ["x"], "pattern_paths": ["/etc/passwd"] }),
            "/grok/pattern_paths/0: `/etc/passwd` cannot be read: reading files is not allowed here",
        ),
        (json!({ "expressions": ["x"], "pattern_paths": ["/etc/*"] }), "patterns of files are not offered"),
    ] {
        let fault = built(&json!({ "grok": config })).unwrap_err();
        assert!(fault.contains(expected), "{config:.100}: {fault}");
    }
}

struct Known;

impl Files for Known {
    fn open(&self, path: &str, _: Option<&str>) -> Result<File, String> {
        let content = match path {
            "good" => "# names\n\nNAME  [a-z]+\nTWICE %{NAME}-%{NAME}\n",
            "bad" => "NAME [a-z]+\nTWICE\n",
            _ => return Err("there is none".to_owned()),
        };
        Ok(File { name: path.to_owned(), content: content.into() })
    }
}

#[tokio::test]
async fn patterns_come_from_files_where_they_may_be_read() {
    let mut settings = settings();
    settings.environment = Environment::pure().with_files(Arc::new(Known));
    let build = |path: &str| {
        let list = json!([{ "grok": { "expressions": ["%{TWICE:t}"], "pattern_paths": [path] } }]);
        Processors::build(&list, "", &settings)
    };
    let made = build("good").unwrap().run(vec![Message::new("a-b")]).await;
    assert_eq!(&**made[0][0].bytes(), br#"{"t":"a-b"}"#);
    for (path, expected) in
        [("bad", "line 2 is no pattern"), ("gone", "`gone` cannot be read: there is none")]
    {
        let fault = build(path).unwrap_err();
        assert!(fault.message.contains(expected), "{fault:?}");
    }
}
