//! Texts of sources in which `{{.arguments.id}}`, `{{.object.id}}` and `{{.request.headers.Name}}` stand for values.

use std::fmt::Write as _;

use serde_json::Value;

/// A text, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Box<[Piece]>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Value(Name),
}

/// What stands for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// An argument of the field, or a part of one.
    Argument(Box<[Box<str>]>),
    /// A field of the object around it, or a part of one.
    Object(Box<[Box<str>]>),
    /// A field of the client's request.
    Header(Box<str>),
}

/// How values are put into a text, so that none can change what is around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Into a URL: only what is unreserved stays as it is.
    Url,
    /// Into JSON: a value of its own, or a part of a string where quotes are around it.
    Json,
    /// Into a header field: without control characters.
    Header,
}

impl Template {
    /// Reads a text.
    pub fn read(text: &str) -> Result<Self, String> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, behind)) = rest.split_once("{{") {
            let Some((inner, after)) = behind.split_once("}}") else {
                return Err(format!("`{{{{{behind}` does not end"));
            };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            pieces.push(Piece::Value(name(inner.trim())?));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        Ok(Self(pieces.into()))
    }

    /// What stands for values in it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Value(name) => Some(name),
            Piece::Text(_) => None,
        })
    }

    /// What it is where it is nothing but one value, which then keeps its type.
    pub(crate) fn whole(&self) -> Option<&Name> {
        match &*self.0 {
            [Piece::Value(name)] => Some(name),
            _ => None,
        }
    }

    /// The text with its values.
    pub(crate) fn render(&self, escape: Escape, value_of: &dyn Fn(&Name) -> Value) -> String {
        let (mut out, mut inside) = (String::new(), false);
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => {
                    inside = ends_in_string(text, inside);
                    out.push_str(text);
                }
                Piece::Value(name) => put(&value_of(name), escape, inside, &mut out),
            }
        }
        out
    }
}

/// Whether a part of JSON ends within a string, by whether it begins in one. Values never end one.
fn ends_in_string(text: &str, mut inside: bool) -> bool {
    let mut escaped = false;
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            _ => {}
        }
    }
    inside
}

fn name(text: &str) -> Result<Name, String> {
    let unknown = || {
        format!("`{{{{{text}}}}}` stands for nothing: use `.arguments.`, `.object.` or `.request.headers.`")
    };
    let parts = |rest: &str| -> Result<Box<[Box<str>]>, String> {
        let parts: Box<[Box<str>]> = rest.split('.').map(Box::from).collect();
        if parts.iter().any(|part| part.is_empty()) { Err(unknown()) } else { Ok(parts) }
    };
    if let Some(rest) = text.strip_prefix(".arguments.") {
        Ok(Name::Argument(parts(rest)?))
    } else if let Some(rest) = text.strip_prefix(".object.") {
        Ok(Name::Object(parts(rest)?))
    } else {
        match text.strip_prefix(".request.headers.") {
            Some(name) if !name.is_empty() => Ok(Name::Header(name.into())),
            _ => Err(unknown()),
        }
    }
}

fn put(value: &Value, escape: Escape, quoted: bool, out: &mut String) {
    let plain = || match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match escape {
        Escape::Json if !quoted => out.push_str(&value.to_string()),
        Escape::Json => {
            let text = Value::from(plain()).to_string();
            let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            out.push_str(inner.unwrap_or_default());
        }
        Escape::Header => out.extend(plain().chars().filter(|c| !c.is_control())),
        Escape::Url => {
            let text = plain();
            // A segment of dots alone would lead upwards.
            let dots = matches!(&*text, "." | "..");
            for byte in text.bytes() {
                if byte.is_ascii_alphanumeric() || (b"-._~".contains(&byte) && !dots) {
                    out.push(char::from(byte));
                } else {
                    let _ = write!(out, "%{byte:02X}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn c10_values_stay_in_their_places() {
        let render = |text: &str, escape: Escape, value: Value| {
            Template::read(text).unwrap().render(escape, &|_| value.clone())
        };
        for (text, escape, value, rendered) in [
            ("http://a/{{.arguments.id}}/x", Escape::Url, json!("7"), "http://a/7/x"),
            ("http://a/{{ .arguments.id }}", Escape::Url, json!("../b?c#d"), "http://a/..%2Fb%3Fc%23d"),
            ("http://a/{{.arguments.id}}/b", Escape::Url, json!(".."), "http://a/%2E%2E/b"),
            ("http://a/{{.object.a.b}}", Escape::Url, json!(null), "http://a/"),
            ("{\"a\": {{.arguments.a}}}", Escape::Json, json!("x\"y"), "{\"a\": \"x\\\"y\"}"),
            ("{\"a\": \"{{.arguments.a}}\"}", Escape::Json, json!("x\"y"), "{\"a\": \"x\\\"y\"}"),
            ("{\"a\": \"{{.arguments.a}}\"}", Escape::Json, json!("\"\"q"), "{\"a\": \"\\\"\\\"q\"}"),
            ("{\"a\": \"{{.arguments.a}}\"}", Escape::Json, json!(7), "{\"a\": \"7\"}"),
            ("{\"a\": {{.arguments.a}}}", Escape::Json, json!([1, "b"]), "{\"a\": [1,\"b\"]}"),
            ("{\"a\": \"x {{.arguments.a}}!\"}", Escape::Json, json!("q\"r"), "{\"a\": \"x q\\\"r!\"}"),
            (
                "{\"a\": \"{{.arguments.a}}{{.arguments.b}}\"}",
                Escape::Json,
                json!("\""),
                "{\"a\": \"\\\"\\\"\"}",
            ),
            ("Bearer {{.request.headers.X}}", Escape::Header, json!("a\r\nb"), "Bearer ab"),
        ] {
            assert_eq!(render(text, escape, value), rendered, "{text}");
        }
        for bad in ["{{", "{{.arguments}}", "{{.other.a}}", "{{.object..a}}", "{{.request.headers.}}", "{{}}"]
        {
            assert!(Template::read(bad).is_err(), "{bad}");
        }
    }
}
