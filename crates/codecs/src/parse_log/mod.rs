//! Syslog lines to objects (streams contract 3.7).

mod rfc3164;
mod rfc5424;
#[cfg(test)]
mod tests;

use bloblang::{Object, Value};
use document::Fault;
use jiff::tz::TimeZone;
use streams::{BuildContext, Default, Field, Kind, Message, Node, Processor, ProcessorSpec};

use crate::each::{Change, Each};
use crate::values::object;

pub(crate) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "parse_log",
    summary: "Makes an object of each syslog line, with as many of these fields as the line has: `message`, `timestamp`, `facility`, `severity`, `priority`, `hostname`, `procid`, `appname`, `msgid`, and for RFC 5424 `version` and `structureddata`.",
    config: Kind::Object(&[
        Field::required(
            "format",
            Kind::Choice(&["syslog_rfc5424", "syslog_rfc3164"]),
            "The format of the lines.",
        ),
        Field::new(
            "best_effort",
            Kind::Bool,
            Default::Bool(true),
            "Whether a line that goes wrong after its priority (and version) gives what came before the fault.",
        ).advanced(),
        Field::new(
            "allow_rfc3339",
            Kind::Bool,
            Default::Bool(true),
            "Whether lines of RFC 3164 may have times of RFC 3339, too.",
        ).advanced(),
        Field::new(
            "default_year",
            Kind::Text,
            Default::Text("current"),
            "The year of times of RFC 3164, which have none: `current`, a number, or empty for the year 0.",
        ).advanced(),
        Field::new(
            "default_timezone",
            Kind::Text,
            Default::Text("UTC"),
            "The time zone of times of RFC 3164, which have none, as `Europe/Berlin`.",
        ).advanced(),
    ]),
    build,
};

/// Longer lines are refused, in bytes.
const LONGEST: usize = 16 << 20;

fn build(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let year = match &*node.text("default_year")? {
        "current" => Year::Current,
        "" => Year::Fixed(0),
        text => {
            let year = text.parse().ok().filter(|year| (0..=9999).contains(year));
            Year::Fixed(year.ok_or_else(|| {
                node.field_fault("default_year", format!("`{text}` is no year"))
                    .hint("write `current`, a number up to 9999, or nothing")
            })?)
        }
    };
    let name = node.text("default_timezone")?;
    let zone = TimeZone::get(&name)
        .map_err(|_| node.field_fault("default_timezone", format!("there is no time zone `{name}`")))?;
    let format = match &*node.text("format")? {
        "syslog_rfc5424" => Format::Rfc5424,
        _ => Format::Rfc3164(rfc3164::Rules { rfc3339: node.boolean("allow_rfc3339")?, year, zone }),
    };
    Ok(Box::new(Each(ParseLog { format, best_effort: node.boolean("best_effort")? })))
}

/// Which year a time without one has.
#[derive(Debug, Clone, Copy)]
enum Year {
    Current,
    Fixed(i16),
}

enum Format {
    Rfc5424,
    Rfc3164(rfc3164::Rules),
}

struct ParseLog {
    format: Format,
    best_effort: bool,
}

impl Change for ParseLog {
    fn change(&self, message: &mut Message) -> Result<(), String> {
        if message.bytes().len() > LONGEST {
            return Err(format!("parse_log: the line is longer than {LONGEST} bytes"));
        }
        let bytes = message.bytes().clone();
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\n', '\r', '\0']);
        let mut fields = Fields::default();
        let parsed = match &self.format {
            Format::Rfc5424 => rfc5424::parse(text, &mut fields),
            Format::Rfc3164(rules) => rfc3164::parse(text, rules, &mut fields),
        };
        match parsed {
            Err(fault) if !(self.best_effort && fields.begun) => Err(format!("parse_log: {fault}")),
            _ => {
                message.set_value(object(fields.all));
                Ok(())
            }
        }
    }
}

/// What was found so far.
#[derive(Default)]
struct Fields {
    all: Object,
    /// Enough was found to call it a line of the format.
    begun: bool,
}

impl Fields {
    fn text(&mut self, name: &'static str, text: &str) {
        self.all.insert(name, Value::from(text));
    }

    /// `<34>`; gives the rest.
    fn priority<'t>(&mut self, text: &'t str) -> Result<&'t str, String> {
        let inner = text.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        let priority = inner.filter(|(number, _)| {
            (1..=3).contains(&number.len())
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && (number.len() == 1 || !number.starts_with('0'))
        });
        let number = priority.and_then(|(number, rest)| Some((number.parse::<i64>().ok()?, rest)));
        let Some((number, rest)) = number.filter(|(number, _)| *number <= 191) else {
            return Err("a priority from <0> to <191> is expected at the begin".to_owned());
        };
        self.all.insert("priority", Value::from(number));
        self.all.insert("facility", Value::from(number / 8));
        self.all.insert("severity", Value::from(number % 8));
        Ok(rest)
    }
}

/// The text before the next space, and what stands behind it.
fn word(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

/// A time of RFC 3339 as it is written in results: without zeros at the end of its fraction, `Z` for UTC.
fn rfc3339(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let shape = bytes.len() >= 20 && bytes.get(10) == Some(&b'T') && bytes.get(4) == Some(&b'-');
    if !shape || !text.is_ascii() {
        return None;
    }
    text.parse::<jiff::Timestamp>().ok()?;
    let (time, zone) = match text.strip_suffix('Z') {
        Some(time) => (time, "Z"),
        None => {
            let at = text.len() - 6;
            let zone = text.get(at..)?;
            let right = zone.starts_with(['+', '-']) && zone.get(3..4) == Some(":");
            (text.get(..at).filter(|_| right)?, if &zone[1..] == "00:00" { "Z" } else { zone })
        }
    };
    let time = match time.split_once('.') {
        None => time.to_owned(),
        Some((time, fraction)) => match fraction.trim_end_matches('0') {
            "" => time.to_owned(),
            fraction => format!("{time}.{fraction}"),
        },
    };
    Some(format!("{time}{zone}"))
}
