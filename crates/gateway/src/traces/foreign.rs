//! Trace contexts other than W3C's, as text: B3, in one field or in several, and ids of whatever form in a field of one's
//! own.

use std::fmt::Write as _;

/// Longer values name no trace.
const LONGEST: usize = 256;

/// A trace that somebody else began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// Never 0.
    pub(crate) trace_id: u128,
    /// 0: there is no span that what follows is part of.
    pub(crate) span_id: u64,
    /// Whether whoever began it records it; `None`: that is left to us.
    pub(crate) sampled: Option<bool>,
}

impl Foreign {
    /// The field `b3`: `TRACE-SPAN`, `TRACE-SPAN-SAMPLED` or `TRACE-SPAN-SAMPLED-PARENT`. A lone `0` names no trace.
    pub(crate) fn of_b3(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let (trace, span, sampled, parent) = (parts.next()?, parts.next()?, parts.next(), parts.next());
        if parts.next().is_some() || parent.is_some_and(|parent| hex(parent, &[16]).is_none()) {
            return None;
        }
        let sampled = match sampled {
            None => None,
            Some("1" | "d") => Some(true),
            Some("0") => Some(false),
            Some(_) => return None,
        };
        Self::of(trace, span, sampled)
    }

    /// The fields `X-B3-TraceId`, `X-B3-SpanId`, `X-B3-Sampled` and `X-B3-Flags`.
    pub(crate) fn of_b3_fields(
        trace: &str,
        span: &str,
        sampled: Option<&str>,
        flags: Option<&str>,
    ) -> Option<Self> {
        let sampled = match (flags.map(str::trim), sampled.map(str::trim)) {
            (Some("1"), _) | (_, Some("1" | "true")) => Some(true),
            (_, Some("0" | "false")) => Some(false),
            (_, None | Some("")) => None,
            (_, Some(_)) => return None,
        };
        Self::of(trace.trim(), span.trim(), sampled)
    }

    fn of(trace: &str, span: &str, sampled: Option<bool>) -> Option<Self> {
        let trace_id = hex(trace, &[16, 32]).filter(|id| *id != 0)?;
        let span_id = u64::try_from(hex(span, &[16])?).ok().filter(|id| *id != 0)?;
        Some(Self { trace_id, span_id, sampled })
    }

    /// An id of one's own: its hexadecimal digits, 32 of them, with zeros behind where there are fewer. Who sends one wants
    /// the trace to be recorded.
    pub(crate) fn of_id(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let digits = text.chars().filter_map(|character| character.to_digit(16)).take(32);
        let (id, count) =
            digits.fold((0_u128, 0_u32), |(id, count), digit| (id << 4 | u128::from(digit), count + 1));
        // All 128 bits are zero where there is no digit.
        let trace_id = id.checked_shl(4 * (32 - count)).filter(|id| *id != 0)?;
        Some(Self { trace_id, span_id: 0, sampled: Some(true) })
    }
}

/// So many hexadecimal digits, or so many.
fn hex(text: &str, lengths: &[usize]) -> Option<u128> {
    let legal = lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    legal.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// Ids as B3 and W3C write them.
pub(crate) fn write_id(id: u128, digits: usize) -> String {
    let mut text = String::with_capacity(digits);
    // Writing into a text cannot fail.
    let _ = write!(text, "{id:0digits$x}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: u128 = 0x80f1_98ee_5634_3ba8_64fe_8b2a_57d3_eff7;
    const SPAN: u64 = 0xe457_b5a2_e4d8_6bd1;

    #[test]
    fn b3_in_one_field() {
        let (trace, span) = (write_id(TRACE, 32), write_id(SPAN.into(), 16));
        let found = |trace_id, sampled| Some(Foreign { trace_id, span_id: SPAN, sampled });
        for (text, expected) in [
            (format!("{trace}-{span}-1"), found(TRACE, Some(true))),
            (format!("{trace}-{span}-d"), found(TRACE, Some(true))),
            (format!(" {trace}-{span}-0 "), found(TRACE, Some(false))),
            (format!("{trace}-{span}"), found(TRACE, None)),
            (format!("{trace}-{span}-1-05e3ac9a4f6e3b90"), found(TRACE, Some(true))),
            (format!("{}-{span}", trace.to_uppercase()), found(TRACE, None)),
            (format!("{}-{span}", &trace[16..]), found(TRACE & u128::from(u64::MAX), None)),
            (format!("{trace}-{span}-2"), None),
            (format!("{trace}-{span}-1-x"), None),
            (format!("{trace}-{span}-1-05e3ac9a4f6e3b90-"), None),
            (format!("{trace}-{}", "0".repeat(16)), None),
            (format!("{}-{span}", "0".repeat(32)), None),
            (format!("+{}-{span}", &trace[1..]), None),
            (trace, None),
            ("0".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(Foreign::of_b3(&text), expected, "{text}");
        }
    }

    #[test]
    fn b3_in_several_fields() {
        let (trace, span) = (write_id(TRACE, 32), write_id(SPAN.into(), 16));
        for (sampled, flags, expected) in [
            (None, None, Some(None)),
            (Some("1"), None, Some(Some(true))),
            (Some("true"), None, Some(Some(true))),
            (Some("0"), None, Some(Some(false))),
            (Some("0"), Some("1"), Some(Some(true))),
            (None, Some("0"), Some(None)),
            (Some("maybe"), None, None),
        ] {
            let found = Foreign::of_b3_fields(&trace, &span, sampled, flags);
            assert_eq!(found.map(|found| found.sampled), expected, "{sampled:?} {flags:?}");
        }
        assert_eq!(Foreign::of_b3_fields(&trace, "", None, None), None);
    }

    #[test]
    fn ids_of_ones_own() {
        for (text, expected) in [
            ("80f198ee-5634-3ba8-64fe-8b2a57d3eff7", Some(TRACE)),
            ("80F198EE56343BA864FE8B2A57D3EFF7-and-more", Some(TRACE)),
            ("order 12", Some(0xde12 << 112)),
            ("1", Some(1 << 124)),
            ("00000000-0000-0000-0000-000000000000", None),
            ("xyz", None),
            ("", None),
        ] {
            let found = Foreign::of_id(text);
            assert_eq!(found.map(|found| found.trace_id), expected, "{text}");
            assert!(found.is_none_or(|found| found.span_id == 0 && found.sampled == Some(true)));
        }
        assert_eq!(Foreign::of_id(&"a".repeat(LONGEST + 1)), None);
    }
}
