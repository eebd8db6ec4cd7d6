//! Header fields that requests and answers lose and get (contract 4.4 row 35, 4.5, 8.3): first they lose, then they get, and
//! what they get takes the place of what was there.

use apidef::{AtPath, HeaderChange, HeaderChanges};
use document::Fault;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::text::{Secrets, Text, Variable};
use super::variables;
use crate::exchange::Exchange;
use crate::route::{Collector, PerPath};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What one place of a definition changes.
#[derive(Debug)]
struct Change {
    remove: Box<[HeaderName]>,
    add: Box<[(HeaderName, Value)]>,
}

#[derive(Debug)]
enum Value {
    Fixed(HeaderValue),
    Rendered(Text),
}

/// Changes requests: those of all come before those of a path.
#[derive(Debug)]
pub(crate) struct RequestHeaders {
    all: Option<Change>,
    paths: PerPath<Change>,
}

/// Changes answers: those of a path come before those of all.
#[derive(Debug)]
pub(crate) struct AnswerHeaders {
    paths: PerPath<Change>,
    all: Option<Change>,
    last: Option<Change>,
}

/// Values that a request is to get, made before anything is changed.
type Made<'c> = SmallVec<[HeaderValue; 4]>;

impl RequestHeaders {
    /// `None` where nothing changes. `seen` is told of every name that stands in a value.
    pub(crate) fn new(
        model: &HeaderChanges,
        patterns: &Collector,
        secrets: &Secrets,
        seen: &mut dyn FnMut(&Variable),
    ) -> Result<Option<Self>, Fault> {
        let headers = Self {
            all: model.of_requests.as_ref().map(|one| Change::new(one, secrets, seen)).transpose()?,
            paths: of_paths(&model.of_request_paths, patterns, secrets, seen)?,
        };
        Ok((headers.all.is_some() || !headers.paths.is_empty()).then_some(headers))
    }

    pub(crate) fn pass(&self, exchange: &mut Exchange) {
        let changes = self.all.iter().chain(self.paths.each(exchange));
        // Values are those of the request as it came: all of them before the first change.
        let made: SmallVec<[(&Change, Made<'_>); 2]> =
            changes.map(|change| (change, change.make(exchange))).collect();
        for (change, made) in made {
            if change.remove.contains(&FORWARDED_FOR) {
                exchange.ahead.hides_client = true;
            }
            change.apply(&mut exchange.head.headers, made);
        }
    }
}

impl AnswerHeaders {
    /// `None` where nothing changes.
    pub(crate) fn new(
        model: &HeaderChanges,
        patterns: &Collector,
        secrets: &Secrets,
        seen: &mut dyn FnMut(&Variable),
    ) -> Result<Option<Self>, Fault> {
        let headers = Self {
            paths: of_paths(&model.of_answer_paths, patterns, secrets, seen)?,
            all: model.of_answers.as_ref().map(|one| Change::new(one, secrets, seen)).transpose()?,
            last: model.last_of_answers.as_ref().map(|one| Change::new(one, secrets, seen)).transpose()?,
        };
        let any = headers.all.is_some() || headers.last.is_some() || !headers.paths.is_empty();
        Ok(any.then_some(headers))
    }

    pub(crate) fn pass(&self, exchange: &Exchange, headers: &mut HeaderMap) {
        for change in self.paths.each(exchange).rev().chain(&self.all).chain(&self.last) {
            change.apply(headers, change.make(exchange));
        }
    }
}

fn of_paths(
    list: &[AtPath<HeaderChange>],
    patterns: &Collector,
    secrets: &Secrets,
    seen: &mut dyn FnMut(&Variable),
) -> Result<PerPath<Change>, Fault> {
    PerPath::try_of(patterns, list, |one| Change::new(&one.value, secrets, seen))
}

impl Change {
    fn new(model: &HeaderChange, secrets: &Secrets, seen: &mut dyn FnMut(&Variable)) -> Result<Self, Fault> {
        let fault = |text: String| Fault::error(&*model.at.0, text);
        let name = |name: &str| {
            HeaderName::try_from(name).map_err(|_| fault(format!("`{name}` is no name of a header")))
        };
        let mut add = Vec::with_capacity(model.add.len());
        for (written, text) in &model.add {
            let text = Text::new(text, secrets).map_err(|why| fault(format!("`{written}`: {why}")))?;
            text.variables().for_each(&mut *seen);
            let value = match text.plain() {
                Some(text) => Value::Fixed(
                    HeaderValue::try_from(text)
                        .map_err(|_| fault(format!("the value of `{written}` holds what no header can")))?,
                ),
                None => Value::Rendered(text),
            };
            add.push((name(written)?, value));
        }
        let remove = model.remove.iter().map(|written| name(written)).collect::<Result<_, _>>()?;
        Ok(Self { remove, add: add.into() })
    }

    fn make(&self, exchange: &Exchange) -> Made<'_> {
        self.make_of(&|variable| variables::value(variable, exchange))
    }

    fn make_of(&self, value_of: &dyn Fn(&Variable) -> Option<String>) -> Made<'_> {
        let value = |(_, value): &(HeaderName, Value)| match value {
            Value::Fixed(value) => value.clone(),
            Value::Rendered(text) => sendable(&text.render(value_of)),
        };
        self.add.iter().map(value).collect()
    }

    fn apply(&self, headers: &mut HeaderMap, made: Made<'_>) {
        for name in &self.remove {
            headers.remove(name);
        }
        for ((name, _), value) in self.add.iter().zip(made) {
            headers.insert(name, value);
        }
    }
}

/// What a value from a stranger becomes: control characters, line ends among them, are spaces (RFC 9110 section 5.5).
fn sendable(text: &str) -> HeaderValue {
    HeaderValue::from_str(text)
        .or_else(|_| {
            let bytes: Vec<u8> =
                text.bytes().map(|byte| if byte < b' ' || byte == 0x7f { b' ' } else { byte }).collect();
            HeaderValue::from_bytes(bytes.trim_ascii())
        })
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(remove: &[&str], add: &[(&str, &str)]) -> Change {
        let model = HeaderChange {
            remove: remove.iter().map(|name| (*name).into()).collect(),
            add: add.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            at: "/at".to_owned().into(),
        };
        Change::new(&model, &Secrets::new(), &mut |_| {}).unwrap()
    }

    #[test]
    fn c8_3_row_8_fields_go_before_others_come() {
        let value_of = |variable: &Variable| Some(format!("<{}>\r\nx: y\u{0}", variable.name));
        for (remove, add, after) in [
            (&["x-a"][..], &[][..], &[("x-b", "2"), ("x-b", "3")][..]),
            (&["X-A", "x-b", "x-none"], &[("X-A", "new")], &[("x-a", "new")]),
            (&[], &[("X-B", "one")], &[("x-a", "1"), ("x-b", "one")]),
            (&["x-a", "x-b"], &[("x-c", "")], &[("x-c", "")]),
            // What comes from a stranger makes no line of its own.
            (&["x-a", "x-b"], &[("x-c", "a $tyk_context.path")], &[("x-c", "a <path>  x: y")]),
        ] {
            let mut headers: HeaderMap = [("x-a", "1"), ("x-b", "2"), ("x-b", "3")]
                .into_iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            let change = change(remove, add);
            change.apply(&mut headers, change.make_of(&value_of));
            let mut left: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
            left.sort_unstable();
            assert_eq!(left, after, "{remove:?} {add:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_header_is_a_fault_at_its_place() {
        for (name, value) in [("x y", "1"), ("x", "a\nb")] {
            let model = HeaderChange {
                add: [(name.into(), value.into())].into(),
                at: "/at".to_owned().into(),
                ..HeaderChange::default()
            };
            let fault = Change::new(&model, &Secrets::new(), &mut |_| {}).unwrap_err();
            assert_eq!(fault.pointer, "/at", "{name}");
        }
    }
}
