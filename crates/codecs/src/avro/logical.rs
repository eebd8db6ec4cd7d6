//! Logical types: what numbers and bytes mean (Avro specification 1.12, "Logical Types").

use std::sync::Arc;

use bloblang::Value;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value as Json;

use super::schema::Type;

/// A meaning that is understood. The others, such as the time of a day, stay what they are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logical {
    /// Days since 1970-01-01.
    Days,
    /// Since 1970-01-01T00:00:00Z.
    Milliseconds,
    Microseconds,
    Nanoseconds,
    /// A whole number in two's complement, the highest byte first, so many digits of it behind the point.
    Decimal {
        scale: u32,
    },
}

impl Logical {
    /// What a schema says of a type, if it suits the type.
    pub(super) fn of(json: &Json, of: &Type) -> Option<Logical> {
        Some(match (json.get("logicalType")?.as_str()?, of) {
            ("date", Type::Int) => Logical::Days,
            ("timestamp-millis" | "local-timestamp-millis", Type::Long) => Logical::Milliseconds,
            ("timestamp-micros" | "local-timestamp-micros", Type::Long) => Logical::Microseconds,
            ("timestamp-nanos" | "local-timestamp-nanos", Type::Long) => Logical::Nanoseconds,
            ("decimal", Type::Bytes | Type::Fixed { .. }) => {
                let scale = json.get("scale").map_or(Some(0), Json::as_u64)?;
                Logical::Decimal { scale: u32::try_from(scale).ok().filter(|scale| *scale <= 38)? }
            }
            _ => return None,
        })
    }

    /// A number with its meaning; `None` for a time that no calendar has.
    pub(super) fn number(self, number: i64) -> Option<Value> {
        let time = match self {
            Logical::Days => Timestamp::from_second(number.checked_mul(86_400)?),
            Logical::Milliseconds => Timestamp::from_millisecond(number),
            Logical::Microseconds => Timestamp::from_microsecond(number),
            Logical::Nanoseconds => Timestamp::from_nanosecond(i128::from(number)),
            Logical::Decimal { .. } => return None,
        };
        Some(Value::Timestamp(Arc::new(time.ok()?.to_zoned(TimeZone::UTC))))
    }

    /// Bytes with their meaning; `None` for a number of more than 16 bytes.
    pub(super) fn bytes(self, bytes: &[u8]) -> Option<Value> {
        let Logical::Decimal { scale } = self else { return None };
        let negative = bytes.first()? & 0x80 != 0;
        let mut whole = [if negative { 0xff } else { 0 }; 16];
        whole.get_mut(16_usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
        let number = i128::from_be_bytes(whole);
        let scale = scale as usize;
        // One digit at least stands before the point.
        let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
        let (before, behind) = digits.split_at(digits.len() - scale);
        let point = if behind.is_empty() { "" } else { "." };
        let sign = if negative { "-" } else { "" };
        Value::parse_json(format!("{sign}{before}{point}{behind}").as_bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Logical;

    #[test]
    fn decimals_keep_their_digits() {
        for (bytes, scale, expected) in [
            (&[0x04, 0xd2][..], 2, Some("12.34")),
            (&[0xff], 2, Some("-0.01")),
            (&[0x80], 0, Some("-128")),
            (&[0], 3, Some("0.000")),
            (&[0x7f; 16], 38, Some("1.69473963133173273960190490760135540607")),
            (&[1; 17], 0, None),
            (&[], 0, None),
        ] {
            let made = Logical::Decimal { scale }.bytes(bytes).map(|value| value.to_json());
            assert_eq!(made.as_deref(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn times_out_of_the_calendar_stay_numbers() {
        assert!(Logical::Milliseconds.number(i64::MAX).is_none());
        assert!(Logical::Days.number(i64::MIN).is_none());
        assert_eq!(Logical::Days.number(1).unwrap().to_text(), "1970-01-02T00:00:00Z");
    }
}
