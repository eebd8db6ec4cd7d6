//! The rules of the grammar and of evaluation, one row each (streams contract 4.1 and 4.2).

use crate::language_tests::check;

#[test]
fn statements_and_names() {
    check(&[
        // `meta` needs no space before its sign, other assignments do; after it all do.
        ("meta a= 1\nroot = @a", "{}", "1"),
        ("meta \"a b\" = 1\nroot = @\"a b\"", "{}", "1"),
        ("meta = {\"a\": 1}\nroot = @", "{}", r#"{"a":1}"#),
        ("meta = deleted()\nroot = @", "{}", "{}"),
        (
            "meta = 5\nroot = 1",
            "{}",
            "run: failed assignment (line 1): setting root meta object requires object value, received: number",
        ),
        ("root.a= 1", "{}", "parse: line 1 char 7: `=` needs a space on both sides"),
        ("root = this.foo-bar", r#"{"foo":3,"bar":1}"#, "2"),
        ("root.\"foo-bar\" = this.\"foo-bar\"", r#"{"foo-bar":3}"#, r#"{"foo-bar":3}"#),
        ("root.1a = this.1a", r#"{"1a":3}"#, r#"{"1a":3}"#),
        ("\"a\".b = 1", "{}", "parse: line 1 char 7: expected the end of the query, found `=`"),
        ("map m { root = 1 }\nmap m { root = 2 }", "{}", "parse: line 2 char 5: map `m` is defined twice"),
        (
            "if true {\n  map m { root = 1 }\n}",
            "{}",
            "parse: line 2 char 3: maps can only be defined at the top level",
        ),
        ("let x = 1\nif true {\n  let x = 2\n}\nroot = $x", "{}", "2"),
        (
            "let x = 1\nmap m { root = $x }\nroot = this.apply(\"m\")",
            "{}",
            "parse: line 2 char 17: variable `x` is not defined before this point",
        ),
        ("root = root", "{}", "unchanged"),
        ("root.a = 1\nroot = root.a", "{}", "1"),
        ("let x = deleted()\nroot = $x", "{}", "run: failed assignment (line 2): variable 'x' undefined"),
        ("# one\n\n  # two\nroot = 1 # three\n# four", "{}", "1"),
        ("root = \"# not a comment\"", "{}", "# not a comment"),
        ("\n\n  this.a\n\n", r#"{"a":1}"#, "1"),
    ]);
}

#[test]
fn precedence() {
    check(&[
        // `|` binds as `*` does, comparisons before `&&` and `||`, which are equals from left to right.
        ("root = this.a | 1 + 2", "{}", "3"),
        ("root = 2 + this.a | 1", "{}", "3"),
        // The left side of `|` is the whole product, whose failure is caught.
        ("root = 2 * this.a | 5", r#"{"a":null}"#, "5"),
        ("root = true || false && false", "{}", "false"),
        ("root = false && true || true", "{}", "true"),
        ("root = 1 + 2 == 3 && 4 > 3", "{}", "true"),
        ("root = 10 - 2 - 3", "{}", "5"),
        ("root = 2 * 6 / 4 % 2", "{}", "1"),
        ("root = 1 < 2 == true", "{}", "true"),
        ("root = -this.a + 1", r#"{"a":2}"#, "-1"),
        ("root = 3 - -2", "{}", "5"),
        ("root = !this.a && this.b", r#"{"a":false,"b":true}"#, "true"),
        ("root = !this.a.contains(\"x\")", r#"{"a":"abc"}"#, "true"),
        ("root = -5.abs()", "{}", "-5"),
        ("root = 1 +\n  # why\n  2", "{}", "3"),
    ]);
}

#[test]
fn branches_and_contexts() {
    check(&[
        ("root = if this.a == 1 { \"x\" } else if this.a == 2 { \"y\" }", r#"{"a":3}"#, "unchanged"),
        (
            "root.a = [1, if false { 2 }, 3]\nroot.b = {\"x\": if false { 1 }, \"y\": 2}",
            "{}",
            r#"{"a":[1,3],"b":{"y":2}}"#,
        ),
        ("root = this.map_each(x -> if x > 1 { x * 10 })", "[1,2,3]", "[1,20,30]"),
        ("root = this.map_each(x -> if x > 1 { deleted() })", "[1,2,3]", "[1]"),
        ("root = this.map_each(x -> match { x == 1 => \"one\" })", "[1,2]", r#"["one",2]"#),
        ("root = match this.a { null => 1, _ => 2 }", "{}", "1"),
        ("root = match this { this.a > 5 => 1, this.a > 2 => 2, _ => 3 }", r#"{"a":3}"#, "2"),
        ("root = match this.a { \"x\" + \"y\" => 1, _ => 2 }", r#"{"a":"xy"}"#, "1"),
        (
            "root = match this.a { this.uppercase() == \"A\" => 1 }",
            r#"{"a":5}"#,
            "run: failed assignment (line 1): failed to check match case 0: expected string value, got number from field `this` (5)",
        ),
        ("root = match (this.a) {\n  1 => {\"b\": 2},\n  _ => [],\n}", r#"{"a":1}"#, r#"{"b":2}"#),
        ("root = this.a.(b -> this.c + b)", r#"{"a":1,"c":2}"#, "3"),
        ("root = this.a.(_ -> this.c)", r#"{"a":1,"c":2}"#, "2"),
        (
            "root = this.a.map_each(this -> 1)",
            "{}",
            "parse: line 1 char 24: a context cannot be named `this`",
        ),
        (
            "root = this.a.map_each(x -> x.b.map_each(y -> x.c + y))",
            r#"{"a":[{"b":[1,2],"c":10}]}"#,
            "[[11,12]]",
        ),
        (
            "if this.a == 1 {\n  root.x = 1\n} else if this.a == 2 {\n  root.x = 2\n} else {\n  root.x = 3\n}",
            r#"{"a":2}"#,
            r#"{"x":2}"#,
        ),
        (
            "if this.a {\n  root.x = 1\n}",
            r#"{"a":"yes"}"#,
            "run: failed assignment (line 1): field `this.a` resolved to a non-boolean value",
        ),
    ]);
}

#[test]
fn markers_and_errors() {
    check(&[
        (
            "root = this\nroot.a.b = deleted()\nroot.x.y = deleted()",
            r#"{"a":{"b":1,"c":2}}"#,
            r#"{"a":{"c":2}}"#,
        ),
        ("root = {\"a\": deleted(), \"b\": nothing(), \"c\": null}", "{}", r#"{"c":null}"#),
        ("root = nothing()", r#"{"a":1}"#, "unchanged"),
        ("root = this.a | deleted()", "{}", "deleted"),
        ("root = deleted() | 1", "{}", "1"),
        ("root = nothing() | 1", "{}", "1"),
        ("root = (this.a / 0) | \"none\"", r#"{"a":1}"#, "none"),
        ("root = this.a.uppercase().catch(\"none\")", r#"{"a":1}"#, "none"),
        ("root = this.a.catch(\"none\")", "{}", "null"),
        ("root = this.a.or(\"none\")", "{}", "none"),
        ("root = this.a.uppercase().or(\"none\")", r#"{"a":1}"#, "none"),
        ("root = throw(\"oh\").catch(err -> \"got \" + err)", "{}", "got oh"),
        ("root = throw(\"oh\").catch(this.uppercase())", "{}", "OH"),
        ("root.a = 1\nroot.b = throw(\"no\")\nroot.c = 2", "{}", "run: failed assignment (line 2): no"),
        ("root = this.a.b.c.d", r#"{"a":{"b":null}}"#, "null"),
        ("root = this.a.0 + this.a.1", r#"{"a":[1,2]}"#, "3"),
        (
            "root = this.a.*.b",
            r#"{"a":[{"b":1},{"b":2}]}"#,
            "parse: line 1 char 15: expected a field or a method after `.`, found `*`",
        ),
        ("root = this.a.\"*\".b", r#"{"a":[{"b":1},{"b":2}]}"#, "[1,2]"),
        ("root = json(\"a.*.b\")", r#"{"a":[{"b":1},{"b":2}]}"#, "[1,2]"),
        ("root = this.a[-1] + this.a[0]", r#"{"a":[1,2,3]}"#, "4"),
        (
            "root = this.a[-4]",
            r#"{"a":[1]}"#,
            "run: failed assignment (line 1): index '-4' was out of bounds for array size: 1",
        ),
        (
            "root = this.a[2:1]",
            r#"{"a":[1,2,3]}"#,
            "run: failed assignment (line 1): lower slice bound 2 must be lower than or equal to upper bound 1",
        ),
        (
            "root = this.a[1:-1]",
            r#"{"a":[1,2,3]}"#,
            "run: failed assignment (line 1): lower slice bound 1 must be lower than or equal to upper bound -1",
        ),
        ("root = this.a[::2]", r#"{"a":[1,2,3]}"#, "[1,3]"),
        (
            "root = this.a[::0]",
            r#"{"a":[1]}"#,
            "run: failed assignment (line 1): the step of a slice cannot be 0",
        ),
        ("root = this.a[0]", r#"{"a":"abc"}"#, "97"),
        ("root = this == this", r#"{"a":[1,{"b":null}]}"#, "true"),
        ("root = null == false", "{}", "false"),
        (
            "root = 1 > \"a\"",
            "{}",
            "parse: line 1 char 8: cannot compare types number (from number literal) and string (from string literal)",
        ),
        (
            "root = \"a\".re_match(\"(\")",
            "{}",
            "parse: line 1 char 21: method `re_match`, argument `pattern`: failed to compile regular expression `(`: unclosed group",
        ),
    ]);
}
