//! Merging policies into a session (contract 6.4). Runs in memory, whenever a session is loaded.

use crate::{
    AccessDefinition, AllowedUrl, CallLimit, Endpoint, FieldAccess, Limit, Partitions, Policy, RateLimit,
    Session, TypeFields,
};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Why a session cannot be used with its policies. The texts are the contract's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyError {
    /// The only policy of the session is not known.
    NotFound(String),
    /// A policy belongs to another organisation than the session.
    OtherOrganisation,
    /// A policy sets `per_api` together with a partition.
    PerApiAndPartitions(String),
    /// Some policies are `per_api`, others partitioned.
    Mixed,
    /// No policy gives access to anything.
    NothingLeft,
    /// `meta_data.policies` holds something else than policies.
    Embedded(String),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyError::NotFound(id) => write!(f, "policy not found: \"{id}\""),
            PolicyError::OtherOrganisation => {
                f.write_str("attempting to apply policy from different organisation to key, skipping")
            }
            PolicyError::PerApiAndPartitions(id) => {
                write!(f, "cannot apply policy {id} which has per_api and any of partitions set")
            }
            PolicyError::Mixed => f.write_str(
                "cannot apply multiple policies when some have per_api set and some are partitioned",
            ),
            PolicyError::NothingLeft => f.write_str("key has no valid policies to be applied"),
            PolicyError::Embedded(why) => write!(f, "meta_data.policies does not hold policies: {why}"),
        }
    }
}

impl std::error::Error for PolicyError {}

/// The session as its policies make it; without policies, the session with a counter scope per limited API.
///
/// `lookup` finds a policy by id. A policy of another organisation than the session's is an error, not a miss.
pub fn apply(
    session: &Session,
    lookup: &dyn Fn(&str) -> Option<Arc<Policy>>,
) -> Result<Session, PolicyError> {
    apply_to(session.clone(), lookup)
}

/// As [`apply`], where nobody else needs the session.
pub fn apply_to(
    session: Session,
    lookup: &dyn Fn(&str) -> Option<Arc<Policy>>,
) -> Result<Session, PolicyError> {
    let policies = policies_of(&session, lookup)?;
    let mut merged = session;
    if policies.is_empty() {
        for (id, access) in &mut merged.access_rights {
            if access.limit != Limit::default() && access.allowance_scope.is_empty() {
                access.allowance_scope.clone_from(id);
            }
        }
        return Ok(merged);
    }
    for policy in &policies {
        if policy.org_id != merged.org_id {
            return Err(PolicyError::OtherOrganisation);
        }
        if policy.partitions.per_api && parts(&policy.partitions).any() {
            return Err(PolicyError::PerApiAndPartitions(policy.id.clone()));
        }
    }
    let per_api = policies.iter().any(|policy| policy.partitions.per_api);
    if per_api && policies.iter().any(|policy| parts(&policy.partitions).any()) {
        return Err(PolicyError::Mixed);
    }

    let applied: Vec<(&Policy, Parts)> =
        policies.iter().map(|policy| (&**policy, parts_of(policy))).collect();
    for (_, parts) in &applied {
        clear(&mut merged, *parts);
    }
    let mut rights = Rights::default();
    for (policy, parts) in &applied {
        rights.add(policy, *parts);
        merge_tags(&mut merged.tags, &policy.tags);
        merge_map(&mut merged.meta_data, &policy.meta_data);
        if merged.post_expiry_action.is_empty() {
            merged.post_expiry_action.clone_from(&policy.post_expiry_action);
            merged.post_expiry_grace_period = policy.post_expiry_grace_period;
        }
        merged.hmac_enabled |= policy.hmac_enabled;
        merged.enable_http_signature_validation |= policy.enable_http_signature_validation;
    }
    merged.is_inactive = policies.iter().any(|policy| policy.is_inactive);
    rights.finish(&mut merged)?;
    Ok(merged)
}

fn policies_of(
    session: &Session,
    lookup: &dyn Fn(&str) -> Option<Arc<Policy>>,
) -> Result<Vec<Arc<Policy>>, PolicyError> {
    let none = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    if let Some(embedded) = session.meta_data.get("policies").filter(|value| !none(value)) {
        let policies: Vec<Policy> = serde::Deserialize::deserialize(embedded)
            .map_err(|error: serde_json::Error| PolicyError::Embedded(error.to_string()))?;
        return Ok(policies.into_iter().map(Arc::new).collect());
    }
    let one = std::slice::from_ref(&session.apply_policy_id);
    let ids = match session.apply_policies.as_slice() {
        [] if session.apply_policy_id.is_empty() => return Ok(Vec::new()),
        [] => one,
        ids => ids,
    };
    let found: Vec<Arc<Policy>> = ids.iter().filter_map(|id| lookup(id)).collect();
    match (found.is_empty(), ids) {
        (true, [id]) => Err(PolicyError::NotFound(id.clone())),
        (true, _) => Err(PolicyError::NothingLeft),
        _ => Ok(found),
    }
}

/// Which parts of a policy apply.
#[derive(Debug, Clone, Copy)]
struct Parts {
    acl: bool,
    quota: bool,
    rate: bool,
    complexity: bool,
}

impl Parts {
    fn any(self) -> bool {
        self.acl || self.quota || self.rate || self.complexity
    }
}

fn parts(set: &Partitions) -> Parts {
    Parts { acl: set.acl, quota: set.quota, rate: set.rate_limit, complexity: set.complexity }
}

fn parts_of(policy: &Policy) -> Parts {
    let parts = parts(&policy.partitions);
    if parts.any() { parts } else { Parts { acl: true, quota: true, rate: true, complexity: true } }
}

/// What a policy decides does not come from the session any more.
fn clear(session: &mut Session, parts: Parts) {
    if parts.quota {
        session.quota_max = 0;
        session.quota_remaining = 0;
    }
    if parts.rate {
        session.rate = 0.0;
        session.per = 0.0;
        session.throttle_interval = 0.0;
        session.throttle_retry_limit = 0;
        session.smoothing = Default::default();
        session.concurrency = Default::default();
        session.subscriptions = Default::default();
    }
    if parts.complexity {
        session.max_query_depth = 0;
    }
}

/// The rights under construction.
#[derive(Default)]
struct Rights {
    apis: BTreeMap<String, Right>,
    /// Limits of partitioned policies that name no API: they count for every API.
    everywhere: Vec<(Limit, Parts)>,
}

#[derive(Default)]
struct Right {
    access: AccessDefinition,
    owner: Option<String>,
    quota: bool,
    rate: bool,
    complexity: bool,
}

impl Rights {
    fn add(&mut self, policy: &Policy, parts: Parts) {
        let own = own_limit(policy);
        if policy.access_rights.is_empty() {
            self.everywhere.push((own, parts));
            return;
        }
        for (id, granted) in &policy.access_rights {
            let right = self.apis.entry(id.clone()).or_default();
            if parts.acl {
                unite(&mut right.access, granted);
                right.owner.get_or_insert_with(|| policy.id.clone());
            }
            if policy.partitions.per_api {
                let (limit, scope) =
                    if granted.limit == Limit::default() { (&own, &policy.id) } else { (&granted.limit, id) };
                right.take(limit, parts);
                right.access.allowance_scope.clone_from(scope);
            } else {
                right.take(&own, parts);
            }
            if parts.rate {
                merge_endpoints(&mut right.access.endpoints, &granted.endpoints);
                merge_calls(&mut right.access.json_rpc_methods, &granted.json_rpc_methods);
                merge_calls(&mut right.access.mcp_primitives, &granted.mcp_primitives);
            }
        }
    }

    fn finish(mut self, session: &mut Session) -> Result<(), PolicyError> {
        self.apis.retain(|_, right| right.owner.is_some());
        if self.apis.is_empty() {
            return Err(PolicyError::NothingLeft);
        }
        let owners: BTreeSet<&String> = self.apis.values().filter_map(|right| right.owner.as_ref()).collect();
        let several_owners = owners.len() > 1;
        let root = session.root_limit();
        let mut rights = BTreeMap::new();
        for (id, mut right) in self.apis {
            for (limit, parts) in &self.everywhere {
                right.take(limit, *parts);
            }
            right.inherit(&root);
            if several_owners && right.access.allowance_scope.is_empty() {
                right.access.allowance_scope = right.owner.unwrap_or_default();
            }
            rights.insert(id, right.access);
        }
        if let Some(only) = (rights.len() == 1).then(|| rights.values().next()).flatten() {
            let limit = &only.limit;
            session.rate = limit.rate;
            session.per = limit.per;
            session.smoothing = limit.smoothing.clone();
            session.throttle_interval = limit.throttle_interval;
            session.throttle_retry_limit = limit.throttle_retry_limit;
            session.concurrency = limit.concurrency.clone();
            session.subscriptions = limit.subscriptions.clone();
            session.max_query_depth = limit.max_query_depth;
            session.quota_max = limit.quota_max;
            session.quota_renewal_rate = limit.quota_renewal_rate;
        }
        session.access_rights = rights;
        Ok(())
    }
}

impl Right {
    /// Takes what is better for the caller of each part that applies.
    fn take(&mut self, offer: &Limit, parts: Parts) {
        let limit = &mut self.access.limit;
        if parts.quota {
            if !self.quota || more(offer.quota_max, limit.quota_max) {
                limit.quota_max = offer.quota_max;
            }
            limit.quota_renewal_rate = limit.quota_renewal_rate.max(offer.quota_renewal_rate);
            self.quota = true;
        }
        if parts.rate {
            if faster((offer.rate, offer.per), (limit.rate, limit.per)) {
                limit.rate = offer.rate;
                limit.per = offer.per;
                limit.smoothing = offer.smoothing.clone();
            }
            limit.throttle_interval = limit.throttle_interval.max(offer.throttle_interval);
            limit.throttle_retry_limit = limit.throttle_retry_limit.max(offer.throttle_retry_limit);
            loosen(limit, offer);
            self.rate = true;
        }
        if parts.complexity {
            if !self.complexity || more(offer.max_query_depth, limit.max_query_depth) {
                limit.max_query_depth = offer.max_query_depth;
            }
            self.complexity = true;
        }
    }

    /// Parts that no policy decided stay the session's.
    fn inherit(&mut self, root: &Limit) {
        let parts = Parts { acl: false, quota: !self.quota, rate: !self.rate, complexity: !self.complexity };
        self.take(root, parts);
    }
}

fn own_limit(policy: &Policy) -> Limit {
    Limit {
        rate: policy.rate,
        per: policy.per,
        smoothing: policy.smoothing.clone(),
        throttle_interval: policy.throttle_interval,
        throttle_retry_limit: policy.throttle_retry_limit,
        max_query_depth: policy.max_query_depth,
        quota_max: policy.quota_max,
        quota_renewal_rate: policy.quota_renewal_rate,
        concurrency: policy.concurrency.clone(),
        subscriptions: policy.subscriptions.clone(),
        ..Limit::default()
    }
}

/// Of the limits that policies set beyond the contract each takes what is better for the caller: the highest, and -1
/// before all; 0 says nothing. Where the caller notices the end of an allowance, the later policy says how.
fn loosen(held: &mut Limit, offer: &Limit) {
    let (at_once, offered) = (&mut held.concurrency, &offer.concurrency);
    for (held, offer) in
        [(&mut at_once.requests, offered.requests), (&mut at_once.subscribers, offered.subscribers)]
    {
        if more(offer, *held) && offer != 0 {
            *held = offer;
        }
    }
    let (held, offer) = (&mut held.subscriptions, &offer.subscriptions);
    let per = |seconds: f64| if seconds > 0.0 { seconds } else { 1.0 };
    let faster = |offered: f64, kept: f64| {
        kept >= 0.0
            && offered != 0.0
            && (offered < 0.0 || kept == 0.0 || offered / per(offer.per) > kept / per(held.per))
    };
    // Both rates share one length of window, so they are compared by the second and told in the length of the winner.
    let (messages, bytes) = (faster(offer.messages, held.messages), faster(offer.bytes, held.bytes));
    let scale = per(offer.per) / per(held.per);
    if messages || bytes {
        let kept = |won: bool, offered: f64, kept: f64| match (won, kept > 0.0) {
            (true, _) => offered,
            (false, true) => kept * scale,
            (false, false) => kept,
        };
        held.messages = kept(messages, offer.messages, held.messages);
        held.bytes = kept(bytes, offer.bytes, held.bytes);
        held.per = offer.per;
    }
    for (held, offer) in
        [(&mut held.quota_messages, offer.quota_messages), (&mut held.quota_bytes, offer.quota_bytes)]
    {
        if more(offer, *held) && offer != 0 {
            *held = offer;
        }
    }
    held.quota_renewal_rate = held.quota_renewal_rate.max(offer.quota_renewal_rate);
    if !offer.at_limit.is_empty() {
        held.at_limit.clone_from(&offer.at_limit);
    }
}

/// -1 is without limit.
fn more(offer: i64, held: i64) -> bool {
    held != -1 && (offer == -1 || offer > held)
}

/// An empty rate says nothing and never wins.
fn faster(offer: (f64, f64), held: (f64, f64)) -> bool {
    let per_request = |(rate, per): (f64, f64)| per / rate;
    let empty = |(rate, per): (f64, f64)| rate <= 0.0 || per <= 0.0;
    !empty(offer) && (empty(held) || per_request(offer) < per_request(held))
}

fn unite(held: &mut AccessDefinition, granted: &AccessDefinition) {
    for (held, granted) in [(&mut held.api_id, &granted.api_id), (&mut held.api_name, &granted.api_name)] {
        if held.is_empty() {
            held.clone_from(granted);
        }
    }
    merge_tags(&mut held.versions, &granted.versions);
    for url in &granted.allowed_urls {
        match held.allowed_urls.iter_mut().find(|known| known.url == url.url) {
            Some(known) => merge_tags(&mut known.methods, &url.methods),
            None => held.allowed_urls.push(AllowedUrl::clone(url)),
        }
    }
    merge_types(&mut held.restricted_types, &granted.restricted_types);
    merge_types(&mut held.allowed_types, &granted.allowed_types);
    for field in &granted.field_access_rights {
        let same = |known: &&mut FieldAccess| {
            known.type_name == field.type_name && known.field_name == field.field_name
        };
        match held.field_access_rights.iter_mut().find(same) {
            None => held.field_access_rights.push(field.clone()),
            Some(known) => {
                let (held, offer) = (&mut known.limits.max_query_depth, field.limits.max_query_depth);
                if more(offer, *held) {
                    *held = offer;
                }
            }
        }
    }
    held.disable_introspection |= granted.disable_introspection;
    let rules = &granted.mcp_access_rights;
    let own = &mut held.mcp_access_rights;
    for (held, granted) in [
        (&mut held.json_rpc_methods_access_rights, &granted.json_rpc_methods_access_rights),
        (&mut own.tools, &rules.tools),
        (&mut own.resources, &rules.resources),
        (&mut own.prompts, &rules.prompts),
    ] {
        merge_tags(&mut held.allowed, &granted.allowed);
        merge_tags(&mut held.blocked, &granted.blocked);
    }
    // Rules that nothing here acts on.
    unite_maps(&mut held.other, &granted.other);
}

fn merge_endpoints(held: &mut Vec<Endpoint>, granted: &[Endpoint]) {
    for endpoint in granted {
        let Some(known) = held.iter_mut().find(|known| known.path == endpoint.path) else {
            held.push(endpoint.clone());
            continue;
        };
        for method in &endpoint.methods {
            match known.methods.iter_mut().find(|known| known.name == method.name) {
                None => known.methods.push(method.clone()),
                Some(known) => {
                    let (offer, held) =
                        ((method.limit.rate, method.limit.per), (known.limit.rate, known.limit.per));
                    let tie = !faster(held, offer) && offer.0 > held.0;
                    if faster(offer, held) || tie {
                        known.limit = method.limit.clone();
                    }
                }
            }
        }
    }
}

/// Of limits for the same call the faster one counts.
fn merge_calls(held: &mut Vec<CallLimit>, granted: &[CallLimit]) {
    for call in granted {
        let same = |known: &&mut CallLimit| known.r#type == call.r#type && known.name == call.name;
        match held.iter_mut().find(same) {
            None => held.push(call.clone()),
            Some(known) => {
                let rate = |limit: &RateLimit| (limit.rate, limit.per);
                if faster(rate(&call.limit), rate(&known.limit)) {
                    known.limit = call.limit.clone();
                }
            }
        }
    }
}

fn merge_tags(held: &mut Vec<String>, added: &[String]) {
    for tag in added {
        if !held.contains(tag) {
            held.push(tag.clone());
        }
    }
}

fn merge_types(held: &mut Vec<TypeFields>, granted: &[TypeFields]) {
    for types in granted {
        match held.iter_mut().find(|known| known.name == types.name) {
            Some(known) => merge_tags(&mut known.fields, &types.fields),
            None => held.push(types.clone()),
        }
    }
}

/// Later values win.
fn merge_map(held: &mut Map<String, Value>, added: &Map<String, Value>) {
    for (key, value) in added {
        held.insert(key.clone(), value.clone());
    }
}

/// Lists are joined, objects united member by member; of all else later values win.
fn unite_maps(held: &mut Map<String, Value>, added: &Map<String, Value>) {
    for (key, value) in added {
        match (held.get_mut(key), value) {
            (Some(Value::Array(known)), Value::Array(items)) => {
                for item in items {
                    if !known.contains(item) {
                        known.push(item.clone());
                    }
                }
            }
            // No deeper than the text it was read from, whose depth is limited.
            (Some(Value::Object(known)), Value::Object(members)) => unite_maps(known, members),
            _ => drop(held.insert(key.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests;
