//! What somebody does in the playground, apart from the terminal: a line is typed, a text is answered.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use bloblang::{Entry, Environment, Mapping, MetadataEdit, Value, catalogue};
use bytes::Bytes;

use super::view::{Document, render};
use super::{files, read};

pub(super) const HELP: &str = "\
A line that is typed is a mapping, and is run on the document at once. It replaces the mapping before; a line that begins
with `+` is added to it. A line that ends with `\\` or within brackets goes on in the next one. Tab completes names.

  :input JSON      set the document; `:input @FILE` reads it from a file
  :meta KEY VALUE  set a metadata value of the document; `:meta KEY` removes it
  :undo            take the last line off the mapping
  :clear           begin again with an empty mapping
  :show            show mapping, document and metadata
  :load FILE       read the mapping from a file
  :save FILE       write the mapping to a file
  :help NAME       explain a function or a method, with examples
  :quit            end; so does the end of the input (Ctrl-D)
";

/// What is to be done after a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Text(String),
    Quit,
}

/// A mapping, a document, and what becomes of it.
#[derive(Debug)]
pub(super) struct Session {
    env: Environment,
    mapping: Vec<String>,
    input: Bytes,
    metadata: BTreeMap<String, Value>,
    pub(super) catalogue: Vec<Entry>,
}

impl Session {
    pub(super) fn new(env: Environment) -> Session {
        let input = Bytes::from_static(br#"{"message":"hello world"}"#);
        Session { env, mapping: Vec::new(), input, metadata: BTreeMap::new(), catalogue: catalogue() }
    }

    pub(super) fn set_mapping(&mut self, text: &str) {
        self.mapping = text.lines().map(str::to_owned).collect();
    }

    pub(super) fn set_input(&mut self, bytes: Vec<u8>) {
        self.input = bytes.trim_ascii().to_vec().into();
    }

    /// Answers what was typed: a command, or mapping lines.
    pub(super) fn answer(&mut self, typed: &str) -> Answer {
        let typed = typed.trim();
        let Some(command) = typed.strip_prefix(':') else {
            match typed.strip_prefix('+') {
                Some(more) => self.mapping.extend(more.trim().lines().map(str::to_owned)),
                None if typed.is_empty() => return Answer::Text(String::new()),
                None => self.set_mapping(typed),
            }
            return Answer::Text(self.result());
        };
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = rest.trim();
        let done = match name {
            "q" | "quit" | "exit" => return Answer::Quit,
            "help" | "h" | "?" if rest.is_empty() => return Answer::Text(HELP.to_owned()),
            "help" | "h" | "?" => return Answer::Text(self.explain(rest)),
            "show" => return Answer::Text(self.show()),
            "input" => self.input_command(rest),
            "meta" => self.meta_command(rest),
            "undo" => {
                self.mapping.pop();
                Ok(())
            }
            "clear" => {
                self.mapping.clear();
                Ok(())
            }
            "load" => read(Path::new(rest)).map(|text| self.set_mapping(&text)),
            "save" => return Answer::Text(self.save(rest)),
            _ => Err(format!("there is no command `:{name}`; `:help` lists them")),
        };
        Answer::Text(done.map_or_else(|why| format!("error: {why}\n"), |()| self.result()))
    }

    /// What the mapping makes of the document.
    pub(super) fn result(&self) -> String {
        let mapping = match Mapping::parse(&self.env, &self.mapping.join("\n")) {
            Ok(mapping) => mapping,
            Err(faults) => {
                let faults: Vec<String> = faults.iter().map(|fault| fault.explain("mapping")).collect();
                return format!("error: {}\n", faults.join("\n"));
            }
        };
        let document = Document::with_metadata(self.input.clone(), self.metadata.clone());
        let outcome = match mapping.apply(&document, 0) {
            Ok(outcome) => outcome,
            Err(error) => return format!("error: {error}\n"),
        };
        let mut text = match render(&outcome.root, &document, true) {
            Some(payload) => format!("{}\n", String::from_utf8_lossy(&payload)),
            None => "the message is deleted\n".to_owned(),
        };
        for edit in &outcome.metadata {
            let _ = match edit {
                MetadataEdit::Set(key, value) => writeln!(text, "meta {key} = {}", value.to_json()),
                MetadataEdit::Delete(key) => writeln!(text, "meta {key} is deleted"),
                MetadataEdit::Clear => writeln!(text, "all metadata is deleted"),
            };
        }
        text
    }

    fn show(&self) -> String {
        let mut text = String::from("mapping:\n");
        for line in &self.mapping {
            let _ = writeln!(text, "  {line}");
        }
        let _ = writeln!(text, "document:\n  {}", String::from_utf8_lossy(&self.input));
        for (key, value) in &self.metadata {
            let _ = writeln!(text, "meta {key} = {}", value.to_json());
        }
        text
    }

    fn input_command(&mut self, rest: &str) -> Result<(), String> {
        let bytes = match rest.strip_prefix('@') {
            Some(path) => {
                files::content(Path::new(path)).map_err(|why| format!("cannot read {path}: {why}"))?
            }
            None => rest.as_bytes().to_vec(),
        };
        self.set_input(bytes);
        Ok(())
    }

    fn meta_command(&mut self, rest: &str) -> Result<(), String> {
        match rest.split_once(char::is_whitespace) {
            Some((key, value)) => {
                self.metadata.insert(key.to_owned(), Value::from(value.trim()));
            }
            None if rest.is_empty() => return Err("write `:meta KEY VALUE`".to_owned()),
            None => {
                self.metadata.remove(rest);
            }
        }
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "a tool without async threads")]
    fn save(&self, path: &str) -> String {
        let text = self.mapping.join("\n") + "\n";
        match std::fs::write(path, text) {
            Ok(()) => format!("written to {path}\n"),
            Err(error) => format!("error: cannot write {path}: {error}\n"),
        }
    }

    fn explain(&self, name: &str) -> String {
        let wanted = name.trim_matches(['.', '(', ')']);
        let mut text = String::new();
        for entry in self.catalogue.iter().filter(|entry| entry.name == wanted) {
            let kind = if entry.is_method { "method" } else { "function" };
            let _ = writeln!(text, "{kind} {}\n  {}", entry.signature, entry.summary);
            for (mapping, input, output) in &entry.examples {
                let _ = writeln!(
                    text,
                    "\n  {}\n  # In:  {input}\n  # Out: {output}",
                    mapping.replace('\n', "\n  ")
                );
            }
        }
        if text.is_empty() {
            let near: Vec<&str> = self
                .catalogue
                .iter()
                .map(|entry| entry.name)
                .filter(|known| known.contains(wanted))
                .take(10)
                .collect();
            text = match near.is_empty() {
                true => format!("there is no function or method `{wanted}`\n"),
                false => format!("there is no `{wanted}`, but: {}\n", near.join(", ")),
            };
        }
        text
    }
}

/// Whether what was typed goes on in the next line: brackets or text are open, or it ends with `\`.
pub(super) fn goes_on(typed: &str) -> bool {
    if typed.trim_end().ends_with('\\') {
        return true;
    }
    if typed.trim_start().starts_with(':') {
        return false;
    }
    let (mut depth, mut rest) = (0_i64, typed);
    while let Some(at) = rest.find(['"', '#', '(', '[', '{', ')', ']', '}']) {
        let found = rest[at..].chars().next();
        rest = &rest[at..];
        match found {
            Some('"') if rest.starts_with("\"\"\"") => match rest[3..].find("\"\"\"") {
                Some(end) => rest = &rest[end + 6..],
                None => return true,
            },
            Some('"') => {
                let mut escaped = false;
                let end = rest[1..].find(|c: char| {
                    let ends = c == '\n' || (c == '"' && !escaped);
                    escaped = c == '\\' && !escaped;
                    ends
                });
                rest = end.map_or("", |end| &rest[end + 2..]);
            }
            Some('#') => rest = rest.find('\n').map_or("", |end| &rest[end..]),
            Some('(' | '[' | '{') => {
                depth += 1;
                rest = &rest[1..];
            }
            _ => {
                depth -= 1;
                rest = &rest[1..];
            }
        }
    }
    depth > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session() {
        let mut session = Session::new(Environment::pure());
        for (typed, expected) in [
            ("this.message.uppercase()", "HELLO WORLD\n"),
            (
                ":input {\"a\":[1,2]}",
                "error: failed assignment (line 1): expected string value, got null from field `this.message`\n",
            ),
            ("root.sum = this.a.sum()", "{\n  \"sum\": 3\n}\n"),
            ("+ meta key = this.a.length()", "{\n  \"sum\": 3\n}\nmeta key = 2\n"),
            (":undo", "{\n  \"sum\": 3\n}\n"),
            ("root = deleted()", "the message is deleted\n"),
            ("root = @k", "null\n"),
            (":meta k some text", "some text\n"),
            (":show", "mapping:\n  root = @k\ndocument:\n  {\"a\":[1,2]}\nmeta k = \"some text\"\n"),
            (":clear", "{\n  \"a\": [\n    1,\n    2\n  ]\n}\n"),
            (
                "root.x = upercase()",
                "error: line 1 char 10: unrecognised function `upercase`\n --> mapping:1:10\n  |\n1 | root.x = upercase()\n  |          ^^^^^^^^\n",
            ),
            (":walk", "error: there is no command `:walk`; `:help` lists them\n"),
            (
                ":load /no/such/file",
                "error: cannot read /no/such/file: No such file or directory (os error 2)\n",
            ),
            ("", ""),
        ] {
            assert_eq!(session.answer(typed), Answer::Text(expected.to_owned()), "{typed}");
        }
        assert!(
            matches!(session.answer(":help uppercase"), Answer::Text(text) if text.starts_with("method uppercase()"))
        );
        assert!(matches!(session.answer(":help upper"), Answer::Text(text) if text.contains("uppercase")));
        assert_eq!(session.answer(":quit"), Answer::Quit);
    }

    #[test]
    fn lines_that_go_on() {
        for (typed, expected) in [
            ("root = 1", false),
            ("root = [", true),
            ("root = {\"a\": \"}\"", true),
            ("root = {\"a\": \"\\\"}\"}", false),
            ("root = 1 # (", false),
            ("root = \"\"\"a\nb", true),
            ("root = \"\"\"a\nb\"\"\"", false),
            ("root = 1 + \\", true),
            ("root = )", false),
            (":input {", false),
            ("map a {\n  root = 1\n}", false),
        ] {
            assert_eq!(goes_on(typed), expected, "{typed}");
        }
    }
}
