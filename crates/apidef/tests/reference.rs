//! The reference in `docs/definitions.md` is the parsers' own tables. `UPDATE_DOCS=1 cargo test -p apidef` writes it.

const MARKER: &str = "<!-- reference -->\n";

#[test]
fn the_documentation_is_what_the_parsers_do() {
    let page = include_str!("../../../docs/definitions.md");
    let (before, written) = page.split_once(MARKER).expect("the marker of the reference");
    let reference = format!("\n{}\n", apidef::reference().trim());
    if written == reference {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/definitions.md");
        #[expect(clippy::disallowed_methods, reason = "nothing else runs in this test")]
        std::fs::write(path, format!("{before}{MARKER}{reference}")).expect("docs/definitions.md");
        return;
    }
    for (number, (written, wanted)) in written.lines().zip(reference.lines()).enumerate() {
        assert_eq!(written, wanted, "line {number} of the reference; run with UPDATE_DOCS=1 to write it");
    }
    panic!("the reference is longer or shorter than the parsers' tables; run with UPDATE_DOCS=1 to write it");
}

#[test]
fn the_examples_are_definitions() {
    let page = include_str!("../../../docs/definitions.md");
    let examples: Vec<&str> =
        page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 3);
    for example in examples {
        let definition = apidef::Definition::parse(example).expect(example);
        assert_eq!(definition.warnings, [], "{example}");
        assert_ne!(definition.api.auth, apidef::Auth::Keyless);
    }
}
