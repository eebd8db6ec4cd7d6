//! Parameters of a request, read as the document says that they are written (OpenAPI 3.0, "Style Values").

use std::borrow::Cow;
use std::collections::BTreeMap;

use apidef::{Parameter, ParameterPlace as Place, ParameterStyle as Style};
use http::header::{self, HeaderMap};
use serde_json::{Map, Value};

use super::shape::{Shape, told};
use crate::query;

/// How deep the names of `deepObject` lead.
const DEEPEST: usize = 8;

/// What parameters are read from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'r> {
    /// Those of the path, by name.
    pub(crate) path: &'r [(&'r str, String)],
    /// Escapes in them are resolved.
    pub(crate) path_decoded: bool,
    pub(crate) query: &'r str,
    pub(crate) headers: &'r HeaderMap,
}

/// What a request has for a parameter.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    Nothing,
    /// It is there, and has no value.
    Empty,
    /// What it may stand for; the first one that its schema lets pass is meant.
    Values(Vec<Value>),
}

/// Reads a parameter.
///
/// # Errors
/// What is wrong with its text.
pub(crate) fn read(parameter: &Parameter, shape: &Shape, given: &Given<'_>) -> Result<Found, String> {
    match parameter.place {
        Place::Query => in_query(parameter, shape, given.query),
        Place::Path => {
            let Some((_, text)) = given.path.iter().find(|(name, _)| **name == *parameter.name) else {
                return Ok(Found::Nothing);
            };
            let decode = |text: &str| match given.path_decoded {
                true => text.to_owned(),
                false => query::decode_path(text).into_owned(),
            };
            in_path(parameter, shape, text, decode)
        }
        Place::Header => {
            // Fields that are sent more than once are one (RFC 9110 section 5.3).
            let fields = given.headers.get_all(&*parameter.name).iter();
            let texts: Vec<Cow<'_, str>> =
                fields.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            match texts.is_empty() {
                true => Ok(Found::Nothing),
                false => plain(parameter, shape, &texts.join(","), |text| text.trim().to_owned()),
            }
        }
        Place::Cookie => {
            let fields = given.headers.get_all(header::COOKIE).iter();
            let texts: Vec<Cow<'_, str>> =
                fields.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            let cookies: Vec<(&str, &str)> = texts
                .iter()
                .flat_map(|text| text.split(';'))
                .filter_map(|cookie| cookie.trim().split_once('='))
                .collect();
            form(parameter, shape, &cookies, |text| text.to_owned())
        }
    }
}

/// A value that is one text, its parts with commas between.
fn plain(
    parameter: &Parameter,
    shape: &Shape,
    text: &str,
    decode: impl Fn(&str) -> String,
) -> Result<Found, String> {
    if parameter.style.is_none() {
        return json(&decode(text));
    }
    parted(shape, text, ',', parameter.explode.then_some(','), decode)
}

fn in_path(
    parameter: &Parameter,
    shape: &Shape,
    text: &str,
    decode: impl Fn(&str) -> String,
) -> Result<Found, String> {
    let name = &*parameter.name;
    match parameter.style {
        Some(Style::Label) => {
            let text = text.strip_prefix('.').ok_or_else(|| told(text, "it does not begin with a dot"))?;
            let by = if parameter.explode { '.' } else { ',' };
            parted(shape, text, by, parameter.explode.then_some('.'), decode)
        }
        Some(Style::Matrix) => {
            let text =
                text.strip_prefix(';').ok_or_else(|| told(text, "it does not begin with a semicolon"))?;
            let pairs: Vec<(&str, &str)> =
                text.split(';').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
            if shape.is_object() && parameter.explode {
                let pairs: Vec<(String, String)> =
                    pairs.iter().map(|(name, text)| (decode(name), decode(text))).collect();
                return Ok(Found::Values(vec![shape.object(&pairs)?]));
            }
            let own: Vec<&str> =
                pairs.iter().filter(|(key, _)| *key == name).map(|(_, text)| *text).collect();
            match (&*own, shape.is_array() && parameter.explode) {
                ([], _) => Ok(Found::Nothing),
                (own, true) => {
                    let texts: Vec<String> = own.iter().map(|text| decode(text)).collect();
                    Ok(Found::Values(vec![shape.array(&texts)?]))
                }
                ([first, ..], false) => parted(shape, first, ',', None, decode),
            }
        }
        _ => plain(parameter, shape, text, decode),
    }
}

fn in_query(parameter: &Parameter, shape: &Shape, query: &str) -> Result<Found, String> {
    let decode = |text: &str| query::decode(text).into_owned();
    let pairs: Vec<(&str, &str)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    if parameter.style == Some(Style::Deep) {
        return deep(parameter, shape, &pairs);
    }
    form(parameter, shape, &pairs, decode)
}

/// A value among others by name.
fn form(
    parameter: &Parameter,
    shape: &Shape,
    pairs: &[(&str, &str)],
    decode: impl Fn(&str) -> String,
) -> Result<Found, String> {
    if parameter.explode && shape.is_object() && parameter.style.is_some() {
        let all = pairs.iter().map(|(name, text)| (decode(name), decode(text)));
        let own: Vec<(String, String)> = all
            .filter(|(name, _)| shape.is_open() || shape.properties().any(|known| known == name))
            .collect();
        if own.is_empty() {
            return Ok(Found::Nothing);
        }
        return Ok(Found::Values(vec![shape.object(&own)?]));
    }
    let own = pairs.iter().filter(|(name, _)| decode(name) == *parameter.name).map(|(_, text)| *text);
    let own: Vec<&str> = own.collect();
    let Some(first) = own.first() else { return Ok(Found::Nothing) };
    if own.iter().all(|text| text.is_empty()) {
        return Ok(Found::Empty);
    }
    let is_list = parameter.style.is_some() && parameter.explode && shape.is_array();
    if parameter.place == Place::Query
        && !is_list
        && let Some(other) = own.iter().find(|text| *text != first)
    {
        // Upstreams differ in which of them counts. (Cookies of one name may come from several paths.)
        return Err(told(other, "it is there with different values"));
    }
    if parameter.style.is_none() {
        return json(&decode(first));
    }
    if parameter.explode && shape.is_array() {
        let texts: Vec<String> = own.iter().map(|text| decode(text)).collect();
        let mut values = vec![shape.array(&texts)?];
        if let ([only], true) = (&*texts, shape.is_text_as_well()) {
            values.push(Value::String(only.clone()));
        }
        return Ok(Found::Values(values));
    }
    match parameter.style {
        // What stands between them may be escaped, as nothing else can be in a query.
        Some(Style::Space) => parted(shape, &first.replace("%20", " ").replace('+', " "), ' ', None, decode),
        Some(Style::Pipe) => parted(shape, &first.replace("%7C", "|").replace("%7c", "|"), '|', None, decode),
        _ => parted(shape, first, ',', None, decode),
    }
}

/// A text with its parts. `pairs`: what stands between the parts of an object that are `name=text` each.
fn parted(
    shape: &Shape,
    text: &str,
    by: char,
    pairs: Option<char>,
    decode: impl Fn(&str) -> String,
) -> Result<Found, String> {
    let mut values = Vec::new();
    if shape.is_object() {
        let pairs: Vec<(String, String)> = match pairs {
            Some(between) => text
                .split(between)
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, text)| (decode(name), decode(text)))
                .collect(),
            None => {
                let parts: Vec<&str> = text.split(by).collect();
                if parts.len() % 2 == 1 {
                    return Err(told(text, "it is no list of names and values"));
                }
                parts.chunks(2).map(|pair| (decode(pair[0]), decode(pair[1]))).collect()
            }
        };
        values.push(shape.object(&pairs)?);
    } else if shape.is_array() {
        let parts: Vec<String> = text.split(by).map(&decode).collect();
        values.push(shape.array(&parts)?);
    } else {
        let text = decode(text);
        values.push(shape.value(&text).map_err(|why| told(&text, why))?);
    }
    if shape.is_text_as_well() {
        values.push(Value::String(decode(text)));
    }
    Ok(Found::Values(values))
}

fn json(text: &str) -> Result<Found, String> {
    if text.is_empty() {
        return Ok(Found::Empty);
    }
    let value = serde_json::from_str(text).map_err(|why| format!("it is no JSON: {why}"))?;
    Ok(Found::Values(vec![value]))
}

/// A tree of texts by the names that lead to them.
#[derive(Default)]
struct Branch {
    texts: Vec<String>,
    below: BTreeMap<String, Branch>,
}

/// `name[a][b]=text`
fn deep(parameter: &Parameter, shape: &Shape, pairs: &[(&str, &str)]) -> Result<Found, String> {
    let mut root = Branch::default();
    for (name, text) in pairs {
        let name = query::decode(name);
        let Some(keys) = name.strip_prefix(&*parameter.name).filter(|keys| keys.starts_with('[')) else {
            continue;
        };
        let mut at = &mut root;
        let keys: Vec<&str> = keys.split('[').skip(1).collect();
        if keys.len() > DEEPEST {
            return Err(told(&name, "it leads too deep"));
        }
        for key in keys {
            let key = key.strip_suffix(']').ok_or_else(|| told(&name, "a bracket is not closed"))?;
            at = at.below.entry(key.to_owned()).or_default();
        }
        at.texts.push(query::decode(text).into_owned());
    }
    if root.below.is_empty() {
        return Ok(Found::Nothing);
    }
    Ok(Found::Values(vec![grown(shape, root)?]))
}

fn grown(shape: &Shape, mut branch: Branch) -> Result<Value, String> {
    if branch.below.is_empty() {
        return match (shape.is_array(), branch.texts.first()) {
            (true, _) => shape.array(&branch.texts),
            (false, text) => {
                let text = text.map(String::as_str).unwrap_or_default();
                shape.value(text).map_err(|why| told(text, why))
            }
        };
    }
    if shape.is_array() {
        // `name[]=a&name[]=b`, or with numbers.
        let bare = branch.below.remove("").map(|bare| bare.texts).unwrap_or_default();
        let mut numbered: Vec<(usize, Branch)> = Vec::new();
        for (key, below) in branch.below {
            let number = key.parse().map_err(|_| told(&key, "it is no number of an item"))?;
            numbered.push((number, below));
        }
        numbered.sort_by_key(|(number, _)| *number);
        let Value::Array(mut items) = shape.array(&bare)? else { return Ok(Value::Null) };
        for (_, below) in numbered {
            items.push(grown(shape.items(), below)?);
        }
        return Ok(Value::Array(items));
    }
    let mut object = Map::new();
    for (name, below) in branch.below {
        let value = grown(shape.property(&name), below)?;
        object.insert(name, value);
    }
    Ok(Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_read_in_every_style() {
        let array = json!({"type": "array", "items": {"type": "integer"}});
        let object =
            json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}});
        let number = json!({"type": "integer"});
        let is = |value: Value| Ok(Found::Values(vec![value]));
        let (list, pair) = (json!([3, 4, 5]), json!({"a": 1, "b": "x y"}));
        for (place, style, explode, schema, text, expected) in [
            (Place::Path, Style::Simple, false, &number, "5", is(json!(5))),
            (Place::Path, Style::Simple, false, &array, "3,4,5", is(list.clone())),
            (Place::Path, Style::Simple, false, &object, "a,1,b,x%20y", is(pair.clone())),
            (Place::Path, Style::Simple, true, &object, "a=1,b=x%20y", is(pair.clone())),
            (Place::Path, Style::Label, false, &array, ".3,4,5", is(list.clone())),
            (Place::Path, Style::Label, true, &array, ".3.4.5", is(list.clone())),
            (Place::Path, Style::Label, true, &object, ".a=1.b=x%20y", is(pair.clone())),
            (
                Place::Path,
                Style::Label,
                true,
                &number,
                "5",
                Err("value 5: it does not begin with a dot: invalid syntax"),
            ),
            (Place::Path, Style::Matrix, false, &number, ";p=5", is(json!(5))),
            (Place::Path, Style::Matrix, false, &array, ";p=3,4,5", is(list.clone())),
            (Place::Path, Style::Matrix, true, &array, ";p=3;p=4;p=5", is(list.clone())),
            (Place::Path, Style::Matrix, true, &object, ";a=1;b=x%20y", is(pair.clone())),
            (Place::Query, Style::Form, true, &number, "x=1&p=5", is(json!(5))),
            (Place::Query, Style::Form, true, &number, "p=", Ok(Found::Empty)),
            (Place::Query, Style::Form, true, &number, "q=5", Ok(Found::Nothing)),
            (
                Place::Query,
                Style::Form,
                true,
                &number,
                "p=five",
                Err("value five: an invalid integer: invalid syntax"),
            ),
            (Place::Query, Style::Form, true, &array, "p=3&p=4&%70=5", is(list.clone())),
            (Place::Query, Style::Form, false, &array, "p=3,4,5", is(list.clone())),
            (Place::Query, Style::Form, true, &object, "a=1&b=x+y&c=2", is(pair.clone())),
            (Place::Query, Style::Form, false, &object, "p=a,1,b,x%20y", is(pair.clone())),
            (
                Place::Query,
                Style::Form,
                false,
                &object,
                "p=a,1,b",
                Err("value a,1,b: it is no list of names and values: invalid syntax"),
            ),
            (Place::Query, Style::Space, false, &array, "p=3%204+5", is(list.clone())),
            (Place::Query, Style::Pipe, false, &array, "p=3|4%7c5", is(list.clone())),
            (Place::Query, Style::Deep, true, &object, "p[a]=1&p%5Bb%5D=x+y&pq[a]=2", is(pair.clone())),
            (
                Place::Query,
                Style::Deep,
                true,
                &object,
                "p[a]=1&p[b=2",
                Err("value p[b: a bracket is not closed: invalid syntax"),
            ),
            (Place::Header, Style::Simple, false, &array, "3, 4,5", is(list.clone())),
            (Place::Header, Style::Simple, true, &object, "a=1,b=x y", is(pair.clone())),
            (Place::Cookie, Style::Form, true, &number, "q=1; p=5", is(json!(5))),
        ] {
            let parameter = Parameter {
                name: "p".into(),
                place,
                required: false,
                may_be_empty: false,
                style: Some(style),
                explode,
                schema: schema.clone(),
            };
            let mut headers = HeaderMap::new();
            if place == Place::Header || place == Place::Cookie {
                let name = if place == Place::Header { "p" } else { "cookie" };
                headers.insert(header::HeaderName::from_static(name), text.parse().unwrap());
            }
            let path = [("p", text.to_owned())];
            let given = Given { path: &path, path_decoded: false, query: text, headers: &headers };
            let found = read(&parameter, &Shape::of(schema, &Value::Null), &given);
            assert_eq!(found, expected.map_err(str::to_owned), "{place:?} {style:?} {explode} {text}");
        }
    }

    #[test]
    fn names_lead_deep() {
        let schema = json!({"type": "object", "properties": {
            "list": {"type": "array", "items": {"type": "integer"}},
            "in": {"type": "object", "properties": {"n": {"type": "number"}}},
        }});
        let parameter = Parameter {
            name: "f".into(),
            place: Place::Query,
            required: false,
            may_be_empty: false,
            style: Some(Style::Deep),
            explode: true,
            schema: schema.clone(),
        };
        let shape = Shape::of(&schema, &Value::Null);
        let headers = HeaderMap::new();
        for (query, expected) in [
            ("f[list][]=1&f[list][]=2&f[in][n]=1.5", Ok(json!({"list": [1, 2], "in": {"n": 1.5}}))),
            ("f[list][1]=1&f[list][0]=2", Ok(json!({"list": [2, 1]}))),
            ("f[list]=1&f[list]=2", Ok(json!({"list": [1, 2]}))),
            ("f[list][x]=1", Err(())),
            ("f[a][b][c][d][e][f][g][h][i]=1", Err(())),
        ] {
            let given = Given { path: &[], path_decoded: false, query, headers: &headers };
            let found = read(&parameter, &shape, &given).map_err(|_| ());
            assert_eq!(found, expected.map(|value| Found::Values(vec![value])), "{query}");
        }
    }
}
