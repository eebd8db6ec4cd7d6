//! The variables that configurations may read: those of the process, and before them those of `--env-file`.

use std::collections::BTreeMap;
use std::path::Path;

/// Variables by name, before those of the process.
pub(super) type Given = BTreeMap<String, String>;

/// A variable as a configuration sees it.
pub(super) fn look_up(given: &Given, name: &str) -> Option<String> {
    given.get(name).cloned().or_else(|| std::env::var(name).ok())
}

/// The variables of these files; of a name given twice the last one counts.
///
/// # Errors
/// Which file cannot be read, or which line says nothing.
pub(super) fn read(files: &[impl AsRef<Path>]) -> Result<Given, String> {
    let mut given = Given::new();
    for file in files {
        let file = file.as_ref();
        let text =
            super::source::text(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let more = streams::variables_of_file(&text)
            .map_err(|(line, fault)| format!("{}:{line}: {fault}", file.display()))?;
        given.extend(more);
    }
    Ok(given)
}
