//! JSON: `serde_json` reads the value; a small scanner of our own finds places when they are asked for.

use crate::fault::pointer_push;
use crate::walk::{Cursor, Found, Kind, Listener};
use crate::{Fault, MAX_DEPTH};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

/// Reads the value, and tells whether any object gives a key twice.
pub(crate) fn read(text: &str) -> Result<(Value, bool), Fault> {
    let start = if text.starts_with(BOM) { BOM.len_utf8() } else { 0 };
    let repeats = Cell::new(false);
    let mut input = serde_json::Deserializer::from_str(&text[start..]);
    let value = Seed(&repeats).deserialize(&mut input).and_then(|value| input.end().map(|()| value));
    match value {
        Ok(value) => Ok((value, repeats.get())),
        Err(error) => Err(syntax_fault(text, start, &error)),
    }
}

const BOM: char = '\u{feff}';

/// Builds a [`Value`] as `serde_json` would, noticing repeated keys. Depth is limited by `serde_json`.
#[derive(Clone, Copy)]
struct Seed<'c>(&'c Cell<bool>);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = input.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = input.next_key::<String>()? {
            if members.insert(key, input.next_value_seed(self)?).is_some() {
                self.0.set(true);
            }
        }
        Ok(Value::Object(members))
    }
}

fn syntax_fault(text: &str, start: usize, error: &serde_json::Error) -> Fault {
    let told = error.to_string();
    let message = told.rfind(" at line ").map_or(told.as_str(), |end| &told[..end]);
    let message = match message {
        "EOF while parsing a list" => "the text ends inside an array",
        "EOF while parsing an object" => "the text ends inside an object",
        "EOF while parsing a string" => "the text ends inside a string",
        "EOF while parsing a value" => "the text ends where a value is missing",
        other => other,
    };
    let offset = if error.is_eof() {
        text.trim_end().len()
    } else {
        let line =
            text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
        line + error.column().saturating_sub(1) + if error.line() == 1 { start } else { 0 }
    };
    let offset = text.floor_char_boundary(offset);
    let place = Cursor::new(text).place(offset..offset + 1);
    let rest = &text[offset..];
    let hint = if message.starts_with("recursion limit") {
        let message = format!("objects and arrays are nested deeper than {MAX_DEPTH} levels");
        return Fault::error("", message).at(place);
    } else if message.starts_with("trailing comma") {
        Some("remove the comma before it")
    } else if rest.starts_with("//") || rest.starts_with("/*") || rest.starts_with('#') {
        Some("JSON has no comments; remove it")
    } else if rest.starts_with('\'') {
        Some("JSON writes strings and keys in double quotes")
    } else if message.starts_with("key must be a string") {
        Some("write keys in double quotes")
    } else if message.starts_with("control character") {
        Some("inside a string write a line break as \\n and a tab as \\t")
    } else {
        None
    };
    let fault = Fault::error("", format!("not valid JSON: {message}")).at(place);
    match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

/// Tells `listener` where values are written. `text` was read before; of any other text the walk ends early.
pub(crate) fn walk(text: &str, listener: &mut dyn Listener) {
    let mut walker = Walker { text, bytes: text.as_bytes(), at: 0, listener };
    if text.starts_with(BOM) {
        walker.at = BOM.len_utf8();
    }
    let root = walker.listener.root();
    let _ = walker.value(root, None, 0);
}

struct Walker<'t, 'l> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    listener: &'l mut dyn Listener,
}

impl<'t> Walker<'t, '_> {
    fn next(&mut self) -> Option<u8> {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    /// Steps over one value; `None` ends the walk.
    fn value(&mut self, node: Option<usize>, key: Option<Range<usize>>, depth: usize) -> Option<()> {
        let first = self.next()?;
        let start = self.at;
        let kind = match first {
            b'{' | b'[' => {
                match node {
                    Some(node) if depth <= MAX_DEPTH => self.members(first, node, depth)?,
                    _ => self.skip_container()?,
                }
                Kind::Container
            }
            b'"' => {
                self.string()?;
                Kind::Escaped
            }
            _ => {
                let rest = &self.bytes[start..];
                self.at += rest
                    .iter()
                    .position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n'))
                    .unwrap_or(rest.len());
                Kind::Plain
            }
        };
        if let Some(node) = node {
            self.listener.found(node, Found { key, value: start..self.at, kind });
        }
        Some(())
    }

    fn members(&mut self, open: u8, node: usize, depth: usize) -> Option<()> {
        let close = if open == b'{' { b'}' } else { b']' };
        self.at += 1;
        let mut index = 0usize;
        loop {
            match self.next()? {
                b if b == close => {
                    self.at += 1;
                    return Some(());
                }
                b',' => self.at += 1,
                b'"' if open == b'{' => {
                    let range = self.string()?;
                    let name = self.decoded(&range);
                    let child = self.listener.child(node, &name, Some(&range));
                    (self.next()? == b':').then_some(())?;
                    self.at += 1;
                    self.value(child, Some(range), depth + 1)?;
                }
                _ if open == b'[' => {
                    let child = self.listener.child(node, &index.to_string(), None);
                    index += 1;
                    let before = self.at;
                    self.value(child, None, depth + 1)?;
                    (self.at > before).then_some(())?;
                }
                _ => return None,
            }
        }
    }

    /// Steps over a string; the range has its quotes.
    fn string(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(start..self.at);
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    fn decoded(&self, range: &Range<usize>) -> Cow<'t, str> {
        let quoted = self.text.get(range.clone()).unwrap_or_default();
        let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
        if inner.contains('\\') {
            serde_json::from_str(quoted).map_or(Cow::Borrowed(inner), Cow::Owned)
        } else {
            Cow::Borrowed(inner)
        }
    }

    fn skip_container(&mut self) -> Option<()> {
        let mut open = 0usize;
        loop {
            match self.next()? {
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                b'"' => {
                    self.string()?;
                    continue;
                }
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return Some(());
            }
        }
    }
}

/// More repeated keys than this are not told one by one.
const MAX_REPEATS: usize = 100;

/// A warning, with its place, for each key given twice.
pub(crate) fn repeated_keys(text: &str) -> Vec<Fault> {
    let mut listener = Repeats { path: vec![Step::default()], found: Vec::new() };
    walk(text, &mut listener);
    let mut cursor = Cursor::new(text);
    listener
        .found
        .into_iter()
        .map(|(pointer, range)| {
            Fault::warning(pointer, "this key is given twice; the last one counts")
                .at(cursor.place(range))
                .hint("keep one of them")
        })
        .collect()
}

/// The walk goes depth first, so a node is known by its depth and only the path to it is kept.
struct Repeats {
    path: Vec<Step>,
    found: Vec<(String, Range<usize>)>,
}

#[derive(Default)]
struct Step {
    segment: String,
    keys: HashSet<String>,
}

impl Listener for Repeats {
    fn child(&mut self, node: usize, segment: &str, key: Option<&Range<usize>>) -> Option<usize> {
        self.path.truncate(node + 1);
        if let Some(range) = key
            && !self.path[node].keys.insert(segment.to_owned())
            && self.found.len() < MAX_REPEATS
        {
            let mut pointer = String::new();
            for step in &self.path[1..] {
                pointer_push(&mut pointer, &step.segment);
            }
            pointer_push(&mut pointer, segment);
            self.found.push((pointer, range.clone()));
        }
        self.path.push(Step { segment: segment.to_owned(), keys: HashSet::new() });
        Some(node + 1)
    }

    fn found(&mut self, _: usize, _: Found) {}
}
