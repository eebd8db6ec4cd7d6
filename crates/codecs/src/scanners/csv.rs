//! Rows of comma-separated values.

use bloblang::formats::csv::{self, Found, Rules};
use bloblang::{Text, Value};
use bytes::{Buf, Bytes, BytesMut};
use document::Fault;

use streams::scanners::{Cut, Cutting};
use streams::{BuildContext, Default, Field, Kind, Message, Node, Scan, Scanner, ScannerSpec};

/// Records longer than this are refused: 4 MiB.
const LONGEST: usize = 4 * 1024 * 1024;

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "csv",
    summary: "Rows of comma-separated values: objects by the names of the first row, or arrays where there is none. The metadata `csv_row` is the number of the row, from 0; the names are none.",
    config: Kind::Object(&[
        Field::optional(
            "custom_delimiter",
            Kind::Text,
            "What stands between fields, one character; a comma when it is not written.",
        ),
        Field::new("parse_header_row", Kind::Bool, Default::Bool(true), "The first row holds names."),
        Field::new("lazy_quotes", Kind::Bool, Default::Bool(false), "Take lone quotes as they are."),
        Field::new(
            "continue_on_error",
            Kind::Bool,
            Default::Bool(false),
            "Go on after a row that cannot be read; it becomes an empty message, flagged.",
        ),
        Field::optional(
            "expected_headers",
            Kind::List(&Kind::Text),
            "The names that the first row must hold.",
        ),
        Field::optional(
            "expected_number_of_fields",
            Kind::Int,
            "How many fields every row must have; the first row says it otherwise.",
        ),
    ]),
    build,
};

fn build(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Scanner>, Fault> {
    let delimiter = match node.optional_text("custom_delimiter")?.filter(|text| !text.is_empty()) {
        Some(text) => Rules::delimiter(&text).map_err(|fault| node.field_fault("custom_delimiter", fault))?,
        None => ',',
    };
    let written = |name| node.has(name).then_some(name);
    Ok(Box::new(scanner(Options {
        rules: Rules { delimiter, lazy_quotes: node.boolean("lazy_quotes")? },
        parse_header_row: node.boolean("parse_header_row")?,
        continue_on_error: node.boolean("continue_on_error")?,
        expected_headers: written("expected_headers").map(|name| node.texts(name)).transpose()?,
        expected_number_of_fields: written("expected_number_of_fields")
            .map(|name| node.count(name))
            .transpose()?,
        metadata: Metadata::Row,
    })))
}

/// A scanner with these options.
pub(crate) fn scanner(options: Options) -> impl Scanner {
    CsvScanner(options)
}

struct CsvScanner(Options);

impl Scanner for CsvScanner {
    fn scan(&self, _: &str) -> Box<dyn Scan> {
        Box::new(Cutting::new(Csv::new(self.0.clone())))
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) rules: Rules,
    pub(crate) parse_header_row: bool,
    pub(crate) continue_on_error: bool,
    pub(crate) expected_headers: Option<Vec<String>>,
    pub(crate) expected_number_of_fields: Option<usize>,
    pub(crate) metadata: Metadata,
}

/// What messages say of where they stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metadata {
    /// `csv_row`: the number of the row, from 0.
    Row,
    /// `header`: the names of the first row, in their order.
    Header,
}

/// The scanner `csv`.
pub(crate) struct Csv {
    options: Options,
    header: Option<Vec<Text>>,
    /// The header as metadata.
    names: Value,
    /// Rows so far.
    row: i64,
    /// How many fields every record must have; the first one says it otherwise.
    width: Option<usize>,
    pending: BytesMut,
    /// A record that was not whole is looked at again from this size on.
    again: usize,
}

impl Csv {
    pub(crate) fn new(options: Options) -> Csv {
        let width = options.expected_number_of_fields;
        Csv { options, header: None, names: Value::Null, row: 0, width, pending: BytesMut::new(), again: 0 }
    }

    fn records(&mut self, last: bool, out: &mut Vec<Message>) -> Result<(), String> {
        let mut pending = std::mem::take(&mut self.pending);
        // A character may be cut at the end. Before one that is none, whole rows are rows.
        let (valid, wrong) = match std::str::from_utf8(&pending) {
            Ok(text) => (text, false),
            Err(fault) => (
                std::str::from_utf8(&pending[..fault.valid_up_to()]).unwrap_or_default(),
                fault.error_len().is_some() || last,
            ),
        };
        let last = last && !wrong;
        let mut rest = valid;
        let ended = loop {
            match self.options.rules.record(rest, last) {
                Found::None if wrong => break Err("the text is not UTF-8".to_owned()),
                Found::None => break Ok(()),
                Found::Record(record, after) => {
                    rest = after;
                    match self.record(record) {
                        Ok(made) => out.extend(made.map(|made| self.placed(made))),
                        Err(fault) if self.may_go_on() => out.push(self.placed(flagged(&fault))),
                        Err(fault) => break Err(fault),
                    }
                }
                Found::Wrong(fault, after) => {
                    if !self.may_go_on() {
                        break Err(fault);
                    }
                    rest = after;
                    out.push(self.placed(flagged(&fault)));
                }
            }
        };
        let used = valid.len() - rest.len();
        pending.advance(used);
        self.pending = pending;
        ended
    }

    /// With the metadata of its place.
    fn placed(&mut self, mut message: Message) -> Message {
        match self.options.metadata {
            Metadata::Row => message.set_meta("csv_row", Value::Int(self.row)),
            Metadata::Header if self.header.is_some() => message.set_meta("header", self.names.clone()),
            Metadata::Header => {}
        }
        self.row += 1;
        message
    }

    /// Faults of the header concern every row.
    fn may_go_on(&self) -> bool {
        self.options.continue_on_error && (self.header.is_some() || !self.options.parse_header_row)
    }

    fn record(&mut self, record: Vec<String>) -> Result<Option<Message>, String> {
        let width = *self.width.get_or_insert(record.len());
        if record.len() != width {
            return Err(format!("a row has {} fields, not {width}", record.len()));
        }
        let value = match &self.header {
            None if self.options.parse_header_row => {
                if let Some(expected) =
                    self.options.expected_headers.as_ref().filter(|expected| **expected != record)
                {
                    return Err(format!("the header is {record:?}, not {expected:?}"));
                }
                self.names = csv::array(record.clone());
                self.header = Some(csv::names(record));
                return Ok(None);
            }
            Some(names) => csv::object(names, record),
            None => csv::array(record),
        };
        Ok(Some(Message::from_value(value)))
    }
}

fn flagged(fault: &str) -> Message {
    let mut message = Message::new(Bytes::new());
    message.set_error(fault);
    message
}

impl Cut for Csv {
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<Message>) -> Result<(), String> {
        self.pending.extend_from_slice(&chunk);
        // Only a line end can end a record, and a long one is not read again for every few bytes.
        if !chunk.contains(&b'\n') || self.pending.len() < self.again {
            return if self.pending.len() > LONGEST { Err(too_long()) } else { Ok(()) };
        }
        self.records(false, out)?;
        let left = self.pending.len();
        self.again = if left > 64 * 1024 { left + left / 4 } else { 0 };
        if left > LONGEST { Err(too_long()) } else { Ok(()) }
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), String> {
        self.records(true, out)
    }
}

fn too_long() -> String {
    format!("a row is longer than {LONGEST} bytes")
}
