//! YAML: `granit-parser` gives events with byte positions; this builds the value and tells a listener the places.

use crate::fault::pointer_push;
use crate::walk::{Cursor, Found, Kind, Listener};
use crate::{Fault, MAX_DEPTH, MAX_TEXT};
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::ops::Range;

/// Values that aliases and anchors may copy, all together.
const MAX_COPIES: usize = 100_000;

/// Reads one document.
pub(crate) fn read(text: &str, listener: &mut dyn Listener) -> Result<Value, Fault> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let parser = Parser::new_from_str_with_options(text, options);
    let root = listener.root();
    let mut reader = Reader {
        text,
        parser,
        listener,
        anchors: HashMap::new(),
        copied: 0,
        copied_bytes: 0,
        pointer: String::new(),
    };
    let mut value = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(value.unwrap_or(Value::Null)),
            Event::DocumentStart(..) if value.is_some() => {
                let fault = reader.fault("the file holds more than one YAML document", &span);
                return Err(
                    fault.hint("put each document in a file of its own and remove the `---` between them")
                );
            }
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            event => value = Some(reader.node(event, &span, root, None, 0)?),
        }
    }
}

struct Reader<'t, 'l> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    listener: &'l mut dyn Listener,
    anchors: HashMap<usize, Value>,
    copied: usize,
    copied_bytes: usize,
    pointer: String,
}

impl<'t> Reader<'t, '_> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.syntax_fault(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The value that `event` begins.
    fn node(
        &mut self,
        event: Event<'t>,
        span: &Span,
        node: Option<usize>,
        key: Option<Range<usize>>,
        depth: usize,
    ) -> Result<Value, Fault> {
        if depth > MAX_DEPTH {
            return Err(self.fault(&too_deep(), span));
        }
        let range = bytes(span);
        let (value, kind, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), span)?;
                (value, kind_of(style), anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.sequence(node, depth)?, Kind::Container, anchor),
            Event::MappingStart(_, anchor, _) => (self.mapping(node, depth)?, Kind::Container, anchor),
            Event::Alias(anchor) => {
                let Some(value) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.fault("the alias stands inside the value that it refers to", span));
                };
                self.charge(&value, depth, span)?;
                (value, Kind::Alias, 0)
            }
            _ => return Err(self.fault("a value is missing", span)),
        };
        if anchor > 0 {
            self.charge(&value, depth, span)?;
            self.anchors.insert(anchor, value.clone());
        }
        if let Some(node) = node {
            let range = if kind == Kind::Container { range.start..range.start + 1 } else { range };
            self.listener.found(node, Found { key, value: range, kind });
        }
        Ok(value)
    }

    fn sequence(&mut self, node: Option<usize>, depth: usize) -> Result<Value, Fault> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Value::Array(items));
            }
            let index = items.len().to_string();
            let child = node.and_then(|node| self.listener.child(node, &index, None));
            let parent = self.enter(&index);
            items.push(self.node(event, &span, child, None, depth + 1)?);
            self.pointer.truncate(parent);
        }
    }

    fn mapping(&mut self, node: Option<usize>, depth: usize) -> Result<Value, Fault> {
        let mut members = Map::new();
        let mut merged: Vec<Value> = Vec::new();
        loop {
            let (event, key_span) = self.next()?;
            let (name, style) = match event {
                Event::MappingEnd => break,
                Event::Scalar(name, style, ..) => (name, style),
                Event::Alias(_) => return Err(self.fault("an alias cannot be a key", &key_span)),
                _ => return Err(self.fault("a key must be a single word or string", &key_span)),
            };
            let key = bytes(&key_span);
            let (event, span) = self.next()?;
            if name == "<<" && style == ScalarStyle::Plain {
                match self.node(event, &span, None, None, depth + 1)? {
                    Value::Array(items) if items.iter().all(Value::is_object) => merged.extend(items),
                    object @ Value::Object(_) => merged.push(object),
                    _ => return Err(self.fault("`<<` takes a mapping, or a list of mappings", &span)),
                }
                continue;
            }
            let parent = self.enter(&name);
            if members.contains_key(name.as_ref()) {
                return Err(self.fault("this key is given twice", &key_span).hint("keep one of them"));
            }
            let child = node.and_then(|node| self.listener.child(node, &name, Some(&key)));
            let value = self.node(event, &span, child, Some(key), depth + 1)?;
            members.insert(name.into_owned(), value);
            self.pointer.truncate(parent);
        }
        for object in merged {
            if let Value::Object(object) = object {
                for (name, value) in object {
                    members.entry(name).or_insert(value);
                }
            }
        }
        Ok(Value::Object(members))
    }

    fn enter(&mut self, segment: &str) -> usize {
        let parent = self.pointer.len();
        pointer_push(&mut self.pointer, segment);
        parent
    }

    /// Counts what an anchor or alias copies, so that a few lines cannot stand for gigabytes, and how deep it gets.
    fn charge(&mut self, value: &Value, depth: usize, span: &Span) -> Result<(), Fault> {
        let (mut nodes, mut size, mut deepest) = (0, 0, 0);
        measure(value, 0, &mut nodes, &mut size, &mut deepest);
        self.copied += nodes;
        self.copied_bytes += size;
        if self.copied > MAX_COPIES || self.copied_bytes > MAX_TEXT {
            return Err(self.fault("anchors and aliases stand for too much text", span));
        }
        if depth + deepest > MAX_DEPTH {
            return Err(self.fault(&too_deep(), span));
        }
        Ok(())
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: &Span) -> Result<Value, Fault> {
        let string = || Value::String(text.to_owned());
        let Some(tag) = tag else {
            return match style {
                ScalarStyle::Plain => plain(text).ok_or_else(|| self.no_number(text, span)),
                _ => Ok(string()),
            };
        };
        let resolved = plain(text).ok_or_else(|| self.no_number(text, span))?;
        let fits = match tag.core_suffix() {
            Some("str") => return Ok(string()),
            Some("null") => resolved.is_null(),
            Some("bool") => resolved.is_boolean(),
            Some("int") => resolved.is_i64() || resolved.is_u64(),
            Some("float") => resolved.is_number(),
            // `!` alone: not to be resolved.
            None if tag.original() == "!" => return Ok(string()),
            _ => {
                let message = format!("the tag {} is not supported", tag.original());
                return Err(self
                    .fault(&message, span)
                    .hint("use !!str, !!int, !!float, !!bool or !!null, or no tag"));
            }
        };
        if fits { Ok(resolved) } else { Err(self.fault(&format!("this is no {}", tag.original()), span)) }
    }

    fn no_number(&self, text: &str, span: &Span) -> Fault {
        self.fault(&format!("{text} is a number without a value"), span).hint("quote it if text is meant")
    }

    fn fault(&self, message: &str, span: &Span) -> Fault {
        Fault::error(self.pointer.clone(), message).at(Cursor::new(self.text).place(bytes(span)))
    }

    fn syntax_fault(&self, error: &ScanError) -> Fault {
        let start = error.marker().byte_offset().unwrap_or(self.text.len());
        let place = Cursor::new(self.text).place(start..start + 1);
        let info = error.info();
        if info.starts_with("recursion limit") {
            return Fault::error(self.pointer.clone(), too_deep()).at(place);
        }
        Fault::error(self.pointer.clone(), format!("not valid YAML: {info}")).at(place)
    }
}

fn too_deep() -> String {
    format!("mappings and lists are nested deeper than {MAX_DEPTH} levels")
}

fn measure(value: &Value, depth: usize, nodes: &mut usize, size: &mut usize, deepest: &mut usize) {
    *nodes += 1;
    *deepest = depth.max(*deepest);
    match value {
        Value::String(text) => *size += text.len(),
        Value::Array(items) => items.iter().for_each(|item| measure(item, depth + 1, nodes, size, deepest)),
        Value::Object(members) => {
            for (name, member) in members {
                *size += name.len();
                measure(member, depth + 1, nodes, size, deepest);
            }
        }
        _ => {}
    }
}

fn bytes(span: &Span) -> Range<usize> {
    let start = span.start.byte_offset().unwrap_or(0);
    start..span.end.byte_offset().unwrap_or(start)
}

fn kind_of(style: ScalarStyle) -> Kind {
    match style {
        ScalarStyle::Plain => Kind::Plain,
        ScalarStyle::SingleQuoted => Kind::SingleQuoted,
        ScalarStyle::DoubleQuoted => Kind::Escaped,
        ScalarStyle::Literal | ScalarStyle::Folded => Kind::Block,
    }
}

/// A plain scalar by the core schema (YAML 1.2.2, section 10.3.2); `None` for infinities and NaN, which JSON lacks.
fn plain(text: &str) -> Option<Value> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => return number(text).unwrap_or_else(|| Some(Value::String(text.to_owned()))),
    })
}

/// Outer `None`: no number. Inner `None`: a number that has no JSON value.
fn number(text: &str) -> Option<Option<Value>> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if let Some(rest) = text.strip_prefix("0o").filter(|rest| !rest.starts_with('+')) {
        return i64::from_str_radix(rest, 8).ok().map(|n| Some(Value::from(n)));
    }
    if let Some(rest) = text.strip_prefix("0x").filter(|rest| !rest.starts_with('+')) {
        return i64::from_str_radix(rest, 16).ok().map(|n| Some(Value::from(n)));
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(None);
    }
    if digits(unsigned) {
        let text = text.strip_prefix('+').unwrap_or(text);
        if let Ok(n) = text.parse::<i64>() {
            return Some(Some(Value::from(n)));
        }
        if let Ok(n) = text.parse::<u64>() {
            return Some(Some(Value::from(n)));
        }
    } else {
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        let whole_exponent = |e: &str| digits(e.strip_prefix(['-', '+']).unwrap_or(e));
        let mantissa_fits = match mantissa.split_once('.') {
            Some((whole, part)) => {
                (digits(whole) && (part.is_empty() || digits(part))) || (whole.is_empty() && digits(part))
            }
            None => digits(mantissa),
        };
        if !mantissa_fits || !exponent.is_none_or(whole_exponent) {
            return None;
        }
    }
    let value: f64 = text.parse().ok()?;
    Some(serde_json::Number::from_f64(value).map(Value::Number))
}
