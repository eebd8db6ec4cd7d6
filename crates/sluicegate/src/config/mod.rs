//! Configuration: found, read, checked, laid over with the environment, typed.

mod check;
pub(crate) mod environment;
mod inspected;
#[cfg(test)]
mod page;
mod references;
mod settings;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use document::{Document, Fault, Format, Severity};
use serde_json::{Map, Value};

use check::Given;
pub(crate) use environment::Variables;
pub(crate) use settings::*;
use table::{Kind, Standing};

/// The variable that names the configuration file.
pub(crate) const PATH_VARIABLE: &str = "SLUICEGATE_CONF";

/// Where a file is looked for when none is named. The first that exists is taken.
pub(crate) const LOOKED_AT: &[&str] =
    &["sluicegate.yaml", "tyk.conf", "/etc/sluicegate/sluicegate.yaml", "/etc/tyk/tyk.conf"];

/// The admin secret that the documentation of the original shows to everybody.
const WELL_KNOWN_SECRET: &str = "352d20ee67be67f6340b4c0605b044b7";

/// Where the settings came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// This file, and the environment.
    File(PathBuf),
    /// No file was found: the built-in defaults, and the environment.
    BuiltIn,
}

/// A configuration that can be run.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// The settings.
    pub(crate) config: Config,
    /// Where they came from.
    pub(crate) source: Source,
    /// What the operator should know, one line each.
    pub(crate) warnings: Vec<String>,
}

/// A configuration that cannot be run: every fault, rendered for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0.trim_end())
    }
}

/// Loads the configuration: the file that `named` or [`PATH_VARIABLE`] names, else the first of [`LOOKED_AT`] below
/// `folder`, else none; and the variables over it. Blocking; called once, before anything runs.
///
/// # Errors
///
/// Every fault of the file and of the variables, with its place.
pub(crate) fn load(named: Option<&Path>, folder: &Path, variables: &Variables) -> Result<Loaded, Broken> {
    let named = named.map(Path::to_path_buf).or_else(|| variables.get(PATH_VARIABLE).map(PathBuf::from));
    let path = named.or_else(|| LOOKED_AT.iter().map(|name| folder.join(name)).find(|path| path.is_file()));
    let mut warnings = Vec::new();
    let mut errors = String::new();
    let mut given = Given::new();
    let file_counts = !environment::omits_file(variables);
    if let Some(path) = path.as_deref().filter(|_| file_counts) {
        let name = path.display().to_string();
        let document = open(path)?;
        let (settings, faults) = check(&document);
        let shown = mask(document.text(), document.value());
        for fault in &faults {
            match fault.severity {
                Severity::Error => {
                    errors.push_str(&document::render(&name, &shown, fault));
                    errors.push('\n');
                }
                Severity::Warning => warnings.push(one_line(&name, fault)),
            }
        }
        given = settings;
    }
    let overlaid = environment::overlay(variables, &mut given);
    errors.extend(overlaid.errors.iter().map(|error| format!("error: {error}\n")));
    warnings.extend(overlaid.warnings);
    errors.extend(references::resolve(&mut given, variables).iter().map(|error| format!("error: {error}\n")));
    errors.extend(refused(&given).iter().map(|error| format!("error: {error}\n")));
    warnings.extend(pending(&given, overlaid.pending));
    if !errors.is_empty() {
        return Err(Broken(errors));
    }
    let mut config = typed(&given)?;
    let elsewhere = references::elsewhere(&given);
    if !elsewhere.is_empty() {
        lend(&mut config, &given, variables);
        for (path, found) in crate::stores::settings_from(&config, elsewhere) {
            match found {
                Ok(secret) => drop(given.insert(path, Value::from(secret.expose()))),
                Err(error) => errors.push_str(&format!("error: `{path}`: {error}\n")),
            }
        }
        if !errors.is_empty() {
            return Err(Broken(errors));
        }
        config = typed(&given)?;
    }
    lend(&mut config, &given, variables);
    if config.node_secret.is_empty() {
        config.node_secret = config.secret.clone();
    }
    if config.hash_key_secret.is_empty() {
        config.hash_key_secret = config.node_secret.clone();
    }
    if path.as_deref().filter(|_| file_counts).is_some_and(is_yaml) {
        hash_by_default(&given, &mut config);
    }
    if config.secret.expose() == WELL_KNOWN_SECRET {
        warnings.push("`secret` has the value that every documentation shows; choose your own".into());
    }
    if config.enable_config_inspection {
        config.inspected = inspected::settings(&given);
    }
    warnings.extend(crate::catalog::warnings(&config));
    let source = path.filter(|_| file_counts).map_or(Source::BuiltIn, Source::File);
    Ok(Loaded { config, source, warnings })
}

/// What definitions may refer to.
fn lend(config: &mut Config, given: &Given, variables: &Variables) {
    config.named_secrets = references::named(given, variables);
    let secret = |(name, value): (&String, &String)| (name.clone(), state::Secret::new(value.as_str()));
    config.variables = variables.iter().map(secret).collect();
}

/// Files of the original are JSON, and keep its defaults; a YAML file is ours.
fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// Where nothing is said of how keys are stored, they are hashed, under a secret if there is one.
fn hash_by_default(given: &Given, config: &mut Config) {
    if given.contains_key("hash_keys") || given.contains_key("hash_key_function") {
        return;
    }
    config.hash_keys = true;
    config.hash_key_function =
        if config.hash_key_secret.is_empty() { "sha256" } else { "hmac-sha256" }.to_owned();
    if !given.contains_key("enable_hashed_keys_listing") {
        config.enable_hashed_keys_listing = true;
    }
}

/// Checks a configuration document by itself, without environment: for `lint`.
pub(crate) fn faults(document: &Document) -> Vec<Fault> {
    let (given, mut faults) = check(document);
    faults.extend(refused(&given).into_iter().map(|error| Fault::error("", error)));
    faults.extend(pending(&given, Vec::new()).map(|warning| Fault::warning("", warning)));
    faults
}

/// True when a top-level name belongs to configuration files.
pub(crate) fn knows(name: &str) -> bool {
    table::find(name).is_some() || table::is_group(name)
}

/// The text of a configuration document with every secret in it covered by asterisks, so that a line of it may be shown.
pub(crate) fn mask(text: &str, value: &Value) -> String {
    let mut secrets = Vec::new();
    for key in table::all() {
        match (key.kind, dig(value, key.path)) {
            (Kind::Secret, Some(Value::String(secret))) => secrets.push(secret.clone()),
            (Kind::Secret, Some(Value::Number(mistyped))) => secrets.push(mistyped.to_string()),
            (Kind::SecretMap, Some(Value::Object(map))) => {
                secrets.extend(map.values().filter_map(Value::as_str).map(str::to_owned));
            }
            (Kind::Tree, Some(tree)) => secrets.extend(tree_secrets(tree).into_iter().map(str::to_owned)),
            _ => {}
        }
    }
    let mut masked = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        let escaped = Value::from(secret.as_str()).to_string();
        for form in [secret.as_str(), escaped.trim_matches('"')] {
            masked = masked.replace(form, &"*".repeat(form.chars().count()));
        }
    }
    masked
}

fn dig<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, level| {
        value.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case(level)).map(|(_, inner)| inner)
    })
}

/// Whether a name says that its value is secret.
fn is_telling(name: &str) -> bool {
    const TELLING: [&str; 8] =
        ["secret", "password", "token", "key", "license", "authorization", "cookie", "credential"];
    let name = name.to_ascii_lowercase();
    TELLING.iter().any(|word| name.contains(word))
}

/// Texts below a tree whose names say that they are secret.
fn tree_secrets(tree: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    let mut left = vec![tree];
    while let Some(value) = left.pop() {
        match value {
            Value::Array(items) => left.extend(items),
            Value::Object(members) => {
                for (name, member) in members {
                    match member.as_str() {
                        Some(text) if is_telling(name) => found.push(text),
                        _ => left.push(member),
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// The format of a configuration or definition file: by its extension, else by its first character.
pub(crate) fn format_of(path: &Path, text: &str) -> Format {
    match path.extension().and_then(|e| e.to_str()) {
        Some("yaml" | "yml") => Format::Yaml,
        Some("json") => Format::Json,
        _ if text.trim_start().starts_with(['{', '[']) => Format::Json,
        _ => Format::Yaml,
    }
}

#[expect(clippy::disallowed_methods, reason = "documented as blocking: runs once, before any async thread")]
fn open(path: &Path) -> Result<Document, Broken> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|e| Broken(format!("error: cannot read the configuration file {name}: {e}\n")))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Broken(format!("error: the configuration file {name} is not UTF-8 text\n")))?;
    let format = format_of(path, &text);
    // Where the text cannot be parsed its secrets cannot be told apart: the place is given, the line is not shown.
    Document::parse(text, format).map_err(|fault| Broken(format!("error: {}\n", one_line(&name, &fault))))
}

fn check(document: &Document) -> (Given, Vec<Fault>) {
    let mut faults = Vec::new();
    let given = check::walk(document.value(), &mut faults);
    faults.extend(document.repeated_keys());
    document.locate(&mut faults);
    (given, faults)
}

/// A fault as one line of a log: place, message, hint.
pub(crate) fn one_line(path: &str, fault: &Fault) -> String {
    let place = fault.place.map(|p| format!(":{}:{}", p.line, p.column)).unwrap_or_default();
    let hint = fault.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{path}{place}: {}{hint}", fault.message)
}

fn refused(given: &Given) -> Vec<String> {
    table::all()
        .filter(|key| key.standing == Standing::Refused)
        .filter(|key| {
            given.get(key.path).is_some_and(|value| !check::is_default(value, &key.default_value()))
        })
        .map(|key| format!("`{}` is set: {}", key.path, key.doc))
        .collect()
}

/// The one warning about settings that have no effect so far.
fn pending(given: &Given, variables: Vec<String>) -> Option<String> {
    let keys = table::all()
        .filter(|key| key.standing == Standing::Pending)
        .filter(|key| {
            given.get(key.path).is_some_and(|value| !check::is_default(value, &key.default_value()))
        })
        .map(|key| key.path.to_owned());
    let names: Vec<String> = keys.chain(variables).map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("known, but without effect so far: {}", names.join(", ")))
}

/// Fills in the defaults and gives the settings their types.
fn typed(given: &Given) -> Result<Config, Broken> {
    let mut root = Map::new();
    // `secrets` has done its work once references are resolved.
    for key in table::all().filter(|key| key.standing == Standing::Acted && key.path != "secrets") {
        // An empty list of ours is one: there is no file of the original where it means the default.
        let says =
            |value: &&Value| value.is_boolean() || (key.ours && value.is_array()) || !check::is_zero(value);
        let set = given.get(key.path).filter(says);
        let mut value = set.cloned().unwrap_or_else(|| key.default_value());
        if key.path == "storage.type" && check::is_zero(&value) {
            value = Value::from(storage_type(given));
        }
        put(&mut root, key.path, value);
    }
    serde_json::from_value(Value::Object(root)).map_err(|e| Broken(format!("error: configuration: {e}\n")))
}

fn put(group: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(group.insert(path.to_owned(), value)),
        Some((parent, rest)) => {
            let entry = group.entry(parent).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = entry {
                put(inner, rest, value);
            }
        }
    }
}

fn storage_type(given: &Given) -> &'static str {
    const ADDRESSES: &[&str] = &["storage.host", "storage.addrs", "storage.hosts", "storage.master_name"];
    let addressed = ADDRESSES.iter().any(|path| given.get(path).is_some_and(|value| !check::is_zero(value)));
    if addressed { "redis" } else { "embedded" }
}
