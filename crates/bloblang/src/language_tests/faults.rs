//! Faults of the text: where they are, and what was probably meant.

use super::run_in;
use crate::{Capability, Environment, Mapping};

#[test]
fn faults_have_places_and_proposals() {
    for (mapping, expected) in [
        (
            "root = this.a.upercase()",
            vec!["1:15+8 unrecognised method `upercase` (did you mean `uppercase`?)"],
        ),
        (
            "root = uppercase(this.a)\nroot.b = this.now()",
            vec![
                "1:8+9 unrecognised function `uppercase` (it is a method, which stands behind a value: write `this.uppercase(…)`)",
                "2:15+3 unrecognised method `now` (it is a function, which stands alone: write `now(…)`)",
            ],
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
fn chance_can_be_taken_away() {
    let sober = Environment::pure().without(Capability::Random);
    for function in ["random_int()", "uuid_v4()", "ksuid()", "nanoid()", "ulid()", "fake()"] {
        let mapping = format!("root = {function} != null");
        assert_eq!(run_in(&Environment::pure(), &mapping, "{}"), "true", "{function}");
        let name = function.trim_end_matches("()");
        let refused =
            format!("parse: line 1 char 8: function `{name}` is not allowed here: it draws random numbers");
        assert_eq!(run_in(&sober, &mapping, "{}"), refused);
    }
}
