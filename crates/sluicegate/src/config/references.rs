//! Secrets given by reference: `env://NAME` and `secrets://name`, and those of other stores, which are asked when the
//! settings of the stores are known. None is ever taken literally.

use std::collections::BTreeMap;

use apidef::references::Reference;
use serde_json::Value;
use state::Secret;

use super::check::Given;
use super::environment::Variables;
use super::table::{self, Kind, Standing};

const OTHER_STORES: &[&str] = &["consul://", "vault://", "file://", "kv://", "$kv{"];

/// Resolves the references in secret settings that are acted on. Gives back what could not be resolved.
pub(super) fn resolve(given: &mut Given, variables: &Variables) -> Vec<String> {
    let mut errors = Vec::new();
    let named = given.get("secrets").cloned().unwrap_or(Value::Null);
    for key in table::all().filter(|key| key.kind == Kind::Secret && key.standing == Standing::Acted) {
        let Some(Value::String(text)) = given.get(key.path) else { continue };
        if let Some(store) = OTHER_STORES.iter().find(|store| text.starts_with(**store)) {
            // What leads to the stores cannot be in them.
            if key.path.starts_with("kv.") {
                errors.push(format!(
                    "`{}`: {store} cannot be asked for this; use env:// or secrets://",
                    key.path
                ));
            }
            continue;
        }
        match lookup(text, &named, variables) {
            Ok(None) => {}
            Ok(Some(found)) => drop(given.insert(key.path, Value::String(found))),
            Err(error) => errors.push(format!("`{}`: {error}", key.path)),
        }
    }
    for key in table::all().filter(|key| key.kind == Kind::SecretMap && key.path != "secrets") {
        let Some(Value::Object(map)) = given.get_mut(key.path) else { continue };
        for (name, value) in map {
            let Some(text) = value.as_str() else { continue };
            match lookup(text, &named, variables) {
                Ok(None) => {}
                Ok(Some(found)) => *value = Value::String(found),
                Err(error) => errors.push(format!("`{}.{name}`: {error}", key.path)),
            }
        }
    }
    errors
}

/// Every secret that can be named: `conf.NAME` those of `secrets`, `env.NAME` those of variables `TYK_SECRET_NAME`.
pub(super) fn named(given: &Given, variables: &Variables) -> BTreeMap<String, Secret> {
    let configured = given.get("secrets").and_then(Value::as_object).into_iter().flatten();
    let configured =
        configured.filter_map(|(name, value)| Some((format!("conf.{name}"), Secret::new(value.as_str()?))));
    let set = variables.iter();
    let set = set.filter_map(|(name, value)| {
        Some((format!("env.{}", name.strip_prefix("TYK_SECRET_")?), Secret::new(value.as_str())))
    });
    configured.chain(set).collect()
}

fn lookup(text: &str, named: &Value, variables: &Variables) -> Result<Option<String>, String> {
    if let Some(name) = text.strip_prefix("env://") {
        // Contract 8.10: in the configuration the reference names TYK_SECRET_<NAME>; the plain name is ours.
        let formal = format!("TYK_SECRET_{}", name.to_ascii_uppercase());
        let found = variables.get(&formal).or_else(|| variables.get(name));
        return found
            .cloned()
            .map(Some)
            .ok_or_else(|| format!("neither {formal} nor {name} is set in the environment"));
    }
    if let Some(name) = text.strip_prefix("secrets://") {
        let found = named.get(name).and_then(Value::as_str);
        return found
            .map(|found| Some(found.to_owned()))
            .ok_or_else(|| format!("`secrets` holds no `{name}`"));
    }
    Ok(None)
}

/// The secret settings that are kept in other stores; an error for each that is no reference.
pub(super) fn elsewhere(given: &Given) -> Vec<(&'static str, Result<Reference, String>)> {
    let secrets = table::all().filter(|key| key.kind == Kind::Secret && key.standing == Standing::Acted);
    secrets
        .filter_map(|key| {
            let text = given.get(key.path)?.as_str()?;
            OTHER_STORES.iter().find(|store| text.starts_with(**store))?;
            let whole = |(range, reference)| (range == (0..text.len())).then_some(reference);
            let reference = apidef::references::found(text).pop().and_then(whole);
            Some((key.path, reference.ok_or_else(|| "that is no whole reference".to_owned())))
        })
        .collect()
}
