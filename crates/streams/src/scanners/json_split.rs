//! Finds where JSON documents that follow each other end. What is between is checked by whoever parses them.

/// Keeps its place between chunks.
#[derive(Debug, Default)]
pub struct Splitter {
    state: State,
    depth: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a document.
    #[default]
    Between,
    /// Within an array or object, outside of texts.
    Nested,
    /// Within a text.
    Quoted,
    /// After a backslash within a text.
    Escaped,
    /// Within a number or a word.
    Bare,
}

impl Splitter {
    /// How many of these bytes belong to the current document, when it ends within them.
    pub fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, byte) in bytes.iter().enumerate() {
            let ended = match (self.state, byte) {
                (State::Between, b'"') => {
                    self.state = State::Quoted;
                    false
                }
                (State::Between, b'{' | b'[') => {
                    self.state = State::Nested;
                    self.depth = 1;
                    false
                }
                (State::Between, byte) => {
                    if !byte.is_ascii_whitespace() {
                        self.state = State::Bare;
                    }
                    false
                }
                (State::Nested, b'"') => {
                    self.state = State::Quoted;
                    false
                }
                (State::Nested, b'{' | b'[') => {
                    self.depth = self.depth.saturating_add(1);
                    false
                }
                (State::Nested, b'}' | b']') => {
                    self.depth -= 1;
                    self.depth == 0
                }
                (State::Nested, _) => false,
                (State::Quoted, b'\\') => {
                    self.state = State::Escaped;
                    false
                }
                (State::Quoted, b'"') => {
                    self.state = State::Nested;
                    self.depth == 0
                }
                (State::Quoted, _) => false,
                (State::Escaped, _) => {
                    self.state = State::Quoted;
                    false
                }
                (State::Bare, b'{' | b'[' | b'"') => {
                    self.state = State::Between;
                    return Some(index);
                }
                (State::Bare, byte) => byte.is_ascii_whitespace(),
            };
            if ended {
                self.state = State::Between;
                return Some(index + 1);
            }
        }
        None
    }

    /// Whether a document has begun and not ended.
    pub fn is_open(&self) -> bool {
        self.state != State::Between
    }
}

/// The documents in these bytes, each with the space before it.
pub fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut splitter = Splitter::default();
    let mut found = Vec::new();
    while let Some(end) = splitter.end(bytes) {
        let (document, rest) = bytes.split_at(end);
        found.push(document);
        bytes = rest;
    }
    if splitter.is_open() {
        found.push(bytes);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_end_where_they_end() {
        for (text, expected) in [
            ("", &[][..]),
            (" \n", &[]),
            (r#"{"a":"}\"]"}[1]"#, &[r#"{"a":"}\"]"}"#, "[1]"]),
            ("1 2\ntrue", &["1", "2", "true"]),
            (r#""a""b" null{}"#, &[r#""a""#, r#""b""#, "null", "{}"]),
            (r#"12{"a":[{}]}"#, &["12", r#"{"a":[{}]}"#]),
            (r#"{"a":"#, &[r#"{"a":"#]),
            ("}", &["}"]),
        ] {
            let found: Vec<_> = split(text.as_bytes())
                .into_iter()
                .map(|part| std::str::from_utf8(part).unwrap().trim())
                .collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
