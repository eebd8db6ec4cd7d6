//! What clients ask the OAuth 2.0 server with: parameters of a query, a form, or a flat JSON object. Bounded, and each
//! name once (RFC 6749 section 3.2), so that nobody reads one value where another is meant.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};

use crate::query;

/// Most parameters of one request.
const MOST: usize = 64;

/// The parameters of a request, in their order.
#[derive(Default, Clone, PartialEq, Eq)]
pub(crate) struct Form(Vec<(String, String)>);

/// Secrets and codes are among the values: only names show.
impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Why a request is no set of parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the body is neither a form nor a flat JSON object of texts")]
    Body,
    #[error("there are more than {MOST} parameters")]
    TooMany,
    #[error("`{0}` is there more than once")]
    Repeated(String),
}

impl Form {
    /// Reads a query, and a body of this media type; an empty body has none.
    pub(crate) fn read(query: &str, media: Option<&str>, body: &[u8]) -> Result<Self, Malformed> {
        let mut all: Vec<(String, String)> = Vec::new();
        let mut add = |name: String, value: String| {
            // An empty parameter counts as one that is not there (section 3.1).
            if value.is_empty() {
                return Ok(());
            }
            if all.len() >= MOST {
                return Err(Malformed::TooMany);
            }
            if all.iter().any(|(known, _)| *known == name) {
                return Err(Malformed::Repeated(name));
            }
            all.push((name, value));
            Ok(())
        };
        for (name, value) in query::pairs(query) {
            add(name.into_owned(), value.into_owned())?;
        }
        let media = media.and_then(|media| media.split(';').next()).unwrap_or_default().trim();
        if body.is_empty() {
        } else if media.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let text = std::str::from_utf8(body).map_err(|_| Malformed::Body)?;
            for (name, value) in query::pairs(text) {
                add(name.into_owned(), value.into_owned())?;
            }
        } else if media.eq_ignore_ascii_case("application/json") {
            let Pairs(pairs) = serde_json::from_slice(body).map_err(|_| Malformed::Body)?;
            for (name, value) in pairs {
                add(name, value)?;
            }
        } else {
            return Err(Malformed::Body);
        }
        Ok(Self(all))
    }

    /// The value of a parameter, which is never empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The same as a query; what it was read of, with everything escaped.
    pub(crate) fn to_query(&self) -> String {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        query::form(&pairs)
    }
}

/// Members of a JSON object in their order, each as often as it is there.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = members.next_entry::<String, Option<String>>()? {
                    // One more than may be is enough to refuse them.
                    if pairs.len() <= MOST {
                        pairs.push((name, value.unwrap_or_default()));
                    }
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

    #[test]
    fn parameters_are_read_from_wherever_they_are() {
        type Case<'a> = (&'a str, Option<&'a str>, &'a [u8], &'a [(&'a str, &'a str)]);
        let cases: &[Case<'_>] = &[
            ("a=1&b=%20", None, b"", &[("a", "1"), ("b", " ")]),
            ("a=1", Some(FORM), b"b=2&c=", &[("a", "1"), ("b", "2")]),
            ("", Some("APPLICATION/JSON"), br#"{"a":"1","b":null}"#, &[("a", "1")]),
            ("", Some("text/plain"), b"", &[]),
        ];
        for (query, media, body, expected) in cases {
            let form = Form::read(query, *media, body).unwrap();
            let expected: Vec<_> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(form.0, expected, "{query} {media:?}");
            assert_eq!(Form::read(&form.to_query(), None, b"").unwrap(), form);
        }
    }

    #[test]
    fn what_two_might_read_differently_is_refused() {
        let many: String = (0..=MOST).map(|number| format!("p{number}=1&")).collect();
        let object: String = (0..=MOST).map(|number| format!(",\"p{number}\":\"1\"")).collect();
        let object = format!("{{{}}}", &object[1..]);
        let repeated = |name: &str| Malformed::Repeated(name.to_owned());
        let cases: &[(&str, Option<&str>, &[u8], Malformed)] = &[
            ("a=1&a=1", None, b"", repeated("a")),
            ("a=1&%61=2", None, b"", repeated("a")),
            ("a=1", Some(FORM), b"a=2", repeated("a")),
            ("", Some("application/json"), br#"{"a":"1","a":"2"}"#, repeated("a")),
            ("", Some("application/json"), br#"{"a":1}"#, Malformed::Body),
            ("", Some("application/json"), br#"{"a":{"b":"1"}}"#, Malformed::Body),
            ("", Some("application/json"), br#"["a"]"#, Malformed::Body),
            ("", Some(FORM), b"a=\xff", Malformed::Body),
            ("", Some("text/plain"), b"a=1", Malformed::Body),
            ("", None, b"a=1", Malformed::Body),
            (&many, None, b"", Malformed::TooMany),
            ("", Some("application/json"), object.as_bytes(), Malformed::TooMany),
        ];
        for (query, media, body, expected) in cases {
            assert_eq!(Form::read(query, *media, body), Err(expected.clone()), "{query} {media:?}");
        }
        let form = Form::read("client_secret=hush", None, b"").unwrap();
        assert_eq!(format!("{form:?}"), "[\"client_secret\"]");
    }
}
