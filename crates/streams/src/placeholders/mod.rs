//! Names in the streams of an API that stand for what only a request knows, or for secrets of the gate (streams contract
//! 1.6): `$tyk_context.NAME`, `$tyk_meta.NAME`, `$secret_conf.NAME`, `$secret_env.NAME`; and, with a default,
//! `${tyk_context.NAME:default}`, `${tyk_meta.NAME:default}`.
//!
//! What takes their place comes from strangers, so it is put in by what the field is, never into text that means
//! something: a value that is all of a text stands there as it is; a part of a text is percent-encoded, as in the
//! original; inside of a mapping it can only stand in a string literal, and is escaped as such.

mod find;
mod mappings;
mod walk;

use document::{Fault, pointer_join};
use serde_json::Value as Json;

use self::find::Form;
pub use self::find::{Found, found};
use self::walk::walk;
use crate::registry::Kind;
use crate::settings::Settings;

/// What [`sampled`] puts in where any text fits; nobody writes it otherwise.
pub const SAMPLE: &str = "sampleForPlaceholder";

/// Longest value of one.
const LONGEST: usize = 4096;

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The request: its headers, cookies, path, claims.
    Context,
    /// The metadata of the session.
    Meta,
    /// `secrets` of the gate's configuration.
    ConfiguredSecret,
    /// An environment variable `TYK_SECRET_…`.
    EnvironmentSecret,
    /// Consul.
    ConsulSecret,
    /// Vault.
    VaultSecret,
    /// A file.
    FileSecret,
}

impl Source {
    /// Whether it is known before any request comes.
    pub fn is_secret(self) -> bool {
        !matches!(self, Source::Context | Source::Meta)
    }

    /// Whether names are paths there.
    fn has_paths(self) -> bool {
        matches!(self, Source::ConsulSecret | Source::VaultSecret | Source::FileSecret)
    }
}

/// One name that stands for a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Placeholder {
    /// Where its value comes from.
    pub source: Source,
    /// Its name there.
    pub name: String,
}

impl std::fmt::Display for Placeholder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let source = match self.source {
            Source::Context => "tyk_context",
            Source::Meta => "tyk_meta",
            Source::ConfiguredSecret => "secret_conf",
            Source::EnvironmentSecret => "secret_env",
            Source::ConsulSecret => "secret_consul",
            Source::VaultSecret => "secret_vault",
            Source::FileSecret => "secret_file",
        };
        write!(f, "${source}.{}", self.name)
    }
}

impl Placeholder {
    /// What a secret is called in [`Settings::secrets`].
    pub fn key(&self) -> Option<String> {
        Some(match self.source {
            Source::ConfiguredSecret => format!("conf.{}", self.name),
            Source::EnvironmentSecret => format!("env.{}", self.name.to_ascii_uppercase()),
            Source::ConsulSecret => format!("consul.{}", self.name),
            Source::VaultSecret => format!("vault.{}", self.name),
            Source::FileSecret => format!("file.{}", self.name),
            Source::Context | Source::Meta => return None,
        })
    }
}

/// What is done with one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filled {
    /// It stands for this.
    With(String),
    /// It is filled another time.
    Later,
    /// There is no such value; its default is taken, if it has one.
    Missing,
}

/// The placeholders of a stream's configuration, in their order and each once; and what is wrong with those that can
/// never be filled.
pub fn placeholders(config: &Json, pointer: &str, settings: &Settings) -> (Vec<Placeholder>, Vec<Fault>) {
    let (mut all, mut faults) = (Vec::new(), Vec::new());
    if !any(config) {
        return (all, faults);
    }
    names(config, pointer, &mut faults);
    let mut copy = config.clone();
    walk(settings, &mut copy, pointer, &mut |kind, text, at| {
        if let Some(text) = text.as_str() {
            faults.extend(find::misplaced(kind, text, at));
            for Found { placeholder, .. } in found(text) {
                if !all.contains(&placeholder) {
                    all.push(placeholder);
                }
            }
        }
    });
    (all, faults)
}

/// The configuration with its secrets put in, as the settings have them.
///
/// # Errors
/// A fault for each that there is not.
pub fn with_secrets(config: &Json, pointer: &str, settings: &Settings) -> Result<Json, Vec<Fault>> {
    fill(config, pointer, settings, &|placeholder| match placeholder.key() {
        Some(key) => settings.secrets.get(&key).cloned().map_or(Filled::Missing, Filled::With),
        None => Filled::Later,
    })
}

/// The configuration with its placeholders filled; faults, with their pointers, for values that are missing or cannot
/// stand where they are asked for.
///
/// # Errors
/// All of them.
pub fn fill(
    config: &Json,
    pointer: &str,
    settings: &Settings,
    value_of: &dyn Fn(&Placeholder) -> Filled,
) -> Result<Json, Vec<Fault>> {
    let mut filled = config.clone();
    if !any(config) {
        return Ok(filled);
    }
    let mut faults = Vec::new();
    walk(settings, &mut filled, pointer, &mut |kind, value, at| {
        let Some(text) = value.as_str() else { return };
        match fill_text(kind, text, at, value_of) {
            Ok(Some(new)) => *value = new,
            Ok(None) => {}
            Err(fault) => faults.push(fault),
        }
    });
    if faults.is_empty() { Ok(filled) } else { Err(faults) }
}

/// The configuration with something that fits in place of every placeholder, so that the rest can be checked.
pub fn sampled(config: &Json, settings: &Settings) -> Json {
    let mut filled = config.clone();
    if any(config) {
        walk(settings, &mut filled, "", &mut |kind, value, at| {
            let Some(text) = value.as_str() else { return };
            let sample = match kind {
                Kind::Bool => "true",
                Kind::Int | Kind::Float | Kind::Size => "1",
                Kind::Duration => "1s",
                Kind::Choice(words) => words.first().copied().unwrap_or_default(),
                _ => SAMPLE,
            };
            let with = |_: &Placeholder| Filled::With(sample.to_owned());
            if let Ok(Some(new)) = fill_text(kind, text, at, &with) {
                *value = new;
            }
        });
    }
    filled
}

/// Placeholders in names of fields, which are never filled.
fn names(value: &Json, pointer: &str, faults: &mut Vec<Fault>) {
    match value {
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                names(item, &pointer_join(pointer, &index.to_string()), faults);
            }
        }
        Json::Object(members) => {
            for (key, member) in members {
                let at = pointer_join(pointer, key);
                if let Some(Found { placeholder, .. }) = found(key).next() {
                    faults.push(Fault::error(&*at, format!("`{placeholder}` names a field")).on_key());
                }
                names(member, &at, faults);
            }
        }
        _ => {}
    }
}

/// Whether anything looks like one. Deeper than parsers let pass nothing stands.
fn any(value: &Json) -> bool {
    match value {
        Json::String(text) => text.contains('$') && found(text).next().is_some() || text.starts_with("kv://"),
        Json::Array(items) => items.iter().any(any),
        Json::Object(members) => members.iter().any(|(key, value)| found(key).next().is_some() || any(value)),
        _ => false,
    }
}

fn fill_text(
    kind: Kind,
    text: &str,
    at: &str,
    value_of: &dyn Fn(&Placeholder) -> Filled,
) -> Result<Option<Json>, Fault> {
    let (mut new, mut written, mut whole) = (String::new(), 0, false);
    let (mut later, mut is_given) = (Vec::new(), false);
    for found in found(text) {
        let given = match (value_of(&found.placeholder), found.default) {
            (Filled::Later, _) => {
                later.push(found.placeholder);
                continue;
            }
            (Filled::With(value), _) => {
                is_given = true;
                value
            }
            (Filled::Missing, Some(default)) => default.to_owned(),
            (Filled::Missing, None) => return Err(missing(&found.placeholder, at)),
        };
        if let Some(reason) = unfit(&given) {
            return Err(Fault::error(at, format!("the value of `{}` {reason}", found.placeholder)));
        }
        whole = found.range.start == 0 && found.range.end == text.len();
        let before = &text[..found.range.start];
        new.push_str(&text[written..found.range.start]);
        new.push_str(&match find::form(kind, before, whole, found.placeholder.source) {
            Form::AsIs => given,
            Form::Encoded => find::encoded(&given),
            Form::Literal => mappings::escaped(&given),
        });
        written = found.range.end;
    }
    if written == 0 {
        return Ok(None);
    }
    new.push_str(&text[written..]);
    // What is put in is looked through once more when the stream is built: whoever sends a request must not name a secret.
    if is_given && let Some(made) = made_up(&new, text, &later) {
        let message = format!("the values put in make `{made}` of it, which configurations understand");
        return Err(Fault::error(at, message));
    }
    let scalar =
        || serde_json::from_str::<Json>(&new).ok().filter(|value| value.is_number() || value.is_boolean());
    if whole
        && matches!(kind, Kind::Bool | Kind::Int | Kind::Float | Kind::Size)
        && let Some(scalar) = scalar()
    {
        return Ok(Some(scalar));
    }
    Ok(Some(Json::String(new)))
}

fn missing(placeholder: &Placeholder, at: &str) -> Fault {
    let fault = Fault::error(at, format!("there is no value for `{placeholder}`"));
    match placeholder.source {
        Source::Context => {
            fault.hint(format!("send it, or write a default: `${{tyk_context.{}:…}}`", placeholder.name))
        }
        Source::Meta => fault.hint(format!(
            "give the key such metadata, or write a default: `${{tyk_meta.{}:…}}`",
            placeholder.name
        )),
        Source::ConfiguredSecret => {
            fault.hint(format!("name it under `secrets` in the gate's configuration: `{}`", placeholder.name))
        }
        Source::EnvironmentSecret => {
            fault.hint(format!("set TYK_SECRET_{} for the gate", placeholder.name.to_ascii_uppercase()))
        }
        Source::ConsulSecret => fault.hint("put it into Consul, and set `kv.consul`"),
        Source::VaultSecret => fault.hint("put it into Vault, and set `kv.vault`"),
        Source::FileSecret => fault.hint("make the file, and set `kv.file.base_path`"),
    }
}

/// A name that stands for a value where the text had none before values were put in.
fn made_up(new: &str, text: &str, later: &[Placeholder]) -> Option<String> {
    const STORED: &str = "kv://";
    if new.starts_with(STORED) && !text.starts_with(STORED) {
        return Some(STORED.to_owned());
    }
    let mut all = found(new).map(|found| found.placeholder);
    all.find(|placeholder| !later.contains(placeholder)).map(|placeholder| placeholder.to_string())
}

/// Why a value can stand nowhere.
fn unfit(value: &str) -> Option<&'static str> {
    match () {
        () if value.len() > LONGEST => Some("is longer than 4096 bytes"),
        () if value.contains("${") => Some("holds `${`, which configurations understand"),
        () if value.chars().any(char::is_control) => Some("holds control characters"),
        () => None,
    }
}

#[cfg(test)]
mod tests;
