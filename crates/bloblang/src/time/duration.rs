//! Durations in Go's notation.

/// Reads `1h15m30.918s`, `-5ms`, `1.5h` and gives nanoseconds; none when it is malformed or too long for 64 bits.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_i128;
    while !rest.is_empty() {
        let length = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(length);
        let unit_length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_length);
        let unit = match unit {
            "ns" => 1_i128,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || whole.len() > 19 {
            return None;
        }
        if !whole.is_empty() {
            total += whole.parse::<i128>().ok()? * unit;
        }
        let fraction = &fraction[..fraction.len().min(18)];
        if !fraction.is_empty() {
            let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
            total += fraction.parse::<i128>().ok()? * unit / scale;
        }
        if total > i128::from(i64::MAX) {
            return None;
        }
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

#[cfg(test)]
mod tests {
    use super::parse_duration;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("1h15m30.918s", Some(4_530_918_000_000)),
            ("-5ms", Some(-5_000_000)),
            ("1.5us", Some(1_500)),
            (".5s", Some(500_000_000)),
            ("0", Some(0)),
            ("", None),
            ("-", None),
            ("5", None),
            ("5 s", None),
            ("1.2.3s", None),
            (".s", None),
            ("1d", None),
            ("300000000h", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
    }
}
