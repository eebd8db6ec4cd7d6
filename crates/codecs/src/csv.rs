//! Comma-separated values, with the rules of Go's reader: records end at line ends outside of quotes, empty lines are
//! left out, a quote within a quoted field is written twice, and lone quotes are faults unless they are allowed.

/// How records are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) delimiter: char,
    /// Quotes may stand within fields that do not begin with one, and single within those that do.
    pub(crate) lazy_quotes: bool,
}

/// One record and the rest of the text.
pub(crate) enum Found<'t> {
    Record(Vec<String>, &'t str),
    /// A line that is no record; reading can go on after it.
    Wrong(String, &'t str),
    /// There is no more record, or it may not be whole yet.
    None,
}

impl Rules {
    /// A delimiter that the format can have.
    pub(crate) fn delimiter(text: &str) -> Result<char, String> {
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) if !matches!(c, '"' | '\r' | '\n' | char::REPLACEMENT_CHARACTER) => Ok(c),
            _ => Err(format!("the delimiter must be one character and no quote or line end, not {text:?}")),
        }
    }

    /// The first record; `last` says that no more text will come.
    pub(crate) fn record<'t>(&self, mut text: &'t str, last: bool) -> Found<'t> {
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

    fn bare<'t>(&self, text: &'t str, last: bool) -> Field<'t> {
        let end = text.find([self.delimiter, '\n']);
        let Some(end) = end.or(last.then_some(text.len())) else { return Field::Open };
        let (field, rest) = text.split_at(end);
        if !self.lazy_quotes && field.contains('"') {
            return Field::Wrong("a quote stands in a field that does not begin with one", line_end(rest));
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
                return Field::Wrong("a quoted field does not end", "");
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
                return Field::Wrong("a quote within a quoted field is not written twice", line_end(rest));
            }
        }
    }
}

enum Field<'t> {
    /// Whether another field of the same record follows.
    Whole(String, &'t str, bool),
    Wrong(&'static str, &'t str),
    Open,
}

/// What stands after the current line.
fn line_end(text: &str) -> &str {
    text.find('\n').map_or("", |end| &text[end + 1..])
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
            ("a\"b,c\nd", false, "!a quote stands[d]"),
            ("a\"b,c\nd", true, "[a\"b|c][d]"),
            ("\"a\"b\",c\nd", false, "!a quote within[d]"),
            ("\"a\"b\",c\nd", true, "[a\"b|c][d]"),
            ("\"a", false, "!a quoted field does not"),
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
        for text in ["a,b", "\"a\nb", "\"a\"", "a,\"b\"\r", "\n", "\r"] {
            assert!(matches!(rules.record(text, false), Found::None), "{text:?}");
        }
        assert!(matches!(rules.record("a,b\nc", false), Found::Record(_, "c")));
    }
}
