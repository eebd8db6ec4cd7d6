//! Files of templates: read before the configurations that use them.

use std::path::Path;
use std::sync::Arc;

use document::Fault;
use streams::{Template, Templates};

use super::environment::Given;
use super::source::{Source, matching};
use crate::lint::Report;

/// What files of templates hold, and what is wrong with them.
#[derive(Default)]
pub(super) struct Read {
    pub(super) reports: Vec<Report>,
    pub(super) unreadable: Vec<(String, String)>,
}

/// Reads the files that the patterns mean, and lets configurations use what is in them.
pub(super) fn read(patterns: &[String], given: &Given, settings: &mut streams::Settings) -> Read {
    let mut read = Read::default();
    let mut templates = Templates::default();
    for pattern in patterns {
        match matching(pattern) {
            Ok(files) if files.is_empty() => {
                read.unreadable.push((pattern.clone(), "there is no such file".to_owned()));
            }
            Ok(files) => {
                for file in files {
                    add(&file, given, settings, &mut templates, &mut read);
                }
            }
            Err(error) => read.unreadable.push((pattern.clone(), error)),
        }
    }
    settings.templates = Arc::new(templates);
    read
}

fn add(file: &Path, given: &Given, settings: &streams::Settings, templates: &mut Templates, read: &mut Read) {
    let source = match Source::read(file, given) {
        Ok(source) => source,
        Err(unread) => return super::lint::sort_out(vec![unread], &mut read.reports, &mut read.unreadable),
    };
    let mut faults = source.missing();
    match Template::read(&source.document, settings) {
        Ok((template, warnings)) => {
            faults.extend(warnings);
            faults.extend(templates.add(template).err());
        }
        Err(found) => faults.extend(found),
    }
    read.reports.push(source.report(faults));
}

/// The faults of a template's file, those that its tests find among them.
pub(super) fn check(source: &Source, settings: &streams::Settings) -> Vec<Fault> {
    match Template::read(&source.document, settings) {
        Ok((template, mut faults)) => {
            faults.extend(template.test(&source.document, settings));
            faults
        }
        Err(faults) => faults,
    }
}
