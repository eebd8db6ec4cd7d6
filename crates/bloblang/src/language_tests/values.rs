//! Literals, operators and numbers.

use super::check;

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
