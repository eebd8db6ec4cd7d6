//! The table of endpoints in `docs/admin-api.md`.

use super::super::endpoints::{FOREIGN, all};

/// Markdown: every endpoint, what it does and what it answers.
fn page() -> String {
    use std::fmt::Write as _;
    let mut out = String::from("| Request | Does | Answers |\n|---|---|---|\n");
    for endpoint in all() {
        let names: Vec<String> =
            endpoint.parameters.iter().map(|parameter| format!("`{}`", parameter.name)).collect();
        let parameters = if names.is_empty() { String::new() } else { format!("<br>{}", names.join(", ")) };
        let mut statuses: Vec<String> =
            endpoint.replies.iter().map(|(status, _)| status.to_string()).collect();
        statuses.dedup();
        let ours = if FOREIGN.contains(&endpoint.action) { " (ours)" } else { "" };
        let _ = writeln!(
            out,
            "| `{} /tyk{}`{parameters} | {}{ours} | {} |",
            endpoint.method,
            endpoint.path,
            endpoint.summary,
            statuses.join(", ")
        );
    }
    out.push_str("\nWhat each parameter of a query does:\n\n| Parameter | Of | Does |\n|---|---|---|\n");
    // A name may mean different things in different places.
    let mut told: std::collections::BTreeMap<_, Vec<String>> = std::collections::BTreeMap::new();
    for endpoint in all() {
        for parameter in endpoint.parameters {
            let of = told.entry((parameter.name, parameter.summary)).or_default();
            of.push(format!("`{} {}`", endpoint.method, endpoint.path));
        }
    }
    for ((name, summary), of) in told {
        let _ = writeln!(out, "| `{name}` | {} | {summary} |", of.join(", "));
    }
    out
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may block")]
fn page_lists_every_endpoint() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/admin-api.md");
    let written = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- endpoints: generated -->\n", "<!-- end of endpoints -->\n");
    let (before, rest) = written.split_once(begin).expect("the page has a place for its endpoints");
    let (_, after) = rest.split_once(end).expect("that place has an end");
    let wanted = format!("{before}{begin}\n{}\n{end}{after}", page());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, wanted).unwrap();
    } else {
        assert!(written == wanted, "docs/admin-api.md is stale; write it with `make docs`");
    }
}
