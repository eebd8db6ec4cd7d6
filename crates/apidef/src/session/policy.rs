//! Policies (contract 6.3).

use super::access::AccessDefinition;
use super::limit::{Concurrency, Smoothing, Subscriptions};
use super::record::{is_default, null_is_default, record};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

record! {
/// A template that sessions take their rights and limits from (contract 6.3).
Policy {
    /// Database id.
    _id: String,
    /// Identity.
    id: String,
    /// Human name.
    name: String,
    /// Owner organisation.
    org_id: String,
    /// As in [`Session`](super::Session).
    rate: f64,
    /// Seconds.
    per: f64,
    /// As in [`Session`](super::Session).
    quota_max: i64,
    /// Seconds.
    quota_renewal_rate: i64,
    /// Seconds.
    throttle_interval: f64,
    /// As in [`Session`](super::Session).
    throttle_retry_limit: i64,
    /// As in [`Session`](super::Session).
    max_query_depth: i64,
    /// By API id.
    access_rights: BTreeMap<String, AccessDefinition>,
    /// As in [`Session`](super::Session).
    hmac_enabled: bool,
    /// As in [`Session`](super::Session).
    enable_http_signature_validation: bool,
    /// Informational; only `is_inactive` counts (contract 6.3).
    active: bool,
    /// Keys with this policy are refused.
    is_inactive: bool,
    /// Added to the session's.
    tags: Vec<String>,
    /// Seconds of life of a key made with this policy; 0 = no end. Applied when a key is made.
    key_expires_in: i64,
    /// As in [`Session`](super::Session).
    post_expiry_action: String,
    /// As in [`Session`](super::Session).
    post_expiry_grace_period: i64,
    /// Which parts of the policy apply; none set = all.
    partitions: Partitions,
    /// Unix seconds, as text.
    last_updated: String,
    /// Added to the session's.
    meta_data: Map<String, Value>,
    /// As in [`Session`](super::Session).
    smoothing: Smoothing,
    /// As in [`Session`](super::Session).
    concurrency: Concurrency,
    /// As in [`Session`](super::Session).
    subscriptions: Subscriptions,
}}

record! {
/// The parts of a policy that apply.
Partitions {
    /// Quotas.
    quota: bool,
    /// Rates.
    rate_limit: bool,
    /// GraphQL depth.
    complexity: bool,
    /// Access rights.
    acl: bool,
    /// Each API has limits and counters of its own.
    per_api: bool,
}}
