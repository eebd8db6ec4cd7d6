//! Until when something is served.

use crate::section::Section;
use document::Fault;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A date such as `2030-01-31 12:00`, in UTC, as Unix seconds; empty and `-1` are never (contract 2.1, 2.4).
pub(crate) fn date(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<i64> {
    let text = match holder.text(key, faults).trim() {
        "" | "-1" => return None,
        text => text,
    };
    match read(text) {
        Some(seconds) => Some(seconds),
        None => {
            let fault = Fault::error(holder.at(key), format!("`{text}` is no date"));
            faults.push(fault.hint("write one such as `2030-01-31 12:00`, in UTC; nothing or `-1` is never"));
            None
        }
    }
}

fn read(text: &str) -> Option<i64> {
    // Four digits of a year, and no sign.
    if text.len() != 16 || !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let date = DateTime::strptime("%Y-%m-%d %H:%M", text).ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

/// Unix seconds as definitions write them; `None` for what no calendar holds.
pub fn write_date(seconds: i64) -> Option<String> {
    let date = Timestamp::from_second(seconds).ok()?.to_zoned(TimeZone::UTC);
    Some(date.strftime("%Y-%m-%d %H:%M").to_string())
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates() {
        for (text, expected) in [
            ("1970-01-01 00:01", Some(60)),
            ("2030-01-31 12:00", Some(1_896_091_200)),
            ("2030-02-30 12:00", None),
            ("2030-01-31", None),
            ("-030-01-31 12:00", None),
            ("9999-01-01 00:00", Some(253_370_764_800)),
            ("2030-01-31 12:00:00", None),
            ("tomorrow", None),
        ] {
            assert_eq!(super::read(text), expected, "{text}");
        }
    }
}
