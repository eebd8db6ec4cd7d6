//! The text of `grpc-timeout` ("Timeout" of gRPC over HTTP/2): at most 8 digits, and a unit.

use std::time::Duration;

/// What it says; `None` where it is no timeout.
pub(super) fn read(timeout: &[u8]) -> Option<Duration> {
    let (unit, digits) = timeout.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = digits.iter().fold(0, |count, digit| count * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

/// As the specification has it, in the finest unit whose number has no more than 8 digits.
pub(super) fn written(time: Duration) -> String {
    const UNITS: [(char, u128); 5] =
        [('n', 1), ('u', 1_000), ('m', 1_000_000), ('S', 1_000_000_000), ('M', 60_000_000_000)];
    let nanos = time.as_nanos();
    for (unit, size) in UNITS {
        let count = nanos / size;
        if count < 100_000_000 {
            return format!("{count}{unit}");
        }
    }
    format!("{}H", nanos / 3_600_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_specification_has_them() {
        for (text, time) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("0m", Some(Duration::ZERO)),
            ("100m", Some(Duration::from_millis(100))),
            ("7u", Some(Duration::from_micros(7))),
            ("7n", Some(Duration::from_nanos(7))),
            ("100000000n", None),
            ("S", None),
            ("", None),
            ("1", None),
            ("1s", None),
            ("-1S", None),
            ("+1S", None),
            ("1.5S", None),
            (" 1S", None),
            ("1S ", None),
        ] {
            assert_eq!(read(text.as_bytes()), time, "{text:?}");
        }
    }

    #[test]
    fn what_is_left_is_written_in_the_finest_unit_that_holds_it() {
        for (time, text) in [
            (Duration::ZERO, "0n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_millis(100), "100000u"),
            (Duration::from_secs(99), "99000000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(99_999_999), "99999999S"),
            (Duration::from_secs(100_000_000), "1666666M"),
            (Duration::from_secs(99_999_999 * 3600), "99999999H"),
        ] {
            assert_eq!(written(time), text);
            let again = read(text.as_bytes()).unwrap();
            assert!(again <= time && time - again < Duration::from_secs(60), "{text}");
        }
    }
}
