//! A call of a tool as the request that the tool is: its arguments go into the path, the query, the head and the body. What a
//! caller sends stays where it belongs: no argument reaches another operation, another parameter or another field.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write as _;

use apidef::{Argument, Place, Style, Tool, has_separator, steps_away};

use crate::arguments::{Arguments, Object, Written};
use crate::members::folded;

/// Bytes of a path and query at most: longer ones are no target of a request.
const LONGEST: usize = 65_534;
/// An argument is the name of something else.
const ELSEWHERE: &str = "an argument would lead to another path";

/// A request, below the listen path of the API that the tool is made of.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ToolRequest {
    /// Path and query.
    pub target: String,
    /// Fields of its head.
    pub fields: Vec<(String, String)>,
    /// Media type and body.
    pub body: Option<(Box<str>, Vec<u8>)>,
}

/// The request that a call is; why it is none, in words for the caller.
///
/// # Errors
/// An argument is missing, unknown or of a kind that has no place where it goes.
pub fn request(tool: &Tool, arguments: &Arguments) -> Result<ToolRequest, String> {
    let known = |name: &str| tool.arguments.iter().any(|argument| &*argument.name == name);
    let free = tool.body.as_ref().is_some_and(|body| body.free);
    let others: Vec<(&str, &Written)> = arguments.iter().filter(|(name, _)| !known(name)).collect();
    let spoken_for = if others.is_empty() { HashSet::new() } else { spoken_for(tool) };
    if let Some((name, _)) = others.iter().find(|(name, _)| !free || spoken_for.contains(&folded(name))) {
        return Err(format!("there is no argument `{name}`"));
    }
    let mut path = tool.path.to_string();
    let (mut query, mut cookies) = (String::new(), String::new());
    let mut request = ToolRequest::default();
    let mut members: Vec<(&str, &Written)> = Vec::new();
    let mut whole = None;
    for argument in &tool.arguments {
        let value = arguments.get(&argument.name);
        // Nothing has no text; in a body it is a value.
        let in_body = matches!(argument.place, Place::Member | Place::Body);
        let Some(value) = value.filter(|value| in_body || **value != Written::Null) else {
            if argument.required {
                return Err(format!("the argument `{}` is missing", argument.name));
            }
            continue;
        };
        match argument.place {
            Place::Path => {
                let name = format!("{{{}}}", argument.source);
                path = path.replace(&name, &in_path(argument, value)?);
            }
            Place::Query => add_to_query(tool, argument, value, &mut query)?,
            Place::Header => request.fields.push((argument.source.to_string(), in_field(argument, value)?)),
            Place::Cookie => {
                let separator = if cookies.is_empty() { "" } else { "; " };
                let text = plain(argument, value, &escaped)?;
                // Writing to a string cannot fail.
                let _ = write!(cookies, "{separator}{}={text}", argument.source);
            }
            Place::Member => members.push((&argument.source, value)),
            Place::Body => whole = Some(value),
        }
    }
    if let Some(left) = path.find(['{', '}']) {
        return Err(format!("the path of this tool cannot be filled in: `{}`", &path[left..]));
    }
    if path.len() + query.len() >= LONGEST {
        return Err("the arguments are too long".to_owned());
    }
    let is_filled = tool.arguments.iter().any(|argument| argument.place == Place::Path);
    if steps_away(&path) || is_filled && !tool.is_path(&path) {
        return Err(ELSEWHERE.to_owned());
    }
    members.extend(others);
    if !cookies.is_empty() {
        request.fields.push(("cookie".to_owned(), cookies));
    }
    request.target = match query.is_empty() {
        true => path,
        false => format!("{path}?{query}"),
    };
    if let Some(body) = &tool.body {
        let text = match whole {
            Some(value) => Some(value.to_string()),
            None if members.is_empty() && !body.required => None,
            None if body.form => Some(form(&members)),
            None => Some(Object(&members).to_string()),
        };
        request.body = text.map(|text| (body.kind.clone(), text.into_bytes()));
    }
    Ok(request)
}

/// The names that no argument of the caller's choice may have, since what is said of these would not count for it: what is called
/// otherwise here, and what is not to be sent at all; in letters as lenient readers of bodies compare them.
fn spoken_for(tool: &Tool) -> HashSet<Cow<'_, str>> {
    let left_out = tool.body.iter().flat_map(|body| body.left_out.iter());
    let arguments = tool.arguments.iter().flat_map(|argument| [&argument.name, &argument.source]);
    arguments.chain(left_out).map(|name| folded(name)).collect()
}

fn unfit(argument: &Argument) -> String {
    format!(
        "the argument `{}` holds values within values, which have no place in the {}",
        argument.name,
        argument.place.word()
    )
}

/// A value as one text, with `each` of its parts written so.
fn plain(argument: &Argument, value: &Written, each: &dyn Fn(&str) -> String) -> Result<String, String> {
    if argument.style == Style::Json {
        return Ok(each(&value.to_string()));
    }
    joined(argument, value, ",", each)
}

fn joined(
    argument: &Argument,
    value: &Written,
    separator: &str,
    each: &dyn Fn(&str) -> String,
) -> Result<String, String> {
    let part = |value: &Written| value.text().map(|text| each(&text)).ok_or_else(|| unfit(argument));
    match value {
        Written::List(items) => Ok(items.iter().map(part).collect::<Result<Vec<_>, _>>()?.join(separator)),
        Written::Object(members) => {
            let between = if argument.explode { "=" } else { separator };
            let pairs =
                members.iter().map(|(name, value)| Ok(format!("{}{between}{}", each(name), part(value)?)));
            Ok(pairs.collect::<Result<Vec<_>, String>>()?.join(separator))
        }
        value => part(value),
    }
}

fn in_path(argument: &Argument, value: &Written) -> Result<String, String> {
    let name = escaped(&argument.source);
    let written = match argument.style {
        Style::Label => {
            format!(".{}", joined(argument, value, if argument.explode { "." } else { "," }, &escaped)?)
        }
        Style::Matrix => match value {
            Written::List(items) if argument.explode => {
                let part = |item: &Written| item.text().map(|text| format!(";{name}={}", escaped(&text)));
                let parts: Option<Vec<String>> = items.iter().map(part).collect();
                parts.ok_or_else(|| unfit(argument))?.concat()
            }
            Written::Object(_) if argument.explode => format!(";{}", joined(argument, value, ";", &escaped)?),
            value => format!(";{name}={}", joined(argument, value, ",", &escaped)?),
        },
        _ => plain(argument, value, &escaped)?,
    };
    // The path without it is another one.
    if written.is_empty() {
        return Err(format!("the argument `{}` is empty", argument.name));
    }
    if !argument.reserved && has_separator(&written) {
        return Err(ELSEWHERE.to_owned());
    }
    Ok(written)
}

fn in_field(argument: &Argument, value: &Written) -> Result<String, String> {
    let text = plain(argument, value, &str::to_owned)?;
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(format!(
            "the argument `{}` holds characters that have no place in a header",
            argument.name
        ));
    }
    Ok(text)
}

fn add_to_query(tool: &Tool, argument: &Argument, value: &Written, query: &mut String) -> Result<(), String> {
    let name = escaped(&argument.source);
    let mut add = |name: &str, text: &str| {
        let mark = if query.is_empty() { "" } else { "&" };
        // Writing to a string cannot fail.
        let _ = write!(query, "{mark}{name}={text}");
    };
    let separator = match argument.style {
        Style::Spaces => "%20",
        Style::Pipes => "%7C",
        _ => ",",
    };
    match (value, argument.style) {
        (_, Style::Json) => add(&name, &escaped(&value.to_string())),
        (Written::Object(members), Style::Deep) => {
            for (member, value) in members {
                let name = format!("{name}%5B{}%5D", escaped(member));
                match value {
                    Written::List(items) => {
                        for item in items {
                            add(&name, &escaped(&item.text().ok_or_else(|| unfit(argument))?));
                        }
                    }
                    value => add(&name, &escaped(&value.text().ok_or_else(|| unfit(argument))?)),
                }
            }
        }
        (Written::List(items), _) if argument.explode => {
            for item in items {
                add(&name, &escaped(&item.text().ok_or_else(|| unfit(argument))?));
            }
        }
        (Written::Object(members), Style::Plain) if argument.explode => {
            for (member, value) in members {
                // Its members are parameters by themselves, and so may not be any of the others.
                let other = |other: &&Argument| other.place == Place::Query && *other.source == **member;
                if tool.arguments.iter().any(|one| other(&one)) {
                    return Err(format!(
                        "the argument `{}` has a member `{member}`, which is another parameter",
                        argument.name
                    ));
                }
                add(&escaped(member), &escaped(&value.text().ok_or_else(|| unfit(argument))?));
            }
        }
        _ => add(&name, &joined(argument, value, separator, &escaped)?),
    }
    Ok(())
}

/// The members of a form; lists are several of one name, and what is within is JSON.
fn form(members: &[(&str, &Written)]) -> String {
    let mut all = String::new();
    for &(name, value) in members {
        let items = match value {
            Written::List(items) => items.as_slice(),
            value => std::slice::from_ref(value),
        };
        for item in items {
            let text = item.text().unwrap_or_else(|| item.to_string());
            let mark = if all.is_empty() { "" } else { "&" };
            // Writing to a string cannot fail.
            let _ = write!(all, "{mark}{}={}", escaped(name), escaped(&text));
        }
    }
    all
}

/// Escapes all but what is unreserved (RFC 3986 section 2.3), so that nothing of a text is a part of what it stands in.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use apidef::{ToolBody, ToolHints};
    use serde_json::{Map, Value, json};
    use std::sync::Arc;

    fn argument(name: &str, source: &str, place: Place, style: Style, explode: bool) -> Argument {
        let required = place == Place::Path;
        Argument {
            name: name.into(),
            source: source.into(),
            place,
            required,
            style,
            explode,
            reserved: false,
        }
    }

    fn tool(path: &str, arguments: Vec<Argument>, body: Option<ToolBody>) -> Tool {
        Tool {
            name: "t".into(),
            description: "t".into(),
            hints: ToolHints::default(),
            method: "POST".into(),
            path: path.into(),
            beside: Arc::default(),
            inner: false,
            arguments: arguments.into(),
            body,
            input: json!({}),
            output: None,
            answers_json: false,
            answers_checked: false,
            entry: None,
        }
    }

    fn asked(tool: &Tool, arguments: Value) -> Result<ToolRequest, String> {
        request(tool, &Arguments::read(&arguments.to_string()).unwrap())
    }

    #[test]
    fn arguments_stay_where_they_belong() {
        let all = tool(
            "/orders/{id}/lines/{line}.json",
            vec![
                argument("order", "id", Place::Path, Style::Plain, false),
                argument("line", "line", Place::Path, Style::Plain, false),
                argument("q", "q", Place::Query, Style::Plain, true),
                argument("trace", "X-Trace", Place::Header, Style::Plain, false),
                argument("seen", "seen", Place::Cookie, Style::Plain, true),
                argument("theme", "theme", Place::Cookie, Style::Plain, true),
            ],
            None,
        );
        let full = asked(
            &all,
            json!({"order": "a|b?c#d%20..", "line": 1.5, "q": "x&y=z +é", "trace": "a, b", "seen": "1; theme=2", "theme": true}),
        );
        assert_eq!(
            full,
            Ok(ToolRequest {
                target: "/orders/a%7Cb%3Fc%23d%2520../lines/1.5.json?q=x%26y%3Dz%20%2B%C3%A9".to_owned(),
                fields: vec![
                    ("X-Trace".to_owned(), "a, b".to_owned()),
                    ("cookie".to_owned(), "seen=1%3B%20theme%3D2; theme=true".to_owned()),
                ],
                body: None,
            })
        );
        for (arguments, why) in [
            (json!({"line": 1}), "the argument `order` is missing"),
            (json!({"order": null, "line": 1}), "the argument `order` is missing"),
            (json!({"order": "", "line": 1}), "the argument `order` is empty"),
            (json!({"order": [], "line": 1}), "the argument `order` is empty"),
            (json!({"order": "..", "line": 1}), "an argument would lead to another path"),
            (json!({"order": ".", "line": 1}), "an argument would lead to another path"),
            (json!({"order": "%2e%2E", "line": 1}), "an argument would lead to another path"),
            (json!({"order": "..;x", "line": 1}), "an argument would lead to another path"),
            (json!({"order": "a/b", "line": 1}), "an argument would lead to another path"),
            (json!({"order": ["a", "/b"], "line": 1}), "an argument would lead to another path"),
            (json!({"order": {"a/b": "c"}, "line": 1}), "an argument would lead to another path"),
            (json!({"order": "a\\b", "line": 1}), "an argument would lead to another path"),
            (json!({"order": "a%2fb", "line": 1}), "an argument would lead to another path"),
            (json!({"order": "a%25252Fb", "line": 1}), "an argument would lead to another path"),
            (json!({"order": "a%5cb", "line": 1}), "an argument would lead to another path"),
            (json!({"order": "a".repeat(70_000), "line": 1}), "the arguments are too long"),
            (json!({"order": 1, "line": 1, "other": 1}), "there is no argument `other`"),
            (
                json!({"order": 1, "line": 1, "trace": "a\r\nx-admin: 1"}),
                "the argument `trace` holds characters that have no place in a header",
            ),
            (
                json!({"order": 1, "line": 1, "q": [[1]]}),
                "the argument `q` holds values within values, which have no place in the query",
            ),
        ] {
            assert_eq!(asked(&all, arguments.clone()), Err(why.to_owned()), "{arguments}");
        }
        let odd = tool("/a/{none}", Vec::new(), None);
        assert_eq!(
            asked(&odd, json!({})),
            Err("the path of this tool cannot be filled in: `{none}`".to_owned())
        );
    }

    /// The tool of one operation of a document that has these paths.
    fn among(path: &str, parameter: Value, others: &[&str]) -> Tool {
        let operation = |path: &&str| ((*path).to_owned(), json!({"get": {"responses": {}}}));
        let mut paths: Map<String, Value> = others.iter().map(operation).collect();
        paths.insert(path.to_owned(), json!({"get": {"operationId": "own", "parameters": [parameter]}}));
        let definition = json!({
            "openapi": "3.0.3",
            "paths": {},
            "x-tyk-api-gateway": {
                "info": {"id": "a"},
                "upstream": {"url": "tyk://b/mcp"},
                "server": {"listenPath": {"value": "/"}},
            },
            "x-tyk-mcp-server": {"primitives": [{"source": {"operationId": "own"}, "allow": true}]},
        });
        let definition = apidef::Definition::parse_oas(&definition.to_string()).unwrap();
        let wanted = definition.api.tools.as_deref().unwrap();
        apidef::catalog(&json!({"openapi": "3.0.3", "paths": paths}), wanted).unwrap().0.remove(0)
    }

    #[test]
    fn no_argument_is_the_name_of_another_operation() {
        let plain = json!({"name": "id", "in": "path"});
        let with_slashes = json!({"name": "id", "in": "path", "allowReserved": true});
        let matrix = json!({"name": "id", "in": "path", "style": "matrix"});
        let others = [
            "/orders",
            "/orders/export",
            "/orders/{id}/audit",
            "/orders/{order}.json",
            "/{any}/{thing}",
            "/orders/a/b",
        ];
        for (path, parameter, value, expected) in [
            ("/orders/{id}", &plain, "7", Ok("/orders/7")),
            ("/orders/{id}", &plain, "exports", Ok("/orders/exports")),
            ("/orders/{id}", &plain, "7.jsonl", Ok("/orders/7.jsonl")),
            ("/orders/{id}", &plain, "7;x", Ok("/orders/7%3Bx")),
            ("/orders/{id}", &plain, "export", Err(ELSEWHERE)),
            ("/orders/{id}", &plain, "Export", Err(ELSEWHERE)),
            ("/orders/{id}", &plain, "%65xport", Err(ELSEWHERE)),
            ("/orders/{id}", &plain, "export;x=1", Err(ELSEWHERE)),
            ("/orders/{id}", &plain, ";x", Err(ELSEWHERE)),
            ("/orders/{id}", &plain, "7.json", Err(ELSEWHERE)),
            ("/orders/{id}", &plain, "7/audit", Err(ELSEWHERE)),
            ("/orders/{id}", &with_slashes, "7/b", Ok("/orders/7%2Fb")),
            ("/orders/{id}", &with_slashes, "7\\c", Ok("/orders/7%5Cc")),
            ("/orders/{id}", &with_slashes, "7/audit", Err(ELSEWHERE)),
            ("/orders/{id}", &with_slashes, "7\\audit", Err(ELSEWHERE)),
            ("/orders/{id}", &with_slashes, "7%2Faudit", Err(ELSEWHERE)),
            ("/orders/{id}", &with_slashes, "A/B", Err(ELSEWHERE)),
            ("/orders/{id}", &with_slashes, "../export", Err(ELSEWHERE)),
            ("/orders/{id}", &matrix, "7", Ok("/orders/;id=7")),
            ("/orders/{id}/audit", &plain, "export", Ok("/orders/export/audit")),
            ("/{id}/export", &plain, "stock", Ok("/stock/export")),
            ("/{id}/export", &plain, "orders", Err(ELSEWHERE)),
        ] {
            let tool = among(path, parameter.clone(), &others);
            let target = asked(&tool, json!({"id": value})).map(|request| request.target);
            assert_eq!(target, expected.map(str::to_owned).map_err(str::to_owned), "{path} {value}");
        }
    }

    #[test]
    fn values_are_written_as_the_document_says() {
        use Style::{Deep, Json, Label, Matrix, Pipes, Plain, Spaces};
        let (list, object) = (json!(["a", "b,c"]), json!({"x": 1, "y": "z"}));
        for (place, style, explode, value, expected) in [
            (Place::Path, Plain, false, &list, "/a,b%2Cc"),
            (Place::Path, Plain, false, &object, "/x,1,y,z"),
            (Place::Path, Plain, true, &object, "/x=1,y=z"),
            (Place::Path, Label, true, &list, "/.a.b%2Cc"),
            (Place::Path, Label, false, &json!("a"), "/.a"),
            (Place::Path, Matrix, false, &list, "/;p=a,b%2Cc"),
            (Place::Path, Matrix, true, &list, "/;p=a;p=b%2Cc"),
            (Place::Path, Matrix, true, &object, "/;x=1;y=z"),
            (Place::Path, Json, false, &object, "/%7B%22x%22%3A1%2C%22y%22%3A%22z%22%7D"),
            (Place::Query, Plain, true, &list, "/?p=a&p=b%2Cc"),
            (Place::Query, Plain, false, &list, "/?p=a,b%2Cc"),
            (Place::Query, Plain, true, &object, "/?x=1&y=z"),
            (Place::Query, Plain, false, &object, "/?p=x,1,y,z"),
            (Place::Query, Spaces, false, &list, "/?p=a%20b%2Cc"),
            (Place::Query, Pipes, false, &list, "/?p=a%7Cb%2Cc"),
            (Place::Query, Deep, true, &object, "/?p%5Bx%5D=1&p%5By%5D=z"),
            (Place::Query, Json, false, &object, "/?p=%7B%22x%22%3A1%2C%22y%22%3A%22z%22%7D"),
            (Place::Query, Plain, true, &json!(true), "/?p=true"),
        ] {
            let path = if place == Place::Path { "/{p}" } else { "/" };
            let tool = tool(path, vec![argument("p", "p", place, style, explode)], None);
            let target = asked(&tool, json!({"p": value})).map(|request| request.target);
            assert_eq!(target.as_deref(), Ok(expected), "{place:?} {style:?} {explode} {value}");
        }
        let two = tool(
            "/",
            vec![
                argument("filter", "filter", Place::Query, Plain, true),
                argument("admin", "admin", Place::Query, Plain, true),
            ],
            None,
        );
        let refused = asked(&two, json!({"filter": {"admin": 1}}));
        assert_eq!(
            refused,
            Err("the argument `filter` has a member `admin`, which is another parameter".to_owned())
        );
    }

    #[test]
    fn members_make_a_body() {
        let of = |form: bool, required: bool, free: bool, place: Place| {
            let kind = if form { "application/x-www-form-urlencoded" } else { "application/json" };
            let arguments = vec![argument("n", "name", place, Style::Json, true)];
            let left_out = Box::new(["id".into()]);
            tool("/", arguments, Some(ToolBody { kind: kind.into(), form, required, free, left_out }))
        };
        let body = |tool: &Tool, arguments: Value| {
            asked(tool, arguments)
                .map(|request| request.body.map(|(_, body)| String::from_utf8(body).unwrap()))
        };
        let said = |text: &str| Ok(Some(text.to_owned()));
        for (tool, arguments, expected) in [
            (of(false, true, false, Place::Member), json!({"n": null}), said(r#"{"name":null}"#)),
            (of(false, true, false, Place::Member), json!({}), said("{}")),
            (of(false, false, false, Place::Member), json!({}), Ok(None)),
            (of(false, true, true, Place::Member), json!({"n": 1, "x": [2]}), said(r#"{"name":1,"x":[2]}"#)),
            (of(false, true, false, Place::Body), json!({"n": [1, {"a": 2}]}), said(r#"[1,{"a":2}]"#)),
            (
                of(true, true, true, Place::Member),
                json!({"n": ["a b", "&"], "x": {"y": 1}}),
                said("name=a%20b&name=%26&x=%7B%22y%22%3A1%7D"),
            ),
        ] {
            assert_eq!(body(&tool, arguments.clone()), expected, "{arguments}");
        }
        // What is said of a member counts, whatever it is called in the call.
        for other in ["name", "Name", "N", "id", "ID"] {
            let tool = of(false, true, true, Place::Member);
            let refused = Err(format!("there is no argument `{other}`"));
            assert_eq!(body(&tool, json!({"n": 1, other: 2})), refused, "{other}");
        }
        let numbers = r#"{"n":12345678901234567890123,"x":[1.50,1e3]}"#;
        let made =
            request(&of(false, true, true, Place::Member), &Arguments::read(numbers).unwrap()).unwrap();
        assert_eq!(made.body.unwrap().1, numbers.replace("\"n\"", "\"name\"").into_bytes());
    }
}
