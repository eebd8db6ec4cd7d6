//! Finds where XML documents that follow each other end: after the element at the top. What is between is checked by
//! whoever parses them.

/// Keeps its place between chunks.
#[derive(Debug, Default)]
pub struct Splitter {
    state: State,
    depth: usize,
    /// Something other than space was seen since the last document.
    begun: bool,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Text,
    /// After `<`.
    Open,
    /// In a tag: whether it closes an element, the quote that is open, the byte before.
    Tag { closing: bool, quote: Option<u8>, last: u8 },
    /// After `<!`.
    Bang,
    /// `<!-`, then up to `-->`: how many dashes were just seen.
    Comment(u8),
    /// `<![CDATA[` up to `]]>`: how many brackets were just seen.
    Data(u8),
    /// `<?` up to `?>`: whether a question mark was just seen.
    Instruction(bool),
    /// `<!DOCTYPE` up to its `>`: brackets that are open, the quote that is open.
    Type { brackets: u16, quote: Option<u8> },
}

impl Splitter {
    /// How many of these bytes belong to the current document, when it ends within them.
    pub fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, byte) in bytes.iter().copied().enumerate() {
            self.begun |= !byte.is_ascii_whitespace();
            if self.step(byte) {
                *self = Splitter::default();
                return Some(index + 1);
            }
        }
        None
    }

    /// Whether a document has begun and not ended.
    pub fn is_open(&self) -> bool {
        self.begun
    }

    /// Whether the document ends with this byte.
    fn step(&mut self, byte: u8) -> bool {
        let state = match (self.state, byte) {
            (State::Text, b'<') => State::Open,
            (State::Text, _) => State::Text,
            (State::Open, b'!') => State::Bang,
            (State::Open, b'?') => State::Instruction(false),
            (State::Open, b'/') => State::Tag { closing: true, quote: None, last: b'/' },
            (State::Open, b'>') => State::Text,
            (State::Open, _) => State::Tag { closing: false, quote: None, last: byte },
            (State::Tag { closing, quote: Some(quote), .. }, _) => {
                State::Tag { closing, quote: (byte != quote).then_some(quote), last: byte }
            }
            (State::Tag { closing, quote: None, last }, b'>') => {
                self.state = State::Text;
                if closing {
                    self.depth = self.depth.saturating_sub(1);
                } else if last != b'/' {
                    self.depth += 1;
                }
                return self.depth == 0;
            }
            (State::Tag { closing, .. }, b'"' | b'\'') => {
                State::Tag { closing, quote: Some(byte), last: byte }
            }
            (State::Tag { closing, .. }, _) => State::Tag { closing, quote: None, last: byte },
            (State::Bang, b'-') => State::Comment(0),
            (State::Bang, b'[') => State::Data(0),
            (State::Bang, b'>') => State::Text,
            (State::Bang, _) => State::Type { brackets: 0, quote: None },
            (State::Comment(2..), b'>') => State::Text,
            (State::Comment(dashes), b'-') => State::Comment(dashes.saturating_add(1)),
            (State::Comment(_), _) => State::Comment(0),
            (State::Data(2..), b'>') => State::Text,
            (State::Data(brackets), b']') => State::Data(brackets.saturating_add(1)),
            (State::Data(_), _) => State::Data(0),
            (State::Instruction(true), b'>') => State::Text,
            (State::Instruction(_), _) => State::Instruction(byte == b'?'),
            (State::Type { brackets, quote: Some(quote) }, _) => {
                State::Type { brackets, quote: (byte != quote).then_some(quote) }
            }
            (State::Type { brackets: 0, .. }, b'>') => State::Text,
            (State::Type { brackets, .. }, b'"' | b'\'') => State::Type { brackets, quote: Some(byte) },
            (State::Type { brackets, .. }, b'[') => {
                State::Type { brackets: brackets.saturating_add(1), quote: None }
            }
            (State::Type { brackets, .. }, b']') => {
                State::Type { brackets: brackets.saturating_sub(1), quote: None }
            }
            (State::Type { brackets, .. }, _) => State::Type { brackets, quote: None },
        };
        self.state = state;
        false
    }
}

/// The documents in these bytes; what is left at the end is one, too.
pub fn documents(bytes: &[u8]) -> impl Iterator<Item = Result<&[u8], String>> {
    let (mut splitter, mut rest) = (Splitter::default(), bytes);
    std::iter::from_fn(move || {
        if let Some(end) = splitter.end(rest) {
            let (document, after) = rest.split_at(end);
            rest = after;
            return Some(Ok(document));
        }
        let last = std::mem::take(&mut rest);
        std::mem::take(&mut splitter.begun).then_some(Ok(last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_end_with_their_element_whatever_the_chunks() {
        for (text, expected) in [
            ("", &[][..]),
            ("  \n", &[]),
            ("<a/><b></b>", &["<a/>", "<b></b>"]),
            ("<?xml v='>'?><a x='>'><b/>t</a>\n<c/>", &["<?xml v='>'?><a x='>'><b/>t</a>", "<c/>"]),
            (
                "<!DOCTYPE a [<!ENTITY x '>'>]><a><!-- </a> --><![CDATA[</a>]]]></a><b/>",
                &["<!DOCTYPE a [<!ENTITY x '>'>]><a><!-- </a> --><![CDATA[</a>]]]></a>", "<b/>"],
            ),
            ("<a>", &["<a>"]),
            ("<a/>rest", &["<a/>", "rest"]),
        ] {
            let found: Vec<_> = documents(text.as_bytes())
                .map(|document| std::str::from_utf8(document.unwrap()).unwrap().trim())
                .collect();
            assert_eq!(found, expected, "{text}");
            let (mut splitter, mut ends) = (Splitter::default(), 0);
            for byte in text.as_bytes().chunks(1) {
                ends += usize::from(splitter.end(byte).is_some());
            }
            assert_eq!(ends + usize::from(splitter.is_open()), expected.len(), "{text}");
        }
    }
}
