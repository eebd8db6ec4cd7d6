//! What is known of a request by name: context variables (contract 8.9).

use std::borrow::Cow;

use http::header;
use serde_json::Value;
use uuid::Uuid;

use crate::auth::places::cookie_value;
use crate::exchange::Exchange;
use crate::query;

/// Names that begin like this go on with a name of the caller's choice.
const FAMILIES: [&str; 4] = ["headers_", "cookies_", "request_data_", "jwt_claims_"];
const NAMES: [&str; 5] = ["path", "path_parts", "remote_addr", "request_id", "token"];

/// Whether a request may have a variable of this name.
pub(crate) fn is_known(name: &str) -> bool {
    NAMES.contains(&name) || FAMILIES.iter().any(|start| name.len() > start.len() && name.starts_with(start))
}

/// The value of a variable; `None` where the request has none. A `request_id` is another one each time.
pub(crate) fn value(exchange: &Exchange, name: &str) -> Option<String> {
    let head = &exchange.head;
    Some(match name {
        "path" => head.uri.path().to_owned(),
        "remote_addr" => exchange.client_address()?.to_string(),
        "path_parts" => head.uri.path().trim_start_matches('/').replace('/', ","),
        "request_id" => Uuid::new_v4().to_string(),
        "token" => exchange.caller.as_ref()?.name.to_string(),
        "headers_Host" => head
            .uri
            .authority()
            .map(|host| host.as_str().to_owned())
            .or_else(|| Some(head.headers.get(header::HOST)?.to_str().ok()?.to_owned()))?,
        _ => {
            let start = FAMILIES.iter().find(|start| name.starts_with(**start))?;
            let rest = &name[start.len()..];
            match *start {
                "headers_" => head.headers.get(rest.replace('_', "-"))?.to_str().ok()?.to_owned(),
                "cookies_" => cookie(exchange, rest)?.to_owned(),
                "jwt_claims_" => claim(exchange, rest)?.into_owned(),
                _ => field(exchange, rest)?,
            }
        }
    })
}

/// Names are compared with their dashes as underscores.
fn same(written: &str, name: &str) -> bool {
    written == name || written.replace('-', "_") == name
}

fn cookie<'e>(exchange: &'e Exchange, name: &str) -> Option<&'e str> {
    let headers = &exchange.head.headers;
    cookie_value(headers, |written| same(written, name))
}

/// Of the query; bodies are messages.
fn field(exchange: &Exchange, name: &str) -> Option<String> {
    let query = exchange.head.uri.query()?;
    let values: Vec<Cow<'_, str>> =
        query::pairs(query).filter(|(written, _)| same(written, name)).map(|(_, value)| value).collect();
    (!values.is_empty()).then(|| values.join(","))
}

fn claim<'e>(exchange: &'e Exchange, name: &str) -> Option<Cow<'e, str>> {
    let claims = exchange.claims.as_ref()?;
    plain(claims.payload.get(name)?)
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
    fn names_and_values() {
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
        assert!(same("a-b", "a_b") && same("a-b", "a-b") && !same("ab", "a_b"));
    }
}
