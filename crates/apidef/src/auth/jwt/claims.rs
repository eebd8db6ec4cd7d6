//! What the claims of tokens must say.

use crate::fields::acts;
use crate::section::{Section, kind};
use document::Fault;
use serde_json::Value;
use std::time::Duration;

/// How far clocks may be off, for each claim that holds a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skews {
    /// `iat`.
    pub issued_at: Duration,
    /// `nbf`.
    pub not_before: Duration,
    /// `exp`.
    pub expires_at: Duration,
}

/// What claims must say. Empty lists ask for nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClaimChecks {
    /// `iss` must be one of them.
    pub issuers: Box<[Box<str>]>,
    /// `aud` must hold one of them.
    pub audiences: Box<[Box<str>]>,
    /// `sub` must be one of them.
    pub subjects: Box<[Box<str>]>,
    /// `jti` must be there.
    pub id: bool,
    /// Other claims.
    pub custom: Box<[ClaimCheck]>,
}

/// What one claim must say.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimCheck {
    /// Dotted path.
    pub path: Box<str>,
    /// How it is checked.
    pub rule: ClaimRule,
    /// A claim that says otherwise is logged, and passes.
    pub non_blocking: bool,
}

/// How a claim is checked.
#[derive(Debug, Clone, PartialEq)]
pub enum ClaimRule {
    /// It must be there.
    Required,
    /// It must be one of these.
    Equals(Box<[Value]>),
    /// It must contain one of these: a list as an item, a text as a part.
    Contains(Box<[Value]>),
}

pub(super) fn custom(scheme: &Section<'_>, faults: &mut Vec<Fault>) -> Box<[ClaimCheck]> {
    let checks = scheme.section("customClaimValidation", faults);
    let mut read = Vec::new();
    for path in checks.object.into_iter().flat_map(|object| object.keys()) {
        let check = checks.section(path, faults);
        if let Some(object) = check.object {
            let fields = [acts("type"), acts("allowedValues"), acts("nonBlocking")];
            crate::fields::check(&fields, object, &check.pointer, faults);
        }
        let allowed: Box<[Value]> = match check.get("allowedValues") {
            None => Box::default(),
            Some(Value::Array(values)) => values.as_slice().into(),
            Some(other) => {
                let message = format!("`allowedValues` must be an array, not {}", kind(other));
                faults.push(Fault::error(check.at("allowedValues"), message));
                Box::default()
            }
        };
        let rule = match check.text("type", faults) {
            "required" => ClaimRule::Required,
            "exact_match" => ClaimRule::Equals(allowed),
            "contains" => ClaimRule::Contains(allowed),
            other => {
                // A check that cannot be understood would otherwise be none.
                faults.push(
                    Fault::error(check.at("type"), format!("`{other}` is no way to check a claim"))
                        .hint("use `required`, `exact_match` or `contains`"),
                );
                continue;
            }
        };
        read.push(ClaimCheck {
            path: path.as_str().into(),
            rule,
            non_blocking: check.flag("nonBlocking", faults),
        });
    }
    read.into()
}

/// The skews, by their keys in the order `iat`, `nbf`, `exp`.
pub(in crate::auth) fn skews(holder: &Section<'_>, keys: [&str; 3], faults: &mut Vec<Fault>) -> Skews {
    let [issued_at, not_before, expires_at] = keys.map(|key| holder.seconds(key, faults).unwrap_or_default());
    Skews { issued_at, not_before, expires_at }
}
