//! `docs/proofs.md` names, for every broker and every promise, the test that proves it, or says why there can be none. Here
//! it is seen that no place is empty and every test is there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const BROKERS: [&str; 14] = [
    "kafka",
    "kafka_franz",
    "mqtt",
    "amqp_0_9",
    "amqp_1",
    "nats",
    "nats_jetstream",
    "nats_kv",
    "redis_streams",
    "redis_list",
    "redis_pubsub",
    "websocket",
    "http",
    "sql",
];

const PROMISES: [&str; 6] =
    ["Round trip", "Ordering", "Redelivery after a nack", "The broker restarts", "A clean stop", "kill -9"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The file that the page shortens so.
fn file(shortened: &str) -> PathBuf {
    match shortened.strip_prefix("e2e/") {
        Some(rest) => root().join("e2e/tests").join(rest),
        None => root().join("crates/connectors/tests").join(shortened),
    }
}

/// Whether a text of Rust holds a test of this name that is run.
fn is_test(source: &str, name: &str) -> bool {
    let mut attributes = Vec::new();
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") {
            attributes.push(line);
            continue;
        }
        let declared = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "));
        if declared.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('(')) {
            let run =
                |attribute: &&str| attribute.starts_with("#[test]") || attribute.starts_with("#[tokio::test");
            return attributes.iter().any(run) && !attributes.iter().any(|it| it.starts_with("#[ignore"));
        }
        attributes.clear();
    }
    false
}

/// What a cell names: files with the tests in them.
fn named(cell: &str) -> Vec<(&str, &str)> {
    let quoted: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
    quoted.windows(2).filter(|two| two[0].ends_with(".rs")).map(|two| (two[0], two[1])).collect()
}

#[test]
fn every_promise_has_its_proof_or_a_reason() {
    let page = std::fs::read_to_string(root().join("docs/proofs.md")).unwrap();
    let mut cells: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut promise = "";
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            promise = heading;
            assert!(PROMISES.contains(&promise), "`{promise}` is no promise of this page");
        }
        let Some((broker, cell)) = line.strip_prefix("| ").and_then(|line| line.split_once(" | ")) else {
            continue;
        };
        let cell = cell.trim_end_matches(" |");
        if broker == "broker" {
            continue;
        }
        assert!(BROKERS.contains(&broker), "`{broker}` is no broker of this page");
        assert!(cells.insert((promise, broker), cell).is_none(), "{promise}: {broker} stands there twice");
    }
    let mut missing = Vec::new();
    for (promise, broker) in PROMISES.iter().flat_map(|promise| BROKERS.map(|broker| (*promise, broker))) {
        let Some(cell) = cells.get(&(promise, broker)) else {
            missing.push(format!("{promise}: {broker} is missing"));
            continue;
        };
        let tests = named(cell);
        if tests.is_empty() && !cell.starts_with("not given: ") {
            missing.push(format!("{promise}: {broker} names no test and gives no reason"));
        }
        for (shortened, name) in tests {
            let source = std::fs::read_to_string(file(shortened)).unwrap_or_default();
            if !is_test(&source, name) {
                missing.push(format!("{promise}: {broker}: there is no test `{name}` in {shortened}"));
            }
        }
    }
    assert!(missing.is_empty(), "docs/proofs.md:\n{}", missing.join("\n"));
}

#[test]
fn tests_are_told_from_other_functions() {
    let source = "#[test]\nfn one() {}\nfn two() {}\n#[tokio::test(flavor = \"x\")]\n    async fn three() {}\n\
                  #[test]\n#[ignore]\nfn four() {}\n// fn five() {}\n#[test]\nfn six_and_more() {}\n";
    for (name, expected) in
        [("one", true), ("two", false), ("three", true), ("four", false), ("five", false), ("six", false)]
    {
        assert_eq!(is_test(source, name), expected, "{name}");
    }
    let cell = "`a/b.rs` `one`, `c.rs` `two`: with `three`";
    assert_eq!(named(cell), [("a/b.rs", "one"), ("c.rs", "two")]);
}
