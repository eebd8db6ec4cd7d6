//! Dates as signed requests carry them: `Mon, 02 Jan 2006 15:04:05 GMT`, or with an offset such as `+01` or `-0530` for
//! the zone (contract 5.4). Depends on nothing of the gate, so that it can be fuzzed alone.

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Unix seconds. Names of zones other than `GMT` and `UTC` mean different things to different readers and are not read.
pub(crate) fn read(text: &str) -> Option<i64> {
    let (weekday, rest) = text.split_once(", ")?;
    if weekday.len() != 3 || !weekday.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    let mut parts = rest.split(' ');
    let day = number(parts.next()?, 1..=2)?;
    let month = parts.next()?;
    let month = (1..).zip(MONTHS).find(|(_, name)| *name == month)?.0;
    let year = number(parts.next()?, 4..=4)?;
    let mut time = parts.next()?.split(':');
    let mut two = || number(time.next()?, 2..=2);
    let (hour, minute, second) = (two()?, two()?, two()?);
    let offset = zone(parts.next()?)?;
    let in_bounds = (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !in_bounds || time.next().is_some() || parts.next().is_some() {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset)
}

fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let fits = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// Seconds east of Greenwich.
fn zone(text: &str) -> Option<i64> {
    if matches!(text, "GMT" | "UTC") {
        return Some(0);
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.len() {
        2 => (digits, "00"),
        4 | 5 => (digits.get(..2)?, digits.get(2..)?.trim_start_matches(':')),
        _ => return None,
    };
    let (hours, minutes) = (number(hours, 2..=2)?, number(minutes, 2..=2)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// Days from 1970-01-01 to a date: years begin in March, so that leap days come last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn c5_4_row_5_dates_are_read_in_both_forms_and_nothing_else_is() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Mon, 02 Jan 2006 15:04:05 UTC", Some(1_136_214_245)),
            ("Mon, 2 Jan 2006 15:04:05 GMT", Some(1_136_214_245)),
            ("Mon, 02 Jan 2006 16:04:05 +01", Some(1_136_214_245)),
            ("Mon, 02 Jan 2006 09:34:05 -0530", Some(1_136_214_245)),
            ("Mon, 02 Jan 2006 09:34:05 -05:30", Some(1_136_214_245)),
            ("Tue, 29 Feb 2000 00:00:00 GMT", Some(951_782_400)),
            ("Mon, 02 Jan 2006 15:04:05 MST", None),
            ("Mon, 02 Jan 2006 15:04:05", None),
            ("Mon, 02 Jan 2006 15:04:05 GMT ", None),
            ("Mon, 02 Jan 2006 15:04:05 +1", None),
            ("Mon, 02 Jan 2006 15:04:05 +2500", None),
            ("Mon, 02 Jan 2006 15:04 GMT", None),
            ("Mon, 02 Jan 2006 15:04:05:06 GMT", None),
            ("Mon, 32 Jan 2006 15:04:05 GMT", None),
            ("Mon, 02 Foo 2006 15:04:05 GMT", None),
            ("Mon, 02 Jan 06 15:04:05 GMT", None),
            ("Mon, 02 Jan -006 15:04:05 GMT", None),
            ("Monday, 02-Jan-06 15:04:05 GMT", None),
            ("2006-01-02T15:04:05Z", None),
            ("1136214245", None),
            ("Mon, \u{662}\u{663} Jan 2006 15:04:05 GMT", None),
            ("", None),
        ] {
            assert_eq!(read(text), seconds, "{text}");
        }
    }
}
