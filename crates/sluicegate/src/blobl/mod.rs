//! `sluicegate blobl`: a mapping over the lines of standard input. A tool without async threads: it may block.

pub(crate) mod files;
mod lines;
mod play;
mod session;
mod view;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use bloblang::{Capability, Environment, Mapping};

use crate::cli::{Blobl, BloblCommand};
use files::Folder;

/// The mapping has faults, or failed on a document.
const FAILED: u8 = 1;
/// Something cannot be read.
const UNREADABLE: u8 = 2;

/// Does what is asked; tells faults on standard error.
pub(crate) fn blobl(asked: &Blobl) -> ExitCode {
    if let Some(BloblCommand::Play { mapping_file, input_file }) = &asked.command {
        return play::play(mapping_file.as_deref(), input_file.as_deref());
    }
    let (name, text) = match (&asked.file, &asked.mapping) {
        (Some(file), _) => match read(file) {
            Ok(text) => (file.display().to_string(), text),
            Err(error) => return fail(UNREADABLE, &error),
        },
        (None, mapping) => ("mapping".to_owned(), mapping.clone().unwrap_or_default()),
    };
    let mapping = match Mapping::parse(&environment(asked.file.as_deref()), &text) {
        Ok(mapping) => mapping,
        Err(faults) => {
            for fault in &faults {
                fail(FAILED, &fault.explain(&name));
            }
            return ExitCode::from(FAILED);
        }
    };
    let (input, output) = (io::stdin().lock(), io::BufWriter::with_capacity(64 * 1024, io::stdout().lock()));
    match lines::run(asked, &mapping, input, output, &mut io::stderr().lock()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(FAILED),
        // A reader that went away (`| head`) has seen what it wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(UNREADABLE, &error.to_string()),
    }
}

/// On one's own machine a mapping may read what its author may read. Paths are relative to the mapping's file.
pub(crate) fn environment(file: Option<&Path>) -> Environment {
    let env =
        Environment::pure().with(Capability::Env).with(Capability::Hostname).with_files(Arc::new(Folder));
    match file.map(|file| file.canonicalize().unwrap_or_else(|_| file.to_owned())) {
        Some(file) => env.within(&file.display().to_string()),
        None => env,
    }
}

/// A file as text; the error names it.
fn read(path: &Path) -> Result<String, String> {
    let content = files::content(path).map_err(|why| format!("cannot read {}: {why}", path.display()))?;
    String::from_utf8(content).map_err(|_| format!("cannot read {}: it is not UTF-8 text", path.display()))
}

fn fail(code: u8, text: &str) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "error: {text}"); // nowhere left to tell it
    ExitCode::from(code)
}
