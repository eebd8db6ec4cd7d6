//! What would take too much ends, and says so.

use super::{check, run};
use crate::testing::{Batch, message};
use crate::{Environment, Mapping};

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
