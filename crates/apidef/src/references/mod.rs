//! References in definitions to values that are kept elsewhere (contract 2.9, 8.10): where they stand, and what is put
//! in their place. Whoever keeps the values is asked through [`Lookup`]; here is no I/O.
//!
//! - Read when the definition is, anywhere in a text: `env://NAME`, `secrets://name`, `consul://path`,
//!   `vault://path.field`, `file://path`, `kv://store/path#field`, each up to the end of the text; and `$kv{…}` around
//!   any of them, or around `store/path#field`, with more text behind.
//! - Kept apart from the text, so that nothing in a value is ever read as anything: `$secret_conf.NAME`,
//!   `$secret_env.NAME`, `$secret_consul.path`, `$secret_vault.path.field`, `$secret_file.path`.

mod find;
mod resolve;

use std::fmt;
use std::sync::Arc;

pub use self::find::{found, later};
pub use self::resolve::pointers;
pub(crate) use self::resolve::{Resolved, resolve};

/// Who keeps a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Store {
    /// The variable of that name, else `TYK_SECRET_<NAME>`.
    Environment,
    /// The variable `TYK_SECRET_<NAME>` only.
    SecretEnvironment,
    /// `secrets` of the gate's configuration.
    Secrets,
    /// `kv.consul`.
    Consul,
    /// `kv.vault`.
    Vault,
    /// Files below `kv.file.base_path`.
    File,
    /// One of `kv.stores`.
    Named(Box<str>),
}

/// A name for a value that is kept elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Who keeps it.
    pub store: Store,
    /// What it is called there, as it is written: with its field, if it has one.
    pub name: Box<str>,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match &self.store {
            Store::Environment => "env",
            Store::SecretEnvironment => return write!(f, "$secret_env.{}", self.name),
            Store::Secrets => "secrets",
            Store::Consul => "consul",
            Store::Vault => "vault",
            Store::File => "file",
            Store::Named(store) => return write!(f, "kv://{store}/{}", self.name),
        };
        write!(f, "{scheme}://{}", self.name)
    }
}

/// What came of a look-up.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// The value.
    Is(Arc<str>),
    /// There is none: why, in words that fit behind a colon.
    Missing(String),
    /// Nobody is here to ask: the gate will know.
    Unknown,
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Is(_) => f.write_str("Is(***)"),
            Value::Missing(why) => f.debug_tuple("Missing").field(why).finish(),
            Value::Unknown => f.write_str("Unknown"),
        }
    }
}

/// Who can be asked for values. Never waits for the network.
pub trait Lookup: Send + Sync + fmt::Debug {
    /// The value of a reference.
    fn look_up(&self, reference: &Reference) -> Value;

    /// Whether a `$secret_…` without a value stands for nothing, instead of refusing what names it.
    fn lets_none_be(&self) -> bool {
        false
    }
}

/// Nobody to ask.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Lookup for Nobody {
    fn look_up(&self, _: &Reference) -> Value {
        Value::Unknown
    }
}

/// What a definition was read with: the values of these references were as this digest says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seal {
    /// Each once.
    pub references: Box<[Reference]>,
    digest: u64,
}

impl Seal {
    pub(crate) fn of(references: Vec<Reference>, lookup: &dyn Lookup) -> Self {
        let digest = digest(&references, lookup);
        Self { references: references.into(), digest }
    }

    /// Whether all values are still the same.
    pub fn holds(&self, lookup: &dyn Lookup) -> bool {
        self.references.is_empty() || digest(&self.references, lookup) == self.digest
    }
}

fn digest(references: &[Reference], lookup: &dyn Lookup) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    if references.is_empty() {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    for reference in references {
        match lookup.look_up(reference) {
            Value::Is(value) => (1, value).hash(&mut hasher),
            // Why it is missing changes from one try to the next.
            Value::Missing(_) => 2.hash(&mut hasher),
            Value::Unknown => 3.hash(&mut hasher),
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
