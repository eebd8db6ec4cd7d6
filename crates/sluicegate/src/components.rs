//! The stream components of this binary: the standard ones, the codecs and the connectors.

use streams::Registry;

/// Every component.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::standard();
    codecs::register(&mut registry);
    connectors::register(&mut registry);
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
