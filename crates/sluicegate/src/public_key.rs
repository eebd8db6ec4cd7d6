//! The public key of who signs bundles of plugins and signals (`public_key_path`).

use std::fmt::Display;
use std::path::Path;

use crate::config::Config;

/// The key, if one is set, made by `new` from its PEM.
///
/// # Errors
/// It cannot be read, or is no such key.
pub(crate) fn of<K, E: Display>(config: &Config, new: fn(&str) -> Result<K, E>) -> Result<Option<K>, String> {
    let path = Path::new(&config.public_key_path);
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let wrong = |why: &dyn Display| format!("public_key_path: `{}`: {why}", path.display());
    #[expect(clippy::disallowed_methods, reason = "read once, before anything runs")]
    let pem = std::fs::read_to_string(path).map_err(|why| wrong(&why))?;
    new(&pem).map(Some).map_err(|why| wrong(&why))
}
