//! The language as it is seen from outside: mapping, message, result.

use crate::testing::{Batch, message, payload};
use crate::{Environment, Mapping, MetadataEdit, Template, Value};

fn run(mapping: &str, input: &str) -> String {
    let batch = Batch(vec![message(input)]);
    match Mapping::parse(&Environment::pure(), mapping) {
        Err(faults) => {
            format!("parse: {}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        }
        Ok(mapping) => match mapping.apply(&batch, 0) {
            Ok(outcome) => payload(&outcome),
            Err(error) => format!("run: {error}"),
        },
    }
}

pub(crate) fn check(cases: &[(&str, &str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(mapping, input, expected)| {
            let found = run(mapping, input);
            (found != *expected)
                .then(|| format!("{mapping}\n   on {input}\n  got {found}\n want {expected}\n"))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

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
fn operators() {
    check(&[
        ("root = 1 + 2 * 3", "{}", "7"),
        ("root = (1 + 2) * 3", "{}", "9"),
        ("root = 7 / 2", "{}", "3.5"),
        ("root = 6 / 2", "{}", "3"),
        ("root = 7 % 4 - 10", "{}", "-7"),
        ("root = -this.a.b", r#"{"a":{"b":3}}"#, "-3"),
        ("root = !this.a.b", r#"{"a":{"b":true}}"#, "false"),
        (r#"root = "a" + "b""#, "{}", "ab"),
        ("root = this.a | this.b | 3", r#"{"b":null}"#, "3"),
        ("root = this.a.b.c | 0 + 1", "{}", "1"),
        ("root = 1 == 1.0 && true != false", "{}", "true"),
        ("root = true == 1", "{}", "true"),
        (r#"root = "1" == 1"#, "{}", "false"),
        ("root = {\"a\":[1,2]} == this", r#"{"a":[1,2.0]}"#, "true"),
        ("root = 3 > 2 || this.x", "{}", "true"),
        ("root = 1 && 0", "{}", "false"),
        (r#"root = "b" > "a""#, "{}", "true"),
        ("root = 9007199254740993 == 9007199254740992.0", "{}", "false"),
        ("root = 9223372036854775807 + 1", "{}", "-9223372036854775808"),
        ("root.a = this.a +\n  this.b\nroot.c = this.a\n  + 5", r#"{"a":1,"b":2}"#, r#"{"a":3,"c":6}"#),
        (
            r#"root = this.a + 1"#,
            r#"{"a":"x"}"#,
            "run: failed assignment (line 1): cannot add types string (from field `this.a`) and number (from number literal)",
        ),
        (
            "root = !this.a",
            r#"{"a":5}"#,
            "run: failed assignment (line 1): expected bool value, got number from field `this.a` (5)",
        ),
        (
            "root = this.a || true",
            "{}",
            "run: failed assignment (line 1): expected bool value, got null from field `this.a`",
        ),
        ("root = 5 / this.a", r#"{"a":0}"#, "run: failed assignment (line 1): attempted to divide by zero"),
        ("root = 5 / 0", "{}", "parse: line 1 char 8: attempted to divide by zero"),
    ]);
}

#[test]
fn literals() {
    check(&[
        (r#"root = [1, "a", null, true, 1.50,]"#, "{}", r#"[1,"a",null,true,1.5]"#),
        ("root = [deleted(), 1, if false { 2 }]", "{}", "[1]"),
        (
            "root = {\"b\": 1, \"a\": deleted(),\n  # comment\n  this.k: 2,\n}",
            r#"{"k":"z"}"#,
            r#"{"b":1,"z":2}"#,
        ),
        ("root = \"\"\"a\"b\n\\n\"\"\"", "{}", "a\"b\n\\n"),
        (r#"root = "tab\tquote\"""#, "{}", "tab\tquote\""),
        (r#"root = ["<a> & \u00e4"]"#, "{}", r#"["<a> & ä"]"#),
        ("root = [100000000000000000000000, 0.0000001, 1.0]", "{}", "[1e+23,1e-07,1]"),
        (
            "root = {\"a\": 1, 5: 2}",
            "{}",
            "parse: line 1 char 17: an object key must be text (quote the key)",
        ),
    ]);
}

#[test]
fn paths() {
    check(&[
        ("root = this.a.0.b", r#"{"a":[{"b":5}]}"#, "5"),
        ("root = a.b", r#"{"a":{"b":5}}"#, "5"),
        (
            r#"root = this."a.b"."#,
            "{}",
            "parse: line 1 char 19: expected a field or a method after `.`, found the end of the text",
        ),
        (r#"root = this."a.b".c"#, r#"{"a.b":{"c":1}}"#, "1"),
        ("root = this.missing.deeper", "{}", "null"),
        ("root = this.a.(b + c)", r#"{"a":{"b":1,"c":2}}"#, "3"),
        ("root = this.a.(x -> x.b + this.d)", r#"{"a":{"b":1},"d":10}"#, "11"),
        ("root = this.a\n  .b\n  .c", r#"{"a":{"b":{"c":1}}}"#, "1"),
        ("root = this.a[0] + this.a[-1]", r#"{"a":[1,2,3]}"#, "4"),
        ("root = this.a[1:]", r#"{"a":[1,2,3]}"#, "[2,3]"),
        ("root = this.a[::-1]", r#"{"a":[1,2,3]}"#, "[3,2,1]"),
        ("root = this.a[1:-1:1]", r#"{"a":[1,2,3]}"#, "[2]"),
        ("root = this.a[1:3]", r#"{"a":"häh!"}"#, "äh"),
        (
            "root = this.a[7]",
            r#"{"a":[1]}"#,
            "run: failed assignment (line 1): index '7' was out of bounds for array size: 1",
        ),
        (
            "root = this.a",
            "not json",
            "run: failed assignment (line 1): unable to reference message as structured (with 'this.a'): parse as json: expected ident at line 1 column 2",
        ),
        (
            "root = this",
            "",
            "run: failed assignment (line 1): unable to reference message as structured (with 'this'): message is empty",
        ),
    ]);
}

#[test]
fn branches() {
    check(&[
        (
            "root = if this.a > 1 { \"big\" } else if this.a == 1 { \"one\" } else { \"small\" }",
            r#"{"a":1}"#,
            "one",
        ),
        (
            "if this.a > 1 {\n  root.x = 1\n} else {\n  root.x = 2\n  root.y = 3\n}",
            r#"{"a":1}"#,
            r#"{"x":2,"y":3}"#,
        ),
        ("root = this\nif this.ok { root.b = 1 }", r#"{"ok":null}"#, r#"{"ok":null}"#),
        (
            "root = match this.a {\n  1 => \"one\",\n  this > 5 => \"many\"\n  _ => \"some\"\n}",
            r#"{"a":9}"#,
            "many",
        ),
        ("root = match { this.a == 1 => \"one\", _ => \"other\" }", r#"{"a":1}"#, "one"),
        ("root = match this.a {\n  5 => 1\n  -5 => 2\n}", r#"{"a":-5}"#, "2"),
        ("root.a = match this.a { \"x\" => 1 }\nroot.b = 2", r#"{"a":"y"}"#, r#"{"b":2}"#),
        ("match this.a { \"x\" => deleted(), _ => this }", r#"{"a":"x"}"#, "deleted"),
        (
            "root = if this.a { 1 }",
            r#"{"a":"x"}"#,
            "run: failed assignment (line 1): field `this.a` resolved to a non-boolean value",
        ),
        ("match = this.match", r#"{"match":1}"#, r#"{"match":1}"#),
        ("root.if = this.if.map", r#"{"if":{"map":1}}"#, r#"{"if":1}"#),
    ]);
}

#[test]
fn variables_maps_and_lambdas() {
    check(&[
        ("let a = this.x + 1\nlet a = $a * 2\nroot = $a", r#"{"x":1}"#, "4"),
        ("let \"a b\" = 1\nroot = 2", "{}", "2"),
        ("map twice { root = this * 2 }\nroot = this.x.apply(\"twice\")", r#"{"x":4}"#, "8"),
        (
            "map walk {\n  root = match {\n    this.type() == \"array\" => this.map_each(x -> x.apply(\"walk\"))\n    _ => this + 1\n  }\n}\nroot = this.apply(\"walk\")",
            "[1,[2,[3]]]",
            "[2,[3,[4]]]",
        ),
        ("map m { root.a = this }\nroot = 1.apply(\"m\")", "{}", r#"{"a":1}"#),
        ("root = this.a.map_each(x -> this.b + x)", r#"{"a":[1,2],"b":10}"#, "[11,12]"),
        ("root = this.a.map_each(_ -> this.b)", r#"{"a":[1,2],"b":10}"#, "[10,10]"),
        ("if this.a { let v = 1 }\nroot = $v.catch(\"none\")", r#"{"a":false}"#, "none"),
        ("map m { meta a = 1 }\nroot = 1", "{}", "parse: line 1 char 9: metadata cannot be set within a map"),
    ]);
}

#[test]
fn maps_end_before_the_stack_does() {
    let mapping = "map down {\n  root = if this > 0 { (this - 1).apply(\"down\") } else { 0 }\n}\nroot = this.apply(\"down\")";
    check(&[(mapping, "4000", "0")]);
    assert!(run(mapping, "6000").contains("maps apply each other more than 5000 levels deep"));
    assert!(run("root = this.bloblang(this)", r#""this.bloblang(this)""#).contains("too deeply"));
}

#[test]
fn values_cannot_nest_without_end() {
    let found = run("root = range(0, 100000).fold({}, item -> {\"a\": item.tally})", "{}");
    assert!(found.contains("nests deeper than"), "{found}");
}

#[test]
fn values_cannot_grow_without_end() {
    for (mapping, expected) in [
        // Text that doubles, values that hold themselves twice.
        ("root = range(0, 60).fold(\"x\", i -> i.tally + i.tally)", "larger than 256 MiB"),
        ("root = range(0, 300).fold(1, i -> [i.tally, i.tally])", "larger than 256 MiB"),
        ("root = range(0, 300).fold(1, i -> {\"a\": i.tally, \"b\": i.tally})", "larger than 256 MiB"),
    ] {
        let found = run(mapping, "{}");
        assert!(found.contains(expected), "{mapping}: {found}");
    }
    let env = Environment::pure().limited(100, 1000);
    let batch = Batch(vec![message("{\"a\":\"z\"}")]);
    for (mapping, expected) in [
        ("root = range(0, 1000)", "builds more than 1000 bytes"),
        ("root = range(0, 60).fold([1], i -> i.tally.concat(i.tally))", "builds more than 1000 bytes"),
        (
            "root = range(0, 20).map_each(i -> (\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\" + \"y\" + this.a).length())",
            "builds more than 1000 bytes",
        ),
        ("root = range(0, 101).all(i -> true)", "100 steps"),
    ] {
        let env = if expected == "100 steps" { env.clone().limited(100, 10_000) } else { env.clone() };
        let error = Mapping::parse(&env, mapping).unwrap().apply(&batch, 0).unwrap_err();
        assert!(error.message.contains(expected), "{mapping}: {error}");
    }
}

#[test]
fn numbers() {
    check(&[
        ("root = [1e3, 1.5e-1, 2E+2]", "{}", "[1000,0.15,200]"),
        ("root = range(0, 2e0)", "{}", "[0,1]"),
        ("root = this.uint64()", "18446744073709551615", "18446744073709551615"),
        (
            "root = this.map_each(n -> n.uint64())",
            r#"["0xffffffffffffffff", 9223372036854775808]"#,
            "[18446744073709551615,9223372036854775808]",
        ),
        ("root = (content() + content()).type()", "ab", "string"),
        ("root = (\"ff\".decode(\"hex\") + \"ff\".decode(\"hex\")).type()", "ab", "bytes"),
        (
            "root = this",
            r#"{"a":1.50,"b":18446744073709551615,"c":1e3,"d":-0}"#,
            r#"{"a":1.50,"b":18446744073709551615,"c":1e3,"d":-0}"#,
        ),
        ("root.x = this.a\nroot.y = this", r#"{"a":1.50}"#, r#"{"x":1.50,"y":{"a":1.50}}"#),
        ("root = this.a.map_each(x -> x.b).filter(x -> x > 1)", r#"{"a":[{"b":1.50},{"b":1.0}]}"#, "[1.50]"),
        ("root = this.a + 1", r#"{"a":1.50}"#, "2.5"),
        ("root = this.a + 1", r#"{"a":1e3}"#, "1001"),
        ("root = -this.a", r#"{"a":1.50}"#, "-1.5"),
        ("root = this.a == 1.5 && this.a > 1 && this.a != 2", r#"{"a":1.50}"#, "true"),
        ("root = this.a == this.b", r#"{"a":18446744073709551615,"b":18446744073709551614}"#, "false"),
        ("root = this.a == this.b", r#"{"a":1.50,"b":1.5}"#, "true"),
        ("root = this.l[this.i]", r#"{"l":[5,6],"i":1.0}"#, "6"),
        ("root = this.a.type()", r#"{"a":1.50}"#, "number"),
        ("root = match this.a { 1.5 => \"yes\", _ => \"no\" }", r#"{"a":1.50}"#, "yes"),
        ("root = this.a.sum()", r#"{"a":[1.50,1.50]}"#, "3"),
        ("root = this.a.string()", r#"{"a":1.50}"#, "1.50"),
        (
            "root = if this.a { 1 }",
            r#"{"a":1.50}"#,
            "run: failed assignment (line 1): field `this.a` resolved to a non-boolean value",
        ),
        ("root = this.a && true", r#"{"a":1.0}"#, "true"),
        (
            "root = !this.a",
            r#"{"a":1.0}"#,
            "run: failed assignment (line 1): expected bool value, got number from field `this.a` (1.0)",
        ),
        ("root = 7 % 2.9", "{}", "1"),
        ("root = 9223372036854775807 * 2", "{}", "-2"),
        ("root = [9223372036854775807, 1.0 * 3, 10 / 4, 10 / 5]", "{}", "[9223372036854775807,3,2.5,2]"),
        ("root = this.a / 0.0", r#"{"a":1}"#, "run: failed assignment (line 1): attempted to divide by zero"),
        ("root = 5 % 0", "{}", "parse: line 1 char 8: attempted to divide by zero"),
    ]);
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

#[test]
fn faults_have_places_and_proposals() {
    for (mapping, expected) in [
        (
            "root = this.a.upercase()",
            vec!["1:15+8 unrecognised method `upercase` (did you mean `uppercase`?)"],
        ),
        ("root = dleted()", vec!["1:8+6 unrecognised function `dleted` (did you mean `deleted`?)"]),
        (
            "let count = 1\nroot = $cuont",
            vec!["2:9+5 variable `cuont` is not defined before this point (did you mean `count`?)"],
        ),
        (
            "map shout { root = this }\nroot = this.apply(\"shuot\")",
            vec![
                "2:19+7 method `apply`, argument `mapping`: map shuot was not found (did you mean `shout`?)",
            ],
        ),
        (
            "root.a = \nroot.b = (1\nroot.c = ]\nroot.d = 1",
            vec![
                "1:10+1 expected a value after `=`, found the end of the line",
                "3:1+4 expected `)` to close the bracket, found `root`",
                "3:10+1 expected a query, found `]`",
            ],
        ),
        ("root=1", vec!["1:5+1 `=` needs a space on both sides"]),
        ("root == 1\nroot = 2", vec!["1:6+2 expected `=`, found `==` (write a single `=` to assign)"]),
        ("root = this.foo-bar-baz.(", vec!["1:26+1 expected a query, found the end of the text"]),
        (
            "if this.a {\n  root.b = ?\n}\nroot.c = 'x'",
            vec!["2:12+1 unexpected character `?`", "4:10+1 text must stand between double quotes"],
        ),
        (
            "root = this.a.replace_all(\"a\")",
            vec!["1:15+11 method `replace_all` needs the argument `new` (write `replace_all(old, new)`)"],
        ),
        (
            "root = this.a.replace_all(old: \"a\", nwe: \"b\")",
            vec![
                "1:15+11 method `replace_all` needs the argument `new` (write `replace_all(old, new)`)",
                "1:37+3 method `replace_all` has no parameter `nwe` (did you mean `new`?)",
            ],
        ),
        (
            "root = this.a.uppercase(1)",
            vec!["1:25+1 method `uppercase` takes at most 0 arguments, got 1 (write `uppercase()`)"],
        ),
        (
            "root = this.a.encode(\"bsae64\")",
            vec![
                "1:22+8 method `encode`, argument `scheme`: unrecognised value `bsae64`, expected one of base64, base64url, base64rawurl, hex, ascii85, z85 (did you mean `base64`?)",
            ],
        ),
        (
            "import \"x.blobl\"\nroot = 1",
            vec!["1:8+9 cannot import file `x.blobl`: reading files is not allowed here"],
        ),
        (
            "root = env(\"HOME\")",
            vec!["1:8+3 function `env` is not allowed here: it reads environment variables"],
        ),
        ("map a { root = 1 }\nmap a { root = 2 }", vec!["2:5+1 map `a` is defined twice"]),
        (
            "root = this.map_each(x -> x.map_each(x -> x))",
            vec!["1:38+1 context `x` would shadow an outer one"],
        ),
        ("root = 1 2", vec!["1:10+1 expected the end of the line, found number 2"]),
        // One fault each: what an unknown name would give is not known either.
        ("root = uuidv4() + 1", vec!["1:8+6 unrecognised function `uuidv4` (did you mean `uuid_v4`?)"]),
        ("root = -$a + 1", vec!["1:10+1 variable `a` is not defined before this point"]),
        (
            "root = 5.foo().contains(bar(1)).encode(baz())",
            vec![
                "1:10+3 unrecognised method `foo`",
                "1:25+3 unrecognised function `bar` (did you mean `var`?)",
                "1:40+3 unrecognised function `baz`",
            ],
        ),
        ("root = (1 / 0) + \"a\"", vec!["1:8+7 attempted to divide by zero"]),
    ] {
        let faults = Mapping::parse(&Environment::pure(), mapping).expect_err(mapping);
        let found: Vec<String> = faults
            .iter()
            .map(|fault| {
                let hint = fault.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
                format!("{}:{}+{} {}{hint}", fault.line, fault.column, fault.length, fault.message)
            })
            .collect();
        assert_eq!(found, expected, "{mapping}");
    }
}

#[test]
fn templates() {
    let mut input = message(r#"{"name":"Ada","n":1.0,"o":{"b":1,"a":[]}}"#);
    input.metadata = vec![("k".into(), Value::from("v"))];
    let batch = Batch(vec![input]);
    for (text, expected) in [
        ("plain", "plain"),
        ("", ""),
        ("$ and ${NAME} stay", "$ and ${NAME} stay"),
        ("a${! this.name }b${!@k}c", "aAdabvc"),
        ("${{!this.name}} ${!this.name}", "${!this.name} Ada"),
        ("${{!open", "${{!open"),
        (r#"${! {"a":"}"}.a + "}" }"#, "}}"),
        ("${! this.missing }|${!this.n}|${!this.o}", "null|1.0|{\"a\":[],\"b\":1}"),
        ("${! this.o.a.map_each(x -> x) }${! [1].map_each(y -> y + 1) }", "[][2]"),
        ("${! name.uppercase() }", "ADA"),
    ] {
        let template = Template::parse(&Environment::pure(), text).unwrap();
        assert_eq!(template.render(&batch, 0).unwrap(), expected, "{text}");
    }
    assert_eq!(Template::parse(&Environment::pure(), "a${{!b}}").unwrap().as_static(), Some("a${!b}"));
    let fault = &Template::parse(&Environment::pure(), "abc\n${! this.upercase() }").unwrap_err()[0];
    assert_eq!((fault.line, fault.column), (2, 10));
    assert!(Template::parse(&Environment::pure(), "x ${! this.a").is_err());
    let template = Template::parse(&Environment::pure(), "${! this.name.not_empty().number() }").unwrap();
    assert!(template.render(&batch, 0).is_err());
    assert!(Template::parse(&Environment::pure(), "${! root }").unwrap().render(&batch, 0).is_err());
    // What is granted to mappings is granted here.
    let granted = std::collections::BTreeMap::from([("CUP".to_owned(), "tea".to_owned())]);
    let granted = Environment::pure().with_variables(std::sync::Arc::new(granted));
    let template =
        Template::parse(&granted, r#"${! env("CUP") } ${! env(@k.replace("v", "CUP")) }"#).unwrap();
    assert_eq!(template.render(&batch, 0).unwrap(), "tea tea");
}

#[test]
fn layout_of_the_text() {
    check(&[
        ("if this.a {\n  \"x\"\n}\nelse {\n  \"y\"\n}", r#"{"a":false}"#, "y"),
        ("# first\n\nroot.a = 1 # one\n\n\t# two\nroot.b = 2\n\n", "{}", r#"{"a":1,"b":2}"#),
        ("root = this.a.\n  # why\n  uppercase()\n  .lowercase()", r#"{"a":"x"}"#, "x"),
        ("root = [\n  1, # one\n  2\n]", "{}", "[1,2]"),
        ("root = this.slice(\n  low: 1,\n  high: 2,\n)", "\"abc\"", "b"),
        ("root.a = (\n  1 + 2\n)", "{}", r#"{"a":3}"#),
        ("root = meta(\"x\") | @.y | meta.z | \"none\"", r#"{"meta":{"z":"z"}}"#, "z"),
        ("meta.z = 1\nmap = 2\nlet = 3", "{}", r#"{"let":3,"map":2,"meta":{"z":1}}"#),
        ("if this.a { if this.b { root = 1 } else { root = 2 } } else { root = 3 }", r#"{"a":true}"#, "2"),
        ("root = match { this.a > 1 =>\n  \"big\"\n  _ => \"small\" }", r#"{"a":2}"#, "big"),
        ("root = this.a - 1\nroot = this.a -1", r#"{"a":2}"#, "1"),
    ]);
}

// What would be too large is refused before it is made, and can be caught.
#[test]
fn builders_stop_at_the_limit() {
    let (many, long) = (r#""a".repeat(20000)"#, r#""b".repeat(20000)"#);
    for builder in [
        format!(r#"{many}.replace_all("a", {long})"#),
        format!(r#"{many}.replace_all_many(["a", {long}])"#),
        format!(r#"{many}.re_replace_all("a", {long})"#),
        format!(r#"{many}.split("").join({long})"#),
    ] {
        check(&[
            (&format!("root = {builder}.length().catch(0)"), "{}", "0"),
            (
                &format!("root = {builder}.length()"),
                "{}",
                "run: failed assignment (line 1): the result would be larger than 256 MiB",
            ),
        ]);
    }
    check(&[
        (r#"root = "aXbX".re_replace_all("([ab])X", "<$1>")"#, "{}", "<a><b>"),
        (r#"root = "abc".re_replace_all("", "-")"#, "{}", "-a-b-c-"),
        ("root = [].sum()", "{}", "0"),
    ]);
}
