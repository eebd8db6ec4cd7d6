//! Comma-separated values, with the rules of Go's reader: records end at line ends outside of quotes, empty lines are
//! left out, a quote within a quoted field is written twice, and lone quotes are faults unless they are allowed.

use crate::{Object, Text, Value};

/// A text has at most so many fields: each takes far more memory than its one byte of text.
const MOST_FIELDS: usize = 10_000_000;

/// How records are read.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// What stands between fields.
    pub delimiter: char,
    /// Quotes may stand within fields that do not begin with one, and single within those that do.
    pub lazy_quotes: bool,
}

/// One record and the rest of the text.
#[derive(Debug)]
pub enum Found<'t> {
    /// Its fields.
    Record(Vec<String>, &'t str),
    /// A line that is no record; reading can go on after it.
    Wrong(String, &'t str),
    /// There is no more record, or it may not be whole yet.
    None,
}

impl Rules {
    /// A delimiter that the format can have.
    ///
    /// # Errors
    /// What a delimiter is.
    pub fn delimiter(text: &str) -> Result<char, String> {
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) if !matches!(c, '"' | '\r' | '\n' | char::REPLACEMENT_CHARACTER) => Ok(c),
            _ => Err(format!("the delimiter must be one character and no quote or line end, not {text:?}")),
        }
    }

    /// The first record; `last` says that no more text will come.
    pub fn record<'t>(&self, mut text: &'t str, last: bool) -> Found<'t> {
        // Empty lines.
        loop {
            let rest = text.strip_prefix('\n').or_else(|| text.strip_prefix("\r\n"));
            match rest {
                Some(rest) => text = rest,
                None => break,
            }
        }
        if text.is_empty() || (text == "\r" && !last) {
            return Found::None;
        }
        let mut fields = Vec::new();
        loop {
            let (field, rest, more) = match text.strip_prefix('"') {
                Some(quoted) => match self.quoted(quoted, last) {
                    Field::Whole(field, rest, more) => (field, rest, more),
                    Field::Wrong(fault, rest) => return Found::Wrong(fault.to_owned(), rest),
                    Field::Open => return Found::None,
                },
                None => match self.bare(text, last) {
                    Field::Whole(field, rest, more) => (field, rest, more),
                    Field::Wrong(fault, rest) => return Found::Wrong(fault.to_owned(), rest),
                    Field::Open => return Found::None,
                },
            };
            fields.push(field);
            text = rest;
            if !more {
                return Found::Record(fields, text);
            }
        }
    }

    /// The records of a whole text. All have as many fields as the first, and nothing follows a fault.
    pub fn records<'t>(self, text: &'t str) -> Records<'t> {
        Records { rules: self, rest: text, line: 1, width: None, left: MOST_FIELDS }
    }

    fn bare<'t>(&self, text: &'t str, last: bool) -> Field<'t> {
        let end = text.find([self.delimiter, '\n']);
        let Some(end) = end.or(last.then_some(text.len())) else { return Field::Open };
        let (field, rest) = text.split_at(end);
        if !self.lazy_quotes && field.contains('"') {
            return wrong("bare \" in non-quoted field", rest, last);
        }
        match rest.strip_prefix(self.delimiter) {
            Some(rest) => Field::Whole(field.to_owned(), rest, true),
            None => {
                let field = field.strip_suffix('\r').unwrap_or(field);
                Field::Whole(field.to_owned(), rest.strip_prefix('\n').unwrap_or(rest), false)
            }
        }
    }

    /// A field after its first quote.
    fn quoted<'t>(&self, mut text: &'t str, last: bool) -> Field<'t> {
        let mut field = String::new();
        loop {
            let Some(quote) = text.find('"') else {
                if !last {
                    return Field::Open;
                }
                if self.lazy_quotes {
                    field.push_str(text);
                    return Field::Whole(field.replace("\r\n", "\n"), "", false);
                }
                return Field::Wrong("extraneous or missing \" in quoted-field", "");
            };
            field.push_str(&text[..quote]);
            let rest = &text[quote + 1..];
            if rest.is_empty() || rest == "\r" {
                if !last {
                    return Field::Open;
                }
                return Field::Whole(field.replace("\r\n", "\n"), "", false);
            }
            if let Some(after) = rest.strip_prefix('"') {
                field.push('"');
                text = after;
            } else if let Some(after) = rest.strip_prefix(self.delimiter) {
                return Field::Whole(field.replace("\r\n", "\n"), after, true);
            } else if let Some(after) = rest.strip_prefix('\n').or_else(|| rest.strip_prefix("\r\n")) {
                return Field::Whole(field.replace("\r\n", "\n"), after, false);
            } else if self.lazy_quotes {
                field.push('"');
                text = rest;
            } else {
                return wrong("extraneous or missing \" in quoted-field", rest, last);
            }
        }
    }
}

/// The records of a text.
#[derive(Debug)]
pub struct Records<'t> {
    rules: Rules,
    rest: &'t str,
    line: usize,
    width: Option<usize>,
    left: usize,
}

impl Iterator for Records<'_> {
    type Item = Result<Vec<String>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = match self.rules.record(self.rest, true) {
            Found::None => return None,
            Found::Record(record, rest) => Ok((record, rest)),
            Found::Wrong(why, rest) => Err((why, rest)),
        };
        let (Ok((_, rest)) | Err((_, rest))) = &found;
        let used = &self.rest[..self.rest.len() - rest.len()];
        let empty = used.len() - used.trim_start_matches(['\r', '\n']).len();
        let lines = |text: &str| text.matches('\n').count();
        // A record is told by its first line, what cannot be read by the line in which it stands.
        let first = self.line + lines(&used[..empty]);
        let last = self.line + lines(used.strip_suffix('\n').unwrap_or(used));
        self.line += lines(used);
        self.rest = rest;
        let checked = match found {
            Err((why, _)) => Err(format!("record on line {last}: {why}")),
            Ok((record, _)) if record.len() != *self.width.get_or_insert(record.len()) => {
                Err(format!("record on line {first}: wrong number of fields"))
            }
            Ok((record, _)) => match self.left.checked_sub(record.len()) {
                Some(left) => {
                    self.left = left;
                    Ok(record)
                }
                None => Err(format!("there are more than {MOST_FIELDS} fields")),
            },
        };
        if checked.is_err() {
            self.rest = "";
        }
        Some(checked)
    }
}

/// The names in a first record.
pub fn names(record: Vec<String>) -> Vec<Text> {
    record.into_iter().map(Text::from).collect()
}

/// A record as an object of texts; of fields that share a name, the last one counts.
pub fn object(names: &[Text], record: Vec<String>) -> Value {
    let mut fields = Object::new();
    for (name, text) in names.iter().zip(record) {
        fields.insert(name.clone(), Value::from(text));
    }
    Value::object(fields)
}

/// A record as an array of texts.
pub fn array(record: Vec<String>) -> Value {
    Value::array(record.into_iter().map(Value::from).collect())
}

enum Field<'t> {
    /// Whether another field of the same record follows.
    Whole(String, &'t str, bool),
    Wrong(&'static str, &'t str),
    Open,
}

/// A fault in a line, of which this is what is left: the next record begins behind its end, which may be still to come.
fn wrong<'t>(fault: &'static str, left: &'t str, last: bool) -> Field<'t> {
    match left.find('\n') {
        Some(end) => Field::Wrong(fault, &left[end + 1..]),
        None if last => Field::Wrong(fault, ""),
        None => Field::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, lazy_quotes: bool) -> Vec<Result<Vec<String>, String>> {
        let rules = Rules { delimiter: ',', lazy_quotes };
        let (mut rest, mut found) = (text, Vec::new());
        loop {
            match rules.record(rest, true) {
                Found::Record(record, after) => {
                    found.push(Ok(record));
                    rest = after;
                }
                Found::Wrong(fault, after) => {
                    found.push(Err(fault));
                    rest = after;
                }
                Found::None => return found,
            }
        }
    }

    #[test]
    fn records_are_read_as_go_reads_them() {
        for (text, lazy, expected) in [
            ("a,b\n1,2", false, "[a|b][1|2]"),
            ("a,b\r\n\r\n1,\n", false, "[a|b][1|]"),
            ("\"a,\"\"b\"\"\",\"x\ny\"\n", false, "[a,\"b\"|x\ny]"),
            (" a , b ", false, "[ a | b ]"),
            (",", false, "[|]"),
            ("a\"b,c\nd", false, "!bare[d]"),
            ("a\"b,c\nd", true, "[a\"b|c][d]"),
            ("\"a\"b\",c\nd", false, "!extraneous[d]"),
            ("\"a\"b\",c\nd", true, "[a\"b|c][d]"),
            ("\"a", false, "!extraneous"),
            ("\"a", true, "[a]"),
            ("", false, ""),
        ] {
            let found: String = all(text, lazy)
                .into_iter()
                .map(|found| match found {
                    Ok(record) => format!("[{}]", record.join("|")),
                    Err(fault) => format!("!{fault}"),
                })
                .collect();
            let parts: Vec<&str> = expected.split_inclusive('[').collect();
            if expected.contains('!') {
                for part in parts {
                    assert!(found.contains(part.trim_end_matches('[')), "{text:?}: {found}");
                }
            } else {
                assert_eq!(found, expected, "{text:?}");
            }
        }
        for wrong in ["", "ab", "\"", "\n"] {
            assert!(Rules::delimiter(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_may_go_on_is_waited_for() {
        let rules = Rules { delimiter: ',', lazy_quotes: false };
        // Also the end of a line with a fault, behind which the next record begins.
        for text in ["a,b", "\"a\nb", "\"a\"", "a,\"b\"\r", "\n", "\r", "*\",x", "\"a\"b"] {
            assert!(matches!(rules.record(text, false), Found::None), "{text:?}");
        }
        assert!(matches!(rules.record("a,b\nc", false), Found::Record(_, "c")));
    }

    #[test]
    fn a_text_is_read_whole_or_told_by_its_line() {
        let read = |text: &str, lazy_quotes| {
            let rules = Rules { delimiter: ',', lazy_quotes };
            rules.records(text).collect::<Result<Vec<_>, _>>().map(|rows| format!("{rows:?}"))
        };
        for (text, lazy, expected) in [
            ("a,b\r\n1,2\r\n", false, r#"[["a", "b"], ["1", "2"]]"#),
            ("a\n\n\nb", false, r#"[["a"], ["b"]]"#),
            ("\"a\"\"b\",\"c\r\nd\"\n,", false, r#"[["a\"b", "c\nd"], ["", ""]]"#),
            ("a\"b,\"c\"d\"", true, r#"[["a\"b", "c\"d"]]"#),
            ("\"open", true, r#"[["open"]]"#),
            ("", false, "[]"),
        ] {
            assert_eq!(read(text, lazy).unwrap(), expected, "{text:?}");
        }
        for (text, expected) in [
            ("a\"b", "record on line 1: bare \""),
            ("a\n\n\"b\"c", "record on line 3: extraneous"),
            ("\"open", "record on line 1: extraneous"),
            ("a\n\"x\ny\"\n\nb,c\n", "record on line 5: wrong number"),
            ("a\n\"x\ny\",z\n", "record on line 2: wrong number"),
        ] {
            let told = read(text, false).unwrap_err();
            assert!(told.starts_with(expected), "{text:?}: {told}");
        }
        let mut records = Rules { delimiter: ',', lazy_quotes: false }.records("a,b\n1,2\n3,4");
        records.left = 4;
        let told = records.find_map(Result::err).unwrap();
        assert!(told.contains("there are more than"), "{told}");
    }
}
