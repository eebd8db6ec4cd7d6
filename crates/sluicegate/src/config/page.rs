//! The tables of `docs/configuration.md`, written from the table of keys. The test fails when the page is stale;
//! `UPDATE_DOCS=1 cargo test -p sluicegate configuration_page` writes it.

use std::fmt::Write;

use super::environment::name_of;
use super::table::{self, Key, Kind, Standing};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
const BEGIN: &str = "<!-- generated from crates/sluicegate/src/config/table: do not edit below -->";

fn tables() -> String {
    let mut page = String::new();
    for chapter in table::CHAPTERS {
        let _ =
            write!(page, "\n### {}\n\n| setting | takes | default | |\n|---|---|---|---|\n", chapter.title);
        for key in chapter.keys.iter().filter(|key| key.standing == Standing::Acted) {
            let ours = if key.ours { " Not in `tyk.conf`." } else { "" };
            let _ = writeln!(
                page,
                "| `{}`<br>`{}` | {} | {} | {}{ours} |",
                key.path,
                name_of(key.path),
                key.kind.words(),
                default(key),
                key.doc
            );
        }
    }
    page.push_str(
        "\n## Known, without effect so far\n\nThese are accepted. Those that are set to something else than their default are named in one warning at start.\n\n| setting | |\n|---|---|\n",
    );
    rows(&mut page, Standing::Pending);
    page.push_str("\n## Refused\n\nThese guard access and are not built yet. Setting them stops the start.\n\n| setting | |\n|---|---|\n");
    rows(&mut page, Standing::Refused);
    page.push_str(
        "\n## Accepted in silence\n\nThere is nothing to do for these.\n\n| setting | |\n|---|---|\n",
    );
    rows(&mut page, Standing::Idle);
    page
}

fn rows(page: &mut String, standing: Standing) {
    for key in table::all().filter(|key| key.standing == standing) {
        let inside = if key.kind == Kind::Tree { ".*" } else { "" };
        let _ = writeln!(page, "| `{}{inside}` | {} |", key.path, key.doc);
    }
}

fn default(key: &Key) -> String {
    match key.default_value() {
        serde_json::Value::String(text) if text.is_empty() => "".into(),
        serde_json::Value::Array(items) if items.is_empty() => "".into(),
        serde_json::Value::Object(members) if members.is_empty() => "".into(),
        other => format!("`{other}`"),
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test without async threads")]
fn configuration_page_is_up_to_date() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (head, body) = page.split_once(BEGIN).expect("docs/configuration.md lost its marker");
    let fresh = format!("\n{}", tables());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, format!("{head}{BEGIN}{fresh}")).unwrap();
    } else {
        assert!(
            body == fresh,
            "docs/configuration.md is stale: run `UPDATE_DOCS=1 cargo test -p sluicegate`"
        );
    }
}
