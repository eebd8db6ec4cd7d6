//! The log: standard error, as text or as JSON lines.

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Starts the log. `level` is one of the words of the setting `log_level`; the variable `RUST_LOG` refines it.
pub(crate) fn start(level: &str, format: LogFormat) {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| level.to_owned());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.init(),
    }
}
