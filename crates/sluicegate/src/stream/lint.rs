//! `sluicegate stream lint`: what `stream run` would say of a configuration, without running it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use document::{Fault, Severity};
use serde_json::Value as Json;
use streams::Strictness;

use super::cli::With;
use super::environment::{self, Given};
use super::source::{Merged, Source, Unread};
use super::{UNREADABLE, beside, fail, settings_with, templates};
use crate::cli::Form;
use crate::lint::{Report, files, tell};

/// Checks the files and tells what was found.
pub(super) fn lint(paths: &[PathBuf], with: &With, strictness: Strictness, form: Form) -> ExitCode {
    let given = match environment::read(&with.env_file) {
        Ok(given) => given,
        Err(error) => return fail(UNREADABLE, &error),
    };
    let settings = match settings_with(with, &given) {
        Ok(settings) => streams::Settings { strictness, ..settings },
        Err(code) => return code,
    };
    let (mut reports, mut unreadable) = (Vec::new(), Vec::new());
    for path in paths {
        match files(path) {
            Ok(found) if found.is_empty() => {
                let error = "the folder holds no *.json, *.yaml or *.yml".to_owned();
                unreadable.push((path.display().to_string(), error));
            }
            Ok(found) => {
                for file in found {
                    let mut settings = settings.clone();
                    settings.environment = beside(&settings, &file);
                    match check(&file, with, &given, &settings) {
                        Ok((_, found)) => reports.extend(found),
                        Err(unread) => sort_out(unread, &mut reports, &mut unreadable),
                    }
                }
            }
            Err(error) => unreadable.push((path.display().to_string(), error.to_string())),
        }
    }
    // Resources that several configurations share are told of once.
    let mut told: Vec<String> = Vec::new();
    reports.retain(|report: &Report| {
        let text = format!("{} {:?}", report.path, report.faults);
        let new = !told.contains(&text);
        told.push(text);
        new
    });
    tell(&reports, &unreadable, form, &mut io::stdout().lock())
}

/// Parts what cannot be read from what is wrong.
pub(super) fn sort_out(
    unread: Vec<Unread>,
    reports: &mut Vec<Report>,
    unreadable: &mut Vec<(String, String)>,
) {
    for unread in unread {
        match unread {
            Unread::Gone { path, error } => unreadable.push((path, error)),
            Unread::Faulty(report) => reports.push(*report),
        }
    }
}

/// Reads a configuration with all that belongs to it, and checks it.
///
/// # Errors
/// What cannot be read.
pub(super) fn check(
    file: &Path,
    with: &With,
    given: &Given,
    settings: &streams::Settings,
) -> Result<(Merged, Vec<Report>), Vec<Unread>> {
    let source = Source::read(file, given).map_err(|unread| vec![unread])?;
    if streams::Template::is_one(source.document.value()) {
        let mut found = source.missing();
        found.extend(templates::check(&source, settings));
        let report = source.report(found);
        return Ok((Merged::of(source), vec![report]));
    }
    let merged = Merged::read(source, with, given)?;
    let mut reports = merged.reports(faults(&merged.value, settings));
    if settings.lenient {
        // Variables that are not set are no more than faults that lint finds: they are empty.
        for (report, source) in reports.iter_mut().zip(&merged.sources) {
            let missing = source.missing();
            let unset = |fault: &&mut Fault| missing.iter().any(|unset| unset.message == fault.message);
            report.faults.iter_mut().filter(unset).for_each(|fault| fault.severity = Severity::Warning);
        }
    }
    Ok((merged, reports))
}

/// The faults of a configuration: those that the tables tell, and where there are none, those that only building finds.
fn faults(value: &Json, settings: &streams::Settings) -> Vec<Fault> {
    let mut faults = streams::lint(value, "", settings);
    if !faults.iter().any(Fault::is_error) {
        faults.extend(streams::Http::read(&value["http"], "/http").err());
        faults.extend(streams::Logger::read(&value["logger"], "/logger").err());
    }
    let whole = value.get("input").is_some() && value.get("output").is_some();
    if whole
        && !faults.iter().any(Fault::is_error)
        && let Err(built) = streams::build("stream", value, "", settings)
    {
        faults.extend(built.into_iter().filter(Fault::is_error));
    }
    faults
}
