//! `sluicegate blobl play`: the playground in the terminal. Lines are edited here and answered by the session.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Context, Editor, Helper};

use super::session::{Answer, Session, goes_on};
use super::{UNREADABLE, environment, fail, files, read};

const PROMPT: &str = "blobl> ";
const COMMANDS: [&str; 9] =
    [":clear", ":help ", ":input ", ":load ", ":meta ", ":quit", ":save ", ":show", ":undo"];

/// Runs until somebody quits.
pub(super) fn play(mapping_file: Option<&Path>, input_file: Option<&Path>) -> ExitCode {
    let mut session = Session::new(environment(mapping_file));
    if let Some(path) = mapping_file {
        match read(path) {
            Ok(text) => session.set_mapping(&text),
            Err(error) => return fail(UNREADABLE, &error),
        }
    }
    if let Some(path) = input_file {
        match files::content(path) {
            Ok(content) => session.set_input(content),
            Err(why) => return fail(UNREADABLE, &format!("cannot read {}: {why}", path.display())),
        }
    }
    match converse(&mut session) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(UNREADABLE, &format!("the terminal failed: {error}")),
    }
}

fn converse(session: &mut Session) -> Result<(), ReadlineError> {
    let names = session.catalogue.iter().map(|entry| (entry.name, entry.is_method)).collect();
    let config = Config::builder().max_history_size(1_000)?.build();
    let mut editor: Editor<Names, MemHistory> = Editor::with_history(config, MemHistory::new())?;
    editor.set_helper(Some(Names(names)));
    say(&format!(
        "Type a mapping to see what it makes of the document; `:help` tells more.\n{}",
        session.result()
    ))?;
    loop {
        let typed = match editor.readline(PROMPT) {
            Ok(typed) => typed,
            // Ctrl-C leaves the line, Ctrl-D the playground.
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error),
        };
        editor.add_history_entry(typed.as_str())?;
        match session.answer(&typed.replace("\\\n", "\n")) {
            Answer::Quit => return Ok(()),
            Answer::Text(text) => say(&text)?,
        }
    }
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The names that Tab completes: functions, and methods after a dot.
struct Names(Vec<(&'static str, bool)>);

impl Completer for Names {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = line.get(..at).unwrap_or(line);
        if typed.starts_with(':') && !typed.contains(' ') {
            let fitting = COMMANDS.iter().filter(|command| command.starts_with(typed));
            let pair = |command: &&str| Pair {
                display: command.trim().to_owned(),
                replacement: (*command).to_owned(),
            };
            return Ok((0, fitting.map(pair).collect()));
        }
        let start =
            typed.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |before| before + 1);
        let (before, word) = typed.split_at(start);
        let explained = before.starts_with(":help");
        let after_dot = before.ends_with('.');
        let fitting = self.0.iter().filter(|(name, is_method)| {
            !word.is_empty() && name.starts_with(word) && (explained || *is_method == after_dot)
        });
        let pair = |(name, _): &(&'static str, bool)| Pair {
            display: (*name).to_owned(),
            replacement: if explained { (*name).to_owned() } else { format!("{name}(") },
        };
        Ok((start, fitting.map(pair).collect()))
    }
}

impl Validator for Names {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if goes_on(context.input()) {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}

impl Hinter for Names {
    type Hint = String;
}

impl Highlighter for Names {}

impl Helper for Names {}
