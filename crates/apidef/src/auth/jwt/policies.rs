//! Which policies the session of a token has.

use super::{first, one};
use crate::section::Section;
use document::{Fault, pointer_join};
use serde_json::{Map, Value, json};

/// Which policies the session of a token has: those that a claim names, else those of a client's key, else the default
/// ones; and those that scopes stand for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenPolicies {
    /// Claims that name them, as dotted paths.
    pub claims: Box<[Box<str>]>,
    /// The claim that names a key of the gate, whose policy counts.
    pub client: Option<Box<str>>,
    /// Where neither says anything.
    pub defaults: Box<[Box<str>]>,
    /// Scopes.
    pub scopes: ScopePolicies,
    /// The claim that names an OAuth client is not looked at.
    pub no_client_mapping: bool,
}

/// What scopes stand for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScopePolicies {
    /// Claims that hold scopes, as dotted paths; none: `scope`.
    pub claims: Box<[Box<str>]>,
    /// Scope and policy.
    pub policies: Box<[(Box<str>, Box<str>)]>,
}

impl ScopePolicies {
    /// `scopes.<kind>`, with the older keys beside it.
    pub(in crate::auth) fn classic(
        scopes: &Section<'_>,
        (older, older_claim, older_policies): (&Section<'_>, &str, &str),
        faults: &mut Vec<Fault>,
    ) -> Self {
        let claim = match scopes.text("scope_claim_name", faults) {
            "" => older.text(older_claim, faults),
            claim => claim,
        };
        let mut policies = named(&scopes.section("scope_to_policy", faults), faults);
        if policies.is_empty() {
            policies = named(&older.section(older_policies, faults), faults);
        }
        Self { claims: one(claim), policies }
    }

    pub(in crate::auth) fn oas(scopes: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let older = scopes.text("claimName", faults);
        let claims = match scopes.texts("claims", faults) {
            claims if claims.is_empty() => one(older),
            claims => claims,
        };
        let entries = scopes.get("scopeToPolicyMapping").and_then(Value::as_array);
        if entries.is_none() && scopes.get("scopeToPolicyMapping").is_some() {
            let at = scopes.at("scopeToPolicyMapping");
            faults
                .push(Fault::error(at, "`scopeToPolicyMapping` must be an array of `scope` and `policyId`"));
        }
        let entries = entries.into_iter().flatten().enumerate().filter_map(|(index, entry)| {
            let pointer = pointer_join(&scopes.at("scopeToPolicyMapping"), &index.to_string());
            let entry = Section { object: entry.as_object(), pointer };
            let (scope, policy) = (entry.text("scope", faults), entry.text("policyId", faults));
            (!scope.is_empty() && !policy.is_empty()).then(|| (scope.into(), policy.into()))
        });
        let policies = entries.collect();
        Self { claims, policies }
    }

    pub(in crate::auth) fn write_classic(&self) -> Value {
        let policies: Map<String, Value> =
            self.policies.iter().map(|(scope, policy)| (scope.to_string(), (&**policy).into())).collect();
        json!({"scope_claim_name": first(&self.claims), "scope_to_policy": policies})
    }
}

/// A map of texts.
pub(in crate::auth) fn named(map: &Section<'_>, faults: &mut Vec<Fault>) -> Box<[(Box<str>, Box<str>)]> {
    let keys = map.object.into_iter().flat_map(|object| object.keys());
    keys.map(|key| (key.as_str(), map.text(key, faults)))
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}
