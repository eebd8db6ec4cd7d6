//! Beginnings of plugins, to go on from.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use super::{ending, stem};

/// What a filter in WebAssembly is built from, beside its code.
const CARGO: &str = include_str!("beginnings/Cargo.toml.txt");

/// Endings, what they say, and what is written.
const KINDS: [(&str, &str, &str); 5] = [
    ("js", "a script", include_str!("beginnings/hook.js")),
    ("mjs", "a module of JavaScript", include_str!("beginnings/hook.mjs")),
    ("lua", "Lua", include_str!("beginnings/hook.lua")),
    ("py", "Python", include_str!("beginnings/hook.py")),
    (
        "rs",
        "a filter for WebAssembly in Rust, with a `Cargo.toml` beside it",
        include_str!("beginnings/filter.rs.txt"),
    ),
];

/// Writes the beginning of a plugin; tells how it is tried out.
pub(super) fn begin(file: &Path) -> Result<String, String> {
    let ending = ending(file);
    let known = KINDS.iter().find(|(known, ..)| *known == ending);
    let (.., beginning) = known.ok_or_else(|| unknown(file))?;
    let name = stem(file);
    let is_name = !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if name.is_empty() || !is_name {
        return Err(format!("`{name}` cannot be the name of a plugin: use letters, digits and `_`"));
    }
    let shown = file.display();
    if ending != "rs" {
        write(file, beginning, &name)?;
        return Ok(format!("{shown} is written; try it with `sluicegate plugin test {shown}`"));
    }
    let cargo = file.with_file_name("Cargo.toml");
    write(&cargo, CARGO, &name)?;
    if let Err(why) = write(file, beginning, &name) {
        // A package without its code would only be in the way. It was made right here.
        let _ = std::fs::remove_file(&cargo);
        return Err(why);
    }
    let target = "wasm32-unknown-unknown";
    Ok(format!(
        "{shown} and {} are written; in that folder, build the filter with `cargo build --release --target {target}`, \
         and try it with `sluicegate plugin test target/{target}/release/{name}.wasm`",
        cargo.display()
    ))
}

fn unknown(file: &Path) -> String {
    let known: Vec<_> = KINDS.iter().map(|(ending, what, _)| format!("`.{ending}` ({what})")).collect();
    format!(
        "{}: its ending says no language that a plugin is begun in; there are {}",
        file.display(),
        known.join(", ")
    )
}

/// Writes a file that is not there yet.
fn write(file: &Path, beginning: &str, name: &str) -> Result<(), String> {
    let written = OpenOptions::new().write(true).create_new(true).open(file);
    written
        .and_then(|mut new| new.write_all(beginning.replace("NAME", name).as_bytes()))
        .map_err(|why| format!("{} cannot be written: {why}", file.display()))
}
