//! The stream components of this binary: the standard ones, the codecs, the connectors and that of the gate.

use streams::Registry;

/// Every component.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::standard();
    codecs::register(&mut registry);
    connectors::register(&mut registry);
    gateway::register(&mut registry);
    registry
}

/// Settings that check stream configurations and run none.
pub(crate) fn lint_settings() -> streams::Settings {
    streams::Settings::new(registry())
}

/// Where the `stdout` output of streams writes.
pub(crate) struct StandardOutput;

impl streams::Lines for StandardOutput {
    fn write_all(&self, bytes: &[u8]) -> std::io::Result<()> {
        use std::io::Write;
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may read files")]
mod tests {
    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema.json");

    #[test]
    fn the_schema_page_is_current() {
        let current = format!("{:#}\n", streams::schema(&super::registry(), &streams::Templates::default()));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(PAGE, current).unwrap();
            return;
        }
        let written = std::fs::read_to_string(PAGE).unwrap_or_default();
        assert!(written == current, "docs/schema.json is stale: run `make docs`");
    }
}
