//! A stream configuration in a file of its own.

use document::{Document, Fault, Format};

use crate::lint::lint_document;
use crate::run::build;
use crate::settings::Settings;

/// Reads and checks the text of a stand-alone stream configuration, JSON or YAML: every fault of lint with its place
/// and, when there is none, those of a dry build. Nothing is connected or started.
///
/// # Errors
/// The one fault of a text that cannot be read at all, with its place.
pub fn check_text(
    name: &str,
    text: &str,
    format: Format,
    settings: &Settings,
) -> Result<(Document, Vec<Fault>), Fault> {
    let document = Document::parse(text, format)?;
    let mut faults = lint_document(&document, "", settings);
    if !faults.iter().any(Fault::is_error)
        && let Err(built) = build(name, document.value(), "", settings)
    {
        faults.extend(built.into_iter().filter(Fault::is_error));
        document.locate(&mut faults);
    }
    Ok((document, faults))
}
