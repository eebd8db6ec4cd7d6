//! Points in time. `now` gives a text, which the others read back; they take seconds since 1970, too.

use std::sync::LazyLock;
use std::time::Duration;

use bloblang::{BatchView, Environment, Mapping, MessageView, Value as Mapped};
use gotmpl::Value;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::numbers::whole;
use super::{Made, Table, arg, made, str};

/// A time as Go prints it, which is how it goes from one function to the next.
const PRINTED: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

pub(super) const TABLE: Table = &[
    ("now", |_| printed(Timestamp::now())),
    ("date", |args| written(str(args, 0)?, time(arg(args, 1)?), "UTC")),
    ("date_in_zone", in_zone),
    ("dateInZone", in_zone),
    ("htmlDate", |args| written("2006-01-02", time(arg(args, 0)?), "UTC")),
    ("htmlDateInZone", |args| written("2006-01-02", time(arg(args, 0)?), str(args, 1)?)),
    ("dateModify", |args| moved(args).or_else(|_| printed(time(arg(args, 1)?)))),
    ("date_modify", |args| moved(args).or_else(|_| printed(time(arg(args, 1)?)))),
    ("mustDateModify", moved),
    ("must_date_modify", moved),
    ("unixEpoch", |args| Ok(made(time(arg(args, 0)?).as_second().to_string()))),
    ("ago", |args| {
        let since = Timestamp::now().duration_since(time(arg(args, 0)?));
        Ok(made(duration_text(SignedDuration::from_secs(since.as_secs()))))
    }),
    ("duration", |args| {
        let seconds = match arg(args, 0)? {
            Value::String(text) => text.parse().unwrap_or(0),
            other => whole(other),
        };
        Ok(made(duration_text(SignedDuration::from_secs(seconds))))
    }),
    ("durationRound", |args| {
        let seconds = match arg(args, 0)? {
            Value::String(text) => parsed_duration(text).map_or(0, |duration| duration.as_secs()),
            other => whole(other) / 1_000_000_000,
        };
        let size = seconds.unsigned_abs();
        let units = [(31_536_000, "y"), (2_592_000, "mo"), (86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
        let round = units.iter().find(|(length, _)| size > *length || (*length == 1 && size == 1));
        Ok(made(round.map_or("0s".to_owned(), |(length, unit)| format!("{}{unit}", size / length))))
    }),
    ("as_rfc3339", |args| rfc3339(time(arg(args, 0)?))),
    ("as_rfc3339_from_string", |args| match read(str(args, 0)?, PRINTED)? {
        Mapped::Timestamp(time) => rfc3339(time.timestamp()),
        _ => Err("the time cannot be read".to_owned()),
    }),
    ("toDate", |args| parsed_date(args).or_else(|_| Ok(made("0001-01-01 00:00:00 +0000 UTC")))),
    ("mustToDate", parsed_date),
];

fn in_zone(args: &[Value]) -> Made {
    written(str(args, 0)?, time(arg(args, 1)?), str(args, 2)?)
}

fn moved(args: &[Value]) -> Made {
    let by = parsed_duration(str(args, 0)?).ok_or_else(|| "invalid duration".to_owned())?;
    let time = time(arg(args, 1)?).checked_add(by).map_err(|_| "the time is out of range".to_owned())?;
    printed(time)
}

/// The time that a value stands for; now, where it stands for none.
fn time(value: &Value) -> Timestamp {
    let time = match value {
        Value::Int(_) | Value::Uint(_) => Timestamp::from_second(whole(value)).ok(),
        Value::String(text) => read(text, PRINTED).ok().and_then(|time| match time {
            Mapped::Timestamp(time) => Some(time.timestamp()),
            _ => None,
        }),
        _ => None,
    };
    time.unwrap_or_else(Timestamp::now)
}

fn rfc3339(time: Timestamp) -> Made {
    written("2006-01-02T15:04:05Z07:00", time, "UTC")
}

fn printed(time: Timestamp) -> Made {
    written(PRINTED, time, "UTC")
}

fn written(layout: &str, time: Timestamp, zone: &str) -> Made {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let time = Mapped::Timestamp(std::sync::Arc::new(Zoned::new(time, zone)));
    run(&FORMAT, time, layout).map(|value| made(value.to_text()))
}

fn parsed_date(args: &[Value]) -> Made {
    match read(str(args, 1)?, str(args, 0)?)? {
        Mapped::Timestamp(time) => printed(time.timestamp()),
        _ => Err("the date cannot be read".to_owned()),
    }
}

/// A text read by a layout of Go.
fn read(text: &str, layout: &str) -> Result<Mapped, String> {
    run(&PARSE, Mapped::from(text.to_owned()), layout)
}

static FORMAT: LazyLock<Option<Mapping>> =
    LazyLock::new(|| Mapping::parse(&Environment::pure(), "root = this.time.ts_format(this.layout)").ok());
static PARSE: LazyLock<Option<Mapping>> =
    LazyLock::new(|| Mapping::parse(&Environment::pure(), "root = this.time.ts_parse(this.layout)").ok());

fn run(mapping: &Option<Mapping>, time: Mapped, layout: &str) -> Result<Mapped, String> {
    let mapping = mapping.as_ref().ok_or("times cannot be read")?;
    let mut fields = bloblang::Object::new();
    fields.insert("time", time);
    fields.insert("layout", Mapped::from(layout.to_owned()));
    let one = One(Mapped::Object(std::sync::Arc::new(fields)));
    mapping.query(&one, 0).map_err(|fault| fault.to_string())
}

/// A message that is a value.
struct One(Mapped);

impl BatchView for One {
    fn len(&self) -> usize {
        1
    }

    fn message(&self, _: usize) -> &dyn MessageView {
        self
    }
}

impl MessageView for One {
    fn content(&self) -> &[u8] {
        b""
    }

    fn structured(&self) -> Result<&Mapped, String> {
        Ok(&self.0)
    }

    fn metadata(&self, _: &str) -> Option<&Mapped> {
        None
    }

    fn metadata_all(&self, _: &mut dyn FnMut(&str, &Mapped)) {}

    fn error(&self) -> Option<&str> {
        None
    }
}

/// `-1h30m`, `1.5s`.
fn parsed_duration(text: &str) -> Option<SignedDuration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut seconds = 0f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?;
        let (number, tail) = rest.split_at(digits);
        let (unit, tail) =
            tail.split_at(tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len()));
        let length = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * length;
        rest = tail;
    }
    let size = Duration::try_from_secs_f64(seconds).ok()?;
    let size = SignedDuration::try_from(size).ok()?;
    Some(if sign < 0.0 { -size } else { size })
}

/// `26h3m0s`.
fn duration_text(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let (sign, size) = (if seconds < 0 { "-" } else { "" }, seconds.unsigned_abs());
    let (hours, minutes, seconds) = (size / 3600, size / 60 % 60, size % 60);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}
