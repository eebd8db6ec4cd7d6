//! The stores of values that the settings name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use apidef::references::{Lookup as _, Reference, Store, Value as Found};
use gateway::stores::{ConsulSettings, NamedStore, StoreSettings, Stores, TrustSettings, VaultSettings};
use serde_json::Value;
use state::Secret;

use crate::config::Config;

/// The stores; connects nothing. Blocking: reads certificates.
///
/// # Errors
/// Settings that cannot be used, by name.
pub(crate) fn open(config: &Config) -> Result<Stores, String> {
    let at_hand = at_hand(config);
    // What the settings of named stores refer to can only be at hand.
    let local = Stores::new(at_hand.clone())?;
    let named = config.kv.stores.0.as_object().into_iter().flatten();
    let named = named.map(|(name, written)| {
        let store = named_store(written, &local).map_err(|why| format!("`kv.stores.{name}`: {why}"))?;
        Ok((name.clone(), store))
    });
    let named = named.collect::<Result<BTreeMap<_, _>, String>>()?;
    let (consul, vault) = (&config.kv.consul, &config.kv.vault);
    let vault_address = if vault.agent_address.is_empty() { &vault.address } else { &vault.agent_address };
    let path = PathBuf::from;
    Stores::new(StoreSettings {
        consul: (!consul.address.is_empty()).then(|| ConsulSettings {
            address: with_scheme(&consul.address, &consul.scheme),
            datacenter: consul.datacenter.clone(),
            token: consul.token.clone(),
            login: (consul.http_auth.username.clone(), consul.http_auth.password.clone()),
            trust: TrustSettings {
                ca_file: path(&consul.tls_config.ca_file),
                ca_folder: path(&consul.tls_config.ca_path),
                name: without_port(&consul.tls_config.address),
                cert_file: path(&consul.tls_config.cert_file),
                key_file: path(&consul.tls_config.key_file),
                insecure: consul.tls_config.insecure_skip_verify,
            },
        }),
        vault: (!vault_address.is_empty()).then(|| VaultSettings {
            address: with_scheme(vault_address, ""),
            token: vault.token.clone(),
            version: vault.kv_version,
            retries: vault.max_retries,
            timeout: vault.timeout,
            trust: TrustSettings { ca_file: path(&vault.ca_file), ..TrustSettings::default() },
        }),
        files: (!config.kv.file.base_path.is_empty()).then(|| path(&config.kv.file.base_path)),
        named,
        ..at_hand
    })
}

/// What needs no asking.
fn at_hand(config: &Config) -> StoreSettings {
    let secrets = config.named_secrets.iter();
    let secrets =
        secrets.filter_map(|(name, secret)| Some((name.strip_prefix("conf.")?.to_owned(), secret.clone())));
    StoreSettings {
        variables: config.variables.clone(),
        secrets: secrets.collect(),
        refresh: config.kv.refresh,
        missing_secrets_are_empty: config.kv.missing_secrets_are_empty,
        ..StoreSettings::default()
    }
}

/// Settings that are kept in the stores. Asks them, and waits for the answers; called before the gate runs.
pub(crate) fn settings_from(
    config: &Config,
    wanted: Vec<(&'static str, Result<Reference, String>)>,
) -> Vec<(&'static str, Result<Secret, String>)> {
    let stores = match open(config) {
        Ok(stores) => stores,
        Err(error) => return wanted.into_iter().map(|(path, _)| (path, Err(error.clone()))).collect(),
    };
    let ask = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot ask the stores of values: {error}"))?;
        Ok(runtime.block_on(async {
            let mut found = Vec::with_capacity(wanted.len());
            for (path, reference) in &wanted {
                found.push((
                    *path,
                    match reference {
                        Ok(reference) => {
                            let value = stores.value(reference).await;
                            value.map_err(|why| format!("there is no value for `{reference}`: {why}"))
                        }
                        Err(why) => Err(why.clone()),
                    },
                ));
            }
            found
        }))
    };
    // On a thread of its own: whoever loads the settings may run on a runtime.
    let asked = std::thread::scope(|scope| scope.spawn(ask).join());
    match asked {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            wanted.iter().map(|(path, _): &(_, _)| (*path, Err(String::clone(&error)))).collect()
        }
        Err(_) => {
            wanted.iter().map(|(path, _)| (*path, Err("the stores could not be asked".to_owned()))).collect()
        }
    }
}

/// The host of `host` or `host:port`.
fn without_port(address: &str) -> String {
    let host = address.rsplit_once(':').filter(|(host, port)| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']'))
    });
    host.map_or(address, |(host, _)| host).trim_matches(['[', ']']).to_owned()
}

fn with_scheme(address: &str, scheme: &str) -> String {
    match (address.contains("://"), scheme) {
        (true, _) => address.to_owned(),
        (false, "") => format!("http://{address}"),
        (false, scheme) => format!("{scheme}://{address}"),
    }
}

/// One of `kv.stores`.
fn named_store(written: &Value, local: &Stores) -> Result<NamedStore, String> {
    const KNOWN: &str = "use `consul`, `vault`, `file`, `env` or `secrets`";
    let kind =
        written.get("type").and_then(Value::as_str).ok_or_else(|| format!("it has no `type`; {KNOWN}"))?;
    let config = written.get("config").unwrap_or(&Value::Null);
    let text = |pointer: &str| -> Result<String, String> {
        let Some(text) = config.pointer(pointer).and_then(Value::as_str) else { return Ok(String::new()) };
        at_hand_or_itself(text, local)
    };
    let trust = || -> Result<TrustSettings, String> {
        let file = |name: &str| text(&format!("/tls_config/{name}")).map(PathBuf::from);
        Ok(TrustSettings {
            ca_file: file("ca_file")?,
            ca_folder: file("ca_path")?,
            name: without_port(&text("/tls_config/address")?),
            cert_file: file("cert_file")?,
            key_file: file("key_file")?,
            insecure: config.pointer("/tls_config/insecure_skip_verify") == Some(&Value::Bool(true)),
        })
    };
    let needed = |name: &str| match text(&format!("/{name}"))? {
        text if text.is_empty() => Err(format!("`config.{name}` is not set")),
        text => Ok(text),
    };
    let number = |name: &str| config.get(name).and_then(Value::as_u64);
    Ok(match kind {
        "consul" => NamedStore::Consul(ConsulSettings {
            address: with_scheme(&needed("address")?, &text("/scheme")?),
            datacenter: text("/datacenter")?,
            token: text("/token")?.into(),
            login: (text("/http_auth/username")?, text("/http_auth/password")?.into()),
            trust: trust()?,
        }),
        "vault" => NamedStore::Vault(VaultSettings {
            address: with_scheme(&needed("address")?, ""),
            token: text("/token")?.into(),
            version: match number("kv_version").unwrap_or(2) {
                1 => 1,
                2 => 2,
                other => return Err(format!("`config.kv_version` is 1 or 2, not {other}")),
            },
            retries: number("max_retries").and_then(|count| usize::try_from(count).ok()).unwrap_or_default(),
            timeout: Duration::from_secs(number("timeout").unwrap_or_default()),
            trust: trust()?,
        }),
        "file" => NamedStore::Files(PathBuf::from(needed("base_path")?)),
        "env" => NamedStore::Environment,
        "secrets" => {
            let mut secrets = BTreeMap::new();
            for (name, value) in config.as_object().into_iter().flatten() {
                let value = value.as_str().ok_or_else(|| format!("`config.{name}` is no text"))?;
                secrets.insert(name.clone(), at_hand_or_itself(value, local)?.into());
            }
            NamedStore::Secrets(secrets)
        }
        other => return Err(format!("there is no type `{other}`; {KNOWN}")),
    })
}

/// The text, or what it refers to.
fn at_hand_or_itself(text: &str, local: &Stores) -> Result<String, String> {
    match apidef::references::found(text).as_slice() {
        [(range, reference)]
            if range.start == 0 && matches!(reference.store, Store::Environment | Store::Secrets) =>
        {
            match local.look_up(reference) {
                Found::Is(value) => Ok(value.to_string()),
                Found::Missing(why) => Err(format!("there is no value for `{reference}`: {why}")),
                Found::Unknown => Err(format!("there is no value for `{reference}`")),
            }
        }
        _ => Ok(text.to_owned()),
    }
}
