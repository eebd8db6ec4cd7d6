//! Where state, answers and definitions are kept.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use state::Secret;

use super::{StorageKind, seconds, secret};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CatalogSettings {
    #[serde(deserialize_with = "secret")]
    pub(crate) url: Secret,
    pub(crate) name: String,
    #[serde(deserialize_with = "seconds")]
    pub(crate) poll_interval: Duration,
    #[serde(deserialize_with = "seconds")]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DbAppConfOptions {
    #[serde(deserialize_with = "secret")]
    pub(crate) connection_string: Secret,
    pub(crate) node_is_segmented: bool,
    pub(crate) tags: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Storage {
    /// Never empty once loaded: what an empty value means has been settled.
    #[serde(rename = "type")]
    pub(crate) kind: StorageKind,
    /// Of the embedded state; a second store has none.
    #[serde(default)]
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) addrs: Vec<String>,
    pub(crate) hosts: BTreeMap<String, String>,
    pub(crate) username: String,
    #[serde(deserialize_with = "secret")]
    pub(crate) password: Secret,
    pub(crate) database: i64,
    pub(crate) enable_cluster: bool,
    pub(crate) master_name: String,
    #[serde(deserialize_with = "secret")]
    pub(crate) sentinel_password: Secret,
    pub(crate) use_ssl: bool,
    pub(crate) ssl_insecure_skip_verify: bool,
    pub(crate) ca_file: String,
    pub(crate) cert_file: String,
    pub(crate) key_file: String,
    pub(crate) tls_min_version: String,
    pub(crate) tls_max_version: String,
    #[serde(deserialize_with = "seconds")]
    pub(crate) timeout: Duration,
}

impl Storage {
    /// The Redis addresses (`host:port`) in the order of precedence: `addrs`, `hosts`, `host` and `port`.
    pub(crate) fn addresses(&self) -> Vec<String> {
        if !self.addrs.is_empty() {
            return self.addrs.clone();
        }
        if !self.hosts.is_empty() {
            return self.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        }
        vec![format!("{}:{}", self.host, self.port)]
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CacheSettings {
    pub(crate) memory: u64,
    pub(crate) largest_answer: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocalSessionCache {
    pub(crate) disable_cached_session_state: bool,
}
