//! What a message carries along of its way through the stream: its flow id, and its place in a trace (W3C Trace Context).

use std::fmt::Write;
use std::sync::Arc;

use bloblang::Trace;

/// Longest `tracestate` that is handed on; W3C Trace Context (3.3.1.5) asks for no more.
const MOST_STATE: usize = 512;

/// Shared by all clones of a message until a component opens a span on one of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Way {
    pub(crate) flow: Option<Arc<str>>,
    /// 0: there is no trace.
    pub(crate) trace_id: u128,
    /// The innermost open span.
    pub(crate) span_id: u64,
    /// Whether spans of this trace are recorded.
    pub(crate) recorded: bool,
    pub(crate) state: Option<Arc<str>>,
    /// How many components the message is inside of.
    pub(crate) depth: u32,
    /// The way outside of the innermost component.
    pub(crate) outer: Option<Arc<Way>>,
}

impl Way {
    /// What hands the trace on.
    pub(crate) fn trace(&self) -> Option<Trace> {
        if self.trace_id == 0 {
            return None;
        }
        let mut fields = vec![("traceparent".to_owned(), self.parent().to_string())];
        fields.extend(self.state.as_ref().map(|state| ("tracestate".to_owned(), state.to_string())));
        Some(Trace { id: format!("{:032x}", self.trace_id), fields })
    }

    fn parent(&self) -> Parent {
        Parent { trace_id: self.trace_id, span_id: self.span_id, sampled: self.recorded, state: None }
    }
}

/// Where a trace comes from, as W3C Trace Context writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The trace; never 0.
    pub trace_id: u128,
    /// The span that what follows is part of; never 0.
    pub span_id: u64,
    /// Whether whoever began it records it.
    pub sampled: bool,
    /// What else is handed on with it (`tracestate`).
    pub state: Option<Arc<str>>,
}

impl Parent {
    /// Reads `traceparent` and `tracestate`; `None` when the former is none.
    pub fn read(traceparent: &str, tracestate: Option<&str>) -> Option<Parent> {
        let mut parts = traceparent.trim().split('-');
        let (version, trace_id) = (hex(parts.next()?, 2)?, hex(parts.next()?, 32)?);
        let (span_id, flags) = (hex(parts.next()?, 16)?, hex(parts.next()?, 2)?);
        // Later versions may have more parts, version 0 has none; 255 is forbidden.
        let whole = parts.next().is_none() || version > 0;
        if !whole || version == 0xff || trace_id == 0 || span_id == 0 {
            return None;
        }
        let state = tracestate.map(str::trim).filter(|state| !state.is_empty() && state.len() <= MOST_STATE);
        Some(Parent {
            trace_id,
            span_id: u64::try_from(span_id).ok()?,
            sampled: flags & 1 == 1,
            state: state.map(Arc::from),
        })
    }
}

impl std::fmt::Display for Parent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

/// Lower-case hexadecimal digits, so many.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let legal = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    legal.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// An id for a message's flow: a UUID of version 7 (RFC 9562), which sorts by time.
pub(crate) fn flow_id(milliseconds: u64, random: u128) -> Arc<str> {
    let mut bits = (u128::from(milliseconds) << 80) | (random >> 48);
    bits = (bits & !(0xf << 76)) | (7 << 76);
    bits = (bits & !(0b11 << 62)) | (0b10 << 62);
    let digits = format!("{bits:032x}");
    let mut text = String::with_capacity(36);
    for (index, part) in [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)].into_iter().enumerate() {
        let _ = write!(text, "{}{}", if index == 0 { "" } else { "-" }, &digits[part.0..part.1]);
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_strictly() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (text, sampled) in [
            (format!("00-{id}-00f067aa0ba902b7-01"), Some(true)),
            (format!(" 00-{id}-00f067aa0ba902b7-00 "), Some(false)),
            (format!("01-{id}-00f067aa0ba902b7-03-more"), Some(true)),
            (format!("00-{id}-00f067aa0ba902b7-01-more"), None),
            (format!("ff-{id}-00f067aa0ba902b7-01"), None),
            (format!("00-{id}-0000000000000000-01"), None),
            (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None),
            (format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()), None),
            (format!("00-{id}-00f067aa0ba902b7"), None),
            (format!("00-+{}-00f067aa0ba902b7-01", &id[1..]), None),
            (String::new(), None),
        ] {
            let parent = Parent::read(&text, Some("a=b"));
            assert_eq!(parent.as_ref().map(|parent| parent.sampled), sampled, "{text}");
            if let Some(parent) = parent.filter(|_| text.starts_with("00")) {
                assert_eq!(parent.to_string(), text.trim());
                assert_eq!(parent.state.as_deref(), Some("a=b"));
            }
        }
    }

    #[test]
    fn flow_ids_are_uuids_that_sort_by_time() {
        let id = flow_id(0x0123_4567_89ab, u128::MAX);
        assert_eq!(&*id, "01234567-89ab-7fff-bfff-ffffffffffff");
        assert!(flow_id(1, u128::MAX) < flow_id(2, 0));
        assert_eq!(&flow_id(0, 0)[14..20], "7000-8");
    }
}
