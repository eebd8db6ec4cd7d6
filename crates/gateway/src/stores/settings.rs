//! What the configuration says of where values are kept.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use state::Secret;

/// Where values are kept that definitions and settings refer to.
#[derive(Debug, Clone, Default)]
pub struct StoreSettings {
    /// The environment of the process.
    pub variables: BTreeMap<String, Secret>,
    /// `secrets`.
    pub secrets: BTreeMap<String, Secret>,
    /// `kv.consul`.
    pub consul: Option<ConsulSettings>,
    /// `kv.vault`.
    pub vault: Option<VaultSettings>,
    /// `kv.file.base_path`.
    pub files: Option<PathBuf>,
    /// `kv.stores`.
    pub named: BTreeMap<String, NamedStore>,
    /// How often values are asked for again; zero: as usual.
    pub refresh: Duration,
    /// A `$secret_…` without a value stands for nothing, instead of refusing what names it.
    pub missing_secrets_are_empty: bool,
}

/// A store with a name of its own.
#[derive(Debug, Clone)]
pub enum NamedStore {
    /// A Consul.
    Consul(ConsulSettings),
    /// A Vault.
    Vault(VaultSettings),
    /// A folder.
    Files(PathBuf),
    /// The environment of the process.
    Environment,
    /// What stands in the configuration itself.
    Secrets(BTreeMap<String, Secret>),
}

/// A Consul.
#[derive(Debug, Clone, Default)]
pub struct ConsulSettings {
    /// With scheme, host and port.
    pub address: String,
    /// Empty: that of the agent.
    pub datacenter: String,
    /// Empty: none.
    pub token: Secret,
    /// Name and password for HTTP; an empty name: none.
    pub login: (String, Secret),
    /// TLS to it.
    pub trust: TrustSettings,
}

/// A Vault.
#[derive(Debug, Clone, Default)]
pub struct VaultSettings {
    /// With scheme, host and port.
    pub address: String,
    /// Who the gate is there.
    pub token: Secret,
    /// 1 or 2: of the engine that keeps the values.
    pub version: u8,
    /// How often more a request is sent that did not come through.
    pub retries: usize,
    /// How long a request may take; zero: as usual.
    pub timeout: Duration,
    /// TLS to it.
    pub trust: TrustSettings,
}

/// TLS to a store. Empty paths: as usual.
#[derive(Debug, Clone, Default)]
pub struct TrustSettings {
    /// Certificates of authorities, PEM.
    pub ca_file: PathBuf,
    /// A folder of files with such certificates, where there is no `ca_file`.
    pub ca_folder: PathBuf,
    /// The name that the store's certificate has to have; empty: the host that is asked.
    pub name: String,
    /// What the gate shows, PEM.
    pub cert_file: PathBuf,
    /// Its key, PEM.
    pub key_file: PathBuf,
    /// Any certificate is taken.
    pub insecure: bool,
}
