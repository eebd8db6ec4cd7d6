use serde_json::{Value as Json, json};
use streams::Message;

use super::program::Program;
use crate::testing::{built, messages_of, one, settings};

fn jq(query: &str) -> Json {
    json!({ "jq": { "query": query } })
}

#[tokio::test]
async fn programs_do_what_jq_does() {
    let large = r#"{"n":18446744073709551616,"d":1.50}"#;
    for (query, payload, expected) in [
        (".", r#"{"b":1,"a":[1.5,null,true,"x"]}"#, r#"{"a":[1.5,null,true,"x"],"b":1}"#),
        (".a.b", r#"{"a":{"b":"x"}}"#, r#""x""#),
        (".[]", "[1,2]", "[1,2]"),
        (".[] | select(. > 1)", "[1,2,3]", "[2,3]"),
        ("empty", "1", ""),
        (".[] | empty", "[1]", ""),
        ("{a, b: .c, (.d): 1}", r#"{"a":1,"c":2,"d":"k"}"#, r#"{"a":1,"b":2,"k":1}"#),
        ("[.[] | . * 2] | add", "[1,2,3]", "12"),
        ("(1,2) + (10,20)", "null", "[11,12,21,22]"),
        ("[(1,2) < (1,2)]", "null", "[false,false,true,false]"),
        (".a += 1 | .b //= 7 | .c |= ascii_upcase", r#"{"a":1,"c":"x"}"#, r#"{"a":2,"b":7,"c":"X"}"#),
        ("def f(n): if n > 0 then n, f(n - 1) else empty end; [f(3)]", "null", "[3,2,1]"),
        ("reduce .[] as [$a, $b] (0; . + $a * $b)", "[[1,2],[3,4]]", "14"),
        ("[limit(3; repeat(1))]", "null", "[1,1,1]"),
        ("[range(0; 10; 3)]", "null", "[0,3,6,9]"),
        ("until(. > 10000; . + 1)", "0", "10001"),
        ("first(range(10; infinite))", "null", "10"),
        ("\"a\\(1 + 1)b\"", "null", r#""a2b""#),
        ("@base64 \"x\\(.)\"", r#""hi""#, r#""xaGk=""#),
        ("tojson, (tojson | fromjson)", r#"{"a":1}"#, r#"["{\"a\":1}",{"a":1}]"#),
        ("\"ab\" * 3", "null", r#""ababab""#),
        ("{a:{b:1}} * {a:{c:2}}", "null", r#"{"a":{"b":1,"c":2}}"#),
        ("setpath([\"a\",0]; 1) | delpaths([[\"b\"]]) | getpath([\"a\",0])", r#"{"a":[0],"b":1}"#, "1"),
        ("[paths]", r#"{"a":[1]}"#, r#"[["a"],["a",0]]"#),
        ("to_entries", r#"{"a":1}"#, r#"[{"key":"a","value":1}]"#),
        ("map(select(test(\"^a\")))", r#"["ab","ba"]"#, r#"["ab"]"#),
        ("[.[] | try error catch .]", r#"["x",1]"#, r#"["x",1]"#),
        ("label $f | 1, break $f, 2", "null", "1"),
        ("walk(if type == \"number\" then . + 1 else . end)", r#"[1,{"a":2}]"#, r#"[2,{"a":3}]"#),
        ("$ENV.HOME, env.HOME", "null", "[null,null]"),
        ("nan, infinite", "null", "[null,1.7976931348623157e308]"),
        (".n", large, "18446744073709551616"),
        (".d", large, "1.50"),
        ("[04.4, 1.50]", "null", "[4.4,1.50]"),
        ("1e3, 0.5, 1.0", "null", "[1e3,0.5,1.0]"),
        ("debug | 1", "null", "1"),
        // Faults leave the message as it was.
        (".a", "no json", "no json!jq: parse as json"),
        (".a", "[1]", "[1]!jq: cannot index"),
        ("error(\"no\")", "{}", "{}!jq: no"),
        ("1, halt", "{}", "{}!jq: the program halted"),
    ] {
        let made = one(jq(query), payload).await.replace("1.7976931348623157e+308", "1.7976931348623157e308");
        let right = match expected.contains('!') {
            true => made.starts_with(expected),
            false => made == expected,
        };
        assert!(right, "{query} of {payload}: {made}, not {expected}");
    }
}

#[tokio::test]
async fn payloads_and_results_can_be_raw() {
    let mut message = Message::new("a \"text\"\nof lines");
    message.set_meta("k", "v");
    message.set_meta("n", 7_i64);
    for (config, expected) in [
        (json!({ "query": "split(\"\\n\") | length", "raw": true }), "2"),
        (json!({ "query": ".", "raw": true, "output_raw": true }), "a \"text\"\nof lines"),
        (
            json!({ "query": "\"x\", 1, \"y\", {a: \"z\"}", "raw": true, "output_raw": true }),
            r#"x1y{"a":"z"}"#,
        ),
        (json!({ "query": "$metadata.k, $metadata.n", "raw": true }), r#"["v",7]"#),
        (json!({ "query": "$metadata | keys", "raw": true }), r#"["k","n"]"#),
        (json!({ "query": "empty", "raw": true, "output_raw": true }), ""),
    ] {
        let made = messages_of(&settings(), &json!([{ "jq": config }]), vec![message.clone()]).await;
        let texts: Vec<_> = made.iter().map(|made| String::from_utf8_lossy(made.bytes())).collect();
        assert_eq!(texts.join("|"), expected, "{config}");
        assert!(made.iter().all(|made| made.meta("k").is_some()), "the metadata stays");
    }
}

#[test]
fn wrong_programs_are_refused_with_their_place() {
    for (query, expected) in [
        ("", "jq"),
        (".a |\n  foo(1)", "/pipeline/processors/0/jq/query: jq, line 2 column 3: there is no filter `foo`"),
        (".a | $x", "jq, line 1 column 6: there is no variable `$x`"),
        ("(.a", "jq, line 1 column 4: closing parenthesis is expected, not the end"),
        (".a | |", "jq, line 1 column 6: "),
        ("{a:}", "jq, line 1"),
        ("import \"a\" as a; .", "modules are not offered"),
        ("include \"a\"; .", "modules are not offered"),
        ("input", "there is no filter `input`"),
        ("inputs", "there is no filter `inputs`"),
        (&"[".repeat(300), "brackets within each other"),
        (&format!("1{}", "|1".repeat(2000)), "nested too deeply"),
        (&" ".repeat(70_000), "longer than"),
    ] {
        let fault = built(&jq(query)).unwrap_err();
        assert!(fault.contains(expected), "{query:.40}: {fault}");
    }
}

/// What would never end, or take all memory, ends with a fault that the program cannot catch.
#[test]
fn programs_end() {
    let message = Message::new("[1,2,3]");
    for (query, expected) in [
        ("def f: f; f", "too many steps"),
        ("try (def f: f; f) catch 1", "too many steps"),
        ("def f: 1 + f; f", "recurses too deeply"),
        ("def f: [f]; f", "recurses too deeply"),
        ("last(repeat(1))", "too many steps"),
        ("[range(infinite)]", "too many steps"),
        ("last(range(1e15))", "too many steps"),
        ("reduce range(100) as $i (\"ab\"; . + .)", "makes too much"),
        ("reduce range(100) as $i (\"ab\"; . += .)", "makes too much"),
        ("reduce range(100) as $i ([1]; . + .)", "makes too much"),
        ("\"ab\" * 1000000000", "makes too much"),
        ("1000000000 * \"ab\"", "makes too much"),
        ("reduce range(100) as $i (2; . * .)", "too many digits"),
        ("reduce range(100) as $i ([]; [., .]) | tojson", "a value is too large"),
        ("reduce range(100) as $i ([]; [., .]) | \"\\(.)\"", "a value is too large"),
        ("reduce range(100) as $i ([]; [., .])", "a value is too large"),
        ("reduce range(20000) as $i ([]; [.])", "nested too deeply"),
        ("[range(5000) | 0] as $p | setpath($p; 1)", "a path that is too long"),
        ("\"[\" * 100000 | fromjson", "recursion limit"),
        ("[.[] as $a | .[] as $b | range(100000000)] | length", "too many steps"),
    ] {
        let fault = Program::compile(query).unwrap().run(&message, false, false).unwrap_err();
        assert!(fault.contains(expected), "{query}: {fault}");
    }
}
