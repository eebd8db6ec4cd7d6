//! What a client sends: a JSON object by POST, or the fields of a query string by GET (the "GraphQL over HTTP" draft).

use serde_json::{Map, Value};

/// What a request consists of. Servers differ in whether case counts, and in which of two they take.
pub const MEMBERS: [&str; 3] = ["query", "operationName", "variables"];

/// One request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// The document.
    pub query: String,
    /// Which of its operations.
    pub operation: Option<String>,
    /// Values of its variables.
    pub variables: Map<String, Value>,
}

/// Why there is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// Nothing came.
    #[error("the provided request is empty")]
    Empty,
    /// It cannot be read.
    #[error("the request cannot be read: {0}")]
    Malformed(String),
}

impl Request {
    /// Of a body by its media type.
    pub fn of_body(kind: &str, body: &[u8]) -> Result<Self, BadRequest> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(BadRequest::Empty);
        }
        let media = kind.split(';').next().unwrap_or_default().trim();
        if media.eq_ignore_ascii_case("application/graphql") {
            let query = std::str::from_utf8(body).map_err(malformed)?.to_owned();
            return Ok(Self { query, ..Self::default() });
        }
        Self::of_value(serde_json::from_slice(body).map_err(malformed)?)
    }

    /// Of the object that a request is.
    pub fn of_value(value: Value) -> Result<Self, BadRequest> {
        let Value::Object(mut members) = value else {
            let what = match value {
                Value::Array(_) => "several requests at once are not served: send one object",
                _ => "it must be an object",
            };
            return Err(malformed(what));
        };
        let is_other =
            |key: &str| MEMBERS.iter().any(|known| key != *known && key.eq_ignore_ascii_case(known));
        if let Some(key) = members.keys().find(|key| is_other(key)) {
            return Err(malformed(format!("`{key}` is written otherwise: case counts")));
        }
        let query = match members.remove("query") {
            Some(Value::String(query)) => query,
            None | Some(Value::Null) => return Err(BadRequest::Empty),
            Some(_) => return Err(malformed("`query` must be a string")),
        };
        let operation = match members.remove("operationName") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name).filter(|name| !name.is_empty()),
            Some(_) => return Err(malformed("`operationName` must be a string")),
        };
        let variables = variables(members.remove("variables"))?;
        Self { query, operation, variables }.or_empty()
    }

    /// Of the pairs of a query string.
    pub fn of_pairs<'p>(pairs: impl Iterator<Item = (&'p str, &'p str)>) -> Result<Self, BadRequest> {
        let (mut request, mut seen) = (Self::default(), Vec::new());
        for (name, value) in pairs {
            if let Some(known) = MEMBERS.into_iter().find(|known| name.eq_ignore_ascii_case(known)) {
                if name != known || seen.contains(&known) {
                    return Err(malformed(format!("`{known}` must come once, and be written like this")));
                }
                seen.push(known);
            }
            match name {
                "query" => request.query = value.to_owned(),
                "operationName" => request.operation = Some(value.to_owned()).filter(|name| !name.is_empty()),
                "variables" if !value.is_empty() => {
                    request.variables = variables(Some(serde_json::from_str(value).map_err(malformed)?))?;
                }
                _ => {}
            }
        }
        request.or_empty()
    }

    fn or_empty(self) -> Result<Self, BadRequest> {
        if self.query.trim().is_empty() { Err(BadRequest::Empty) } else { Ok(self) }
    }
}

fn variables(value: Option<Value>) -> Result<Map<String, Value>, BadRequest> {
    match value {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(members)) => Ok(members),
        Some(_) => Err(malformed("`variables` must be an object")),
    }
}

fn malformed(why: impl ToString) -> BadRequest {
    BadRequest::Malformed(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn c10_row_2_bodies_are_requests() {
        let of = |body: &str| Request::of_body("application/json", body.as_bytes());
        for empty in ["", " \n", "{}", r#"{"query": ""}"#, r#"{"query": " "}"#, r#"{"query": null}"#] {
            assert_eq!(of(empty), Err(BadRequest::Empty), "{empty}");
        }
        for bad in [
            "{",
            "[]",
            r#"[{"query": "{a}"}]"#,
            "7",
            r#"{"query": 7}"#,
            r#"{"query": "{a}", "variables": []}"#,
            r#"{"query": "{a}", "operationName": 1}"#,
            r#"{"query": "{a}", "Query": "{b}"}"#,
        ] {
            assert!(matches!(of(bad), Err(BadRequest::Malformed(_))), "{bad}");
        }
        let whole = of(r#"{"query": "{a}", "operationName": "", "variables": {"x": 1}, "extensions": {}}"#);
        let variables = json!({"x": 1}).as_object().unwrap().clone();
        assert_eq!(whole, Ok(Request { query: "{a}".into(), operation: None, variables }));
        let plain = Request::of_body("application/graphql; charset=utf-8", b"{ a }").unwrap();
        assert_eq!(plain.query, "{ a }");
    }

    #[test]
    fn query_strings_are_requests() {
        let of = |pairs: &[(&'static str, &'static str)]| Request::of_pairs(pairs.iter().copied());
        let request =
            of(&[("query", "{a}"), ("operationName", "b"), ("variables", "{\"x\":1}"), ("other", "")]);
        let request = request.unwrap();
        assert_eq!((&*request.query, request.operation.as_deref()), ("{a}", Some("b")));
        assert_eq!(request.variables["x"], 1);
        assert_eq!(of(&[]), Err(BadRequest::Empty));
        assert!(of(&[("query", "{a}"), ("variables", "[")]).is_err());
    }
}
