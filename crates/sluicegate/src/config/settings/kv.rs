//! Where references in definitions and settings lead.

use std::time::Duration;

use serde::Deserialize;
use state::Secret;

use super::{Unshown, seconds, secret, unshown};

/// Where values are kept that settings and definitions refer to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kv {
    #[serde(deserialize_with = "seconds")]
    pub(crate) refresh: Duration,
    pub(crate) missing_secrets_are_empty: bool,
    pub(crate) consul: Consul,
    pub(crate) vault: Vault,
    pub(crate) file: KvFile,
    /// Whatever is written; may hold secrets.
    #[serde(deserialize_with = "unshown")]
    pub(crate) stores: Unshown,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Consul {
    pub(crate) address: String,
    pub(crate) scheme: String,
    pub(crate) datacenter: String,
    #[serde(deserialize_with = "secret")]
    pub(crate) token: Secret,
    pub(crate) http_auth: ConsulLogin,
    pub(crate) tls_config: ConsulTls,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsulLogin {
    pub(crate) username: String,
    #[serde(deserialize_with = "secret")]
    pub(crate) password: Secret,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsulTls {
    pub(crate) address: String,
    pub(crate) ca_path: String,
    pub(crate) ca_file: String,
    pub(crate) cert_file: String,
    pub(crate) key_file: String,
    pub(crate) insecure_skip_verify: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vault {
    pub(crate) address: String,
    pub(crate) agent_address: String,
    #[serde(deserialize_with = "secret")]
    pub(crate) token: Secret,
    pub(crate) kv_version: u8,
    pub(crate) max_retries: usize,
    #[serde(deserialize_with = "seconds")]
    pub(crate) timeout: Duration,
    pub(crate) ca_file: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KvFile {
    pub(crate) base_path: String,
}
