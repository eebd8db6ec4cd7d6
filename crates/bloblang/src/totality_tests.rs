//! Runs end: whatever a mapping and a message are, time and memory are limited.

use std::time::{Duration, Instant};

use crate::testing::{Batch, message, payload};
use crate::{Environment, Mapping};

/// What a run gives under small limits, and how long it took.
fn run(steps: u64, mapping: &str, input: &str) -> (Result<String, String>, Duration) {
    let environment = Environment::pure().limited(steps, 32 << 20);
    let mapping =
        Mapping::parse(&environment, mapping).unwrap_or_else(|faults| panic!("{mapping}: {faults:?}"));
    let batch = Batch(vec![message(input)]);
    let began = Instant::now();
    let outcome = mapping.apply(&batch, 0);
    let took = began.elapsed();
    (outcome.map(|outcome| payload(&outcome)).map_err(|error| error.to_string()), took)
}

fn ints(count: usize) -> String {
    let items: Vec<String> = (0..count).map(|n| n.to_string()).collect();
    format!("[{}]", items.join(","))
}

#[test]
fn what_takes_too_long_or_too_much_ends() {
    let text = |length: usize| "x".repeat(length);
    let two = format!(r#"{{"a":{0},"b":{0}}}"#, ints(20_000));
    let fields: Vec<String> = (0..300).map(|n| format!(r#""f{n}":{n}"#)).collect();
    let wide = format!(r#"{{{},"v":{}}}"#, fields.join(","), ints(20_000));
    let deep = format!("{}{}{}", "[".repeat(100), ints(1000), "]".repeat(100));
    let long = format!(r#"{{"b":"{}","c":"{}"}}"#, text(100_000), text(3000));
    let groups = "(|)".repeat(200);
    let zipped = vec!["range(0, 2000)"; 1000].join(", ");
    for (mapping, input) in [
        // Fields of documents, read again and again.
        ("root = range(0, 1000000).map_each(x -> this.b)".to_owned(), &long),
        ("root = range(0, 100000).map_each(_ -> this.c)".to_owned(), &long),
        ("root = range(0, 100000).all(_ -> this.a.length() > 0 && this.a.contains(0))".to_owned(), &two),
        ("root = range(0, 100000).map_each(_ -> json(\"c\"))".to_owned(), &long),
        // Large values, compared and searched.
        ("root = range(0, 100000).all(_ -> this.a == this.b)".to_owned(), &two),
        ("root = range(0, 100000).all(_ -> this.a != 5 && !this.a.contains(-1))".to_owned(), &two),
        ("root = range(0, 100000).all(_ -> this.a.find(-1) < 0)".to_owned(), &two),
        ("root = range(0, 100000).all(_ -> this.a.find_all(-1) == [])".to_owned(), &two),
        ("root = range(0, 100000).all(_ -> !this.b.contains(\"y\"))".to_owned(), &long),
        ("root = range(0, 100000).all(_ -> this.b.contains(\"x\"))".to_owned(), &long),
        ("root = range(0, 100000).all(_ -> match this.b { \"y\" => false, _ => this == this + \"\" })".to_owned(), &long),
        ("root = range(0, 100000).all(_ -> this.a[0:2:1] == [0, 1])".to_owned(), &two),
        // Texts that are read as programs.
        (r#"root = range(0, 100000).any(x -> "a".re_match("b" + x.string()))"#.to_owned(), &long),
        (r#"root = range(0, 100000).any(x -> 1.bloblang("root = " + x.string()) == "a")"#.to_owned(), &long),
        // Results that are larger than what they are made of.
        (r#"root = this.explode("v")"#.to_owned(), &wide),
        ("root = range(0, 1000).map_each(_ -> this.collapse())".to_owned(), &wide),
        (format!(r#"root = this.format_json(indent: "{}")"#, text(100_000)), &deep),
        (r#"root = this.json_path("$..*..*..*")"#.to_owned(), &deep),
        (format!(r#"root = this.b.re_find_all_submatch("{groups}")"#), &long),
        (format!(r#"root = this.b.re_find_all_object("{groups}")"#), &long),
        (format!("root = range(0, 2000).zip({zipped})"), &long),
        (r#"root = "%[1]9999d".repeat(30000).format(1)"#.to_owned(), &long),
        ("root = range(0, 1000).map_each(_ -> this.a.map_each(n -> n.string()))".to_owned(), &two),
        ("root = range(0, 1000).map_each(_ -> this.a.enumerated())".to_owned(), &two),
        (r#"root = range(0, 1000).map_each(_ -> this.b.split(""))"#.to_owned(), &long),
        ("root = range(0, 1000).map_each(_ -> this.a.string().parse_json())".to_owned(), &two),
        ("root = range(0, 1000).map_each(_ -> this.key_values())".to_owned(), &wide),
        (r#"root = range(0, 10).map_each(_ -> ("ddffffffff").decode("hex").parse_msgpack().catch(0) + range(0, 1000000).length())"#.to_owned(), &long),
        // What takes more than one pass.
        ("root = range(0, 100).map_each(_ -> this.a.diff(this.b))".to_owned(), &two),
        (format!(r#"root = range(0, 100).map_each(_ -> this.without({}).length())"#, vec![r#""z""#; 500].join(", ")), &wide),
        (format!("root = range(0, 100).map_each(_ -> this.b.replace_all_many([{}]).length())", vec![r#""ab","c""#; 500].join(", ")), &long),
        ("meta = this\nroot = range(0, 100000).map_each(_ -> @f1)".to_owned(), &wide),
    ] {
        let (result, took) = run(20_000, &mapping, input);
        let shown = &mapping[..mapping.len().min(90)];
        let why = match result {
            Err(why) => why,
            Ok(made) => panic!("{shown}: {} bytes", made.len()),
        };
        let limited = ["more than", "larger than"].iter().any(|limit| why.contains(limit));
        assert!(limited && why.len() < 3000, "{shown}: {why}");
        assert!(took < Duration::from_secs(20), "{shown} took {took:?}");
    }
}

// What is only large, or goes over much once, runs to its end.
#[test]
fn what_is_within_the_limits_is_not_refused() {
    let two = format!(r#"{{"a":{0},"b":{0},"p":"^x+$"}}"#, ints(3000));
    for (mapping, expected) in [
        (r#"root = range(0, 20000).all(_ -> "xx".re_match(this.p))"#, "true"),
        ("root = range(0, 3000).map_each(n -> this.a.index(n)) == this.a", "true"),
        ("root = this.a.map_each(n -> {\"k\": n}).squash().k.length()", "3000"),
        ("root = range(0, 2000).fold([], item -> item.tally.append(item.value)).length()", "2000"),
        ("root = range(0, 50000).map_each(_ -> this.a.index(1)).sum()", "50000"),
        ("root = this.a.map_each(n -> n + this.a.length()).sum()", "13498500"),
        (r#"root = this.a.map_each(n -> n.string()).join(",").split(",").length()"#, "3000"),
        ("root = this.a.diff(this.b)", "[]"),
        (r#"root = "äöü"[0:2] + "abc"[-2:] + "abcd"[::-2]"#, "äöbcdb"),
    ] {
        let (result, _) = run(2_000_000, mapping, &two);
        assert_eq!(result.as_deref(), Ok(expected), "{mapping}");
    }
}

#[test]
fn texts_of_failures_are_short() {
    let long = format!(r#""{}""#, "x".repeat(10_000));
    for mapping in [
        "root = 1.apply(this)",
        "root = \"a\".re_match(\"(\" + this)",
        "root = (this + \" %zz\").parse_url()",
        "root = {}.json_path(this + \"[\")",
        "root = this.number()",
        "root = 5.set(this + \".a\", 1)",
        "root = throw(this)",
        "root = this.ts_parse(this + \"2006\")",
        "root = this.encode(this)",
        "root = this.int64()",
        "root = this.parse_duration()",
        "root = this.ts_format(\"2006\", this)",
        "root = 1.bloblang(this + \"(\")",
    ] {
        let (result, _) = run(200_000, mapping, &long);
        let why = result.unwrap_err();
        assert!(why.len() < 2100, "{mapping}: {} bytes", why.len());
    }
}

#[test]
fn hostile_texts_are_refused() {
    let many = |text: &str| text.repeat(100_000);
    for text in [
        many("("),
        many("["),
        many("{\"a\":"),
        many("!"),
        many("if a {"),
        many("x -> "),
        format!("root = a{}", many(".b()")),
        format!("root = 1{}", many(" + a")),
        format!("root = a{}", many(".b")),
        format!("root{} = 1", many(".b")),
        many("match a { _ => "),
        "x".repeat(2_000_000),
    ] {
        assert!(Mapping::parse(&Environment::pure(), &text).is_err(), "{}", &text[..20]);
    }
}
