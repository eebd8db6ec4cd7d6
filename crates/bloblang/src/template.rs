//! Interpolated texts: `text ${! query } text`.

use std::sync::Arc;

use bytes::Bytes;

use crate::run::{Context, Node, Program, This, with_stack};
use crate::syntax::place::{Fault, Places, Span};
use crate::value::{MAX_SIZE, render_text};
use crate::{BatchView, Environment, MapError, ParseError, compile, syntax};

/// A compiled interpolated text. Cheap to clone, safe to share between threads.
#[derive(Debug, Clone)]
pub struct Template {
    parts: Arc<[Part]>,
    /// What the queries run in: no maps, slots for captured contexts.
    program: Arc<Program>,
}

#[derive(Debug)]
enum Part {
    Text(Box<str>),
    Query { line: u32, column: u32, query: Box<Node> },
}

/// A part of the text before its queries are parsed.
enum Piece {
    Text(String),
    /// The bytes between `${!` and `}`.
    Query(Span),
}

impl Template {
    /// Parses and checks a text; lines and columns of faults count in the whole text.
    pub fn parse(env: &Environment, text: &str) -> Result<Template, Vec<ParseError>> {
        with_stack(|| Template::build(env, text))
            .map_err(|faults| faults.into_iter().map(|fault| fault.locate(text)).collect())
    }

    fn build(env: &Environment, text: &str) -> Result<Template, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut parts = Vec::new();
        // What was granted holds in interpolations as well.
        let mut program = Program { limits: env.limits(), environment: env.clone(), ..Program::default() };
        let mut places = Places::new(text);
        for piece in split(text).map_err(|fault| vec![fault])? {
            let span = match piece {
                Piece::Text(text) => {
                    parts.push(Part::Text(text.into()));
                    continue;
                }
                Piece::Query(span) => span,
            };
            let parsed = syntax::parser::parse_query(text, span).map_err(|fault| vec![fault]);
            let compiled = parsed.and_then(|expr| {
                let start = expr.span.start;
                compile::compile_query(env, &expr, &mut program.slots).map(|query| (start, query))
            });
            match compiled {
                Ok((start, query)) => {
                    let (line, column) = places.of(start);
                    parts.push(Part::Query { line, column, query: Box::new(query) });
                }
                Err(more) => faults.extend(more),
            }
            if faults.len() >= syntax::MAX_FAULTS {
                break;
            }
        }
        if faults.is_empty() {
            return Ok(Template { parts: parts.into(), program: Arc::new(program) });
        }
        Err(faults)
    }

    /// The text itself when it has no queries, with `${{!x}}` already unescaped to `${!x}`.
    pub fn as_static(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text for message `index`. Bytes that are not UTF-8 are replaced.
    pub fn render(&self, batch: &dyn BatchView, index: usize) -> Result<String, MapError> {
        if let Some(text) = self.as_static() {
            return Ok(text.to_owned());
        }
        let bytes = self.write(batch, index)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// The text for message `index` as bytes, in which bytes from messages stay what they are.
    pub fn render_bytes(&self, batch: &dyn BatchView, index: usize) -> Result<Bytes, MapError> {
        self.write(batch, index).map(Bytes::from)
    }

    fn write(&self, batch: &dyn BatchView, index: usize) -> Result<Vec<u8>, MapError> {
        let mut out = Vec::new();
        let mut context = Context::new(&self.program, Some(batch), index, This::Message);
        context.frame.root_readable = false;
        for part in &*self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Query { line, column, query } => {
                    let value = with_stack(|| query.evaluate(&mut context)).map_err(|failure| MapError {
                        line: *line,
                        column: *column,
                        message: failure.to_string(),
                    })?;
                    if out.len() as u64 + value.size() > MAX_SIZE {
                        let message = format!("the text is larger than {} MiB", MAX_SIZE >> 20);
                        return Err(MapError { line: *line, column: *column, message });
                    }
                    render_text(&value, &mut out);
                }
            }
        }
        Ok(out)
    }
}

/// Splits a text into plain parts and queries.
fn split(text: &str) -> Result<Vec<Piece>, Fault> {
    if text.len() > syntax::MAX_TEXT {
        return Err(Fault::new(
            Span::default(),
            format!("the text is larger than {} bytes", syntax::MAX_TEXT),
        ));
    }
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut at = 0;
    let mut unescapes = true;
    while let Some(found) = text[at..].find("${") {
        plain.push_str(&text[at..at + found]);
        at += found;
        let rest = &text[at..];
        if rest.starts_with("${!") {
            let start = at + 3;
            let Some(length) = closing_brace(&text[start..]) else {
                let span = Span { start: at as u32, end: start as u32 };
                return Err(Fault::new(span, "the query that begins here has no closing `}`")
                    .hint("write `${{!...}}` for a literal `${!...}`"));
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Query(Span { start: start as u32, end: (start + length) as u32 }));
            at = start + length + 1;
        } else if let Some(end) =
            rest.strip_prefix("${{!").filter(|_| unescapes).map(|inner| inner.find("}}"))
        {
            // Without a `}}` here there is none further on either.
            unescapes = end.is_some();
            let length = end.map_or(2, |end| {
                plain.push_str("${!");
                plain.push_str(&rest[4..4 + end]);
                plain.push('}');
                4 + end + 2
            });
            if end.is_none() {
                plain.push_str("${");
            }
            at += length;
        } else {
            plain.push_str("${");
            at += 2;
        }
    }
    plain.push_str(&text[at..]);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

/// The offset of the `}` that ends a query: not one within text, a comment or inner braces.
fn closing_brace(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            b'#' => at += text[at..].find('\n').unwrap_or(0),
            b'"' if text[at..].starts_with("\"\"\"") => at += text[at + 3..].find("\"\"\"")? + 5,
            b'"' => {
                at += 1;
                while *bytes.get(at)? != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}
