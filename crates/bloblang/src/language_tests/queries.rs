//! Paths, branches, variables, maps and lambdas, and how they may be laid out.

use super::check;

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
