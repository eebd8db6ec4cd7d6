//! Reading a time by a Go layout.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

use super::layout::{DAYS, MONTHS, Part, parts};

/// What has been read so far; what a layout leaves out is as in Go: year 0, January 1st, midnight, UTC.
#[derive(Default)]
struct Read {
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    hour: i8,
    afternoon: Option<bool>,
    minute: i8,
    second: i8,
    nanosecond: i32,
    zone: Option<TimeZone>,
    zone_name: Option<String>,
}

/// Reads a time by a layout.
pub(crate) fn parse(text: &str, layout: &str) -> Result<Zoned, String> {
    let mut rest = text;
    let mut read = Read::default();
    let parts = parts(layout);
    for (at, part) in parts.iter().enumerate() {
        let fraction_follows = matches!(parts.get(at + 1), Some(Part::Fraction { .. }));
        read.part(*part, &mut rest, fraction_follows)
            .ok_or_else(|| format!("parsing time {text:?} as {layout:?}: cannot go on at {rest:?}"))?;
    }
    if !rest.is_empty() {
        return Err(format!("parsing time {text:?} as {layout:?}: extra text {rest:?}"));
    }
    read.finish().ok_or_else(|| format!("parsing time {text:?} as {layout:?}: out of range"))
}

impl Read {
    fn part(&mut self, part: Part<'_>, rest: &mut &str, fraction_follows: bool) -> Option<()> {
        match part {
            Part::Text(text) => literal(text, rest)?,
            Part::LongMonth => self.month = Some(number(word(rest, &MONTHS, usize::MAX)? + 1)?),
            Part::Month => self.month = Some(number(word(rest, &MONTHS, 3)? + 1)?),
            Part::NumericMonth => self.month = Some(digits(rest, 1, 2)?),
            Part::ZeroMonth => self.month = Some(digits(rest, 2, 2)?),
            Part::LongDay => drop(word(rest, &DAYS, usize::MAX)?),
            Part::ShortDay => drop(word(rest, &DAYS, 3)?),
            Part::Day | Part::SpaceDay => {
                *rest = rest.strip_prefix(' ').unwrap_or(rest);
                self.day = Some(digits(rest, 1, 2)?);
            }
            Part::ZeroDay => self.day = Some(digits(rest, 2, 2)?),
            Part::DayOfYear => self.day_of_year = Some(digits(rest, 3, 3)?),
            Part::SpaceDayOfYear => {
                *rest = rest.trim_start_matches(' ');
                self.day_of_year = Some(digits(rest, 1, 3)?);
            }
            Part::Hour24 => self.hour = digits(rest, 1, 2)?,
            Part::Hour12 => self.hour = digits(rest, 1, 2)?,
            Part::ZeroHour12 => self.hour = digits(rest, 2, 2)?,
            Part::Minute => self.minute = digits(rest, 1, 2)?,
            Part::ZeroMinute => self.minute = digits(rest, 2, 2)?,
            Part::Second | Part::ZeroSecond => {
                self.second = digits(rest, if part == Part::Second { 1 } else { 2 }, 2)?;
                // A fraction is read also when the layout has none.
                if !fraction_follows {
                    self.fraction(rest)?;
                }
            }
            Part::LongYear => self.year = digits(rest, 4, 4)?,
            Part::Year => {
                let year: i16 = digits(rest, 2, 2)?;
                self.year = if year >= 69 { 1900 + year } else { 2000 + year };
            }
            Part::UpperHalf | Part::LowerHalf => {
                let half = rest.get(..2)?.to_ascii_lowercase();
                self.afternoon = Some(match half.as_str() {
                    "am" => false,
                    "pm" => true,
                    _ => return None,
                });
                *rest = &rest[2..];
            }
            Part::ZoneName => {
                let length = abbreviation(rest)?;
                self.zone_name = Some(rest[..length].to_owned());
                *rest = &rest[length..];
            }
            Part::Offset { z, colon, minutes, seconds } => self.offset(rest, z, (colon, minutes, seconds))?,
            Part::Fraction { digits: count, trimmed, .. } => {
                let before = rest.len();
                self.fraction(rest)?;
                if !trimmed && before - rest.len() != count + 1 {
                    return None;
                }
            }
        }
        Some(())
    }

    fn fraction(&mut self, rest: &mut &str) -> Option<()> {
        let Some(after) =
            rest.strip_prefix(['.', ',']).filter(|after| after.starts_with(|c: char| c.is_ascii_digit()))
        else {
            return Some(());
        };
        let length = after.bytes().take_while(u8::is_ascii_digit).count();
        let digits = &after[..length.min(9)];
        self.nanosecond = format!("{digits:0<9}").parse().ok()?;
        *rest = &after[length..];
        Some(())
    }

    fn offset(&mut self, rest: &mut &str, z: bool, form: (bool, bool, bool)) -> Option<()> {
        let (colon, has_minutes, has_seconds) = form;
        if let Some(after) = rest.strip_prefix('Z').filter(|_| z) {
            *rest = after;
            self.zone = Some(TimeZone::UTC);
            return Some(());
        }
        let negative = match rest.as_bytes().first()? {
            b'-' => true,
            b'+' => false,
            _ => return None,
        };
        *rest = &rest[1..];
        let mut seconds = digits::<i32>(rest, 2, 2)? * 3600;
        for (has, unit) in [(has_minutes, 60), (has_seconds, 1)] {
            if has {
                if colon {
                    *rest = rest.strip_prefix(':')?;
                }
                seconds += digits::<i32>(rest, 2, 2)? * unit;
            }
        }
        let offset = Offset::from_seconds(if negative { -seconds } else { seconds }).ok()?;
        self.zone = Some(if seconds == 0 { TimeZone::UTC } else { TimeZone::fixed(offset) });
        Some(())
    }

    fn finish(self) -> Option<Zoned> {
        let hour = match self.afternoon {
            Some(_) if self.hour > 12 => return None,
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let date = match self.day_of_year {
            Some(day) => Date::new(self.year, 1, 1)
                .ok()?
                .checked_add(jiff::Span::new().days(i64::from(day) - 1))
                .ok()?,
            None => Date::new(self.year, self.month.unwrap_or(1), self.day.unwrap_or(1)).ok()?,
        };
        let time = Time::new(hour, self.minute, self.second, self.nanosecond).ok()?;
        let time = date.to_datetime(time);
        let zone = match (self.zone, self.zone_name) {
            (Some(zone), _) => zone,
            (None, Some(name)) => named(&name, time),
            (None, None) => TimeZone::UTC,
        };
        time.to_zoned(zone).ok().filter(|time| (Timestamp::MIN..=Timestamp::MAX).contains(&time.timestamp()))
    }
}

/// Reads text of a layout: spaces stand for as many as there are.
fn literal(text: &str, rest: &mut &str) -> Option<()> {
    let mut text = text;
    while let Some(c) = text.chars().next() {
        if c == ' ' {
            if !rest.is_empty() && !rest.starts_with(' ') {
                return None;
            }
            (text, *rest) = (text.trim_start_matches(' '), rest.trim_start_matches(' '));
        } else {
            *rest = rest.strip_prefix(c)?;
            text = &text[c.len_utf8()..];
        }
    }
    Some(())
}

/// The length of the abbreviation of a zone that a text begins with, as Go tells it: three letters, four or five that end
/// with `T`, a few others, `GMT` with hours, or hours alone.
fn abbreviation(text: &str) -> Option<usize> {
    let hours = |text: &str| {
        let after = text.strip_prefix(['+', '-'])?;
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let hours = after[..digits].parse::<u8>().ok().filter(|hours| digits <= 2 && *hours < 24);
        hours.map(|_| 1 + digits)
    };
    if text.starts_with("ChST") || text.starts_with("MeST") {
        return Some(4);
    }
    if let Some(rest) = text.strip_prefix("GMT") {
        return Some(3 + hours(rest).unwrap_or(0));
    }
    if text.starts_with(['+', '-']) {
        return hours(text);
    }
    let letters = text.bytes().take_while(u8::is_ascii_uppercase).count();
    match letters {
        3 => Some(3),
        4 if text.as_bytes()[3] == b'T' || text.starts_with("WITA") => Some(4),
        5 if text.as_bytes()[4] == b'T' => Some(5),
        _ => None,
    }
}

/// The zone of an abbreviation: the machine's own, if it is called so at that time. All others say no offset, as in Go:
/// the same letters stand for several zones.
fn named(name: &str, time: DateTime) -> TimeZone {
    if name == "UTC" {
        return TimeZone::UTC;
    }
    if let Some(hours) = name.strip_prefix("GMT").and_then(|hours| hours.parse::<i8>().ok()) {
        return TimeZone::fixed(Offset::constant(hours));
    }
    let own = time.to_zoned(TimeZone::system());
    match own {
        Ok(own) if own.strftime("%Z").to_string() == name => TimeZone::system(),
        _ => TimeZone::UTC,
    }
}

fn digits<T: std::str::FromStr>(rest: &mut &str, least: usize, most: usize) -> Option<T> {
    let length = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if length < least {
        return None;
    }
    let found = rest[..length].parse().ok()?;
    *rest = &rest[length..];
    Some(found)
}

/// The index of the name that comes next, cut to `length` letters, whatever its case.
fn word(rest: &mut &str, names: &[&str], length: usize) -> Option<usize> {
    let cut = |name: &str| name.len().min(length);
    let matches = |name: &&str| {
        rest.get(..cut(name)).is_some_and(|start| start.eq_ignore_ascii_case(&name[..cut(name)]))
    };
    let index = names.iter().position(matches)?;
    *rest = &rest[cut(names[index])..];
    Some(index)
}

fn number(index: usize) -> Option<i8> {
    i8::try_from(index).ok()
}

#[cfg(test)]
mod tests {
    use super::super::{format, rfc3339};
    use super::parse;

    #[test]
    fn layouts_read_and_write() {
        for (layout, text, expected) in [
            ("2006-01-02T15:04:05Z07:00", "2024-02-29T13:05:06+02:00", "2024-02-29T13:05:06+02:00"),
            ("2006-01-02", "2024-02-29", "2024-02-29T00:00:00Z"),
            ("Mon Jan _2 15:04:05 2006", "Thu Feb  1 13:05:06 2024", "2024-02-01T13:05:06Z"),
            ("Monday, 02-Jan-06 15:04:05 MST", "Thursday, 01-Feb-24 13:05:06 UTC", "2024-02-01T13:05:06Z"),
            ("January 2, 2006 at 3:04pm", "February 1, 2024 at 12:05am", "2024-02-01T00:05:00Z"),
            (
                "02/01/06 03:04:05.000 PM -0700",
                "01/02/24 01:05:06.120 PM -0330",
                "2024-02-01T13:05:06.12-03:30",
            ),
            ("2006.002", "2024.060", "2024-02-29T00:00:00Z"),
            ("20060102150405", "20240201130506", "2024-02-01T13:05:06Z"),
            ("2006 __2 15:04,000", "2024  60 09:04,120", "2024-02-29T09:04:00.12Z"),
            ("2006-01-02T15:04:05-07:00:00", "2024-02-01T13:05:06+01:02:00", "2024-02-01T13:05:06+01:02"),
            ("Monuments Jan 2006", "Monuments Feb 2024", "2024-02-01T00:00:00Z"),
        ] {
            let time = parse(text, layout).unwrap();
            assert_eq!(rfc3339(&time), expected, "{layout}");
            assert_eq!(format(&time, layout), text, "{layout}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (layout, text) in [
            ("2006-01-02", "2024-02-30"),
            ("2006-01-02", "2024-2-3"),
            ("2006-01-02", "2024-02-03x"),
            ("15:04", "25:00"),
            ("3:04PM", "13:00PM"),
            ("2006-01-02", "äöü"),
            ("2006-01-02Z07:00", "2024-01-01+99:99"),
            ("2006 MST", "2024 cet"),
            ("2006 MST", "2024 ABCD"),
            ("2006 MST", "2024 +99"),
            ("2006 MST", "2024 +€"),
            ("2006 MST", "2024 GMT€"),
        ] {
            assert!(parse(text, layout).is_err(), "{layout} {text}");
        }
        for (zone, expected) in [
            ("CET", "2024-02-01T00:00:00Z"),
            ("EST", "2024-02-01T00:00:00Z"),
            ("WITA", "2024-02-01T00:00:00Z"),
            ("GMT+3", "2024-02-01T00:00:00+03:00"),
            ("GMT-11", "2024-02-01T00:00:00-11:00"),
            ("-03", "2024-02-01T00:00:00Z"),
        ] {
            let read = parse(&format!("2024-02-01  {zone}"), "2006-01-02 MST").unwrap();
            assert_eq!(rfc3339(&read), expected, "{zone}");
        }
        // A fraction may follow the seconds unasked.
        assert_eq!(rfc3339(&parse("10:00:00.5", "15:04:05").unwrap()), "0000-01-01T10:00:00.5Z");
    }
}
