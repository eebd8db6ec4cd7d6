//! Sessions as the protocol has them (contract 9.3): their metadata are texts, and nothing is said of what it does not know.

use std::collections::HashMap;

use apidef::Session;
use prost::Message;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A session. What the protocol does not carry is kept from the session that was sent.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are those of the session, described there")]
pub struct SessionState {
    #[prost(int64, tag = "1")]
    pub last_check: i64,
    #[prost(double, tag = "2")]
    pub allowance: f64,
    #[prost(double, tag = "3")]
    pub rate: f64,
    #[prost(double, tag = "4")]
    pub per: f64,
    #[prost(int64, tag = "5")]
    pub expires: i64,
    #[prost(int64, tag = "6")]
    pub quota_max: i64,
    #[prost(int64, tag = "7")]
    pub quota_renews: i64,
    #[prost(int64, tag = "8")]
    pub quota_remaining: i64,
    #[prost(int64, tag = "9")]
    pub quota_renewal_rate: i64,
    #[prost(map = "string, message", tag = "10")]
    pub access_rights: HashMap<String, AccessDefinition>,
    #[prost(string, tag = "11")]
    pub org_id: String,
    #[prost(string, tag = "12")]
    pub oauth_client_id: String,
    #[prost(map = "string, string", tag = "13")]
    pub oauth_keys: HashMap<String, String>,
    #[prost(message, optional, tag = "14")]
    pub basic_auth_data: Option<BasicAuthData>,
    #[prost(message, optional, tag = "15")]
    pub jwt_data: Option<JwtData>,
    #[prost(bool, tag = "16")]
    pub hmac_enabled: bool,
    #[prost(string, tag = "17")]
    pub hmac_secret: String,
    #[prost(bool, tag = "18")]
    pub is_inactive: bool,
    #[prost(string, tag = "19")]
    pub apply_policy_id: String,
    #[prost(int64, tag = "20")]
    pub data_expires: i64,
    #[prost(message, optional, tag = "21")]
    pub monitor: Option<Monitor>,
    #[prost(bool, tag = "22")]
    pub enable_detailed_recording: bool,
    #[prost(map = "string, string", tag = "23")]
    pub metadata: HashMap<String, String>,
    #[prost(string, repeated, tag = "24")]
    pub tags: Vec<String>,
    #[prost(string, tag = "25")]
    pub alias: String,
    #[prost(string, tag = "26")]
    pub last_updated: String,
    #[prost(int64, tag = "27")]
    pub id_extractor_deadline: i64,
    #[prost(int64, tag = "28")]
    pub session_lifetime: i64,
    #[prost(string, repeated, tag = "29")]
    pub apply_policies: Vec<String>,
    #[prost(string, tag = "30")]
    pub certificate: String,
    #[prost(int64, tag = "31")]
    pub max_query_depth: i64,
    #[prost(string, tag = "32")]
    pub key_id: String,
    #[prost(string, tag = "33")]
    pub post_expiry_action: String,
    #[prost(int64, tag = "34")]
    pub post_expiry_grace_period: i64,
}

/// A right to an API.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are those of the session, described there")]
pub struct AccessDefinition {
    #[prost(string, tag = "1")]
    pub api_name: String,
    #[prost(string, tag = "2")]
    pub api_id: String,
    #[prost(string, repeated, tag = "3")]
    pub versions: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    pub allowed_urls: Vec<AccessSpec>,
}

/// Paths that a right is for.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are those of the session, described there")]
pub struct AccessSpec {
    #[prost(string, tag = "1")]
    pub url: String,
    #[prost(string, repeated, tag = "2")]
    pub methods: Vec<String>,
}

/// Of a user with a password.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are those of the session, described there")]
pub struct BasicAuthData {
    #[prost(string, tag = "1")]
    pub password: String,
    #[prost(string, tag = "2")]
    pub hash: String,
}

/// Of a key for tokens.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are those of the session, described there")]
pub struct JwtData {
    #[prost(string, tag = "1")]
    pub secret: String,
}

/// When to warn of a quota.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are those of the session, described there")]
pub struct Monitor {
    #[prost(double, repeated, tag = "1")]
    pub trigger_limits: Vec<f64>,
}

impl From<&Session> for SessionState {
    fn from(session: &Session) -> Self {
        let rights = session.access_rights.iter().map(|(id, right)| (id.clone(), right.into()));
        let keys = session.oauth_keys.iter().map(|(client, token)| (client.clone(), token.0.clone()));
        Self {
            last_check: session.last_check,
            allowance: session.allowance,
            rate: session.rate,
            per: session.per,
            expires: session.expires,
            quota_max: session.quota_max,
            quota_renews: session.quota_renews,
            quota_remaining: session.quota_remaining,
            quota_renewal_rate: session.quota_renewal_rate,
            access_rights: rights.collect(),
            org_id: session.org_id.clone(),
            oauth_client_id: session.oauth_client_id.clone(),
            oauth_keys: keys.collect(),
            basic_auth_data: Some(BasicAuthData {
                password: session.basic_auth_data.password.0.clone(),
                hash: session.basic_auth_data.hash_type.clone(),
            }),
            jwt_data: Some(JwtData { secret: session.jwt_data.secret.0.clone() }),
            hmac_enabled: session.hmac_enabled,
            hmac_secret: session.hmac_string.0.clone(),
            is_inactive: session.is_inactive,
            apply_policy_id: session.apply_policy_id.clone(),
            data_expires: session.data_expires,
            monitor: Some(Monitor { trigger_limits: session.monitor.trigger_limits.clone() }),
            enable_detailed_recording: session.enable_detailed_recording,
            metadata: session.meta_data.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            tags: session.tags.clone(),
            alias: session.alias.clone(),
            last_updated: session.last_updated.clone(),
            id_extractor_deadline: session.id_extractor_deadline,
            session_lifetime: session.session_lifetime,
            apply_policies: session.apply_policies.clone(),
            certificate: session.certificate.clone(),
            max_query_depth: session.max_query_depth,
            key_id: String::new(),
            post_expiry_action: session.post_expiry_action.clone(),
            post_expiry_grace_period: session.post_expiry_grace_period,
        }
    }
}

impl From<&apidef::AccessDefinition> for AccessDefinition {
    fn from(right: &apidef::AccessDefinition) -> Self {
        let urls = right.allowed_urls.iter();
        Self {
            api_name: right.api_name.clone(),
            api_id: right.api_id.clone(),
            versions: right.versions.clone(),
            allowed_urls: urls
                .map(|url| AccessSpec { url: url.url.clone(), methods: url.methods.clone() })
                .collect(),
        }
    }
}

impl SessionState {
    /// The session that a plugin gave. Metadata that say what those of `before` said keep their type.
    pub(super) fn into_session(self, before: Option<&Session>) -> Session {
        let mut session = before.cloned().unwrap_or_default();
        let known = std::mem::take(&mut session.access_rights);
        let rights = self.access_rights.into_iter().map(|(id, given)| {
            let mut right = known.get(&id).cloned().unwrap_or_default();
            right.api_name = given.api_name;
            right.api_id = given.api_id;
            right.versions = given.versions;
            let urls = given.allowed_urls.into_iter();
            right.allowed_urls = urls
                .map(|url| apidef::AllowedUrl { url: url.url, methods: url.methods, ..Default::default() })
                .collect();
            (id, right)
        });
        session.access_rights = rights.collect();
        let known = std::mem::take(&mut session.meta_data);
        let metadata = self.metadata.into_iter().map(|(name, given)| match known.get(&name) {
            Some(value) if text(value) == given => (name, value.clone()),
            _ => (name, Value::String(given)),
        });
        session.meta_data = metadata.collect();
        let secret = apidef::Secret;
        if let Some(data) = self.basic_auth_data {
            session.basic_auth_data.password = secret(data.password);
            session.basic_auth_data.hash_type = data.hash;
        }
        if let Some(data) = self.jwt_data {
            session.jwt_data.secret = secret(data.secret);
        }
        session.monitor.trigger_limits = self.monitor.unwrap_or_default().trigger_limits;
        session.oauth_keys =
            self.oauth_keys.into_iter().map(|(client, token)| (client, secret(token))).collect();
        session.last_check = self.last_check;
        session.allowance = self.allowance;
        session.rate = self.rate;
        session.per = self.per;
        session.expires = self.expires;
        session.quota_max = self.quota_max;
        session.quota_renews = self.quota_renews;
        session.quota_remaining = self.quota_remaining;
        session.quota_renewal_rate = self.quota_renewal_rate;
        session.org_id = self.org_id;
        session.oauth_client_id = self.oauth_client_id;
        session.hmac_enabled = self.hmac_enabled;
        session.hmac_string = secret(self.hmac_secret);
        session.is_inactive = self.is_inactive;
        session.apply_policy_id = self.apply_policy_id;
        session.data_expires = self.data_expires;
        session.enable_detailed_recording = self.enable_detailed_recording;
        session.tags = self.tags;
        session.alias = self.alias;
        session.last_updated = self.last_updated;
        session.id_extractor_deadline = self.id_extractor_deadline;
        session.session_lifetime = self.session_lifetime;
        session.apply_policies = self.apply_policies;
        session.certificate = self.certificate;
        session.max_query_depth = self.max_query_depth;
        session.post_expiry_action = self.post_expiry_action;
        session.post_expiry_grace_period = self.post_expiry_grace_period;
        session
    }
}

/// A value of metadata as the protocol has it: a text, or JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
