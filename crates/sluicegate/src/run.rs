//! Placeholder: runs nothing.

use crate::config::Config;

/// Runs the gate until it is told to stop.
///
/// # Errors
///
/// Why it could not start, or why it ended, as one line.
pub(crate) fn run(config: Config) -> Result<(), String> {
    Err(format!("nothing listens on port {} yet", config.listen_port))
}
