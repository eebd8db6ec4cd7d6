//! Where state, answers and records are kept.

use std::path::{Path, PathBuf};

use state::{RedisSettings, RedisTls, SignalKey, State, TlsVersions};

use crate::config::{Config, Storage, StorageKind};

pub(super) fn state(config: &Config) -> Result<State, String> {
    let storage = &config.storage;
    match storage.kind {
        StorageKind::Embedded => {
            let folder = (!storage.path.is_empty()).then(|| PathBuf::from(&storage.path));
            State::embedded(folder).map_err(|error| error.to_string())
        }
        StorageKind::Redis => redis("storage", storage, config),
    }
}

/// A second store for kept answers, where there is one.
pub(super) fn answers(config: &Config) -> Result<Option<State>, String> {
    config
        .enable_separate_cache_store
        .then(|| redis("cache_storage", &config.cache_storage, config))
        .transpose()
}

/// `name` is that of the settings.
fn redis(name: &str, storage: &Storage, config: &Config) -> Result<State, String> {
    let file = |path: &str| (!path.is_empty()).then(|| PathBuf::from(path));
    let tls = match storage.use_ssl {
        false => None,
        true => Some(RedisTls {
            insecure_skip_verify: storage.ssl_insecure_skip_verify,
            ca_file: file(&storage.ca_file),
            cert_file: file(&storage.cert_file),
            key_file: file(&storage.key_file),
            versions: versions(name, &storage.tls_min_version, &storage.tls_max_version)?,
        }),
    };
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

/// What lies between the lowest and the highest version of TLS.
fn versions(name: &str, lowest: &str, highest: &str) -> Result<TlsVersions, String> {
    let old = |version: &str| matches!(version, "1.0" | "1.1");
    if old(highest) {
        return Err(format!(
            "`{name}.tls_max_version`: TLS {highest} is broken and not spoken, so nothing is left; 1.2 is the oldest"
        ));
    }
    if old(lowest) {
        tracing::warn!("`{name}.tls_min_version`: TLS {lowest} is broken and not spoken; 1.2 is the oldest");
    }
    match (lowest, highest) {
        ("1.3", "1.2") => Err(format!("`{name}.tls_min_version` is above `{name}.tls_max_version`")),
        (_, "1.2") => Ok(TlsVersions::Only12),
        ("1.3", _) => Ok(TlsVersions::Only13),
        _ => Ok(TlsVersions::Both),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contract_1_3_versions_of_tls_towards_redis_are_those_between_the_lowest_and_the_highest() {
        for (lowest, highest, expected) in [
            ("1.2", "1.3", Ok(TlsVersions::Both)),
            ("", "", Ok(TlsVersions::Both)),
            ("1.0", "", Ok(TlsVersions::Both)),
            ("1.2", "1.2", Ok(TlsVersions::Only12)),
            ("1.1", "1.2", Ok(TlsVersions::Only12)),
            ("1.3", "1.3", Ok(TlsVersions::Only13)),
            ("1.3", "", Ok(TlsVersions::Only13)),
            ("1.3", "1.2", Err("`storage.tls_min_version` is above")),
            ("1.0", "1.1", Err("`storage.tls_max_version`: TLS 1.1")),
        ] {
            match (versions("storage", lowest, highest), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{lowest} {highest}"),
                (Err(found), Err(expected)) => assert!(found.starts_with(expected), "{found}"),
                (found, _) => panic!("{lowest} {highest}: {found:?}"),
            }
        }
    }
}
