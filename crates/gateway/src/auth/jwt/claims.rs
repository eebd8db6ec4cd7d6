//! What claims say, and what they must say (contract 5.5).

use std::time::Duration;

use apidef::{ClaimChecks, ClaimRule, Skews};
use http::StatusCode;
use serde_json::{Map, Value};

use crate::respond::Refusal;

/// The claims of a token whose signature holds.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// What the token says of itself; signed as well.
    pub(crate) header: Map<String, Value>,
    pub(crate) payload: Map<String, Value>,
}

impl Claims {
    /// A claim by its dotted path. A name that holds dots itself comes first.
    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        at(&self.payload, path)
    }

    /// A claim that is a text and not empty.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.get(path)?.as_str().filter(|text| !text.is_empty())
    }

    /// Who it is: the first of these claims that says so, else `sub`.
    pub(crate) fn identity(&self, chosen: &[Box<str>]) -> Option<&str> {
        chosen
            .iter()
            .map(|path| &**path)
            .chain(["sub"])
            .find_map(|path| self.text(path))
            .filter(|identity| !identity.contains(char::is_control))
    }

    /// Unix seconds at which it ends; `Ok(None)` if it does not.
    pub(crate) fn expires(&self) -> Result<Option<i64>, Refusal> {
        time(&self.payload, "exp")
    }

    /// The texts of a claim: of a list its items, of a text its words.
    pub(crate) fn words(&self, path: &str) -> Option<Vec<&str>> {
        match self.get(path)? {
            Value::String(text) => Some(text.split_ascii_whitespace().collect()),
            Value::Array(items) => Some(items.iter().filter_map(Value::as_str).collect()),
            _ => None,
        }
    }
}

fn at<'v>(object: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    at(object.get(first)?.as_object()?, rest)
}

/// A claim that is a time. What is no number is no time, and a token that holds it is refused.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, Refusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            // Beyond the range of the type this is its end, which is far enough away.
            Some(seconds) => Ok(Some(seconds as i64)),
            None => Err(refused().detail(format_args!("`{name}` is no number"))),
        },
    }
}

/// Refuses what is over or has not begun; returns when it ends, with the skew, in Unix seconds.
pub(crate) fn check_times(claims: &Claims, skews: &Skews, now: i64) -> Result<i64, Refusal> {
    let skew = |skew: Duration| i64::try_from(skew.as_secs()).unwrap_or(i64::MAX);
    let until = match claims.expires()? {
        Some(expires) => expires.saturating_add(skew(skews.expires_at)),
        None => i64::MAX,
    };
    if now >= until {
        return Err(Refusal { flag: "TKE", ..unfit("token has expired") });
    }
    let begins = |name: &str, allowed: Duration, why: &str| match time(&claims.payload, name)? {
        Some(time) if time.saturating_sub(skew(allowed)) > now => Err(unfit(why)),
        _ => Ok(()),
    };
    begins("iat", skews.issued_at, "token used before issued")?;
    begins("nbf", skews.not_before, "token is not valid yet")?;
    Ok(until)
}

/// Refuses claims that do not say what the definition asks for.
pub(crate) fn check(claims: &Claims, checks: &ClaimChecks) -> Result<(), Refusal> {
    let text = |name: &str| claims.payload.get(name).and_then(Value::as_str).unwrap_or_default();
    let listed = |list: &[Box<str>], text: &str| list.iter().any(|known| **known == *text);
    if !checks.issuers.is_empty() {
        match text("iss") {
            "" => return Err(unfit("issuer claim is required but not present in token")),
            issuer if !listed(&checks.issuers, issuer) => {
                return Err(unfit(format_args!("invalid issuer claim: {}", shown(issuer))));
            }
            _ => {}
        }
    }
    if !checks.audiences.is_empty() {
        let audiences = audiences(claims);
        if audiences.is_empty() {
            return Err(unfit("audience claim is required but not present in token"));
        }
        if !audiences.iter().any(|audience| listed(&checks.audiences, audience)) {
            let told = audiences.join(" ");
            return Err(unfit(format_args!("no matching audience found in token: [{}]", shown(&told))));
        }
    }
    if checks.id && text("jti").is_empty() {
        return Err(unfit("JWT ID (jti) claim is required but not present in token"));
    }
    if !checks.subjects.is_empty() {
        match text("sub") {
            "" => return Err(unfit("subject claim is required but not present in token")),
            subject if !listed(&checks.subjects, subject) => {
                return Err(unfit(format_args!("invalid subject value: {}", shown(subject))));
            }
            _ => {}
        }
    }
    for check in &checks.custom {
        if let Err(refusal) = check_custom(claims, &check.path, &check.rule) {
            if !check.non_blocking {
                return Err(refusal);
            }
            tracing::warn!(claim = &*check.path, "{}; the check is not to block", refusal.message);
        }
    }
    Ok(())
}

/// Whom a token is for: a text or a list of texts (RFC 7519 section 4.1.3).
pub(crate) fn audiences(claims: &Claims) -> Vec<&str> {
    match claims.payload.get("aud") {
        Some(Value::String(audience)) if !audience.is_empty() => vec![audience],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn check_custom(claims: &Claims, path: &str, rule: &ClaimRule) -> Result<(), Refusal> {
    let Some(value) = claims.get(path).filter(|value| !value.is_null()) else {
        return Err(unfit(format_args!("custom claim {path} is required but not present in token")));
    };
    match rule {
        ClaimRule::Required => Ok(()),
        ClaimRule::Equals(allowed) if allowed.iter().any(|allowed| same(value, allowed)) => Ok(()),
        ClaimRule::Equals(_) => {
            Err(unfit(format_args!("claim {path} value does not match any expected values")))
        }
        ClaimRule::Contains(allowed) if allowed.iter().any(|allowed| contains(value, allowed)) => Ok(()),
        ClaimRule::Contains(_) => {
            Err(unfit(format_args!("claim {path} value does not contain any expected values")))
        }
    }
}

fn contains(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Array(items), wanted) => items.iter().any(|item| same(item, wanted)),
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        (value, wanted) => same(value, wanted),
    }
}

/// Equal, whether a number is written with a fraction or not.
fn same(one: &Value, other: &Value) -> bool {
    one == other || (one.is_number() && other.is_number() && one.as_f64() == other.as_f64())
}

/// As much of a claim as a client is told: what it sent comes back, and that need not be everything.
fn shown(text: &str) -> &str {
    let end = text.char_indices().nth(200).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// The token is none of ours, or none at all.
pub(crate) fn refused() -> Refusal {
    Refusal::client(StatusCode::FORBIDDEN, "TKI", "Key not authorized")
}

/// The token is ours, and does not fit.
fn unfit(why: impl std::fmt::Display) -> Refusal {
    Refusal::client(StatusCode::UNAUTHORIZED, "TCV", format!("Key not authorized: {why}"))
}
