//! Values that must never reach a log, an error text or a dump.

use std::fmt;

use serde::Deserialize;

/// A secret text. It has no `Display`, its `Debug` hides the value, and it cannot be serialised.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    /// The plain value, for the one place that must compare or send it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// True when nothing was configured.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0.is_empty() { "Secret(none)" } else { "Secret(hidden)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_value() {
        let secret: Secret = serde_json::from_str(r#""canary-7""#).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(hidden)");
        assert_eq!(secret.expose(), "canary-7");
    }
}
