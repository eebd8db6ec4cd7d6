//! The stream components of this binary: the standard ones and the connectors.

use streams::Registry;

/// Every component.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::standard();
    connectors::register(&mut registry);
    registry
}

/// Settings that check stream configurations and run none.
pub(crate) fn lint_settings() -> streams::Settings {
    streams::Settings::new(registry())
}
