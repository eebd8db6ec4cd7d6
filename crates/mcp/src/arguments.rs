//! The arguments of a call as they are written: what goes on to an API has the numbers that the caller wrote, whatever else would
//! become of them in between.

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::members::{Ambiguous, Members};

/// The arguments of a call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Arguments {
    all: Vec<(String, Written)>,
    /// The same as what guards look at.
    plain: Value,
}

/// A value whose numbers keep their text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Written {
    Null,
    Bool(bool),
    Number(Box<str>),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

const NO_OBJECT: &str = "the arguments of a tool are an object";

impl Arguments {
    /// Those of the call in a body.
    ///
    /// # Errors
    /// Why they are none, in words for the caller.
    pub fn of_call(body: &[u8]) -> Result<Self, &'static str> {
        let message = std::str::from_utf8(body).ok().and_then(Members::of);
        let params = message.as_ref().and_then(|message| message.first("params"));
        let Some(params) = params.and_then(|params| Members::of(params.get())) else {
            return Ok(Self::none());
        };
        match params.sole("arguments") {
            Ok(None) => Ok(Self::none()),
            Ok(Some(arguments)) if arguments.get() == "null" => Ok(Self::none()),
            Ok(Some(arguments)) => Self::read(arguments.get()).ok_or(NO_OBJECT),
            Err(Ambiguous) => Err("the arguments of a tool are there once, as `arguments`"),
        }
    }

    fn none() -> Self {
        Self { all: Vec::new(), plain: Value::Object(serde_json::Map::new()) }
    }

    /// Those of a text; `None`: it is no object.
    pub fn read(text: &str) -> Option<Self> {
        // How deep values are within each other is bounded by this one.
        let plain: Value = serde_json::from_str(text).ok()?;
        match Written::of(serde_json::from_str(text).ok()?)? {
            Written::Object(all) => Some(Self { all, plain }),
            _ => None,
        }
    }

    /// What guards look at: an object.
    pub fn plain(&self) -> &Value {
        &self.plain
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Written)> {
        self.all.iter().map(|(name, value)| (&**name, value))
    }

    pub(crate) fn get(&self, wanted: &str) -> Option<&Written> {
        self.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value)
    }
}

impl Written {
    fn of(raw: &RawValue) -> Option<Self> {
        let text = raw.get();
        Some(match text.as_bytes().first()? {
            b'n' => Self::Null,
            b't' => Self::Bool(true),
            b'f' => Self::Bool(false),
            b'"' => Self::Text(serde_json::from_str(text).ok()?),
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                Self::List(items.into_iter().map(Self::of).collect::<Option<_>>()?)
            }
            b'{' => {
                let mut all: Vec<(String, Self)> = Vec::new();
                let mut places: HashMap<String, usize> = HashMap::new();
                for (name, value) in Members::of(text)?.0 {
                    let value = Self::of(value)?;
                    // Of two with one name the last counts, for guards as well.
                    match places.get(&*name) {
                        Some(at) => all[*at].1 = value,
                        None => {
                            places.insert(name.to_string(), all.len());
                            all.push((name.into_owned(), value));
                        }
                    }
                }
                Self::Object(all)
            }
            _ => Self::Number(text.into()),
        })
    }

    /// The text of a value that has one.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(_) | Self::Bool(_) => Some(self.to_string()),
            Self::Null => Some(String::new()),
            Self::List(_) | Self::Object(_) => None,
        }
    }
}

/// As JSON.
impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Number(number) => f.write_str(number),
            Self::Text(text) => quoted(f, text),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    write!(f, "{item}")?;
                }
                f.write_str("]")
            }
            Self::Object(members) => object(f, members.iter().map(|(name, value)| (&**name, value))),
        }
    }
}

/// Members of an object, as JSON.
pub(crate) struct Object<'a>(pub(crate) &'a [(&'a str, &'a Written)]);

impl fmt::Display for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        object(f, self.0.iter().copied())
    }
}

fn object<'a>(
    f: &mut fmt::Formatter<'_>,
    members: impl Iterator<Item = (&'a str, &'a Written)>,
) -> fmt::Result {
    f.write_str("{")?;
    for (index, (name, value)) in members.enumerate() {
        f.write_str(if index > 0 { "," } else { "" })?;
        quoted(f, name)?;
        write!(f, ":{value}")?;
    }
    f.write_str("}")
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_written_as_they_came() {
        let text =
            r#"{"a":12345678901234567890123,"b":[1.50,-0,1E400e],"c":{"d":"\u00e9\n\"","e":null},"f":true}"#;
        assert_eq!(Arguments::read(text), None, "no JSON");
        let text = text.replace("1E400e", "1e3");
        let read = Arguments::read(&text).unwrap();
        assert_eq!(
            Written::Object(read.all.clone()).to_string(),
            r#"{"a":12345678901234567890123,"b":[1.50,-0,1e3],"c":{"d":"é\n\"","e":null},"f":true}"#
        );
        assert_eq!(read.plain()["c"]["e"], json!(null));
        let twice = Arguments::read(r#"{"a":1,"b":2,"a":3.0}"#).unwrap();
        assert_eq!(Written::Object(twice.all.clone()).to_string(), r#"{"a":3.0,"b":2}"#);
        assert_eq!(twice.plain(), &json!({"a": 3.0, "b": 2}));
        for none in ["[]", "1", "", "{", "null"] {
            assert_eq!(Arguments::read(none), None, "{none}");
        }
    }

    #[test]
    fn arguments_are_found_in_a_call() {
        let of = |params: &str| {
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call"{params}}}"#);
            Arguments::of_call(body.as_bytes()).map(|found| found.plain().to_string())
        };
        for (params, expected) in [
            ("", Ok("{}")),
            (r#","params":{"name":"t"}"#, Ok("{}")),
            (r#","params":{"name":"t","arguments":null}"#, Ok("{}")),
            (r#","params":{"name":"t","arguments":{"a":[1]}}"#, Ok(r#"{"a":[1]}"#)),
            (r#","params":{"name":"t","arguments":[1]}"#, Err(NO_OBJECT)),
            (
                r#","params":{"name":"t","arguments":{"a":1},"arguments":{"a":2}}"#,
                Err("the arguments of a tool are there once, as `arguments`"),
            ),
            (
                r#","params":{"name":"t","arguments":{"a":1},"Arguments":{"a":2}}"#,
                Err("the arguments of a tool are there once, as `arguments`"),
            ),
        ] {
            assert_eq!(of(params).as_deref(), expected.as_deref(), "{params}");
        }
    }
}
