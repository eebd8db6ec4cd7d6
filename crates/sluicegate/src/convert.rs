//! `sluicegate convert`: definitions in their other format.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use apidef::To;
use document::Fault;

use crate::cli::Target;

const NOT_CONVERTED: u8 = 1;
const UNREADABLE: u8 = 2;

/// Converts the files, and tells on standard error what was left out. Blocking.
pub(crate) fn convert(files: &[PathBuf], to: Option<Target>, out: Option<&Path>) -> ExitCode {
    let to = to.map(|to| match to {
        Target::Oas => To::Oas,
        Target::Classic => To::Classic,
    });
    let mut code = 0;
    for file in files {
        code = code.max(one(file, to, out));
    }
    ExitCode::from(code)
}

fn one(file: &Path, to: Option<To>, out: Option<&Path>) -> u8 {
    let text = match read(file) {
        Ok(text) => text,
        Err(error) => return say(file, &format!("error: cannot be read: {error}"), UNREADABLE),
    };
    match apidef::convert(&text, to) {
        Ok(converted) => {
            tell(file, &converted.warnings);
            if out.is_none() && !converted.versions.is_empty() {
                let count = converted.versions.len() + 1;
                let text =
                    format!("error: this becomes {count} definitions: name a folder for them with --out");
                return say(file, &text, NOT_CONVERTED);
            }
            let mut all = vec![(String::new(), converted.definition)];
            all.extend(converted.versions.into_iter().map(|(name, one)| (format!("-{name}"), one)));
            let written =
                all.iter().try_for_each(|(mark, one)| write(file, mark, out, &format!("{one:#}\n")));
            match written {
                Ok(()) => 0,
                Err(error) => say(file, &format!("error: cannot be written: {error}"), NOT_CONVERTED),
            }
        }
        Err(faults) => {
            tell(file, &faults);
            say(file, "error: not converted", NOT_CONVERTED)
        }
    }
}

fn tell(file: &Path, faults: &[Fault]) {
    for fault in faults {
        let place = fault.place.map_or(String::new(), |place| format!(":{}:{}", place.line, place.column));
        let pointer = if fault.pointer.is_empty() { "" } else { &format!("`{}`: ", fault.pointer) };
        let hint = fault.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
        eprint_line(&format!(
            "{}{place}: {}: {pointer}{}{hint}",
            file.display(),
            fault.severity.as_str(),
            fault.message
        ));
    }
}

fn say(file: &Path, text: &str, code: u8) -> u8 {
    eprint_line(&format!("{}: {text}", file.display()));
    code
}

fn eprint_line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}"); // nowhere left to tell it
}

#[expect(clippy::disallowed_methods, reason = "a tool without async threads")]
fn read(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path)
}

/// `mark` is what the name of a version's file has more than that of the base.
fn write(file: &Path, mark: &str, out: Option<&Path>, text: &str) -> io::Result<()> {
    let Some(folder) = out else { return io::stdout().lock().write_all(text.as_bytes()) };
    let stem = file.file_stem().ok_or_else(|| io::Error::other("the file has no name"))?;
    let mut name = stem.to_owned();
    name.push(mark);
    if let Some(extension) = file.extension() {
        name.push(".");
        name.push(extension);
    }
    std::fs::create_dir_all(folder)?;
    let mut new = OpenOptions::new().write(true).create_new(true).open(folder.join(name))?;
    new.write_all(text.as_bytes())
}
