//! Sessions (contract 6.1) and policies (6.3) as they are stored: zero values are left out when written, unknown keys
//! are kept, and `null` means "not set", because that is what keys made by other versions carry.

mod access;
mod limit;
mod policy;
mod record;
mod split;

pub use access::{
    AccessDefinition, AllowedUrl, CallLimit, Endpoint, EndpointMethod, FieldAccess, FieldLimits, NameRules,
    PrimitiveRules, TypeFields,
};
pub use limit::{Concurrency, Limit, RateLimit, Smoothing, Subscriptions};
pub use policy::{Partitions, Policy};
pub use split::Own;

use record::{is_default, null_is_default, record};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A string that never shows in logs or dumps; it is written only when the record is stored.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "\"***\"" })
    }
}

record! {
/// Who is calling and what they may do (contract 6.1).
Session {
    /// Unix seconds; kept for older readers, not used.
    last_check: i64,
    /// Kept for older readers: a mirror of `rate`.
    allowance: f64,
    /// Requests per `per` seconds; 0 or less = unlimited.
    rate: f64,
    /// Seconds.
    per: f64,
    /// Seconds between tries while waiting out a rate limit.
    throttle_interval: f64,
    /// How often to try; 0 or less = refuse at once.
    throttle_retry_limit: i64,
    /// GraphQL depth; -1 = unlimited.
    max_query_depth: i64,
    /// RFC 3339.
    date_created: String,
    /// Unix seconds; 0 or less = never.
    expires: i64,
    /// Requests per quota window; -1 or 0 = unlimited.
    quota_max: i64,
    /// Unix seconds at which the window ends.
    quota_renews: i64,
    /// Requests left, as last stored (the living counter is elsewhere).
    quota_remaining: i64,
    /// Seconds; 0 or less = never renews.
    quota_renewal_rate: i64,
    /// By API id.
    access_rights: BTreeMap<String, AccessDefinition>,
    /// Owner organisation.
    org_id: String,
    /// The OAuth client that got this session.
    oauth_client_id: String,
    /// Token by client id.
    oauth_keys: BTreeMap<String, Secret>,
    /// Certificate id this key is bound to.
    certificate: String,
    /// Certificates one of which must be presented.
    mtls_static_certificate_bindings: Vec<String>,
    /// Of a basic-auth user.
    basic_auth_data: BasicAuthData,
    /// Of a JWT key.
    jwt_data: JwtData,
    /// HMAC signatures are expected.
    hmac_enabled: bool,
    /// Their secret.
    hmac_string: Secret,
    /// HTTP signatures are expected.
    enable_http_signature_validation: bool,
    /// Public key of RSA signatures.
    rsa_certificate_id: String,
    /// Refused until set active.
    is_inactive: bool,
    /// One policy; `apply_policies` replaces it.
    apply_policy_id: String,
    /// Policies, in order.
    apply_policies: Vec<String>,
    /// Seconds that records of this organisation are kept.
    data_expires: i64,
    /// Warn when so many percent of the quota are used.
    monitor: Monitor,
    /// Older name of `enable_detailed_recording`.
    enable_detail_recording: bool,
    /// Record whole requests and answers.
    enable_detailed_recording: bool,
    /// Free data.
    meta_data: Map<String, Value>,
    /// Labels for records.
    tags: Vec<String>,
    /// Human name.
    alias: String,
    /// Unix seconds, as text.
    last_updated: String,
    /// Unix seconds until which an extracted id may be reused.
    id_extractor_deadline: i64,
    /// Seconds to keep the key in the store.
    session_lifetime: i64,
    /// `retain` or `delete`.
    post_expiry_action: String,
    /// Seconds; -1 = forever.
    post_expiry_grace_period: i64,
    /// How the rate changes under load.
    smoothing: Smoothing,
    /// Requests and subscribers at once (ours).
    concurrency: Concurrency,
    /// What subscribers of streams may receive (ours).
    subscriptions: Subscriptions,
}}

record! {
/// A basic-auth user's secret.
BasicAuthData {
    /// Hash or text, see `hash_type`.
    password: Secret,
    /// `""`, `bcrypt`, `sha256` or a murmur name.
    hash_type: String,
}}

record! {
/// A JWT key's secret.
JwtData {
    /// Shared secret or public key.
    secret: Secret,
}}

record! {
/// Quota warnings.
Monitor {
    /// Percentages.
    trigger_limits: Vec<f64>,
}}

impl Session {
    /// Whether requests of it are recorded whole.
    pub fn is_recorded_whole(&self) -> bool {
        self.enable_detailed_recording || self.enable_detail_recording
    }

    /// How long records of the organisation are kept that this is the session of, if it says so.
    pub fn records_kept(&self) -> Option<Duration> {
        u64::try_from(self.data_expires).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
    }

    /// The limits that count for one API: its own when it has any, else the session's (contract 6.5, scope order).
    pub fn limit_of(&self, api_id: &str) -> Limit {
        match self.access_rights.get(api_id) {
            Some(access) if access.limit != Limit::default() => access.limit.clone(),
            _ => self.root_limit(),
        }
    }

    pub(crate) fn root_limit(&self) -> Limit {
        Limit {
            rate: self.rate,
            per: self.per,
            smoothing: self.smoothing.clone(),
            throttle_interval: self.throttle_interval,
            throttle_retry_limit: self.throttle_retry_limit,
            max_query_depth: self.max_query_depth,
            quota_max: self.quota_max,
            quota_renews: self.quota_renews,
            quota_remaining: self.quota_remaining,
            quota_renewal_rate: self.quota_renewal_rate,
            concurrency: self.concurrency.clone(),
            subscriptions: self.subscriptions.clone(),
            other: Map::new(),
        }
    }

    /// Whether the key has expired at `now` (Unix seconds).
    pub fn is_expired(&self, now: i64) -> bool {
        self.expires > 0 && self.expires <= now
    }

    /// How long the key is kept in the store from `now` (Unix seconds) on; `None` = without end (contract 6.2, rules
    /// 2 to 5; the gateway's forced lifetime comes before).
    pub fn stored_for(
        &self,
        api_lifetime: Option<Duration>,
        respects_expiry: bool,
        now: i64,
    ) -> Option<Duration> {
        let until = |time: i64| Some(Duration::from_secs(time.saturating_sub(now).max(1).unsigned_abs()));
        match self.post_expiry_action.as_str() {
            "delete" if self.expires > 0 => return until(self.expires),
            "retain" if self.post_expiry_grace_period < 0 => return None,
            "retain" if self.expires > 0 && self.post_expiry_grace_period > 0 => {
                return until(self.expires.saturating_add(self.post_expiry_grace_period));
            }
            _ => {}
        }
        let own =
            u64::try_from(self.session_lifetime).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs);
        let lifetime = own.or(api_lifetime)?;
        if !respects_expiry {
            return Some(lifetime);
        }
        if self.expires <= 0 { None } else { until(self.expires).max(Some(lifetime)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn c6_1_row_30_records_keep_what_they_do_not_know_and_leave_out_zeros() {
        let cases = [
            (json!({}), json!({})),
            (
                json!({"rate": 10, "per": 0, "quota_max": -1, "tags": null, "access_rights": null, "new": {"a": 1}}),
                json!({"rate": 10.0, "quota_max": -1, "new": {"a": 1}}),
            ),
            (
                json!({"access_rights": {"a": {"api_id": "a", "versions": [], "limit": null, "restricted_types": [{"name": "x"}]}},
                    "basic_auth_data": {"password": "pw", "hash_type": ""}, "hmac_string": "s"}),
                json!({"access_rights": {"a": {"api_id": "a", "restricted_types": [{"name": "x"}]}},
                    "basic_auth_data": {"password": "pw"}, "hmac_string": "s"}),
            ),
        ];
        for (read, written) in cases {
            let session: Session = serde_json::from_value(read.clone()).expect("session");
            assert_eq!(serde_json::to_value(&session).expect("json"), written, "{read}");
        }
        let policy: Policy =
            serde_json::from_value(json!({"_id": "x", "partitions": {"acl": true}})).expect("policy");
        assert_eq!(
            serde_json::to_value(policy).expect("json"),
            json!({"_id": "x", "partitions": {"acl": true}})
        );
        assert!(serde_json::from_value::<Session>(json!({"rate": "10"})).is_err());
    }

    #[test]
    fn secrets_do_not_show() {
        let session: Session = serde_json::from_value(json!({
            "basic_auth_data": {"password": "canary"}, "jwt_data": {"secret": "canary"}, "hmac_string": "canary",
            "oauth_keys": {"client": "canary"}
        }))
        .expect("session");
        assert!(!format!("{session:?}").contains("canary"));
    }

    #[test]
    fn c6_2_rows_2_and_3_storage_lifetimes() {
        let seconds = Duration::from_secs;
        let cases: &[(Value, Option<u64>, bool, Option<u64>)] = &[
            (json!({}), None, false, None),
            (json!({}), Some(50), false, Some(50)),
            (json!({"session_lifetime": 20}), Some(50), false, Some(20)),
            (json!({"expires": 1100}), Some(50), false, Some(50)),
            (json!({"expires": 1100}), Some(50), true, Some(100)),
            (json!({"expires": 1010}), Some(50), true, Some(50)),
            (json!({}), Some(50), true, None),
            (json!({"expires": 1100, "post_expiry_action": "delete"}), Some(50), false, Some(100)),
            (
                json!({"expires": 1100, "post_expiry_action": "retain", "post_expiry_grace_period": 5}),
                None,
                false,
                Some(105),
            ),
            (
                json!({"expires": 1100, "post_expiry_action": "retain", "post_expiry_grace_period": -1}),
                Some(5),
                false,
                None,
            ),
        ];
        for (session, api, respects, expected) in cases {
            let read: Session = serde_json::from_value(session.clone()).expect("session");
            assert_eq!(
                read.stored_for(api.map(seconds), *respects, 1000),
                expected.map(seconds),
                "{session}"
            );
        }
    }

    #[test]
    fn an_api_limit_replaces_the_session_limit() {
        let session: Session = serde_json::from_value(
            json!({"rate": 1, "per": 2, "access_rights": {"a": {"limit": {"rate": 3, "per": 4}}, "b": {}}}),
        )
        .expect("session");
        let rate = |api: &str| (session.limit_of(api).rate, session.limit_of(api).per);
        assert_eq!((rate("a"), rate("b"), rate("c")), ((3.0, 4.0), (1.0, 2.0), (1.0, 2.0)));
    }
}
