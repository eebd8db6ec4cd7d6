//! Where state, answers and records are kept.

use std::path::{Path, PathBuf};

use state::{RedisSettings, RedisTls, SignalKey, State};

use crate::config::{Config, Storage, StorageKind};

pub(super) fn state(config: &Config) -> Result<State, String> {
    let storage = &config.storage;
    match storage.kind {
        StorageKind::Embedded => {
            let folder = (!storage.path.is_empty()).then(|| PathBuf::from(&storage.path));
            State::embedded(folder).map_err(|error| error.to_string())
        }
        StorageKind::Redis => redis(storage, config),
    }
}

/// A second store for kept answers, where there is one.
pub(super) fn answers(config: &Config) -> Result<Option<State>, String> {
    config.enable_separate_cache_store.then(|| redis(&config.cache_storage, config)).transpose()
}

fn redis(storage: &Storage, config: &Config) -> Result<State, String> {
    let file = |path: &str| (!path.is_empty()).then(|| PathBuf::from(path));
    let tls = storage.use_ssl.then(|| RedisTls {
        insecure_skip_verify: storage.ssl_insecure_skip_verify,
        ca_file: file(&storage.ca_file),
        cert_file: file(&storage.cert_file),
        key_file: file(&storage.key_file),
    });
    State::redis(RedisSettings {
        hosts: storage.addresses(),
        username: storage.username.clone(),
        password: storage.password.clone(),
        database: storage.database,
        master_name: (!storage.master_name.is_empty()).then(|| storage.master_name.clone()),
        sentinel_password: storage.sentinel_password.clone(),
        cluster: storage.enable_cluster,
        tls,
        timeout: storage.timeout,
        signal_secret: config.node_secret.clone(),
        signal_key: crate::public_key::of(config, SignalKey::new)?,
        unsigned_signals: config.allow_insecure_configs,
    })
    .map_err(|error| error.to_string())
}

pub(super) fn records(config: &Config) -> Result<Option<(analytics::Store, analytics::Recorder)>, String> {
    if !config.enable_analytics {
        return Ok(None);
    }
    let folder = Some(Path::new(&config.storage.path)).filter(|path| !path.as_os_str().is_empty());
    let settings = analytics::Settings {
        queue: config.analytics_config.records_buffer_size,
        ..analytics::Settings::default()
    };
    analytics::Store::open(folder, settings).map(Some).map_err(|error| error.to_string())
}
