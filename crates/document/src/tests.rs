//! Faults, places and rendering, as tables.

use super::*;
use serde_json::json;

fn document(text: &str, format: Format) -> Document {
    Document::parse(text, format).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
}

fn spot(place: Option<Place>) -> (u32, u32, u32) {
    place.map_or((0, 0, 0), |place| (place.line, place.column, place.length))
}

#[test]
fn places_in_json() {
    let text = "{\n\t\"ключ\": \"знач\",\n  \"a/b\": {\"~x\": [1, 22.5, {\"deep\": null}]},\n  \"e\\u0073c\": true\n}";
    let document = document(text, Format::Json);
    for (pointer, expected) in [
        ("", (1, 1, 1)),
        ("/ключ", (2, 10, 6)),
        ("/a~1b", (3, 3, 5)),
        ("/a~1b/~0x", (3, 11, 4)),
        ("/a~1b/~0x/1", (3, 21, 4)),
        ("/a~1b/~0x/2", (3, 27, 1)),
        ("/a~1b/~0x/2/deep", (3, 36, 4)),
        ("/esc", (4, 15, 4)),
        // Nearest ancestor.
        ("/a~1b/~0x/9/gone", (3, 11, 4)),
        ("/nowhere/at/all", (1, 1, 1)),
    ] {
        assert_eq!(spot(document.place(pointer)), expected, "{pointer}");
    }
    let mut faults = [Fault::warning("/esc", "").on_key(), Fault::error("/ключ", "")];
    document.locate(&mut faults);
    assert_eq!(spot(faults[0].place), (4, 3, 10));
    assert_eq!(spot(faults[1].place), (2, 10, 6));
}

#[test]
fn places_in_yaml() {
    let text = "# config\ninput:\n  kafka: &k\n    topics: [ a, 'b b' ]\n    size: 3\noutput:\n  - drop: {}\n  - *k\n  - мир: ok\nbase:\n  <<: *k\n  size: 4\n";
    let document = document(text, Format::Yaml);
    assert_eq!(
        document.value(),
        &json!({
            "input": {"kafka": {"topics": ["a", "b b"], "size": 3}},
            "output": [{"drop": {}}, {"topics": ["a", "b b"], "size": 3}, {"мир": "ok"}],
            "base": {"size": 4, "topics": ["a", "b b"]},
        })
    );
    for (pointer, expected) in [
        ("/input", (2, 1, 5)),
        ("/input/kafka/topics/1", (4, 18, 5)),
        ("/input/kafka/size", (5, 11, 1)),
        ("/output/0", (7, 5, 1)),
        ("/output/0/drop", (7, 5, 4)),
        ("/output/1", (8, 5, 2)),
        ("/output/1/size", (8, 5, 2)),
        ("/output/2/мир", (9, 10, 2)),
        ("/base/topics", (10, 1, 4)),
    ] {
        assert_eq!(spot(document.place(pointer)), expected, "{pointer}");
    }
}

#[test]
fn places_inside_strings() {
    let json = "{\"m\": \"root = this\\n  bad\\u0021 \\\"x\\\" \\ud83d\\ude00z\"}";
    let yaml = "lit: |2- # mapping\n  root = this\n    nope()\nfold: >\n  one two\n  three\nplain: a b\n  c d\nsingle: 'it''s x'\ndouble: \"a\\tb\\\n  c \\x41d\"\n";
    // Document, pointer, place inside (line, column, length), what the place in the file must show.
    let cases = [
        (json, Format::Json, "/m", (1, 1, 4), "root"),
        (json, Format::Json, "/m", (2, 3, 3), "bad"),
        (json, Format::Json, "/m", (2, 6, 1), "\\u0021"),
        (json, Format::Json, "/m", (2, 9, 1), "x"),
        (json, Format::Json, "/m", (2, 12, 2), "\\ud83d\\ude00z"),
        (json, Format::Json, "/m", (2, 14, 1), "\""),
        (json, Format::Json, "/m", (2, 99, 1), "\""),
        (yaml, Format::Yaml, "/lit", (1, 8, 4), "this"),
        (yaml, Format::Yaml, "/lit", (2, 3, 6), "nope()"),
        (yaml, Format::Yaml, "/lit", (2, 3, 600), "nope()"),
        (yaml, Format::Yaml, "/fold", (1, 9, 5), "three"),
        (yaml, Format::Yaml, "/plain", (1, 5, 3), "c d"),
        (yaml, Format::Yaml, "/single", (1, 4, 1), "s"),
        (yaml, Format::Yaml, "/double", (1, 6, 2), "\\x41d"),
    ];
    for (text, format, pointer, (line, column, length), shown) in cases {
        let document = document(text, format);
        let place = document.place_in_string(pointer, line, column, length).expect(shown);
        let source = text.lines().nth(place.line as usize - 1).expect("line");
        let found: String =
            source.chars().skip(place.column as usize - 1).take(place.length as usize).collect();
        assert_eq!(found, shown, "{pointer} {line}:{column}");
    }
    assert!(document(json, Format::Json).place_in_string("/none", 1, 1, 1).is_none());
}

#[test]
fn text_that_is_not_well_formed() {
    let deep_json = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let deep_yaml = "a:\n ".to_owned() + &"- ".repeat(200) + "x";
    let bomb = (0..9).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, n| {
        text + &format!("a{0}: &a{0} [*a{n},*a{n},*a{n},*a{n},*a{n},*a{n},*a{n},*a{n},*a{n}]\n", n + 1)
    });
    let cases: &[(&str, Format, (u32, u32), &str)] = &[
        ("", Format::Json, (1, 1), "ends where a value is missing"),
        ("{\"a\": [1\n", Format::Json, (1, 9), "ends inside an array"),
        ("{\"a\": 1,\n}", Format::Json, (2, 1), "trailing comma"),
        ("{\"a\": \"\u{fc}\", b}", Format::Json, (1, 12), "key must be a string"),
        ("[1, 1e999]", Format::Json, (1, 9), "out of range"),
        ("{\"a\": \"x\ny\"}", Format::Json, (2, 1), "control character"),
        ("[] []", Format::Json, (1, 4), "trailing characters"),
        (&deep_json, Format::Json, (1, 128), "nested deeper"),
        (&deep_yaml, Format::Yaml, (0, 0), "nested deeper"),
        ("a: [1, 2\nb: 3", Format::Yaml, (2, 2), ""),
        ("a: 1\na: 2", Format::Yaml, (2, 1), "given twice"),
        ("a: 1\n---\nb: 2", Format::Yaml, (2, 1), "more than one"),
        ("a: *b", Format::Yaml, (1, 4), "anchor"),
        ("a: &x [*x]", Format::Yaml, (1, 8), "inside the value"),
        ("? [a]\n: b", Format::Yaml, (1, 3), "single word"),
        ("a: .inf", Format::Yaml, (1, 4), "without a value"),
        ("a: !!binary abc", Format::Yaml, (1, 13), "not supported"),
        ("<<: 3", Format::Yaml, (1, 5), "takes a mapping"),
        (&bomb, Format::Yaml, (0, 0), "too much"),
    ];
    for (text, format, (line, column), message) in cases {
        let fault = Document::parse(*text, *format).expect_err(text);
        assert!(fault.message.contains(message), "{text:.60}: {}", fault.message);
        let place = fault.place.expect(text);
        if *line > 0 {
            assert_eq!((place.line, place.column), (*line, *column), "{text:.60}: {}", fault.message);
        }
    }
    assert!(Document::parse("x".repeat(MAX_TEXT + 1), Format::Json).is_err());
}

#[test]
fn yaml_scalars_follow_the_core_schema() {
    let text = "[~, null, yes, True, 0o17, 0x1F, 017, +12, 1_000, 18446744073709551615, 1.5e3, .5, 1., '1', \"2\", !!str 3, 2024-01-01, -, 1e, a: b]";
    assert_eq!(
        document(&text.replace("-, ", ""), Format::Yaml).value(),
        &json!([
            null, null, "yes", true, 15, 31, 17, 12, "1_000", 18446744073709551615u64, 1500.0, 0.5, 1.0, "1", "2",
            "3", "2024-01-01", "1e", {"a": "b"}
        ])
    );
    assert_eq!(document("# nothing\n", Format::Yaml).value(), &json!(null));
}

#[test]
fn repeated_keys_are_told() {
    let document =
        document("\u{feff}{\"a\": {\"k\": 1,\n \"k\": 2}, \"a\\u0062\": 1, \"ab\": 2}", Format::Json);
    assert_eq!(document.value(), &json!({"a": {"k": 2}, "ab": 2}));
    let faults = document.repeated_keys();
    let told: Vec<_> = faults.iter().map(|f| (f.pointer.as_str(), spot(f.place))).collect();
    assert_eq!(told, [("/a/k", (2, 2, 3)), ("/ab", (2, 25, 4))]);
    assert_eq!(spot(document.place("/a/k")), (2, 7, 1));
}

#[test]
fn rendering() {
    let text = "{\n\t\"日本\": \"x\u{1b}[31m\"\n}";
    let fault =
        Fault::error("/日本", "wrong").hint("write it right").at(Place { line: 2, column: 8, length: 8 });
    assert_eq!(
        render("a.json", text, &fault),
        "a.json:2:8: error: wrong\n  |\n2 |     \"日本\": \"x\u{fffd}[31m\"\n  |             ^^^^^^^^\n  = help: write it right\n"
    );
    let long = format!("{{\"a\": \"{}\", \"bad\": 1, \"z\": \"{}\"}}", "x".repeat(500), "y".repeat(500));
    let document = document(&long, Format::Json);
    let mut fault = [Fault::warning("/bad", "odd").on_key()];
    document.locate(&mut fault);
    let shown = render("b.json", &long, &fault[0]);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[2].chars().count() < 110 && lines[2].contains("\"bad\": 1"), "{shown}");
    let under = lines[3].find('^').expect("underline");
    assert_eq!(lines[2].chars().skip(under).take(5).collect::<String>(), "\"bad\"", "{shown}");
    assert_eq!(
        render("c.json", "", &Fault::warning("/x", "unknown key")),
        "c.json: warning: unknown key (at /x)\n"
    );
    // A place that the text does not have.
    let fault = Fault::error("", "gone").at(Place { line: 9, column: 1, length: 1 });
    assert_eq!(render("d.json", "{}", &fault), "d.json:9:1: error: gone\n");
}

#[test]
fn proposals() {
    let known = ["listen_path", "target_url", "strip_listen_path", "id", "kafka", "amqp_1"];
    for (word, expected) in [
        ("listn_path", Some("listen_path")),
        ("listenPath", Some("listen_path")),
        ("LISTEN-PATH", Some("listen_path")),
        ("traget_url", Some("target_url")),
        ("kafak", Some("kafka")),
        ("di", Some("id")),
        ("amqp1", Some("amqp_1")),
        ("x", None),
        ("", None),
        ("zookeeper", None),
    ] {
        assert_eq!(nearest(word, known.into_iter()), expected, "{word}");
    }
}
