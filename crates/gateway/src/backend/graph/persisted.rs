//! Paths that stand for operations (contract 2.5 `persist_graphql`, 4.4 row 32): the upstream gets the operation by POST at
//! its root, with variables that the path and the request fill in.

use apidef::{AtPath, PersistedOperation};
use document::Fault;
use graphql::{typed, variables_of};
use http::Method;
use http::header::{self, HeaderValue};
use http::uri::PathAndQuery;
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value, json};

use crate::exchange::Exchange;
use crate::query;
use crate::route::{Collector, PerPath};
use crate::transform::{Secrets, Text, To, Variable, value_of};

#[derive(Debug)]
pub(crate) struct Persisted(PerPath<Operation>);

#[derive(Debug)]
struct Operation {
    document: Box<str>,
    variables: Box<[(Box<str>, Source)]>,
    /// Finds the parts of a path that are named, in this order.
    path: Regex,
    names: Box<[Box<str>]>,
}

/// What a variable is.
#[derive(Debug)]
enum Source {
    Fixed(Value),
    /// A part of the path; with the name of its type.
    Path(Box<str>, Box<str>),
    Text(Text, Box<str>),
}

impl Persisted {
    /// `None` where no path stands for one. `see` gets what variables name of requests.
    pub(crate) fn new(
        model: &[AtPath<PersistedOperation>],
        patterns: &Collector,
        secrets: &Secrets,
        see: &mut dyn FnMut(&Variable),
    ) -> Result<Option<Self>, Fault> {
        if model.is_empty() {
            return Ok(None);
        }
        let compile = |one: &AtPath<PersistedOperation>| {
            let operation = Operation::new(one, secrets)
                .map_err(|why| Fault::error(&*one.at.0, format!("this operation cannot be used: {why}")))?;
            for (_, value) in &operation.variables {
                if let Source::Text(text, _) = value {
                    text.variables().for_each(&mut *see);
                }
            }
            Ok(operation)
        };
        PerPath::try_of(patterns, model, compile).map(|places| Some(Self(places)))
    }

    pub(crate) fn pass(&self, exchange: &mut Exchange) {
        let Some(operation) = self.0.find(exchange) else { return };
        let body = json!({"query": operation.document, "variables": operation.fill(exchange)});
        exchange.replace_body(body.to_string().into());
        exchange.head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        exchange.ahead.method = Some(Method::POST);
        exchange.ahead.to = Some(To::Path(PathAndQuery::from_static("/")));
    }
}

impl Operation {
    fn new(one: &AtPath<PersistedOperation>, secrets: &Secrets) -> Result<Self, String> {
        let declared = variables_of(&one.value.operation)?;
        let kind_of = |name: &str| {
            let found = declared.iter().find(|(declared, _)| declared == name);
            found.map(|(_, kind)| Box::from(&**kind)).unwrap_or_default()
        };
        let (path, names) = parts(&one.path).map_err(|error| error.to_string())?;
        let mut variables = Vec::with_capacity(one.value.variables.len());
        for (name, value) in &one.value.variables {
            let value = match value {
                Value::String(text) => match text.strip_prefix("$path.") {
                    Some(part) if names.iter().any(|name| **name == *part) => {
                        Source::Path(part.into(), kind_of(name))
                    }
                    Some(part) => return Err(format!("the path has no part `{{{part}}}`")),
                    None => Source::Text(Text::new(text, secrets)?, kind_of(name)),
                },
                other => Source::Fixed(other.clone()),
            };
            variables.push((name.as_str().into(), value));
        }
        Ok(Self {
            document: one.value.operation.clone(),
            variables: variables.into(),
            path,
            names: names.into(),
        })
    }

    fn fill(&self, exchange: &Exchange) -> Map<String, Value> {
        let within = query::decode_path(exchange.path_in_api());
        let found = self.path.captures(&within);
        let part = |name: &str| {
            let place = self.names.iter().position(|known| **known == *name)?;
            Some(found.as_ref()?.get(place + 1)?.as_str())
        };
        let filled = self.variables.iter().map(|(name, value)| {
            let value = match value {
                Source::Fixed(value) => value.clone(),
                Source::Path(name, kind) => typed(part(name).unwrap_or_default(), kind),
                Source::Text(text, kind) => {
                    typed(&text.render(&|variable| value_of(variable, exchange)), kind)
                }
            };
            (name.to_string(), value)
        });
        filled.collect()
    }
}

/// An expression that finds the named parts of a path, and their names. Whether case counts was settled when the path
/// was found.
fn parts(path: &str) -> Result<(Regex, Vec<Box<str>>), regex::Error> {
    let (mut pattern, mut names, mut rest) = (String::new(), Vec::new(), path);
    while let Some((before, behind)) = rest.split_once('{') {
        let Some((name, after)) = behind.split_once('}') else { break };
        pattern.push_str(&regex::escape(before));
        pattern.push_str("([^/]+)");
        names.push(name.into());
        rest = after;
    }
    pattern.push_str(&regex::escape(rest.trim_end_matches('$')));
    let pattern = pattern.trim_start_matches('^');
    Ok((RegexBuilder::new(pattern).case_insensitive(true).build()?, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c2_5_parts_of_paths() {
        for (pattern, path, found) in [
            ("/users/{id}", "/users/7", vec!["7"]),
            ("/users/{id}/posts/{post}", "/v1/users/7/posts/a.b", vec!["7", "a.b"]),
            ("/users/{id", "/users/7", vec![]),
            ("/a.b/{x}", "/acb/7", vec![]),
            ("/plain", "/plain", vec![]),
        ] {
            let (expression, names) = parts(pattern).unwrap();
            let parts: Vec<&str> = expression
                .captures(path)
                .map(|all| all.iter().skip(1).flatten().map(|part| part.as_str()).collect())
                .unwrap_or_default();
            assert_eq!(parts, found, "{pattern}");
            assert!(found.is_empty() || names.len() == found.len(), "{pattern}");
        }
    }

    #[test]
    fn c2_5_operations_that_cannot_be_used() {
        let of = |path: &str, operation: &str, variables: Value| {
            let value = PersistedOperation {
                operation: operation.into(),
                variables: variables.as_object().unwrap().clone(),
            };
            let at = AtPath {
                method: "GET".into(),
                path: path.into(),
                ignore_case: false,
                value,
                at: "/at".to_owned().into(),
            };
            Operation::new(&at, &Secrets::new()).err()
        };
        assert_eq!(of("/a/{id}", "query ($id: ID!) { a(id: $id) }", json!({"id": "$path.id", "n": 7})), None);
        assert!(of("/a/{id}", "query ($id: ID!) { a(id: $id) }", json!({"id": "$path.other"})).is_some());
        assert!(of("/a", "query {", json!({})).is_some());
        // A secret that there is not is an empty text.
        assert_eq!(of("/a", "{ a }", json!({"x": "$secret_conf.none"})), None);
    }
}
