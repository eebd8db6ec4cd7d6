//! What the token of a caller has to be good for (contract 4.4 row 24, 5.12; RFC 6750 section 3.1): the scopes that the
//! operation asks for. The token has been verified before, by the scheme that let the caller in.

use std::collections::HashSet;

use apidef::Scopes;
use http::StatusCode;
use serde_json::{Value, json};

use super::jwt::Claims;
use super::resource_metadata;
use crate::exchange::Exchange;
use crate::respond::Refusal;
use crate::route::{Collector, Operations, PerPath};

/// Asks tokens for scopes.
#[derive(Debug)]
pub(crate) struct ScopeCheck {
    claims: Box<[Box<str>]>,
    separator: Box<str>,
    otherwise: Scopes,
    operations: Operations<Scopes>,
    /// What calls of MCP need.
    calls: PerPath<Scopes>,
}

impl ScopeCheck {
    pub(crate) fn new(
        model: &apidef::ScopeCheck,
        ignore_case: bool,
        patterns: &Collector,
    ) -> Result<Self, String> {
        let operations = model.operations.iter();
        let operations =
            operations.map(|operation| (&*operation.method, &*operation.path, operation.value.clone()));
        Ok(Self {
            claims: model.claims.clone(),
            separator: model.separator.clone(),
            otherwise: model.otherwise.clone(),
            operations: Operations::new(operations, ignore_case || model.ignore_case)?,
            calls: PerPath::of(patterns, &model.calls, |call| call.value.clone()),
        })
    }

    pub(crate) fn pass(&self, exchange: &Exchange) -> Result<(), Refusal> {
        // The method and what it is called for may both ask for scopes; else what the request is as one of HTTP counts.
        let mut of_calls = self.calls.of_calls(exchange).peekable();
        if of_calls.peek().is_some() {
            return of_calls.try_for_each(|needed| self.needs(exchange, needed));
        }
        self.needs(exchange, self.operations.find(exchange).unwrap_or(&self.otherwise))
    }

    fn needs(&self, exchange: &Exchange, needed: &Scopes) -> Result<(), Refusal> {
        let Some(first) = needed.first() else { return Ok(()) };
        let Some(claims) = &exchange.claims else {
            let missing = Refusal::client(StatusCode::UNAUTHORIZED, "AMF", "Authorization field missing");
            return Err(missing.challenge(resource_metadata::with_place(exchange, "Bearer")));
        };
        let granted = self.granted(claims);
        if needed.iter().any(|scopes| scopes.iter().all(|scope| granted.contains(&**scope))) {
            return Ok(());
        }
        // Whoever asks for the first of several lists will be let in.
        Err(insufficient(exchange, &first.join(" ")))
    }

    fn granted<'c>(&self, claims: &'c Claims) -> HashSet<&'c str> {
        let mut granted = HashSet::new();
        for name in &self.claims {
            match claims.get(name) {
                Some(Value::String(text)) => granted.extend(text.split(&*self.separator).map(str::trim)),
                Some(Value::Array(items)) => granted.extend(items.iter().filter_map(Value::as_str)),
                _ => {}
            }
        }
        granted
    }
}

fn insufficient(exchange: &Exchange, scopes: &str) -> Refusal {
    const ERROR: &str = "insufficient_scope";
    let description = format!("missing required scope: {scopes}");
    let challenge =
        format!("Bearer error=\"{ERROR}\", error_description=\"{description}\", scope=\"{scopes}\"");
    let body = json!({"error": ERROR, "error_description": description, "scope": scopes});
    Refusal::client(StatusCode::FORBIDDEN, "AKI", ERROR)
        .challenge(resource_metadata::with_place(exchange, &challenge))
        .json(&body)
        .detail(description)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c5_12_row_1_scopes_are_found_in_every_claim() {
        let check = |names: &[&str], separator: &str| ScopeCheck {
            claims: names.iter().map(|name| Box::from(*name)).collect(),
            separator: separator.into(),
            otherwise: Box::default(),
            operations: Operations::new(std::iter::empty(), false).unwrap(),
            calls: PerPath::new(&Collector::new(apidef::PathMatching::default()), std::iter::empty()),
        };
        let usual = check(&["scope", "scp"], " ");
        for (check, claims, expected) in [
            (&usual, json!({"scope": "a b"}), &["a", "b"][..]),
            (&usual, json!({"scope": "a", "scp": ["b", "c d"]}), &["a", "b", "c d"]),
            (&usual, json!({"scp": ["a", 1, null, {"x": "y"}]}), &["a"]),
            (&usual, json!({"scope": {"a": true}, "scopes": "a"}), &[]),
            (&usual, json!({"scope": "a,b"}), &["a,b"]),
            (&check(&["scope"], ","), json!({"scope": "a, b c", "scp": "d"}), &["a", "b c"]),
            (&check(&["realm.roles"], " "), json!({"realm": {"roles": ["x"]}}), &["x"]),
        ] {
            let Value::Object(payload) = claims.clone() else { panic!() };
            let claims_read = Claims { payload, ..Claims::default() };
            let granted = check.granted(&claims_read);
            assert_eq!(granted, expected.iter().copied().collect(), "{claims}");
        }
    }
}
