//! A JSON document that stays text: it was looked through once, and values are made of it only where they are asked for.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;

use super::collection::Fields;
use super::json::write_json_text;
use super::number;
use super::scan::{ESCAPED, Entry, HAS_DIGITS, Kind, RAW, SORTED, scan, tag};
use super::{Array, ELEMENT, Object, Text, Value};

/// A text and the entries that were found in it.
#[derive(Debug)]
pub(crate) struct Document {
    text: ByteString,
    entries: Vec<Entry>,
}

/// A value of a document: what an array or object that nobody changed is read from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    document: Arc<Document>,
    at: u32,
}

/// Where something was found in a document.
#[derive(Debug)]
pub(crate) enum Place {
    One(u32),
    /// Through each element of an array.
    Each(Vec<Place>),
}

/// Texts of so many bytes stand in their value itself.
const SHORT: u32 = 23;

/// Objects of more entries are read through an index when they are searched.
const LARGE: u32 = 256;

/// Lists of entries that are used again: they are larger than what allocators keep at hand.
const MOST_SPARE: usize = 8;
const LARGEST_SPARE: usize = 16 * 1024;

thread_local! {
    static SPARE: RefCell<Vec<Vec<Entry>>> = const { RefCell::new(Vec::new()) };
}

impl Drop for Document {
    fn drop(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        if entries.capacity() <= LARGEST_SPARE {
            entries.clear();
            // At the end of a thread there may be nothing left to give it to.
            let _ = SPARE.try_with(|spare| {
                if let Ok(mut spare) = spare.try_borrow_mut()
                    && spare.len() < MOST_SPARE
                {
                    spare.push(entries);
                }
            });
        }
    }
}

/// The value of a JSON text.
pub(super) fn parse(bytes: Bytes) -> Result<Value, String> {
    if u32::try_from(bytes.len()).is_err() {
        return Err("parse as json: the document is larger than 4 GiB".to_owned());
    }
    let text = ByteString::try_from(bytes).map_err(|error| {
        format!("parse as json: the text is not UTF-8 after byte {}", error.valid_up_to())
    })?;
    let spare = SPARE.try_with(|spare| spare.try_borrow_mut().ok().and_then(|mut spare| spare.pop()));
    let spare = spare.ok().flatten().unwrap_or_else(|| Vec::with_capacity(text.len() / 8 + 4));
    let Some(entries) = scan(&text, spare) else {
        // Another parser finds the words for what is wrong, and where.
        let why = match serde_json::from_str::<serde_json::Value>(&text) {
            Err(error) => error.to_string(),
            Ok(_) => "this is no JSON".to_owned(),
        };
        return Err(format!("parse as json: {why}"));
    };
    Ok(Source { document: Arc::new(Document { text, entries }), at: 0 }.value())
}

impl Document {
    fn entry(&self, at: u32) -> Entry {
        // Entries only point at entries of their own document.
        self.entries[at as usize]
    }

    fn slice(&self, start: u32, end: u32) -> &str {
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }

    fn text_of(&self, entry: Entry) -> &str {
        self.slice(entry.start, entry.end)
    }

    fn string(&self, entry: Entry) -> Text {
        let text = self.text_of(entry);
        if entry.is(ESCAPED) { Text::from(unescape(text)) } else { Text::from(text) }
    }

    fn is_named(&self, name: Entry, wanted: &str, wanted_tag: u32) -> bool {
        if name.is(ESCAPED) {
            return unescape(self.text_of(name)) == wanted;
        }
        name.next == wanted_tag && self.text_of(name) == wanted
    }

    /// The names of an object, each with the entry of its value behind it.
    fn names(&self, object: u32) -> impl Iterator<Item = u32> {
        let end = self.entry(object).next;
        let mut at = object + 1;
        std::iter::from_fn(move || {
            let name = Some(at).filter(|at| *at < end)?;
            at = self.entry(name + 1).next;
            Some(name)
        })
    }

    fn elements(&self, array: u32) -> impl Iterator<Item = u32> {
        let end = self.entry(array).next;
        let mut at = array + 1;
        std::iter::from_fn(move || {
            let element = Some(at).filter(|at| *at < end)?;
            at = self.entry(element).next;
            Some(element)
        })
    }

    /// A value that is no container.
    fn scalar(&self, entry: Entry) -> Value {
        match entry.kind {
            Kind::False => Value::Bool(false),
            Kind::True => Value::Bool(true),
            Kind::Integer => self.text_of(entry).parse().map_or(Value::Null, Value::Int),
            Kind::Float => self.text_of(entry).parse().map_or(Value::Null, Value::Float),
            Kind::Digits => number::value(self.text_of(entry)),
            Kind::Text => Value::String(self.string(entry)),
            Kind::Null | Kind::Array | Kind::Object => Value::Null,
        }
    }

    fn write(&self, at: u32, out: &mut Vec<u8>) {
        let entry = self.entry(at);
        match entry.kind {
            Kind::Text if entry.is(ESCAPED) => write_json_text(&unescape(self.text_of(entry)), out),
            Kind::Text => out.extend_from_slice(self.slice(entry.start - 1, entry.end + 1).as_bytes()),
            Kind::Array if !entry.is(RAW) => {
                out.push(b'[');
                for (index, element) in self.elements(at).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.write(element, out);
                }
                out.push(b']');
            }
            Kind::Object if !entry.is(RAW) => self.write_object(at, out),
            _ => out.extend_from_slice(self.text_of(entry).as_bytes()),
        }
    }

    fn write_object(&self, at: u32, out: &mut Vec<u8>) {
        out.push(b'{');
        if self.entry(at).is(SORTED) {
            for name in self.names(at) {
                self.write_field(name, out);
            }
        } else {
            // The names with their first bytes, which nearly always decide.
            let mut few = [(0_u64, 0_u32); 32];
            let mut many = Vec::new();
            let mut count = 0;
            for name in self.names(at) {
                if let Some(place) = few.get_mut(count) {
                    *place = (self.prefix(name), name);
                } else {
                    if many.is_empty() {
                        many.extend_from_slice(&few);
                    }
                    many.push((self.prefix(name), name));
                }
                count += 1;
            }
            let sorted =
                if many.is_empty() { few.get_mut(..count).unwrap_or_default() } else { &mut many[..] };
            let full = |name: u32| self.string(self.entry(name));
            sorted.sort_by(|left, right| {
                left.0.cmp(&right.0).then_with(|| full(left.1).cmp(&full(right.1))).then(left.1.cmp(&right.1))
            });
            for (index, (prefix, name)) in sorted.iter().enumerate() {
                // Of fields with the same name the last one counts.
                let repeated = sorted
                    .get(index + 1)
                    .is_some_and(|(next, following)| next == prefix && full(*name) == full(*following));
                if !repeated {
                    self.write_field(*name, out);
                }
            }
        }
        if out.last() == Some(&b',') {
            out.pop();
        }
        out.push(b'}');
    }

    /// `"name":value,`
    fn write_field(&self, name: u32, out: &mut Vec<u8>) {
        let (key, value) = (self.entry(name), self.entry(name + 1));
        let raw = match value.kind {
            Kind::Array | Kind::Object => value.is(RAW),
            _ => !value.is(ESCAPED),
        };
        let quote = u32::from(value.kind == Kind::Text);
        if raw && !key.is(ESCAPED) && value.start - quote == key.end + 2 {
            // The field stands there as it is to be written.
            out.extend_from_slice(self.slice(key.start - 1, value.end + quote).as_bytes());
        } else {
            self.write(name, out);
            out.push(b':');
            self.write(name + 1, out);
        }
        out.push(b',');
    }

    /// The first eight bytes of a name, such that they order as the name does.
    fn prefix(&self, name: u32) -> u64 {
        let entry = self.entry(name);
        if entry.is(ESCAPED) {
            return prefix(&self.string(entry));
        }
        prefix(self.text_of(entry))
    }
}

/// The first eight bytes of a text, such that they order as the text does.
pub(super) fn prefix(text: &str) -> u64 {
    let bytes = text.as_bytes();
    match bytes.first_chunk::<8>() {
        Some(chunk) => u64::from_be_bytes(*chunk),
        None => {
            let mut chunk = [0; 8];
            for (to, from) in chunk.iter_mut().zip(bytes) {
                *to = *from;
            }
            u64::from_be_bytes(chunk)
        }
    }
}

impl Source {
    fn below(&self, at: u32) -> Source {
        Source { document: Arc::clone(&self.document), at }
    }

    fn entry(&self) -> Entry {
        self.document.entry(self.at)
    }

    /// The value; arrays and objects stay in the document.
    fn value(self) -> Value {
        let entry = self.entry();
        match entry.kind {
            Kind::Array => Value::Array(Arc::new(Array::from(self))),
            Kind::Object => Value::Object(Arc::new(Object::from(self))),
            _ => self.document.scalar(entry),
        }
    }

    pub(super) fn depth(&self) -> u16 {
        u16::from(self.entry().depth)
    }

    pub(super) fn has_digits(&self) -> bool {
        self.entry().is(HAS_DIGITS)
    }

    /// Whether a search in the value's fields should go through an index.
    pub(super) fn is_large(&self) -> bool {
        self.entry().next - self.at > LARGE
    }

    /// Whether both are the same value of the same document.
    pub(super) fn is(&self, other: &Source) -> bool {
        self.at == other.at && Arc::ptr_eq(&self.document, &other.document)
    }

    /// Number of elements of an array.
    pub(super) fn count(&self) -> usize {
        self.document.elements(self.at).count()
    }

    /// Number of fields of an object.
    pub(super) fn count_fields(&self) -> usize {
        self.document.names(self.at).count()
    }

    pub(super) fn items(&self) -> Vec<Value> {
        self.document.elements(self.at).map(|at| self.value_at(at)).collect()
    }

    pub(super) fn fields(&self) -> Fields {
        let document = &self.document;
        let entry = self.entry();
        let mut fields = Fields::with_capacity(document.names(self.at).count());
        for name in document.names(self.at) {
            let value = self.value_at(name + 1);
            let name = document.string(document.entry(name));
            if entry.is(SORTED) {
                fields.push(name, value);
            } else {
                fields.insert(name, value);
            }
        }
        fields
    }

    fn value_at(&self, at: u32) -> Value {
        let entry = self.document.entry(at);
        match entry.kind {
            Kind::Array | Kind::Object => self.below(at).value(),
            _ => self.document.scalar(entry),
        }
    }

    /// Where the value at a path below this one stands; nothing is made for it. `*` goes through every element of an array.
    pub(crate) fn locate(&self, path: &[Text]) -> Option<Place> {
        self.locate_from(self.at, path)
    }

    fn locate_from(&self, at: u32, path: &[Text]) -> Option<Place> {
        let document = &*self.document;
        let mut at = at;
        for (index, segment) in path.iter().enumerate() {
            at = match document.entry(at).kind {
                // All names are looked at, because of fields with the same name the last one counts.
                Kind::Object => {
                    let tag = tag(segment.as_bytes());
                    document
                        .names(at)
                        .filter(|name| document.is_named(document.entry(*name), segment, tag))
                        .last()
                        .map(|name| name + 1)?
                }
                Kind::Array if segment == "*" => {
                    let rest = &path[index + 1..];
                    let found = document.elements(at).filter_map(|element| self.locate_from(element, rest));
                    return Some(Place::Each(found.collect()));
                }
                Kind::Array => document.elements(at).nth(segment.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(Place::One(at))
    }

    /// How many bytes a found value has as it is written.
    pub(crate) fn size_at(&self, place: &Place) -> usize {
        match place {
            Place::One(at) => {
                let entry = self.document.entry(*at);
                (entry.end - entry.start) as usize
            }
            Place::Each(places) => places.iter().map(|place| self.size_at(place)).sum(),
        }
    }

    /// The value of a place; adds to `made` how many bytes of memory it takes.
    pub(crate) fn make(&self, place: Place, made: &mut u64) -> Value {
        match place {
            Place::One(at) => {
                *made = made.saturating_add(self.making(at));
                self.value_at(at)
            }
            Place::Each(places) => {
                *made = made.saturating_add((places.len() as u64 + 1) * ELEMENT);
                Value::array(places.into_iter().map(|place| self.make(place, made)).collect())
            }
        }
    }

    /// What making this value takes: texts that are not short are copied.
    fn making(&self, at: u32) -> u64 {
        let entry = self.document.entry(at);
        match entry.kind {
            Kind::Array | Kind::Object => ELEMENT,
            Kind::Text | Kind::Digits if entry.end - entry.start > SHORT => {
                u64::from(entry.end - entry.start)
            }
            _ => 0,
        }
    }

    /// What making values of all elements or fields takes, in bytes of memory.
    pub(super) fn opening(&self) -> u64 {
        let document = &self.document;
        if self.entry().kind == Kind::Object {
            let field = |name: u32| 2 * ELEMENT + self.making(name) + self.making(name + 1);
            document.names(self.at).map(field).sum()
        } else {
            document.elements(self.at).map(|element| ELEMENT + self.making(element)).sum()
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.document.write(self.at, out);
    }

    /// How many bytes the value has as it is written.
    pub(super) fn size(&self) -> usize {
        let entry = self.entry();
        (entry.end - entry.start) as usize
    }
}

/// Resolves the escapes of a JSON text, which were checked before. Half of a surrogate pair becomes U+FFFD, as in Go.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = |text: &str| text.get(2..6).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let mut length = 2;
        match rest.as_bytes().get(at + 1) {
            Some(b'b') => out.push('\u{8}'),
            Some(b'f') => out.push('\u{c}'),
            Some(b'n') => out.push('\n'),
            Some(b'r') => out.push('\r'),
            Some(b't') => out.push('\t'),
            Some(b'u') => {
                length = 6;
                let first = code(&rest[at..]).unwrap_or(0);
                let second = rest.get(at + 6..).filter(|next| next.starts_with("\\u")).and_then(code);
                let found = match (first, second) {
                    (0xd800..=0xdbff, Some(second @ 0xdc00..=0xdfff)) => {
                        length = 12;
                        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
                    }
                    _ => char::from_u32(first),
                };
                out.push(found.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => out.push(char::from(*other)),
            None => {}
        }
        rest = rest.get(at + length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}
