//! `sluicegate stream`: configurations of streams that stand alone, without a gate around them (streams contract 5.7 to
//! 5.12). Everything but running them blocks: no async thread is there yet.

mod cli;
mod condition;
mod environment;
mod lint;
mod list;
mod mode;
mod run;
mod service;
mod source;

mod templates;
mod test;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use streams::{Registry, SampleSize, Strictness, Variables};

pub(crate) use cli::Stream;

use crate::cli::Form;
use crate::components;

/// Something is wrong with what was given.
const FAILED: u8 = 1;
/// Something cannot be read, or was asked wrongly.
const UNREADABLE: u8 = 2;

/// Does what is asked.
pub(crate) fn stream(asked: &Stream) -> ExitCode {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("the TLS provider was there already");
    }
    match asked {
        Stream::Run { file, with, chilled } => run::run(file, with, *chilled),
        Stream::Streams { files, config, with, chilled } => {
            mode::streams(files, config.as_deref(), with, *chilled)
        }
        Stream::Test { files, with } => test::test(files, with),
        Stream::Lint { files, with, format, deprecated, labels } => {
            let strictness = Strictness { deprecated: *deprecated, labels: *labels };
            lint::lint(files, with, strictness, *format)
        }
        Stream::Create { expression, small, with } => create(expression, *small, with),
        Stream::List { kinds, format, with } => match templates_of(with) {
            Ok(settings) => tell(&list::list(kinds, *format, &settings)),
            Err(code) => code,
        },
    }
}

fn create(expression: &str, small: bool, with: &cli::WithTemplates) -> ExitCode {
    let size = if small { SampleSize::Small } else { SampleSize::Full };
    let settings = match templates_of(with) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match streams::sample(&settings.registry, &settings.templates, expression, size) {
        Ok(text) => tell(&text),
        Err(fault) => fail(FAILED, &fault),
    }
}

/// What streams are checked and built with when they are alone in their process, with the templates of these files.
///
/// # Errors
/// What is wrong with the templates, once it is told.
fn settings_with(with: &cli::With, given: &environment::Given) -> Result<streams::Settings, ExitCode> {
    let mut settings = settings(components::registry(), given);
    read_templates(&with.templates, given, &mut settings)?;
    Ok(settings)
}

/// The components there are, with those of templates.
///
/// # Errors
/// What is wrong with the templates, once it is told.
fn templates_of(with: &cli::WithTemplates) -> Result<streams::Settings, ExitCode> {
    let given = environment::Given::new();
    let mut settings = settings(components::registry(), &given);
    read_templates(with, &given, &mut settings)?;
    Ok(settings)
}

fn read_templates(
    with: &cli::WithTemplates,
    given: &environment::Given,
    settings: &mut streams::Settings,
) -> Result<(), ExitCode> {
    let read = templates::read(&with.templates, given, settings);
    let wrong = read.reports.iter().any(|report| !report.faults.is_empty()) || !read.unreadable.is_empty();
    if wrong {
        let told = crate::lint::tell(&read.reports, &read.unreadable, Form::Human, &mut io::stderr().lock());
        if told != ExitCode::SUCCESS {
            return Err(told);
        }
    }
    Ok(())
}

/// The same without templates.
fn settings(registry: Registry, given: &environment::Given) -> streams::Settings {
    let mut settings = streams::Settings::new(registry);
    settings.alone = true;
    settings.variables = Variables::Expanded;
    settings.environment = crate::blobl::environment(None).with_variables(Arc::new(given.clone()));
    settings
}

/// The environment of the mappings of a configuration: `file_rel` reads what is relative to its file.
fn beside(settings: &streams::Settings, file: &Path) -> bloblang::Environment {
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    settings.environment.clone().beside(&file.display().to_string())
}

fn tell(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that went away (`| head`) has seen what it wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(UNREADABLE, &error.to_string()),
    }
}

fn fail(code: u8, text: &str) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "error: {}", text.trim_end()); // nowhere left to tell it
    ExitCode::from(code)
}
