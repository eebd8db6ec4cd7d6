//! Server-sent events as an upstream sends them (HTML, section 9.2; `graphql-sse`, distinct connections). Bytes in, events out.

use serde_json::Value;

use crate::error::answer_of;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An answer.
    Next(Value),
    /// There is no more.
    Complete,
}

/// An event is larger than one may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the upstream sent an event that is too large")]
pub struct TooLarge;

/// Reads the events of one answer, however its bytes come.
#[derive(Debug)]
pub struct Reader {
    /// Bytes of one event, at most.
    most: usize,
    line: Vec<u8>,
    kind: Vec<u8>,
    data: Option<Vec<u8>>,
    /// The last byte was a CR: an LF behind it belongs to it.
    after_cr: bool,
    /// The first line may begin with a byte order mark.
    begun: bool,
}

impl Reader {
    /// For events of so many bytes at most.
    pub fn new(most: usize) -> Self {
        Self { most, line: Vec::new(), kind: Vec::new(), data: None, after_cr: false, begun: false }
    }

    /// Reads on; the events that have come whole are added to `events`.
    pub fn read(&mut self, bytes: &[u8], events: &mut impl Extend<Event>) -> Result<(), TooLarge> {
        for &byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\r' | b'\n' => events.extend(self.end_line()),
                _ => {
                    let known = self.line.len() + self.kind.len() + self.data.as_ref().map_or(0, Vec::len);
                    if known >= self.most {
                        return Err(TooLarge);
                    }
                    self.line.push(byte);
                }
            }
        }
        Ok(())
    }

    fn end_line(&mut self) -> Option<Event> {
        let mut line = &*self.line;
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            self.line.clear();
            return self.end_event();
        }
        let (name, value) = match line.iter().position(|&byte| byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"event" => self.kind = value.to_vec(),
            b"data" => match &mut self.data {
                None => self.data = Some(value.to_vec()),
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
            },
            // Comments, identifiers, and times to wait.
            _ => {}
        }
        self.line.clear();
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        let (kind, data) = (std::mem::take(&mut self.kind), self.data.take());
        match &*kind {
            b"complete" => Some(Event::Complete),
            b"" | b"message" | b"next" => {
                let data = data.filter(|data| !data.is_empty())?;
                let read = serde_json::from_slice(&data);
                let none = |_| answer_of("the upstream sent an event that is no JSON");
                Some(Event::Next(read.unwrap_or_else(none)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn c10_events_are_read_however_they_come() {
        let next = |value: Value| Event::Next(value);
        for (text, expected) in [
            ("event: next\ndata: {\"a\":1}\n\n", vec![next(json!({"a": 1}))]),
            (
                "\u{feff}data:{\"a\":1}\r\n\r\nevent:complete\r\rdata: 1",
                vec![next(json!({"a": 1})), Event::Complete],
            ),
            ("data: {\ndata: }\n\n", vec![next(json!({}))]),
            (": hello\n\nid: 7\nretry: 5\n\nevent: other\ndata: 7\n\n", vec![]),
            ("event: next\n\ndata: 2\n\n", vec![next(json!(2))]),
            ("data: {\n\n", vec![next(answer_of("the upstream sent an event that is no JSON"))]),
            ("event: complete\ndata\n\n", vec![Event::Complete]),
        ] {
            for size in 1..=text.len() {
                let (mut reader, mut events) = (Reader::new(100), Vec::new());
                for bytes in text.as_bytes().chunks(size) {
                    reader.read(bytes, &mut events).unwrap();
                }
                assert_eq!(events, expected, "{text:?} in pieces of {size}");
            }
        }
    }

    /// The rules of the format one by one (WHATWG HTML, 9.2.5 and 9.2.6), wherever the bytes are cut.
    #[test]
    fn every_rule_of_the_format_holds_wherever_it_is_cut() {
        const BOM: &[u8] = b"\xef\xbb\xbf";
        let no_json = || answer_of("the upstream sent an event that is no JSON");
        let cases: &[(usize, &[u8], Vec<Value>)] = &[
            (1, &[BOM, b"data: 1\n\n"].concat(), vec![json!(1)]),
            (2, &[BOM, BOM, b"data: 1\n\ndata: 2\n\n"].concat(), vec![json!(2)]),
            (3, &[&b"data: 1\n\n"[..], BOM, b"data: 2\n\n"].concat(), vec![json!(1)]),
            (4, b"event: next\ndata: 1\n\n", vec![json!(1)]),
            (5, b"event: next\rdata: 1\r\rdata: 2\r\r", vec![json!(1), json!(2)]),
            (6, b"event: next\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", vec![json!(1), json!(2)]),
            (7, b"data: [1,\rdata: 2,\ndata: 3]\r\n\n", vec![json!([1, 2, 3])]),
            (8, b"data: 1\r\n\rdata: 2\n\r\n", vec![json!(1), json!(2)]),
            (9, b": hello\n:\n\ndata: 1\n: in between\n\n", vec![json!(1)]),
            (10, b"data\n\ndata: 1\nevent\n\n", vec![json!(1)]),
            (
                11,
                b"event:next\ndata:\"a\"\n\nevent: next\ndata: \"b\"\n\nevent:  next\ndata: \"c\"\n\n",
                vec![json!("a"), json!("b")],
            ),
            (12, b"data: [\ndata\ndata:\ndata: 2]\n\n", vec![json!([2])]),
            (13, b"id: a\0b\ndata: 1\n\nid\ndata: 2\n\n", vec![json!(1), json!(2)]),
            (14, b"retry: 10\nretry: 1x\nretry: -1\nretry\ndata: 1\n\n", vec![json!(1)]),
            (15, b"Data: 1\nother: 2\n data: 3\ndata : 4\n\n", vec![]),
            (16, b"event: next\nid: 1\n\ndata: 1\n\n", vec![json!(1)]),
            (17, b"event: other\ndata: 1\n\ndata: 2\n\n", vec![json!(2)]),
            (18, b"data: 1\n\ndata: 2\n", vec![json!(1)]),
            (19, b"data: 1\n\ndata: 2", vec![json!(1)]),
            (20, "data: \"caf\u{e9} \u{1f600}\"\n\n".as_bytes(), vec![json!("caf\u{e9} \u{1f600}")]),
            (21, b"data: \"\xff\"\n\ndata: 1\n\n", vec![no_json(), json!(1)]),
            (22, b"\n\n\r\r\r\n\r\ndata: 1\n\n\n\n", vec![json!(1)]),
            (23, b"data: {\"a:b\": \"c: d\"}\n\n", vec![json!({"a:b": "c: d"})]),
        ];
        for (number, bytes, expected) in cases {
            for size in 1..=bytes.len() {
                let (mut reader, mut events) = (Reader::new(100), Vec::new());
                for bytes in bytes.chunks(size) {
                    reader.read(bytes, &mut events).unwrap();
                }
                let expected: Vec<Event> = expected.iter().cloned().map(Event::Next).collect();
                assert_eq!(events, expected, "{number} in pieces of {size}");
            }
        }
    }

    #[test]
    fn events_are_bounded() {
        for text in ["data: 12345678901", "data: 123\ndata: 456\ndata: 789", "event: 12345678901"] {
            assert_eq!(Reader::new(12).read(text.as_bytes(), &mut Vec::new()), Err(TooLarge), "{text}");
        }
        let many = ": 345678901\n\n".repeat(10);
        assert_eq!(Reader::new(12).read(many.as_bytes(), &mut Vec::new()), Ok(()));
    }
}
