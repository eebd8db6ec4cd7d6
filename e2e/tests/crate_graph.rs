//! The rooms of the project know only those below them: ARCHITECTURE.md, "Rooms". This draws the real graph and fails
//! on any other arrow.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// A room and those that it may know. A room is written below all that it knows, so the graph has no circle.
const ROOMS: &[(&str, &[&str])] = &[
    ("document", &[]),
    ("bloblang", &["document"]),
    ("apidef", &["document"]),
    ("streams", &["document", "bloblang"]),
    ("codecs", &["document", "bloblang", "streams"]),
    ("connectors", &["document", "bloblang", "streams", "codecs"]),
    ("state", &["document", "apidef"]),
    ("analytics", &["document", "apidef", "streams"]),
    ("plugins", &["apidef"]),
    ("templates", &["bloblang"]),
    ("graphql", &[]),
    ("mcp", &["document", "apidef"]),
    (
        "gateway",
        &[
            "document",
            "bloblang",
            "apidef",
            "streams",
            "codecs",
            "connectors",
            "state",
            "analytics",
            "plugins",
            "templates",
            "graphql",
            "mcp",
        ],
    ),
    (
        "sluicegate",
        &[
            "document",
            "bloblang",
            "apidef",
            "streams",
            "codecs",
            "connectors",
            "state",
            "analytics",
            "plugins",
            "gateway",
        ],
    ),
    // These start the binary; they know no room from the inside.
    ("bench", &["bloblang"]),
    ("e2e", &[]),
];

/// What a room must never know of the world outside, because of what it promises. Tests may.
const NEVER: &[(&str, &[&str])] = &[
    ("document", &["tokio", "hyper", "redis", "rdkafka"]),
    ("bloblang", &["tokio", "hyper", "redis", "rdkafka"]),
    ("templates", &["tokio", "hyper", "redis", "rdkafka"]),
    ("graphql", &["tokio", "hyper", "redis", "rdkafka"]),
    ("mcp", &["tokio", "hyper", "redis", "rdkafka"]),
    ("apidef", &["tokio", "hyper", "redis", "rdkafka"]),
    ("streams", &["hyper", "hyper-util", "redis", "rdkafka"]),
    ("codecs", &["hyper", "hyper-util", "redis", "rdkafka"]),
    ("state", &["hyper", "rdkafka"]),
    ("analytics", &["hyper", "redis", "rdkafka"]),
    ("gateway", &["redis", "rdkafka"]),
];

/// Package name -> the names of its dependencies, without those of its tests.
fn graph() -> BTreeMap<String, BTreeSet<String>> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path", manifest])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("a name").to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            let real = dependencies.iter().filter(|dependency| dependency["kind"] != "dev");
            (text(&package["name"]), real.map(|dependency| text(&dependency["name"])).collect())
        })
        .collect()
}

#[test]
fn every_room_stands_in_the_table() {
    let drawn: BTreeSet<String> = graph().into_keys().collect();
    let allowed: BTreeSet<String> = ROOMS.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(drawn, allowed, "the workspace and the table of rooms differ");
}

#[test]
fn no_arrow_but_those_allowed() {
    let rooms: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (room, dependencies) in graph() {
        let allowed = rooms.get(room.as_str()).copied().unwrap_or_default();
        for dependency in dependencies.iter().filter(|name| rooms.contains_key(name.as_str())) {
            if !allowed.contains(&dependency.as_str()) {
                wrong.push(format!("{room} -> {dependency}"));
            }
        }
    }
    assert!(wrong.is_empty(), "these rooms must not know each other: {wrong:?}");
}

#[test]
fn rooms_keep_their_promises_towards_the_world() {
    let graph = graph();
    let mut wrong = Vec::new();
    for (room, never) in NEVER {
        let Some(dependencies) = graph.get(*room) else { continue };
        wrong.extend(
            never.iter().filter(|name| dependencies.contains(**name)).map(|name| format!("{room} -> {name}")),
        );
    }
    assert!(wrong.is_empty(), "see `NEVER`: {wrong:?}");
}

#[test]
fn the_table_itself_has_no_circle() {
    let mut below = BTreeSet::new();
    for (room, knows) in ROOMS {
        assert!(knows.iter().all(|known| below.contains(known)), "{room} knows a room that is not below it");
        below.insert(room);
    }
}
