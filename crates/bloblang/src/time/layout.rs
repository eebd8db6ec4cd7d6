//! Go's time layouts: the reference time `Mon Jan 2 15:04:05 MST 2006`, written as the result should look.

use jiff::Zoned;

/// The layout of RFC 3339 with as many fraction digits as are needed.
pub(crate) const RFC3339_NANO: &str = "2006-01-02T15:04:05.999999999Z07:00";

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// One part of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'l> {
    Text(&'l str),
    LongMonth,
    Month,
    NumericMonth,
    ZeroMonth,
    LongDay,
    ShortDay,
    Day,
    SpaceDay,
    ZeroDay,
    DayOfYear,
    SpaceDayOfYear,
    Hour24,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperHalf,
    LowerHalf,
    ZoneName,
    /// An offset: `Z` for UTC or not, with colons or not, with minutes or not, with seconds or not.
    Offset {
        z: bool,
        colon: bool,
        minutes: bool,
        seconds: bool,
    },
    /// A fraction of the second: its separator, digits, and whether trailing zeros are dropped.
    Fraction {
        separator: char,
        digits: usize,
        trimmed: bool,
    },
}

/// What each piece of a layout stands for; longer ones first where they begin alike.
const PARTS: [(&str, Part<'static>); 33] = [
    ("January", Part::LongMonth),
    ("Jan", Part::Month),
    ("Monday", Part::LongDay),
    ("Mon", Part::ShortDay),
    ("MST", Part::ZoneName),
    ("01", Part::ZeroMonth),
    ("002", Part::DayOfYear),
    ("02", Part::ZeroDay),
    ("03", Part::ZeroHour12),
    ("04", Part::ZeroMinute),
    ("05", Part::ZeroSecond),
    ("06", Part::Year),
    ("2006", Part::LongYear),
    ("__2", Part::SpaceDayOfYear),
    ("_2", Part::SpaceDay),
    ("15", Part::Hour24),
    ("1", Part::NumericMonth),
    ("2", Part::Day),
    ("3", Part::Hour12),
    ("4", Part::Minute),
    ("5", Part::Second),
    ("PM", Part::UpperHalf),
    ("pm", Part::LowerHalf),
    ("Z07:00:00", Part::Offset { z: true, colon: true, minutes: true, seconds: true }),
    ("Z070000", Part::Offset { z: true, colon: false, minutes: true, seconds: true }),
    ("Z07:00", Part::Offset { z: true, colon: true, minutes: true, seconds: false }),
    ("Z0700", Part::Offset { z: true, colon: false, minutes: true, seconds: false }),
    ("Z07", Part::Offset { z: true, colon: false, minutes: false, seconds: false }),
    ("-07:00:00", Part::Offset { z: false, colon: true, minutes: true, seconds: true }),
    ("-070000", Part::Offset { z: false, colon: false, minutes: true, seconds: true }),
    ("-07:00", Part::Offset { z: false, colon: true, minutes: true, seconds: false }),
    ("-0700", Part::Offset { z: false, colon: false, minutes: true, seconds: false }),
    ("-07", Part::Offset { z: false, colon: false, minutes: false, seconds: false }),
];

/// Splits a layout into its parts.
pub(super) fn parts(layout: &str) -> Vec<Part<'_>> {
    let mut found = Vec::new();
    let mut text_start = 0;
    let mut at = 0;
    while let Some(c) = layout[at..].chars().next() {
        match part_at(&layout[at..]) {
            Some((part, length)) => {
                if text_start < at {
                    found.push(Part::Text(&layout[text_start..at]));
                }
                found.push(part);
                at += length;
                text_start = at;
            }
            None => at += c.len_utf8(),
        }
    }
    if text_start < layout.len() {
        found.push(Part::Text(&layout[text_start..]));
    }
    found
}

fn part_at(rest: &str) -> Option<(Part<'static>, usize)> {
    if let Some(separator) = rest.chars().next().filter(|c| matches!(c, '.' | ',')) {
        let digit = rest[1..].chars().next().filter(|c| matches!(c, '0' | '9'))?;
        let digits = rest[1..].chars().take_while(|c| *c == digit).count();
        let ends = rest[1 + digits..].chars().next().is_none_or(|c| !c.is_ascii_digit());
        let fraction = Part::Fraction { separator, digits: digits.min(9), trimmed: digit == '9' };
        return ends.then_some((fraction, 1 + digits));
    }
    if rest.starts_with("_2006") {
        // Only the year: the underscore is text.
        return None;
    }
    // Words that only begin as a short name does are text: `Monuments`.
    let is_word =
        |text: &str| matches!(text, "Jan" | "Mon") && rest[3..].starts_with(|c: char| c.is_ascii_lowercase());
    let found = PARTS.iter().find(|(text, _)| rest.starts_with(text) && !is_word(text));
    found.map(|(text, part)| (*part, text.len()))
}

/// Writes a time by a layout.
pub(crate) fn format(time: &Zoned, layout: &str) -> String {
    let mut out = String::with_capacity(layout.len() + 8);
    for part in parts(layout) {
        write(time, part, &mut out);
    }
    out
}

/// The abbreviation of the zone; one that has none is written as its offset.
pub(crate) fn zone_name(time: &Zoned) -> String {
    let zone = time.time_zone();
    if zone.iana_name().is_some() || time.offset().is_zero() {
        return time.strftime("%Z").to_string();
    }
    time.strftime("%z").to_string()
}

fn write(time: &Zoned, part: Part<'_>, out: &mut String) {
    let month = MONTHS.get(usize::try_from(time.month() - 1).unwrap_or(0)).copied().unwrap_or_default();
    let weekday = usize::try_from(time.weekday().to_monday_zero_offset()).unwrap_or(0);
    let weekday = DAYS.get(weekday).copied().unwrap_or_default();
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let text = match part {
        Part::Text(text) => return out.push_str(text),
        Part::LongMonth => return out.push_str(month),
        Part::Month => return out.push_str(&month[..3]),
        Part::LongDay => return out.push_str(weekday),
        Part::ShortDay => return out.push_str(&weekday[..3]),
        Part::NumericMonth => time.month().to_string(),
        Part::ZeroMonth => format!("{:02}", time.month()),
        Part::Day => time.day().to_string(),
        Part::SpaceDay => format!("{:2}", time.day()),
        Part::ZeroDay => format!("{:02}", time.day()),
        Part::DayOfYear => format!("{:03}", time.day_of_year()),
        Part::SpaceDayOfYear => format!("{:3}", time.day_of_year()),
        Part::Hour24 => format!("{:02}", time.hour()),
        Part::Hour12 => hour12.to_string(),
        Part::ZeroHour12 => format!("{hour12:02}"),
        Part::Minute => time.minute().to_string(),
        Part::ZeroMinute => format!("{:02}", time.minute()),
        Part::Second => time.second().to_string(),
        Part::ZeroSecond => format!("{:02}", time.second()),
        Part::LongYear => format!("{:04}", time.year()),
        Part::Year => format!("{:02}", time.year().rem_euclid(100)),
        Part::UpperHalf => if time.hour() < 12 { "AM" } else { "PM" }.to_owned(),
        Part::LowerHalf => if time.hour() < 12 { "am" } else { "pm" }.to_owned(),
        Part::ZoneName => zone_name(time),
        Part::Offset { z, colon, minutes, seconds: has_seconds } => {
            let seconds = time.offset().seconds();
            if z && seconds == 0 {
                return out.push('Z');
            }
            let mut text = format!("{}{:02}", if seconds < 0 { '-' } else { '+' }, seconds.abs() / 3600);
            for (has, value) in [(minutes, seconds.abs() % 3600 / 60), (has_seconds, seconds.abs() % 60)] {
                if has {
                    text.push_str(if colon { ":" } else { "" });
                    text.push_str(&format!("{value:02}"));
                }
            }
            text
        }
        Part::Fraction { separator, digits, trimmed } => {
            let all = format!("{:09}", time.subsec_nanosecond());
            let kept = &all[..digits.min(9)];
            let kept = if trimmed { kept.trim_end_matches('0') } else { kept };
            if kept.is_empty() { String::new() } else { format!("{separator}{kept}") }
        }
    };
    out.push_str(&text);
}
