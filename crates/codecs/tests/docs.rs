//! `docs/codecs.md` tells of every field what the field tables say.

#![expect(clippy::disallowed_methods, reason = "a test stops at the first surprise, and may block")]

use std::path::Path;

use streams::Registry;

/// Run with `UPDATE_DOCS=1` to write the tables anew.
#[test]
fn the_reference_is_what_the_tables_say() {
    let mut registry = <Registry as std::default::Default>::default();
    codecs::register(&mut registry);
    let tables = streams::reference(&registry);
    // The stream itself is told of in docs/streams.md.
    let begin = tables.find("### Input").expect("an input");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/codecs.md");
    let page = std::fs::read_to_string(&path).expect("docs/codecs.md");
    let (begin_mark, end_mark) = ("<!-- reference -->\n", "<!-- end -->");
    let from = page.find(begin_mark).expect("the begin of the tables") + begin_mark.len();
    let to = page.find(end_mark).expect("the end of the tables");
    let fresh = format!("{}\n{}\n{}", &page[..from], tables[begin..].trim_end(), &page[to..]);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &fresh).expect("docs/codecs.md can be written");
    } else {
        assert!(
            page == fresh,
            "docs/codecs.md is stale; run `UPDATE_DOCS=1 cargo test -p codecs --test docs`"
        );
    }
}
