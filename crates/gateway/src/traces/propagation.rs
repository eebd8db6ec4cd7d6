//! Where a request says which trace it belongs to, and where the upstream is told (contract 1.3, `context_propagation`).

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use streams::Parent;

use super::foreign::{Foreign, write_id};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const B3: HeaderName = HeaderName::from_static("b3");
const B3_TRACE: HeaderName = HeaderName::from_static("x-b3-traceid");
const B3_SPAN: HeaderName = HeaderName::from_static("x-b3-spanid");
const B3_PARENT: HeaderName = HeaderName::from_static("x-b3-parentspanid");
const B3_SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
const B3_FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");

/// In which fields traces are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Propagation {
    /// The fields of a standard.
    pub standard: Option<Standard>,
    /// A field of one's own, which may hold an id of any form.
    pub custom: Option<HeaderName>,
    /// That field goes on to the upstream as it came; else it is taken out.
    pub custom_passes: bool,
}

/// The fields of a standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standard {
    /// W3C Trace Context: `traceparent` and `tracestate`.
    TraceContext,
    /// B3: read in one field or several, written in several.
    B3,
}

/// A trace that a request belongs to already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) from: Foreign,
    pub(crate) state: Option<Arc<str>>,
}

impl Propagation {
    /// By the words of the configuration. `custom` is empty where there is no such field.
    ///
    /// # Errors
    /// Which setting has to be changed.
    pub fn read(kind: &str, custom: &str) -> Result<Self, String> {
        let name = match custom {
            "" => None,
            custom => Some(
                HeaderName::try_from(custom)
                    .map_err(|_| format!("`custom_trace_header`: `{custom}` is no name of a header"))?,
            ),
        };
        let standard = match kind {
            "tracecontext" | "composite" => Some(Standard::TraceContext),
            "b3" => Some(Standard::B3),
            "custom" => None,
            other => return Err(format!("`context_propagation`: there is no `{other}`")),
        };
        if standard.is_none() && name.is_none() {
            return Err("`context_propagation` is `custom`: name the header in `custom_trace_header`".into());
        }
        Ok(Self { standard, custom: name, custom_passes: matches!(kind, "custom" | "composite") })
    }

    /// The trace of a request. What a standard says comes before an id of one's own.
    pub(crate) fn extract(&self, headers: &HeaderMap) -> Option<Remote> {
        let standard = match self.standard {
            Some(Standard::TraceContext) => trace_context(headers),
            Some(Standard::B3) => b3(headers).map(|from| Remote { from, state: None }),
            None => None,
        };
        standard.or_else(|| {
            let from = Foreign::of_id(text(headers, self.custom.as_ref()?)?)?;
            Some(Remote { from, state: None })
        })
    }

    /// Tells an upstream. What the fields said before is gone.
    pub(crate) fn inject(&self, parent: &Parent, headers: &mut HeaderMap) {
        match self.standard {
            Some(Standard::TraceContext) => {
                put(headers, TRACEPARENT, parent.to_string());
                match &parent.state {
                    Some(state) => put(headers, TRACESTATE, state.to_string()),
                    None => drop(headers.remove(TRACESTATE)),
                }
            }
            Some(Standard::B3) => {
                for name in [B3, B3_PARENT, B3_FLAGS] {
                    headers.remove(name);
                }
                put(headers, B3_TRACE, write_id(parent.trace_id, 32));
                put(headers, B3_SPAN, write_id(parent.span_id.into(), 16));
                let sampled = HeaderValue::from_static(if parent.sampled { "1" } else { "0" });
                headers.insert(B3_SAMPLED, sampled);
            }
            None => {}
        }
        if let Some(name) = self.custom.as_ref().filter(|_| !self.custom_passes) {
            headers.remove(name);
        }
    }
}

fn trace_context(headers: &HeaderMap) -> Option<Remote> {
    // Several of them are none (W3C Trace Context, 3.2).
    let parent = only(headers, &TRACEPARENT)?;
    let state: Vec<&str> =
        headers.get_all(TRACESTATE).iter().filter_map(|value| value.to_str().ok()).collect();
    let parent = Parent::read(parent, Some(&state.join(",")))?;
    let from = Foreign { trace_id: parent.trace_id, span_id: parent.span_id, sampled: Some(parent.sampled) };
    Some(Remote { from, state: parent.state })
}

fn b3(headers: &HeaderMap) -> Option<Foreign> {
    if let Some(found) = text(headers, &B3).and_then(Foreign::of_b3) {
        return Some(found);
    }
    let (trace, span) = (text(headers, &B3_TRACE)?, text(headers, &B3_SPAN)?);
    Foreign::of_b3_fields(trace, span, text(headers, &B3_SAMPLED), text(headers, &B3_FLAGS))
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

/// What is written here is always a legal value.
fn put(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const OTHER: &str = "80f198ee56343ba864fe8b2a57d3eff7";
    const SPAN: &str = "00f067aa0ba902b7";

    fn fields(pairs: &[(&'static str, String)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn parent(state: Option<&str>) -> Parent {
        Parent { trace_id: 0x1a, span_id: 0x2b, sampled: true, state: state.map(Into::into) }
    }

    #[test]
    fn c1_3_traces_are_found_where_the_configuration_says() {
        let traceparent = || ("traceparent", format!("00-{ID}-{SPAN}-01"));
        let b3 = || ("b3", format!("{OTHER}-{SPAN}-0"));
        let several = || ("x-b3-traceid", OTHER.to_owned());
        let span = || ("x-b3-spanid", SPAN.to_owned());
        let own = || ("x-correlation-id", OTHER.to_owned());
        for (kind, custom, pairs, expected) in [
            ("tracecontext", "", vec![traceparent(), b3(), own()], Some((ID, Some(true)))),
            ("tracecontext", "", vec![b3(), own()], None),
            ("tracecontext", "", vec![traceparent(), traceparent()], None),
            ("tracecontext", "X-Correlation-ID", vec![own()], Some((OTHER, Some(true)))),
            ("b3", "", vec![traceparent(), b3()], Some((OTHER, Some(false)))),
            ("b3", "", vec![several(), span()], Some((OTHER, None))),
            ("b3", "", vec![("b3", "0".into()), several(), span()], Some((OTHER, None))),
            ("b3", "", vec![several()], None),
            ("custom", "X-Correlation-ID", vec![traceparent(), own()], Some((OTHER, Some(true)))),
            ("custom", "X-Correlation-ID", vec![traceparent()], None),
            ("composite", "X-Correlation-ID", vec![own()], Some((OTHER, Some(true)))),
            ("composite", "X-Correlation-ID", vec![own(), traceparent()], Some((ID, Some(true)))),
        ] {
            let found = Propagation::read(kind, custom).unwrap().extract(&fields(&pairs));
            let found = found.map(|found| (write_id(found.from.trace_id, 32), found.from.sampled));
            let expected = expected.map(|(id, sampled)| (id.to_owned(), sampled));
            assert_eq!(found, expected, "{kind} {custom} {pairs:?}");
        }
    }

    #[test]
    fn states_come_along_and_are_bounded() {
        let propagation = Propagation::read("tracecontext", "").unwrap();
        let of = |states: &[&str]| {
            let mut pairs = vec![("traceparent", format!("00-{ID}-{SPAN}-01"))];
            pairs.extend(states.iter().map(|state| ("tracestate", (*state).to_owned())));
            propagation.extract(&fields(&pairs)).and_then(|found| found.state)
        };
        assert_eq!(of(&["a=1", "b=2"]).as_deref(), Some("a=1,b=2"));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[&"x".repeat(600)]), None);
    }

    #[test]
    fn c1_3_upstreams_are_told_in_the_same_fields() {
        let told = |kind: &str, custom: &str, state, before: &[(&'static str, String)]| {
            let mut headers = fields(before);
            Propagation::read(kind, custom).unwrap().inject(&parent(state), &mut headers);
            let mut all: Vec<String> = (headers.iter())
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            all.sort_unstable();
            all
        };
        let traceparent = "traceparent: 00-0000000000000000000000000000001a-000000000000002b-01";
        let before =
            [("traceparent", "nonsense".into()), ("tracestate", "a=1".into()), ("x-id", "mine".into())];
        assert_eq!(told("tracecontext", "", None, &before), [traceparent, "x-id: mine"]);
        assert_eq!(
            told("composite", "x-id", Some("b=2"), &before),
            [traceparent, "tracestate: b=2", "x-id: mine"]
        );
        assert_eq!(told("tracecontext", "x-id", None, &before), [traceparent]);
        assert_eq!(told("custom", "x-id", None, &before[2..]), ["x-id: mine"]);
        let b3 = [("b3", "0".into()), ("x-b3-flags", "1".into()), ("x-b3-parentspanid", "a".into())];
        assert_eq!(
            told("b3", "", None, &b3),
            [
                "x-b3-sampled: 1",
                "x-b3-spanid: 000000000000002b",
                "x-b3-traceid: 0000000000000000000000000000001a"
            ]
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (kind, custom, told) in [
            ("custom", "", "name the header in `custom_trace_header`"),
            ("composite", "a b", "`a b` is no name of a header"),
            ("jaeger", "", "there is no `jaeger`"),
        ] {
            let error = Propagation::read(kind, custom).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
