//! The errors in an answer, found while it passes: nothing of the answer is kept but them.

use serde_json::Value;

/// Bytes of errors that are looked at; what is longer is known to be there, and no more.
const MOST: usize = 64 << 10;
/// The member that is looked for.
const NAME: &[u8] = b"errors";

/// Looks for `errors` at the root of a JSON document, however its bytes come.
#[derive(Debug, Default)]
pub struct ErrorsIn {
    depth: u32,
    /// Within a text, and behind a backslash in it.
    text: bool,
    escaped: bool,
    /// A member's name comes next, or is read now.
    before_name: bool,
    name: Option<Vec<u8>>,
    /// Of the value that is read now.
    within: bool,
    found: Option<Vec<u8>>,
    over: bool,
}

impl ErrorsIn {
    /// Reads on.
    pub fn read(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.over {
                return;
            }
            self.step(byte);
        }
    }

    fn step(&mut self, byte: u8) {
        if self.text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.text = false,
                _ => {}
            }
            if self.text
                && let Some(name) = &mut self.name
                // One byte more than the name has tells it from longer ones.
                && name.len() <= NAME.len()
            {
                name.push(byte);
            }
            return self.keep(byte);
        }
        match byte {
            b'"' => {
                self.text = true;
                if std::mem::take(&mut self.before_name) {
                    self.name = Some(Vec::new());
                }
            }
            b'{' | b'[' => {
                self.depth = self.depth.saturating_add(1);
                self.before_name |= self.depth == 1 && byte == b'{';
                if self.depth == 1 {
                    return;
                }
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.over = true;
                    return;
                }
            }
            b':' if self.depth == 1 => {
                self.within = self.name.take().is_some_and(|name| name == NAME);
                if self.within {
                    self.found = Some(Vec::new());
                }
                return;
            }
            b',' if self.depth == 1 => {
                (self.within, self.before_name) = (false, true);
                return;
            }
            _ => {}
        }
        self.keep(byte);
    }

    fn keep(&mut self, byte: u8) {
        if self.within
            && let Some(found) = &mut self.found
            && found.len() <= MOST
        {
            found.push(byte);
        }
    }

    /// The messages of the errors that have come; `None` where none have.
    pub fn messages(&self) -> Option<Vec<String>> {
        let found = self.found.as_deref()?;
        match serde_json::from_slice::<Value>(found) {
            Ok(errors) => messages_of(&errors),
            // Too many to be read, or the answer broke off within.
            Err(_) => Some(Vec::new()),
        }
    }
}

/// The messages of a list of errors; `None` where there are none.
pub fn messages_of(errors: &Value) -> Option<Vec<String>> {
    const ERRORS: usize = 20;
    const LONGEST: usize = 1024;
    let errors = errors.as_array().filter(|errors| !errors.is_empty())?;
    let texts = errors.iter().filter_map(|error| error["message"].as_str());
    Some(texts.take(ERRORS).map(|text| text[..text.floor_char_boundary(LONGEST)].to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c10_errors_are_found_however_an_answer_comes() {
        let none: Option<&[&str]> = None;
        for (answer, expected) in [
            (r#"{"data":{"a":1}}"#, none),
            (
                r#"{"data":null,"errors":[{"message":"one, {two}"},{"message":"\"three\""}],"extensions":{}}"#,
                Some(&["one, {two}", "\"three\""][..]),
            ),
            (
                "{ \"errors\" :\n[ {\"message\": \"a\", \"path\": [\"errors\", 1]} ] , \"data\": {} }",
                Some(&["a"]),
            ),
            (r#"{"data":{"errors":[{"message":"of the data"}]}}"#, none),
            (r#"{"data":"errors","errorsX":[{"message":"x"}],"error":[1]}"#, none),
            (r#"{"errors":[]}"#, none),
            (r#"{"errors":null}"#, none),
            (r#"{"errors":[{}]}"#, Some(&[])),
            (r#"{"errors":[{"message":"cut"#, Some(&[])),
            (r#"["errors",[1]]"#, none),
            (r#"{"a\"errors":[{"message":"x"}]}"#, none),
            ("", none),
            ("nonsense", none),
        ] {
            for size in 1..=answer.len().max(1) {
                let mut errors = ErrorsIn::default();
                answer.as_bytes().chunks(size).for_each(|bytes| errors.read(bytes));
                let found = errors.messages();
                let found: Option<Vec<&str>> =
                    found.as_ref().map(|found| found.iter().map(String::as_str).collect());
                assert_eq!(found.as_deref(), expected, "{answer} in pieces of {size}");
            }
        }
    }

    #[test]
    fn errors_are_bounded() {
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "x".repeat(MOST));
        let mut errors = ErrorsIn::default();
        errors.read(long.as_bytes());
        assert_eq!(errors.messages(), Some(Vec::new()));
        assert!(errors.found.is_some_and(|found| found.len() <= MOST + 1));
        let many = serde_json::json!(vec![serde_json::json!({"message": "é".repeat(1000)}); 50]);
        let told = messages_of(&many).unwrap();
        assert_eq!((told.len(), told[0].len()), (20, 1024));
    }
}
