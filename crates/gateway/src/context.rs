//! What is known of a request by name: context variables (contract 8.9).

use std::borrow::Cow;
use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{self, HeaderMap};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::auth::places::cookie_value;
use crate::exchange::Exchange;
use crate::query;
use crate::transform::canonical;

/// What is known of a request by name beside what can be seen of it.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// Fields as they came, of those that stand for something in the definition: guards may have changed them since.
    pub(crate) headers: Option<HeaderMap>,
    /// The body, where it is a form that something stands for.
    pub(crate) form: Option<Bytes>,
    /// What guards found.
    found: Vec<(String, String)>,
    request_id: OnceLock<Uuid>,
}

impl Noted {
    /// Guards found something that can be named from now on.
    pub(crate) fn put(&mut self, mut found: Vec<(String, String)>) {
        self.found.append(&mut found);
    }
}

/// Names that begin like this go on with a name of the caller's choice.
const FAMILIES: [&str; 4] = ["headers_", "cookies_", "request_data_", "jwt_claims_"];
const NAMES: [&str; 5] = ["path", "path_parts", "remote_addr", "request_id", "token"];

/// Whether a request may have a variable of this name.
pub(crate) fn is_known(name: &str) -> bool {
    NAMES.contains(&name) || FAMILIES.iter().any(|start| name.len() > start.len() && name.starts_with(start))
}

/// The value of a name in a text of the definition: what guards found, and all else where the API asks for it.
pub(crate) fn named(exchange: &Exchange, name: &str) -> Option<String> {
    let found = exchange.noted.found.iter().rev().find(|(known, _)| known == name);
    match found {
        Some((_, value)) => Some(value.clone()),
        None if exchange.api.model.transforms.context => value(exchange, name),
        None => None,
    }
}

/// The value of a variable; `None` where the request has none.
pub(crate) fn value(exchange: &Exchange, name: &str) -> Option<String> {
    let head = &exchange.head;
    let of_limit = |limit: Option<[i64; 3]>, number: usize| Some(limit?[number].to_string());
    Some(match name {
        "path" => head.uri.path().to_owned(),
        "remote_addr" => exchange.client_address()?.to_string(),
        "path_parts" => head.uri.path().trim_start_matches('/').replace('/', ","),
        "request_id" => exchange.noted.request_id.get_or_init(Uuid::new_v4).to_string(),
        "token" => exchange.caller.as_ref()?.name.to_string(),
        "tyk_trace_id" => match &exchange.trace {
            Some(trace) => trace.id(),
            None => trace_id(&head.headers)?.to_owned(),
        },
        "headers" => all_headers(exchange.noted.headers.as_ref().unwrap_or(&head.headers)),
        "request_data" => all_fields(exchange),
        "rate_limit_limit" => of_limit(exchange.budget.rate, 0)?,
        "rate_limit_remaining" => of_limit(exchange.budget.rate, 1)?,
        "rate_limit_reset" => of_limit(exchange.budget.rate, 2)?,
        "quota_limit" => of_limit(exchange.budget.quota, 0)?,
        "quota_remaining" => of_limit(exchange.budget.quota, 1)?,
        "quota_reset" => of_limit(exchange.budget.quota, 2)?,
        "headers_Host" => head
            .uri
            .authority()
            .map(|host| host.as_str().to_owned())
            .or_else(|| Some(head.headers.get(header::HOST)?.to_str().ok()?.to_owned()))?,
        _ => {
            let start = FAMILIES.iter().find(|start| name.starts_with(**start))?;
            let rest = &name[start.len()..];
            match *start {
                "headers_" => field_value(exchange, rest)?,
                "cookies_" => cookie(exchange, rest)?.to_owned(),
                "jwt_claims_" => claim(exchange, rest)?.into_owned(),
                _ => field(exchange, rest)?,
            }
        }
    })
}

/// Whether a field is meant by a name with underscores for its dashes, in any case.
pub(crate) fn is_header(name: &str, wanted: &str) -> bool {
    let same = |(a, b): (u8, u8)| a.eq_ignore_ascii_case(&b) || (a == b'-' && b == b'_');
    name.len() == wanted.len() && name.bytes().zip(wanted.bytes()).all(same)
}

fn field_value(exchange: &Exchange, wanted: &str) -> Option<String> {
    let of = |headers: &HeaderMap| {
        let (_, value) = headers.iter().find(|(name, _)| is_header(name.as_str(), wanted))?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    exchange.noted.headers.as_ref().and_then(of).or_else(|| of(&exchange.head.headers))
}

/// `Name:value1,value2;Other:value`.
fn all_headers(headers: &HeaderMap) -> String {
    let of = |name: &header::HeaderName| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        format!("{}:{}", canonical(name.as_str()), values.collect::<Vec<_>>().join(","))
    };
    headers.keys().map(of).collect::<Vec<_>>().join(";")
}

/// The trace that the request belongs to (W3C Trace Context, `traceparent`).
fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get("traceparent")?.to_str().ok()?.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

/// Names are compared with their dashes as underscores.
fn same(written: &str, name: &str) -> bool {
    written == name || written.replace('-', "_") == name
}

fn cookie<'e>(exchange: &'e Exchange, name: &str) -> Option<&'e str> {
    let of = |headers: &'e HeaderMap| cookie_value(headers, |written| same(written, name));
    exchange.noted.headers.as_ref().and_then(of).or_else(|| of(&exchange.head.headers))
}

/// The fields of the form in the body, if that was noted, and of the query.
fn fields(exchange: &Exchange) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let form = exchange.noted.form.as_deref().and_then(|form| std::str::from_utf8(form).ok());
    query::pairs(form.unwrap_or_default()).chain(query::pairs(exchange.head.uri.query().unwrap_or_default()))
}

fn field(exchange: &Exchange, name: &str) -> Option<String> {
    let values: Vec<Cow<'_, str>> =
        fields(exchange).filter(|(written, _)| same(written, name)).map(|(_, value)| value).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// `name:value1,value2;other:value`.
fn all_fields(exchange: &Exchange) -> String {
    let mut all: Vec<(Cow<'_, str>, String)> = Vec::new();
    for (name, value) in fields(exchange) {
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => {
                values.push(',');
                values.push_str(&value);
            }
            None => all.push((name, value.into_owned())),
        }
    }
    all.iter().map(|(name, values)| format!("{name}:{values}")).collect::<Vec<_>>().join(";")
}

fn claim<'e>(exchange: &'e Exchange, name: &str) -> Option<Cow<'e, str>> {
    let claims = exchange.claims.as_ref()?;
    plain(claims.payload.get(name).or_else(|| claims.header.get(name))?)
}

/// All that is known of a request, for templates and programs: by the same names, lists and maps as such.
pub(crate) fn all(exchange: &Exchange) -> Map<String, Value> {
    let mut all = Map::new();
    let named = ["path", "remote_addr", "request_id", "token", "tyk_trace_id", "headers_Host"];
    for name in named {
        if let Some(value) = value(exchange, name) {
            all.insert(name.to_owned(), value.into());
        }
    }
    let parts = exchange.head.uri.path().split('/').skip(1);
    all.insert("path_parts".to_owned(), parts.collect());
    let headers = exchange.noted.headers.as_ref().unwrap_or(&exchange.head.headers);
    let mut by_name = Map::new();
    for name in headers.keys() {
        let values: Vec<String> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        let name = canonical(name.as_str());
        if let Some(first) = values.first() {
            all.insert(format!("headers_{}", name.replace('-', "_")), first.as_str().into());
        }
        by_name.insert(name.to_string(), values.into());
    }
    all.insert("headers".to_owned(), by_name.into());
    let mut data: Map<String, Value> = Map::new();
    for (name, value) in fields(exchange) {
        match data.get_mut(&*name) {
            Some(Value::Array(values)) => values.push(value.into()),
            _ => {
                data.insert(name.into_owned(), Value::Array(vec![value.into()]));
            }
        }
    }
    for (name, values) in &data {
        if let Some(value) = plain(values) {
            all.insert(format!("request_data_{}", name.replace('-', "_")), value.into());
        }
    }
    all.insert("request_data".to_owned(), data.into());
    for value in headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()) {
        for (name, value) in value.split(';').filter_map(|pair| pair.trim().split_once('=')) {
            all.insert(format!("cookies_{}", name.replace('-', "_")), value.into());
        }
    }
    for (name, value) in exchange.claims.iter().flat_map(|claims| claims.header.iter().chain(&claims.payload))
    {
        all.insert(format!("jwt_claims_{name}"), value.clone());
    }
    for (name, value) in &exchange.noted.found {
        all.insert(name.clone(), value.as_str().into());
    }
    all
}

/// A value as text; lists are joined with commas.
pub(crate) fn plain(value: &Value) -> Option<Cow<'_, str>> {
    Some(match value {
        Value::Null => return None,
        Value::String(text) => Cow::Borrowed(text),
        Value::Array(items) => {
            let texts: Vec<Cow<'_, str>> = items.iter().filter_map(plain).collect();
            Cow::Owned(texts.join(","))
        }
        other => Cow::Owned(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn c8_9_row_1_names_and_values() {
        for known in ["path", "headers_X", "cookies_a_b", "request_data_q", "jwt_claims_sub", "request_id"] {
            assert!(is_known(known), "{known}");
        }
        for unknown in ["", "paths", "headers_", "headers", "request_data", "quota_limit", "Path"] {
            assert!(!is_known(unknown), "{unknown}");
        }
        for (value, text) in [
            (json!("a"), Some("a")),
            (json!(7), Some("7")),
            (json!(["a", 1, null]), Some("a,1")),
            (json!(null), None),
            (json!({"a": true}), Some("{\"a\":true}")),
        ] {
            assert_eq!(plain(&value).as_deref(), text, "{value}");
        }
        assert!(
            is_header("x-team", "X_Team") && is_header("x_team", "x_team") && !is_header("x-team", "xteam")
        );
        assert!(same("a-b", "a_b") && same("a-b", "a-b") && !same("ab", "a_b"));
    }
}
