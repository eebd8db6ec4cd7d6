//! `docs/contract.md` names, for every row of the contract, the tests that prove it. Here it is seen that no section has lost
//! its table, no row is empty, and every test is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Sections, and how many parts they have that stand below a number of their own. 0: the section itself is the table.
const SECTIONS: [(u8, u8); 12] =
    [(2, 0), (2, 9), (3, 7), (4, 6), (5, 12), (6, 8), (7, 3), (8, 13), (9, 6), (10, 0), (12, 0), (13, 6)];

/// The guards of 4.4: the contract's numbers, beginning at 0.
const GUARDS: usize = 47;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The file that the page shortens so.
fn file(shortened: &str) -> PathBuf {
    match shortened.strip_prefix("e2e/") {
        Some(rest) => root().join("e2e/tests").join(rest),
        None => root().join("crates").join(shortened),
    }
}

/// The tests that a text of Rust holds and that are run.
fn tests(source: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut attributes = Vec::new();
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") {
            attributes.push(line);
            continue;
        }
        let declared = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "));
        if let Some((name, _)) = declared.and_then(|rest| rest.split_once('(')) {
            let run = |it: &&str| it.starts_with("#[test]") || it.starts_with("#[tokio::test");
            if attributes.iter().any(run) && !attributes.iter().any(|it| it.starts_with("#[ignore")) {
                found.insert(name);
            }
        }
        attributes.clear();
    }
    found
}

/// The section and the rows that a test's name begins with: `c4_4_row_24_`, `c4_4_rows_1_and_3_`, `c4_4_rows_1_to_5_`,
/// `c4_4_rows_1_2_5_`, or `c4_4_` for what shows more of it than a name can hold.
fn rows_of(name: &str) -> Option<(String, Vec<usize>)> {
    let mut words = name.strip_prefix('c')?.split('_').peekable();
    let number = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let mut section = vec![words.next_if(number)?];
    section.extend(words.next_if(number));
    let mut rows = Vec::new();
    if words.next_if(|word| ["row", "rows"].contains(word)).is_some() {
        while let Some(row) = words.next_if(number) {
            rows.push(row.parse().ok()?);
            let first = *rows.last()?;
            let mut ahead = words.clone();
            match (ahead.next(), ahead.next().filter(|word| number(word))) {
                (Some("to"), Some(last)) => rows.extend(first + 1..=last.parse().ok()?),
                (Some("and"), Some(last)) => rows.push(last.parse().ok()?),
                _ => continue,
            }
            break;
        }
    }
    Some((section.join("."), rows))
}

/// What a cell names: files with the tests in them.
fn named(cell: &str) -> Vec<(&str, &str)> {
    cell.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once("::")).collect()
}

#[test]
fn every_row_names_tests_that_are_there() {
    let page = std::fs::read_to_string(root().join("docs/contract.md")).unwrap();
    let mut rows: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut sources: BTreeMap<&str, String> = BTreeMap::new();
    let mut proving: BTreeMap<(&str, &str), BTreeSet<(&str, &str)>> = BTreeMap::new();
    let mut faults = Vec::new();
    let mut section = "";
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading.split(' ').next().unwrap();
        }
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [row, _, proof] = cells[..] else { continue };
        if row == "row" {
            continue;
        }
        rows.entry(section).or_default().push(row);
        let named = named(proof);
        if named.is_empty() && proof != "none" && !proof.starts_with("none; ") {
            faults.push(format!("{section} row {row} names neither a test nor `none`"));
        }
        for (shortened, name) in named {
            let source = sources
                .entry(shortened)
                .or_insert_with(|| std::fs::read_to_string(file(shortened)).unwrap_or_default());
            if !tests(source).contains(name) {
                faults.push(format!("{section} row {row}: there is no test `{name}` in {shortened}"));
            }
            proving.entry((shortened, name)).or_default().insert((section, row));
        }
    }
    for ((_, name), proven) in &proving {
        let Some((section, numbers)) = rows_of(name) else {
            faults.push(format!("`{name}` proves {proven:?}: its name begins with none of them"));
            continue;
        };
        for number in numbers {
            if !proven.contains(&(&*section, &*number.to_string())) {
                faults.push(format!("`{name}` does not stand in row {number} of {section}"));
            }
        }
    }
    for (chapter, parts) in SECTIONS {
        let below = (1..=parts).map(|part| format!("{chapter}.{part}"));
        for wanted in below.chain((parts == 0).then(|| chapter.to_string())) {
            if !rows.contains_key(wanted.as_str()) {
                faults.push(format!("section {wanted} has lost its table"));
            }
        }
    }
    let guards: Vec<String> = (0..GUARDS).map(|guard| guard.to_string()).collect();
    if rows.get("4.4").is_none_or(|rows| *rows != guards) {
        faults.push("section 4.4 does not have every guard, in turn".to_owned());
    }
    assert!(faults.is_empty(), "docs/contract.md:\n{}", faults.join("\n"));
}

#[test]
fn names_tell_which_rows_are_proven() {
    for (name, section, rows) in [
        ("c4_4_row_24_words", "4.4", &[24][..]),
        ("c4_4_rows_1_and_3_words", "4.4", &[1, 3]),
        ("c4_4_rows_2_to_4_words", "4.4", &[2, 3, 4]),
        ("c4_4_rows_1_2_5_words", "4.4", &[1, 2, 5]),
        ("c12_row_5_words", "12", &[5]),
        ("c8_6_words", "8.6", &[]),
    ] {
        assert_eq!(rows_of(name), Some((section.to_owned(), rows.to_vec())), "{name}");
    }
    assert_eq!((rows_of("companions"), rows_of("code_8")), (None, None));
}

#[test]
fn tests_are_told_from_other_functions() {
    let source = "#[test]\nfn one() {}\nfn two() {}\n#[tokio::test(flavor = \"x\")]\n    async fn three() {}\n\
                  #[test]\n#[ignore]\nfn four() {}\n// fn five() {}\n#[test]\nfn six_and_more() {}\n";
    assert_eq!(tests(source), BTreeSet::from(["one", "three", "six_and_more"]));
    assert_eq!(named("`a/b.rs::one`, `c.rs::two`; see `docs/d.md`"), [("a/b.rs", "one"), ("c.rs", "two")]);
}
