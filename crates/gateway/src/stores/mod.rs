//! Values that are kept elsewhere and referred to by name (contract 8.10): the environment, the configuration, files,
//! Consul, Vault.
//!
//! Whoever reads a definition asks here and never waits: what has to be fetched is noted, and fetched before the
//! definition is read again. Later it is fetched again from time to time; a value that has changed has the definitions
//! read anew that it stands in. No request ever waits for a store. Of one that is away the last values stay.

mod document;
mod keeper;
mod settings;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use apidef::references::{Lookup, Reference, Store, Value};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use state::Secret;

use self::keeper::{Failure, Keeper};
pub use self::settings::{ConsulSettings, NamedStore, StoreSettings, TrustSettings, VaultSettings};
use crate::gate::Gate;

/// How often values are asked for again.
const REFRESH: Duration = Duration::from_secs(60);
/// How soon those are asked for again that could not be had.
const AGAIN: Duration = Duration::from_secs(2);
/// Values that are asked for at once.
const AT_ONCE: usize = 8;
/// Most values that are kept.
const MOST: usize = 4096;

/// Where values are kept, and those that were asked for.
#[derive(Debug, Default)]
pub struct Stores {
    variables: BTreeMap<String, Secret>,
    secrets: BTreeMap<String, Secret>,
    keepers: BTreeMap<Store, Keeper>,
    named_secrets: BTreeMap<Box<str>, BTreeMap<String, Secret>>,
    refresh: Duration,
    lets_none_be: bool,
    known: Mutex<HashMap<Reference, Known>>,
    /// Counts loads: what no load asks for any more is forgotten.
    round: AtomicU64,
    /// Why a store is away, by its name.
    away: Mutex<BTreeMap<String, String>>,
}

/// What is known of a value that had to be fetched.
#[derive(Debug, Default)]
struct Known {
    value: Option<Secret>,
    /// Why there is none.
    missing: String,
    asked: bool,
    round: u64,
}

impl Stores {
    /// Connects nothing.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn new(settings: StoreSettings) -> Result<Self, String> {
        let mut keepers = BTreeMap::new();
        let mut named_secrets = BTreeMap::new();
        if let Some(consul) = &settings.consul {
            let keeper = Keeper::consul(consul).map_err(|why| format!("`kv.consul`: {why}"))?;
            keepers.insert(Store::Consul, keeper);
        }
        if let Some(vault) = &settings.vault {
            let keeper = Keeper::vault(vault).map_err(|why| format!("`kv.vault`: {why}"))?;
            keepers.insert(Store::Vault, keeper);
        }
        if let Some(folder) = settings.files {
            keepers.insert(Store::File, Keeper::Files(folder));
        }
        for (name, store) in settings.named {
            let fault = |why: String| format!("`kv.stores.{name}`: {why}");
            let keeper = match store {
                NamedStore::Consul(consul) => Keeper::consul(&consul).map_err(fault)?,
                NamedStore::Vault(vault) => Keeper::vault(&vault).map_err(fault)?,
                NamedStore::Files(folder) => Keeper::Files(folder),
                NamedStore::Environment => {
                    named_secrets.insert(name.into(), settings.variables.clone());
                    continue;
                }
                NamedStore::Secrets(secrets) => {
                    named_secrets.insert(name.into(), secrets);
                    continue;
                }
            };
            keepers.insert(Store::Named(name.into()), keeper);
        }
        Ok(Self {
            variables: settings.variables,
            secrets: settings.secrets,
            keepers,
            named_secrets,
            refresh: if settings.refresh.is_zero() { REFRESH } else { settings.refresh },
            lets_none_be: settings.missing_secrets_are_empty,
            ..Self::default()
        })
    }

    /// The value of a reference, fetched if need be.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn value(&self, reference: &Reference) -> Result<Secret, String> {
        self.look_up(reference);
        self.fetch_new().await;
        match self.look_up(reference) {
            Value::Is(value) => Ok(Secret::new(&*value)),
            Value::Missing(why) => Err(why),
            Value::Unknown => Err("nobody knows it".to_owned()),
        }
    }

    /// Fetches what was asked for and never fetched; tells whether there was any.
    pub(crate) async fn fetch_new(&self) -> bool {
        let new = self.references(|_, known| !known.asked);
        let any = !new.is_empty();
        self.fetch(new).await;
        any
    }

    /// Before a load: files are read again, as those of definitions are.
    pub(crate) async fn begin_load(&self) {
        self.round.fetch_add(1, Ordering::Relaxed);
        let files = self
            .references(|reference, _| matches!(self.keepers.get(&reference.store), Some(Keeper::Files(_))));
        self.fetch(files).await;
    }

    /// After a load: what nobody asked for is forgotten.
    pub(crate) fn end_load(&self) {
        let round = self.round.load(Ordering::Relaxed);
        self.known.lock().retain(|_, known| known.round == round);
    }

    /// The stores that have been asked for something, each with why it is away, if it is.
    pub(crate) fn health(&self) -> Vec<(String, Option<String>)> {
        let mut names: Vec<String> =
            self.known.lock().keys().map(|reference| name_of(&reference.store)).collect();
        names.sort_unstable();
        names.dedup();
        let away = self.away.lock();
        names
            .into_iter()
            .map(|name| (away.get(&name).cloned(), name))
            .map(|(why, name)| (name, why))
            .collect()
    }

    fn references(&self, wanted: impl Fn(&Reference, &Known) -> bool) -> Vec<Reference> {
        let known = self.known.lock();
        known
            .iter()
            .filter(|(reference, known)| wanted(reference, known))
            .map(|(one, _)| one.clone())
            .collect()
    }

    /// Fetches values; tells whether one is another than before.
    async fn fetch(&self, references: Vec<Reference>) -> bool {
        let mut away: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut changed = false;
        let asked = references.into_iter().filter_map(|reference| {
            let keeper = self.keepers.get(&reference.store)?;
            Some(async move {
                let classic = !matches!(reference.store, Store::Named(_));
                let outcome = keeper.value(&reference.name, classic).await;
                (reference, outcome)
            })
        });
        let mut answers = futures_util::stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some((reference, outcome)) = answers.next().await {
            let why = match &outcome {
                Err(Failure::Away(why)) => Some(why.clone()),
                _ => None,
            };
            let of_store = away.entry(name_of(&reference.store)).or_default();
            *of_store = why.or(of_store.take());
            let mut known = self.known.lock();
            let Some(known) = known.get_mut(&reference) else { continue };
            known.asked = true;
            match outcome {
                Ok(value) => {
                    let value = Some(Secret::new(value));
                    changed |= known.value != value;
                    known.value = value;
                }
                Err(Failure::None(why)) => {
                    changed |= known.value.take().is_some();
                    known.missing = why;
                }
                // The last value stays.
                Err(Failure::Away(why)) => known.missing = why,
            }
        }
        drop(answers);
        self.tell(away);
        changed
    }

    /// Says once that a store is away, and once that it is back.
    fn tell(&self, found: BTreeMap<String, Option<String>>) {
        let mut away = self.away.lock();
        for (store, why) in found {
            match (why, away.contains_key(&store)) {
                (Some(why), false) => {
                    tracing::error!(store, %why, "a store of values is away; the last values stay");
                    away.insert(store, why);
                }
                (Some(why), true) => drop(away.insert(store, why)),
                (None, true) => {
                    tracing::info!(store, "a store of values is back");
                    away.remove(&store);
                }
                (None, false) => {}
            }
        }
    }

    fn fetched(&self, reference: &Reference) -> Value {
        let mut all = self.known.lock();
        if all.len() >= MOST && !all.contains_key(reference) {
            return Value::Missing(format!("more than {MOST} values are referred to"));
        }
        let known = all.entry(reference.clone()).or_default();
        known.round = self.round.load(Ordering::Relaxed);
        match &known.value {
            Some(value) => Value::Is(value.expose().into()),
            None if known.asked => Value::Missing(known.missing.clone()),
            None => Value::Missing("it has not been fetched yet".to_owned()),
        }
    }
}

impl Lookup for Stores {
    fn lets_none_be(&self) -> bool {
        self.lets_none_be
    }

    fn look_up(&self, reference: &Reference) -> Value {
        let name = &*reference.name;
        let formal = || format!("TYK_SECRET_{}", name.to_ascii_uppercase());
        let of = |found: Option<&Secret>, why: &dyn Fn() -> String| match found {
            Some(value) if !value.is_empty() => Value::Is(value.expose().into()),
            _ => Value::Missing(why()),
        };
        match &reference.store {
            Store::Environment => {
                let set = |name: &str| self.variables.get(name).filter(|value| !value.is_empty());
                of(set(name).or_else(|| set(&formal())), &|| {
                    format!("neither {name} nor {} is set in the environment", formal())
                })
            }
            Store::SecretEnvironment => {
                of(self.variables.get(&formal()), &|| format!("{} is not set in the environment", formal()))
            }
            Store::Secrets => of(self.secrets.get(name), &|| format!("`secrets` holds no `{name}`")),
            Store::Named(store) if self.named_secrets.contains_key(store) => {
                let (key, field) = match document::place(name) {
                    Ok(place) => place,
                    Err(why) => return Value::Missing(why),
                };
                let Some(value) = self.named_secrets[store].get(key) else {
                    return Value::Missing(format!("`kv.stores.{store}` holds no `{key}`"));
                };
                match document::Document::Text(value.expose().to_owned()).value(field) {
                    Ok(value) => Value::Is(value.into()),
                    Err(why) => Value::Missing(why),
                }
            }
            store if self.keepers.contains_key(store) => self.fetched(reference),
            Store::Consul => Value::Missing("no Consul is set up; set `kv.consul.address`".to_owned()),
            Store::Vault => Value::Missing("no Vault is set up; set `kv.vault.address`".to_owned()),
            Store::File => Value::Missing("no folder is set up; set `kv.file.base_path`".to_owned()),
            Store::Named(store) => {
                Value::Missing(format!("no store is called `{store}`; set `kv.stores.{store}`"))
            }
        }
    }
}

/// What a store is called in `/hello` and logs.
fn name_of(store: &Store) -> String {
    match store {
        Store::Consul => "consul".to_owned(),
        Store::Vault => "vault".to_owned(),
        Store::File => "files".to_owned(),
        Store::Named(name) => name.to_string(),
        Store::Environment | Store::SecretEnvironment | Store::Secrets => "own".to_owned(),
    }
}

/// Asks for values again from time to time, and has definitions read anew when one has changed, until the gate closes.
pub async fn run(gate: Arc<Gate>) {
    let stores = Arc::clone(&gate.stores);
    let mut since = Duration::ZERO;
    loop {
        tokio::select! {
            () = tokio::time::sleep(AGAIN.min(stores.refresh)) => since += AGAIN.min(stores.refresh),
            () = gate.closed() => return,
        }
        let all = since >= stores.refresh;
        if all {
            since = Duration::ZERO;
        }
        let wanted = stores.references(|_, known| all || known.value.is_none());
        if stores.fetch(wanted).await {
            gate.reload_soon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_hand_is_told_at_once() {
        let secret = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), Secret::from(*value))).collect()
        };
        let named = NamedStore::Secrets(secret(&[("db", "{\"user\":\"u\"}"), ("a", "b")]));
        let stores = Stores::new(StoreSettings {
            variables: secret(&[
                ("A", "plain"),
                ("TYK_SECRET_A", "formal"),
                ("TYK_SECRET_B", "b"),
                ("E", ""),
            ]),
            secrets: secret(&[("k", "v")]),
            named: [("own".to_owned(), named), ("env".to_owned(), NamedStore::Environment)].into(),
            ..StoreSettings::default()
        })
        .unwrap();
        let named = |store: &str| Store::Named(store.into());
        for (store, name, expected) in [
            (Store::Environment, "A", Some("plain")),
            (Store::Environment, "b", Some("b")),
            (Store::Environment, "E", None),
            (Store::SecretEnvironment, "a", Some("formal")),
            (Store::Secrets, "k", Some("v")),
            (Store::Secrets, "none", None),
            (named("own"), "a", Some("b")),
            (named("own"), "db#user", Some("u")),
            (named("own"), "db#none", None),
            (named("own"), "none", None),
            (named("env"), "A", Some("plain")),
            (named("none"), "a", None),
            (Store::Consul, "a", None),
            (Store::Vault, "a/b.c", None),
            (Store::File, "a", None),
        ] {
            let reference = Reference { store, name: name.into() };
            match (stores.look_up(&reference), expected) {
                (Value::Is(found), Some(value)) => assert_eq!(&*found, value, "{reference}"),
                (Value::Missing(why), None) => assert!(!why.is_empty()),
                (found, _) => panic!("{reference}: {found:?}"),
            }
        }
        assert!(!format!("{stores:?}").contains("formal"));
    }
}
