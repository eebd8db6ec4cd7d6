//! Durations and sizes as configurations write them.

use std::time::Duration;

const NANOS: [(&str, f64); 7] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// A Go duration: numbers with units `ns us ms s m h`, such as `1m30s` or `0.5s`; a bare `0` is zero.
///
/// # Errors
/// What is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; write one such as `500ms`, `5s` or `1m30s`");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let factor = NANOS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1;
        nanos += number.parse::<f64>().map_err(|_| wrong())? * factor;
        rest = tail;
    }
    // Go durations end at about 292 years; so do ours.
    if text.is_empty() || nanos > i64::MAX as f64 {
        return Err(wrong());
    }
    Ok(Duration::from_nanos(nanos.round() as u64))
}

const SIZES: [(&str, f64); 10] = [
    ("", 1.0),
    ("B", 1.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("KIB", 1024.0),
    ("MIB", 1_048_576.0),
    ("GIB", 1_073_741_824.0),
    ("TIB", 1_099_511_627_776.0),
];

/// A size in bytes such as `50MiB`, `1MB` or `1024`.
///
/// # Errors
/// What is wrong with the text.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("`{text}` is not a size; write one such as `512KiB`, `64MiB` or a number of bytes");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_uppercase();
    let factor = SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1;
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * factor;
    if bytes > i64::MAX as f64 { Err(wrong()) } else { Ok(bytes as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("5s", 5000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("100ms", 100),
            (".5s", 500),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration("2us3ns"), Ok(Duration::from_nanos(2003)));
        for text in ["", "5", "s", "5x", "-5s", "5 s", "1e9h", "99999999999h", "1..2s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_with_both_kinds_of_units() {
        for (text, bytes) in
            [("0", 0), ("17", 17), ("1MB", 1_000_000), ("50MiB", 52_428_800), ("1.5 kib", 1536)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "1XB", "-1", "9999999999TB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
