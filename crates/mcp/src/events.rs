//! Server-sent events on their way through: those that tell what may be called are cut down, all others go on as they came.

use crate::list::{Sight, Unreadable};

/// An event is longer than what is kept of it.
#[derive(Debug, thiserror::Error)]
#[error("an event of the server is longer than what may be kept of it")]
pub struct TooLong;

/// What has come of a stream of events and is not whole yet.
#[derive(Debug)]
pub struct Events {
    sight: Sight,
    most: usize,
    /// The begin of an event.
    begun: Vec<u8>,
    /// How much of it has been looked through for its end.
    looked: usize,
}

impl Events {
    /// Keeps at most so many bytes of an event.
    pub fn new(sight: Sight, most: usize) -> Self {
        Self { sight, most, begun: Vec::new(), looked: 0 }
    }

    /// Takes bytes as they come; gives the events that are whole by them.
    ///
    /// # Errors
    /// One does not end.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, TooLong> {
        self.begun.extend_from_slice(bytes);
        let mut out = Vec::new();
        let mut from = 0;
        while let Some(end) = end_of_event(&self.begun, from.max(self.looked.saturating_sub(3))) {
            self.write(from, end, &mut out);
            from = end;
            self.looked = end;
        }
        self.begun.drain(..from);
        self.looked = self.begun.len();
        if self.begun.len() > self.most { Err(TooLong) } else { Ok(out) }
    }

    /// What is left at the end of the stream.
    pub fn end(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(0, self.begun.len(), &mut out);
        self.begun.clear();
        out
    }

    fn write(&self, from: usize, to: usize, out: &mut Vec<u8>) {
        let event = &self.begun[from..to];
        // As whoever reads events does: what is no UTF-8 is a sign in its place, and no end of the reading.
        match self.cut(&String::from_utf8_lossy(event)) {
            Ok(Some(cut)) => out.extend_from_slice(cut.as_bytes()),
            Ok(None) => out.extend_from_slice(event),
            Err(unreadable) => tracing::debug!(%unreadable, "an event is left out"),
        }
    }

    /// The event with another message in it; `None` where it can stay as it is. Its name is no matter: not all clients look
    /// at it, and of several names the last one counts.
    fn cut(&self, event: &str) -> Result<Option<String>, Unreadable> {
        let mut data = String::new();
        for line in lines(event) {
            if let ("data", text) = field(line) {
                data.push_str(text);
                data.push('\n');
            }
        }
        let Some(data) = data.strip_suffix('\n') else { return Ok(None) };
        // What does not even begin as a message tells of no list, such as where to send messages to.
        if !data.trim_start().starts_with(['{', '[']) {
            return Ok(None);
        }
        let Some(cut) = self.sight.cut(data)? else { return Ok(None) };
        let mut out = String::with_capacity(event.len());
        let mut told = false;
        for line in lines(event) {
            if field(line).0 != "data" {
                out.push_str(line);
                out.push('\n');
            } else if !std::mem::replace(&mut told, true) {
                for line in cut.split('\n') {
                    out.push_str("data: ");
                    out.push_str(line.trim_end_matches('\r'));
                    out.push('\n');
                }
            }
        }
        Ok(Some(out))
    }
}

/// Where the empty line ends that ends an event; looked for from a place on.
fn end_of_event(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while at < bytes.len() {
        let end = line_end(bytes, at)?;
        if let Some(next) = line_end(bytes, end).filter(|next| is_empty_line(&bytes[end..*next])) {
            return Some(next);
        }
        at = end;
    }
    None
}

/// Behind the end of the line that a place is in; `None` where it is not known yet.
fn line_end(bytes: &[u8], from: usize) -> Option<usize> {
    let at = from + bytes.get(from..)?.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
    match (bytes[at], bytes.get(at + 1)) {
        (b'\r', Some(b'\n')) => Some(at + 2),
        // The other half may come yet.
        (b'\r', None) => None,
        _ => Some(at + 1),
    }
}

fn is_empty_line(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r" | b"\r\n")
}

fn lines(event: &str) -> impl Iterator<Item = &str> {
    let mut rest = event;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = line_end(rest.as_bytes(), 0).unwrap_or(rest.len());
        let (line, behind) = rest.split_at(end);
        rest = behind;
        Some(line.trim_end_matches(['\r', '\n']))
    })
}

/// Name and value of a line.
fn field(line: &str) -> (&str, &str) {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name, value.strip_prefix(' ').unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use apidef::CallKind;

    use super::*;
    use crate::rules::{Rights, Rules};

    fn events(most: usize) -> Events {
        let rights = Rights::new(|kind| {
            let on = kind == CallKind::Tool;
            Rules::written(["a"].into_iter().filter(|_| on), [].into_iter())
        });
        let mut sight = Sight::default();
        sight.add(&Arc::new(rights));
        Events::new(sight, most)
    }

    /// What comes out, however the stream is cut into pieces.
    fn through(text: &str, piece: usize) -> String {
        let mut events = events(1 << 20);
        let mut out = Vec::new();
        for bytes in text.as_bytes().chunks(piece) {
            out.extend(events.push(bytes).unwrap());
        }
        out.extend(events.end());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn events_go_through_in_any_pieces() {
        let list = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"b"}]}}"#;
        let cut = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}]}}"#;
        for (text, expected) in [
            (format!("data: {list}\n\n"), format!("data: {cut}\n\n")),
            (
                format!("id: 7\nevent: message\ndata: {list}\nretry: 5\n\n"),
                format!("id: 7\nevent: message\ndata: {cut}\nretry: 5\n\n"),
            ),
            (format!("event: message\r\ndata: {list}\r\n\r\n"), format!("event: message\ndata: {cut}\n\n")),
            (
                format!("data:{}\n\n", list.replace(",\"result\"", ",\ndata: \"result\"")),
                format!("data: {cut}\n\n"),
            ),
            (format!("event: other\ndata: {list}\n\n"), format!("event: other\ndata: {cut}\n\n")),
            (
                format!("event: other\nevent: message\ndata: {list}\n\n"),
                format!("event: other\nevent: message\ndata: {cut}\n\n"),
            ),
            ("event: endpoint\ndata: /x?y\n\n".to_owned(), "event: endpoint\ndata: /x?y\n\n".to_owned()),
            (format!("data: {{\ndata: {list}\n\ndata: y\n\n"), "data: y\n\n".to_owned()),
            (
                format!(": hello\r\n\r\ndata: x\r\rdata: {list}\n\ndata: y\n\n"),
                format!(": hello\r\n\r\ndata: x\r\rdata: {cut}\n\ndata: y\n\n"),
            ),
            (format!("\u{feff}data: {list}\n\n"), format!("data: {cut}\n\n")),
            // Cut short: told as far as it came.
            (format!("data: {list}"), format!("data: {cut}\n")),
            ("data: {\"id\":1}\n\n\n\n: x\n\n".to_owned(), "data: {\"id\":1}\n\n\n\n: x\n\n".to_owned()),
        ] {
            for piece in [1, 2, 3, 7, text.len()] {
                assert_eq!(through(&text, piece), expected, "{text:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn an_event_without_an_end_is_given_up() {
        let mut events = events(10);
        assert!(events.push(b"data: 1234").is_ok());
        assert!(events.push(b"5").is_err());
        let mut events = self::events(10);
        assert_eq!(events.push(b"data: 1\n\ndata: 2\n\ndata").unwrap(), b"data: 1\n\ndata: 2\n\n");
    }
}
