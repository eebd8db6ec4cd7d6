//! Durations of ISO 8601, in tenths: `P1Y2M3W4DT5H6M7.8S`.

use jiff::civil::Date;
use jiff::{SignedDuration, Span, Zoned};

/// Nanoseconds of a tenth of a second.
const TENTH: i128 = 100_000_000;
/// Tenths of a second in a tenth of a year, which has 365.2425 days.
const YEAR: i128 = 31_556_952;

/// A duration by the calendar and the clock. All parts are in tenths of their unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Period {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
}

impl Period {
    /// Reads a duration; none when it is malformed. A second and later decimal is dropped.
    pub(crate) fn parse(text: &str) -> Option<Period> {
        let (sign, rest) = match text.as_bytes().first()? {
            b'-' => (-1, &text[1..]),
            b'+' => (1, &text[1..]),
            _ => (1, text),
        };
        if rest == "0" {
            return Some(Period::default());
        }
        let mut rest = rest.strip_prefix('P')?;
        let mut period = Period::default();
        // Units come in this order, each once at most.
        let mut units = "YMWDThms".chars();
        let (mut any, mut in_time) = (false, false);
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('T') {
                if in_time || after.is_empty() {
                    return None;
                }
                (in_time, rest) = (true, after);
                continue;
            }
            let length = rest.find(|c: char| c.is_ascii_alphabetic())?;
            let tenths = sign * tenths(&rest[..length])?;
            let unit = rest[length..].chars().next()?;
            rest = &rest[length + 1..];
            let unit = match (in_time, unit) {
                (true, 'H' | 'M' | 'S') => unit.to_ascii_lowercase(),
                (false, 'Y' | 'M' | 'W' | 'D') => unit,
                _ => return None,
            };
            units.by_ref().find(|next| *next == unit)?;
            match unit {
                'Y' => period.years = tenths,
                'M' => period.months = tenths,
                'W' => period.days = tenths.checked_mul(7)?,
                'D' => period.days = period.days.checked_add(tenths)?,
                'h' => period.hours = tenths,
                'm' => period.minutes = tenths,
                _ => period.seconds = tenths,
            }
            any = true;
        }
        any.then_some(period)
    }

    fn clock(&self) -> i128 {
        (i128::from(self.hours) * 3600 + i128::from(self.minutes) * 60 + i128::from(self.seconds)) * TENTH
    }

    /// The length; years and months as they are on average. None when it does not fit.
    pub(crate) fn nanoseconds(&self) -> Option<i64> {
        let months = i128::from(self.years) * 12 + i128::from(self.months);
        let total = months * YEAR * TENTH / 12 + i128::from(self.days) * 86_400 * TENTH + self.clock();
        i64::try_from(total).ok()
    }

    /// The time that is this much later (`sign` 1) or earlier (-1). Days that a month does not have run over into the
    /// next one, as Go counts. None when it is out of range.
    pub(crate) fn after(&self, time: &Zoned, sign: i64) -> Option<Zoned> {
        if [self.years, self.months, self.days].iter().any(|tenths| tenths % 10 != 0) {
            let nanoseconds = self.nanoseconds()?.checked_mul(sign)?;
            return time.checked_add(SignedDuration::from_nanos(nanoseconds)).ok();
        }
        let months = (self.years / 10).checked_mul(12)?.checked_add(self.months / 10)?.checked_mul(sign)?;
        let month = i64::from(time.year()) * 12 + i64::from(time.month()) - 1;
        let month = month.checked_add(months)?;
        let year = i16::try_from(month.div_euclid(12)).ok()?;
        let first = Date::new(year, i8::try_from(month.rem_euclid(12)).ok()? + 1, 1).ok()?;
        let days = (self.days / 10).checked_mul(sign)?.checked_add(i64::from(time.day()) - 1)?;
        let date = first.checked_add(Span::new().try_days(days).ok()?).ok()?;
        let moved = date.to_datetime(time.time()).to_zoned(time.time_zone().clone()).ok()?;
        let clock = i64::try_from(self.clock()).ok()?.checked_mul(sign)?;
        moved.checked_add(SignedDuration::from_nanos(clock)).ok()
    }
}

/// A decimal number in tenths.
fn tenths(text: &str) -> Option<i64> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() > 15 {
        return None;
    }
    Some(sign * (whole.parse::<i64>().ok()? * 10 + fraction[..1].parse::<i64>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::{parse_rfc3339, rfc3339};
    use super::Period;

    #[test]
    fn lengths() {
        for (text, expected) in [
            ("PT5.9S", Some(5_900_000_000)),
            ("PT5,99S", Some(5_900_000_000)),
            ("-P1D", Some(-86_400_000_000_000)),
            ("P1W1D", Some(8 * 86_400_000_000_000)),
            ("P1M", Some(2_629_746_000_000_000)),
            ("P0.5Y", Some(15_778_476_000_000_000)),
            ("PT-5M", Some(-300_000_000_000)),
            ("0", Some(0)),
        ] {
            assert_eq!(Period::parse(text).and_then(|period| period.nanoseconds()), expected, "{text}");
        }
        for text in
            ["", "P", "PT", "P1", "1D", "P1DT", "PT1D", "P1D1Y", "P1D1D", "P.5D", "PT1H2H", "P1Xü", "Pü1D"]
        {
            assert_eq!(Period::parse(text), None, "{text}");
        }
        assert_eq!(Period::parse("P999999999999999Y").unwrap().nanoseconds(), None);
    }

    #[test]
    fn calendar() {
        for (time, text, sign, expected) in [
            ("2024-01-31T10:00:00Z", "P1M", 1, Some("2024-03-02T10:00:00Z")),
            ("2024-03-31T10:00:00Z", "P1M", -1, Some("2024-03-02T10:00:00Z")),
            ("2024-01-01T00:00:00Z", "P1Y1M1DT1H1M1.5S", 1, Some("2025-02-02T01:01:01.5Z")),
            ("2024-01-01T00:00:00Z", "P1D", -1, Some("2023-12-31T00:00:00Z")),
            ("2024-01-01T00:00:00Z", "P9999Y", 1, None),
        ] {
            let time = parse_rfc3339(time).unwrap();
            let moved = Period::parse(text).unwrap().after(&time, sign);
            assert_eq!(moved.map(|time| rfc3339(&time)).as_deref(), expected, "{text}");
        }
    }
}
