//! Basic authentication: a user's name and password, in a header or in the body (contract 5.3).

use super::Sources;
use crate::fields::{Field, acts, section};
use crate::section::Section;
use document::Fault;
use regex::bytes::{Regex, RegexBuilder};
use serde_json::{Value, json};
use std::time::Duration;

/// `basic_auth` of a classic definition.
pub(crate) const CLASSIC: &[Field] = &[
    acts("disable_caching"),
    acts("cache_ttl"),
    acts("extract_from_body"),
    acts("body_user_regexp"),
    acts("body_password_regexp"),
];

/// `server.authentication.securitySchemes.<name>` of a scheme that OpenAPI calls `http` and `basic`.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    section("header", super::oas::SOURCE),
    section("query", super::oas::SOURCE),
    section("cookie", super::oas::SOURCE),
    acts("disableCaching"),
    acts("cacheTTL"),
    section("extractCredentialsFromBody", &[acts("enabled"), acts("userRegexp"), acts("passwordRegexp")]),
];

/// How long a verified password is believed where nothing is said.
const CACHE_TTL: Duration = Duration::from_secs(60);

/// A user's name and password.
#[derive(Debug, Clone, PartialEq)]
pub struct Basic {
    /// Where they are looked for, unless in the body.
    pub sources: Sources,
    /// How long a password is believed once it was verified; `None`: it is verified each time.
    pub cache: Option<Duration>,
    /// They are in the body.
    pub body: Option<BodyCredentials>,
}

/// Where name and password are in a body: the first group of each expression.
#[derive(Debug, Clone)]
pub struct BodyCredentials {
    /// Of the name.
    pub user: Regex,
    /// Of the password.
    pub password: Regex,
}

impl PartialEq for BodyCredentials {
    fn eq(&self, other: &Self) -> bool {
        self.user.as_str() == other.user.as_str() && self.password.as_str() == other.password.as_str()
    }
}

impl Basic {
    pub(super) fn classic(root: &Section<'_>, configs: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let basic = root.section("basic_auth", faults);
        let cached = !basic.flag("disable_caching", faults);
        let ttl = basic.seconds("cache_ttl", faults).unwrap_or(CACHE_TTL);
        let from_body = basic.flag("extract_from_body", faults);
        Self {
            sources: Sources::classic(&configs.section("basic", faults), "basic", faults),
            cache: cached.then_some(ttl),
            body: if from_body {
                body(&basic, "body_user_regexp", "body_password_regexp", faults)
            } else {
                None
            },
        }
    }

    pub(super) fn oas(scheme: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let cached = !scheme.flag("disableCaching", faults);
        let ttl = scheme.seconds("cacheTTL", faults).unwrap_or(CACHE_TTL);
        let extract = scheme.section("extractCredentialsFromBody", faults);
        let from_body = extract.flag("enabled", faults);
        Self {
            sources: Sources::oas_http(scheme, faults),
            cache: cached.then_some(ttl),
            body: if from_body { body(&extract, "userRegexp", "passwordRegexp", faults) } else { None },
        }
    }

    pub(super) fn write_classic(&self, definition: &mut Value) {
        let pattern =
            |of: fn(&BodyCredentials) -> &Regex| self.body.as_ref().map_or("", |body| of(body).as_str());
        definition["use_basic_auth"] = true.into();
        definition["basic_auth"] = json!({
            "disable_caching": self.cache.is_none(),
            "cache_ttl": self.cache.unwrap_or(CACHE_TTL).as_secs_f64(),
            "extract_from_body": self.body.is_some(),
            "body_user_regexp": pattern(|body| &body.user),
            "body_password_regexp": pattern(|body| &body.password),
        });
        definition["auth_configs"]["basic"] = self.sources.write_classic();
    }
}

fn body(
    holder: &Section<'_>,
    user: &str,
    password: &str,
    faults: &mut Vec<Fault>,
) -> Option<BodyCredentials> {
    let (user, password) = (pattern(holder, user, faults), pattern(holder, password, faults));
    Some(BodyCredentials { user: user?, password: password? })
}

fn pattern(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<Regex> {
    let text = holder.text(key, faults);
    if text.is_empty() {
        let message = format!("`{key}` is missing: where in the body are the credentials?");
        faults.push(Fault::error(holder.at(key), message));
        return None;
    }
    match RegexBuilder::new(text).size_limit(1 << 20).build() {
        Ok(pattern) => {
            if pattern.captures_len() < 2 {
                // Each request is then refused (contract 5.3), as with the original.
                let fault =
                    Fault::warning(holder.at(key), "the expression has no group, so nobody is let in");
                faults.push(fault.hint("put what is meant into parentheses"));
            }
            Some(pattern)
        }
        Err(error) => {
            let reason = match error {
                regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                error => error.to_string().lines().last().unwrap_or_default().trim().to_owned(),
            };
            faults.push(Fault::error(holder.at(key), format!("this is no regular expression: {reason}")));
            None
        }
    }
}
