//! What may be depended on: `deny.toml` is the table, and it holds here even where cargo-deny is not installed. Only
//! what is really built counts: optional dependencies that no feature asks for are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn rules() -> toml::Table {
    let text = std::fs::read_to_string(format!("{ROOT}/deny.toml")).expect("deny.toml can be read");
    text.parse().unwrap_or_else(|error| panic!("deny.toml: {error}"))
}

fn texts(list: &toml::Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text")).collect()
}

/// A row of a list in `[bans]`.
struct Row {
    name: String,
    /// Matches this version and those that begin with it and a dot; all when empty.
    version: String,
    wrappers: Vec<String>,
}

impl Row {
    fn all(rules: &toml::Table, list: &str) -> Vec<Row> {
        let rows = rules["bans"].get(list).and_then(|rows| rows.as_array()).cloned().unwrap_or_default();
        let row = |row: &toml::Value| {
            let spec = row["crate"].as_str().expect("`crate` is a text");
            let reason = row.get("reason").and_then(|reason| reason.as_str()).unwrap_or_default();
            assert!(!reason.is_empty(), "deny.toml, {list}: `{spec}` stands there without a reason");
            let (name, version) = spec.split_once('@').unwrap_or((spec, ""));
            let wrappers = row.get("wrappers").map(texts).unwrap_or_default();
            Row {
                name: name.into(),
                version: version.into(),
                wrappers: wrappers.into_iter().map(str::to_owned).collect(),
            }
        };
        rows.iter().map(row).collect()
    }

    fn matches(&self, package: &Package) -> bool {
        let version = package.version.strip_prefix(&self.version);
        let whole = |rest: &str| self.version.is_empty() || rest.is_empty() || rest.starts_with('.');
        self.name == package.name && version.is_some_and(whole)
    }
}

struct Package {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    /// Ids of what it is built with.
    uses: BTreeSet<String>,
    /// Names of dependencies for which any version will do.
    wildcards: Vec<String>,
}

/// What the workspace is really built with on the platforms of `deny.toml`, tests and build scripts included; by id.
fn graph(rules: &toml::Table) -> BTreeMap<String, Package> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--locked", "--format-version", "1"]).current_dir(ROOT);
    for target in texts(&rules["graph"]["targets"]) {
        command.args(["--filter-platform", target]);
    }
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();

    let packages: BTreeMap<String, Value> =
        list(&metadata["packages"]).into_iter().map(|package| (text(&package["id"]), package)).collect();
    let nodes: BTreeMap<String, Value> =
        list(&metadata["resolve"]["nodes"]).into_iter().map(|node| (text(&node["id"]), node)).collect();
    let mut found = BTreeMap::new();
    let mut open: Vec<String> = list(&metadata["workspace_members"]).iter().map(text).collect();
    while let Some(id) = open.pop() {
        if found.contains_key(&id) {
            continue;
        }
        let (package, node) = (&packages[&id], &nodes[&id]);
        let uses: BTreeSet<String> = list(&node["deps"])
            .iter()
            .filter(|dependency| is_built(package, node, &text(&packages[&text(&dependency["pkg"])]["name"])))
            .map(|dependency| text(&dependency["pkg"]))
            .collect();
        let wildcards = list(&package["dependencies"])
            .iter()
            .filter(|dependency| dependency["req"] == "*" && dependency["path"].is_null())
            .map(|dependency| text(&dependency["name"]))
            .collect();
        open.extend(uses.iter().cloned());
        let package = Package {
            name: text(&package["name"]),
            version: text(&package["version"]),
            license: package["license"].as_str().map(str::to_owned),
            source: package["source"].as_str().map(str::to_owned),
            uses,
            wildcards,
        };
        found.insert(id, package);
    }
    found
}

/// Cargo's list holds optional dependencies, too, that are only named by `dependency?/feature`. Those are real that a
/// feature which is on asks for by `dep:dependency` or `dependency/feature`.
fn is_built(package: &Value, node: &Value, dependency: &str) -> bool {
    let entries = package["dependencies"].as_array().expect("a list");
    let mut entries = entries.iter().filter(|entry| entry["name"] == dependency);
    entries.any(|entry| {
        let local = entry["rename"].as_str().unwrap_or(dependency);
        entry["optional"] != true
            || node["features"].as_array().expect("a list").iter().any(|feature| {
                let asks = package["features"][feature.as_str().expect("a text")].as_array();
                asks.into_iter().flatten().filter_map(Value::as_str).any(|ask| {
                    ask.strip_prefix("dep:") == Some(local)
                        || ask.split_once('/').is_some_and(|(name, _)| name == local)
                })
            })
    })
}

fn shown(package: &Package) -> String {
    format!("{} {}", package.name, package.version)
}

/// What deny.toml says of a package that does not say it itself.
fn clarified<'r>(rules: &'r toml::Table, package: &Package) -> Option<&'r str> {
    let rows = rules["licenses"].get("clarify")?.as_array()?;
    let row = rows.iter().find(|row| {
        let named = row["crate"].as_str().and_then(|spec| spec.split_once('@'));
        named == Some((package.name.as_str(), package.version.as_str()))
    });
    row?["expression"].as_str()
}

#[test]
fn every_licence_is_allowed() {
    let rules = rules();
    let allowed: BTreeSet<&str> = texts(&rules["licenses"]["allow"]).into_iter().collect();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for package in graph(&rules).values() {
        let clarified = clarified(&rules, package);
        let expression = package.license.as_deref().or(clarified).unwrap_or("(none stated)");
        seen.extend(words(expression).into_iter().filter(|word| allowed.contains(word.as_str())));
        if !permits(expression, &allowed) {
            wrong.push(format!("{}: {expression}", shown(package)));
        }
    }
    assert!(wrong.is_empty(), "not covered by `licenses.allow` of deny.toml: {wrong:#?}");
    let unused: Vec<_> = allowed.iter().filter(|licence| !seen.contains(**licence)).collect();
    assert!(unused.is_empty(), "deny.toml allows licences that nothing has: {unused:?}");
}

#[test]
fn nothing_banned_is_built() {
    let rules = rules();
    let graph = graph(&rules);
    let mut wrong = Vec::new();
    for row in Row::all(&rules, "deny") {
        for (id, package) in graph.iter().filter(|(_, package)| row.matches(package)) {
            let users: Vec<&Package> = graph.values().filter(|user| user.uses.contains(id)).collect();
            let users = users.iter().filter(|user| !row.wrappers.contains(&user.name));
            wrong.extend(users.map(|user| format!("{} uses {}", shown(user), shown(package))));
        }
    }
    assert!(wrong.is_empty(), "banned by deny.toml: {wrong:#?}");
}

#[test]
fn crates_come_from_the_registry_with_a_stated_version() {
    let rules = rules();
    let mut wrong = Vec::new();
    for package in graph(&rules).values() {
        match &package.source {
            Some(source) if source != CRATES_IO => {
                wrong.push(format!("{} comes from {source}", shown(package)))
            }
            Some(_) => {}
            None => {
                let wildcards = package.wildcards.iter();
                wrong.extend(wildcards.map(|name| format!("{} takes any version of {name}", shown(package))));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_second_version_without_a_reason() {
    let rules = rules();
    let graph = graph(&rules);
    let (skipped, trees) = (Row::all(&rules, "skip"), Row::all(&rules, "skip-tree"));
    // What each row of `skip-tree` reaches.
    let reaches = |row: &Row| {
        let mut reached = BTreeSet::new();
        let roots = graph.iter().filter(|(_, package)| row.matches(package));
        let mut open: Vec<&String> = roots.map(|(id, _)| id).collect();
        while let Some(id) = open.pop() {
            if reached.insert(id) {
                open.extend(&graph[id].uses);
            }
        }
        reached
    };
    let trees: Vec<(&Row, BTreeSet<&String>)> = trees.iter().map(|row| (row, reaches(row))).collect();
    let mut versions: BTreeMap<&str, Vec<(&String, &Package)>> = BTreeMap::new();
    for (id, package) in &graph {
        versions.entry(&package.name).or_default().push((id, package));
    }
    versions.retain(|_, packages| packages.len() > 1);

    let mut wrong = Vec::new();
    let mut needed = BTreeSet::new();
    for (name, packages) in &versions {
        let outside: Vec<&Package> = packages
            .iter()
            .filter(|(id, _)| !trees.iter().any(|(_, tree)| tree.contains(id)))
            .map(|(_, package)| *package)
            .collect();
        let rows = skipped
            .iter()
            .filter(|row| outside.len() > 1 && outside.iter().any(|package| row.matches(package)));
        needed.extend(rows.map(|row| &row.name));
        let rows = trees.iter().filter(|(_, tree)| packages.iter().any(|(id, _)| tree.contains(id)));
        needed.extend(rows.map(|(row, _)| &row.name));
        if outside.iter().filter(|package| !skipped.iter().any(|row| row.matches(package))).count() > 1 {
            let packages: Vec<&str> = packages.iter().map(|(_, package)| package.version.as_str()).collect();
            wrong.push(format!("{name}: {packages:?}"));
        }
    }
    assert!(wrong.is_empty(), "several versions, and deny.toml gives no reason: {wrong:#?}");
    let idle = skipped
        .iter()
        .chain(trees.iter().map(|(row, _)| *row))
        .map(|row| &row.name)
        .filter(|name| !needed.contains(name));
    let idle: Vec<&String> = idle.collect();
    assert!(idle.is_empty(), "one version is left without them; take these out of deny.toml: {idle:?}");
}

/// The licences and operators of an expression (SPDX, annex D; `/` is an older way to write `OR`).
fn words(expression: &str) -> Vec<String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words: Vec<String> = Vec::new();
    let mut exception = false;
    for word in spaced.split_whitespace() {
        match words.last_mut() {
            Some(last) if word == "WITH" || exception => {
                last.push(' ');
                last.push_str(word);
                exception = word == "WITH";
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// Whether the allowed licences are enough for the expression. What cannot be read is not allowed.
fn permits(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let words = words(expression);
    let mut rest = words.as_slice();
    let permitted = any(&mut rest, allowed);
    permitted && rest.is_empty()
}

fn any(rest: &mut &[String], allowed: &BTreeSet<&str>) -> bool {
    let mut permitted = every(rest, allowed);
    while rest.first().is_some_and(|word| word == "OR") {
        *rest = &rest[1..];
        permitted |= every(rest, allowed);
    }
    permitted
}

fn every(rest: &mut &[String], allowed: &BTreeSet<&str>) -> bool {
    let mut permitted = one(rest, allowed);
    while rest.first().is_some_and(|word| word == "AND") {
        *rest = &rest[1..];
        permitted &= one(rest, allowed);
    }
    permitted
}

fn one(rest: &mut &[String], allowed: &BTreeSet<&str>) -> bool {
    let Some((word, more)) = rest.split_first() else { return false };
    *rest = more;
    if word != "(" {
        return allowed.contains(word.as_str());
    }
    let permitted = any(rest, allowed);
    match rest.split_first() {
        Some((close, more)) if close == ")" => {
            *rest = more;
            permitted
        }
        _ => false,
    }
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = BTreeSet::from(["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"]);
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT", true),
        ("GPL-3.0-only/MIT", true),
        ("GPL-3.0-only AND MIT", false),
        ("MIT AND (GPL-3.0-only OR Apache-2.0)", true),
        ("MIT OR GPL-3.0-only AND GPL-2.0-only", true),
        ("(MIT OR GPL-3.0-only) AND GPL-2.0-only", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("MIT WITH LLVM-exception", false),
        ("(MIT", false),
        ("MIT MIT", false),
        ("", false),
        ("(none stated)", false),
    ] {
        assert_eq!(permits(expression, &allowed), expected, "{expression:?}");
    }
}
