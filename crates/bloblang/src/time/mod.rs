//! Points in time and durations as the language reads and writes them.

mod duration;
mod layout;
mod parse;
mod period;

use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

pub(crate) use duration::parse_duration;
use layout::zone_name;
pub(crate) use layout::{RFC3339_NANO, format};
pub(crate) use parse::parse;
pub(crate) use period::Period;

/// A format of strftime as the library knows it: what stands for several others is written out.
/// When it is for writing a time, so is what the library writes in another way: a zone without a name as its offset,
/// fractions as microseconds.
pub(crate) fn strtime(format: &str, time: Option<&Zoned>) -> String {
    let mut out = String::with_capacity(format.len() + 16);
    let mut characters = format.chars();
    while let Some(c) = characters.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match (characters.next(), time) {
            (Some('Z'), Some(time)) => out.push_str(&zone_name(time)),
            (Some('f'), Some(time)) => out.push_str(&format!("{:06}", time.subsec_nanosecond() / 1000)),
            (Some('c'), _) => out.push_str("%a %b %e %H:%M:%S %Y"),
            (Some('x' | 'D'), _) => out.push_str("%m/%d/%y"),
            (Some('X' | 'T'), _) => out.push_str("%H:%M:%S"),
            (Some('r'), _) => out.push_str("%I:%M:%S %p"),
            (Some('R'), _) => out.push_str("%H:%M"),
            (Some('v'), _) => out.push_str("%e-%b-%Y"),
            (Some(other), _) => out.extend(['%', other]),
            (None, _) => out.push_str("%%"),
        }
    }
    out
}

/// RFC 3339 with as many fraction digits as are needed, `Z` for UTC.
pub(crate) fn rfc3339(time: &Zoned) -> String {
    let offset = time.offset();
    if offset.is_zero() {
        return time.timestamp().to_string();
    }
    time.timestamp().display_with_offset(offset).to_string()
}

/// Reads RFC 3339, keeping the offset.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Zoned> {
    let timestamp: Timestamp = text.parse().ok()?;
    // jiff reads the instant; the offset is what stands after the time.
    let offset = match text.as_bytes() {
        [.., b'Z' | b'z'] => Offset::UTC,
        [.., sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let digit = |byte: &u8| i32::from(byte.wrapping_sub(b'0'));
            let seconds = (digit(h1) * 10 + digit(h2)) * 3600 + (digit(m1) * 10 + digit(m2)) * 60;
            Offset::from_seconds(if *sign == b'-' { -seconds } else { seconds }).ok()?
        }
        _ => return None,
    };
    Some(timestamp.to_zoned(TimeZone::fixed(offset)))
}

/// Finds a zone by its IANA name; `UTC`, `Local` and the empty text work too.
pub(crate) fn zone(name: &str) -> Result<TimeZone, String> {
    match name {
        "" | "UTC" => Ok(TimeZone::UTC),
        "Local" => Ok(TimeZone::system()),
        name => TimeZone::get(name).map_err(|_| format!("unknown time zone {name}")),
    }
}

/// A number of seconds since 1970, fractions included, in UTC.
pub(crate) fn from_seconds(seconds: f64) -> Option<Zoned> {
    if !seconds.is_finite() {
        return None;
    }
    let nanoseconds = ((seconds - seconds.floor()) * 1e9).round() as i128;
    let whole = seconds.floor();
    if whole.abs() > 1e12 {
        return None;
    }
    let timestamp = Timestamp::from_nanosecond(whole as i128 * 1_000_000_000 + nanoseconds).ok()?;
    Some(timestamp.to_zoned(TimeZone::UTC))
}
