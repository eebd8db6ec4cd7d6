//! Overrides from environment variables: `TYK_GW_` and the upper-case path without underscores, one `_` a level.

use std::collections::BTreeMap;

use serde_json::Value;

use super::check::{self, Given};
use super::table::{self, Key, Kind};

/// The variables of the process, passed in so that tests need none of their own.
pub(crate) type Variables = BTreeMap<String, String>;

const PREFIX: &str = "TYK_GW_";
const OMIT_FILE: &str = "TYK_GW_OMITCONFIGFILE";

/// Where a variable's name does not follow from the path (contract 1.2): dotted path, then what its last level is
/// called.
const RENAMED: &[(&str, &str)] = &[
    ("storage.optimisation_max_idle", "MAXIDLE"),
    ("storage.optimisation_max_active", "MAXACTIVE"),
    ("analytics_config.geo_ip_db_path", "GEOIPDBLOCATION"),
    ("health_check.health_check_value_timeouts", "HEALTHCHECKVALUETIMEOUT"),
    ("local_session_cache.disable_cached_session_state", "DISABLECACHESESSIONSTATE"),
    ("local_session_cache.cached_session_eviction", "CACHESESSIONEVICTION"),
    ("http_server_options.ssl_ciphers", "CIPHERS"),
    ("ports_whitelist", "PORTWHITELIST"),
    ("disable_ports_whitelist", "DISABLEPORTWHITELIST"),
    ("max_idle_connections", "MAXIDLECONNS"),
    ("max_idle_connections_per_host", "MAXIDLECONNSPERHOST"),
    ("proxy_ssl_ciphers", "PROXYSSLCIPHERSUITES"),
    ("oauth_refresh_token_expire", "OAUTHREFRESHEXPIRE"),
    ("enable_separate_analytics_store", "ENABLESEPERATEANALYTICSSTORE"),
    ("enable_separate_cache_store", "ENABLESEPERATECACHESTORE"),
    ("suppress_default_org_store", "SUPRESSDEFAULTORGSTORE"),
    ("tracing", "TRACER"),
    ("enable_http_profiler", "HTTPPROFILE"),
    ("oas_config", "OAS"),
    ("event_trigers_defunct", "EVENTTRIGGERS"),
];

/// The name of the variable that overrides a key.
pub(crate) fn name_of(path: &str) -> String {
    let mut name = String::from("TYK_GW");
    let mut end = 0;
    for level in path.split('.') {
        end += level.len() + usize::from(end > 0);
        name.push('_');
        match RENAMED.iter().find(|(renamed, _)| *renamed == &path[..end]) {
            Some((_, segment)) => name.push_str(segment),
            None => name.extend(level.chars().filter(|c| *c != '_').map(|c| c.to_ascii_uppercase())),
        }
    }
    name
}

/// True when the variables ask for the file to be left aside.
pub(super) fn omits_file(variables: &Variables) -> bool {
    variables.get(OMIT_FILE).is_some_and(|text| boolean(text) == Some(true))
}

/// What overlaying found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<String>,
    pub(super) warnings: Vec<String>,
    /// Variables below a key whose inside is not looked at.
    pub(super) pending: Vec<String>,
}

/// Lays the variables over what the file gave.
pub(super) fn overlay(variables: &Variables, given: &mut Given) -> Findings {
    let mut findings = Findings::default();
    let names: BTreeMap<String, &'static Key> = table::all().map(|key| (name_of(key.path), key)).collect();
    for (variable, text) in variables {
        if !variable.starts_with(PREFIX) || variable == OMIT_FILE {
            continue;
        }
        if let Some(key) = names.get(variable) {
            match parse(key.kind, text).and_then(|value| check::value(key, &value)) {
                Ok(value) => drop(given.insert(key.path, value)),
                Err(message) => findings.errors.push(format!("environment variable {variable}: {message}")),
            }
        } else if let Some(key) = inside_tree(&names, variable) {
            if key.standing != table::Standing::Idle {
                findings.pending.push(variable.clone());
            }
        } else {
            let near = document::nearest(variable, names.keys().map(String::as_str));
            let hint = near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
            findings
                .warnings
                .push(format!("environment variable {variable} names no setting; it is ignored{hint}"));
        }
    }
    for (variable, path) in [("TYK_LOGLEVEL", "log_level"), ("TYK_LOGFORMAT", "log_format")] {
        let (Some(text), Some(key)) = (variables.get(variable), table::find(path)) else { continue };
        match check::value(key, &Value::from(text.as_str())) {
            Ok(value) => drop(given.insert(key.path, value)),
            Err(message) => findings.errors.push(format!("environment variable {variable}: {message}")),
        }
    }
    findings
}

fn inside_tree<'a>(names: &BTreeMap<String, &'a Key>, variable: &str) -> Option<&'a Key> {
    let mut name = variable;
    while let Some((outer, _)) = name.rsplit_once('_') {
        if let Some(key) = names.get(outer).filter(|key| key.kind == Kind::Tree) {
            return Some(key);
        }
        name = outer;
    }
    None
}

/// Reads the text of a variable (contract 1.1: numbers and truth values as text, lists `a,b`, maps `k:v,k2:v2`, and
/// JSON for what has more structure). JSON is understood for lists and maps too.
fn parse(kind: Kind, text: &str) -> Result<Value, String> {
    let expected = || format!("expected {}", kind.words());
    let json =
        || serde_json::from_str::<Value>(text).map_err(|e| format!("expected {} as JSON: {e}", kind.words()));
    match kind {
        Kind::Bool => boolean(text).map(Value::from).ok_or_else(expected),
        Kind::Integer { .. } => text.trim().parse::<i64>().map(Value::from).map_err(|_| expected()),
        Kind::Number | Kind::Seconds => number(text).ok_or_else(expected),
        Kind::Text | Kind::Secret | Kind::Choice(_) => Ok(Value::from(text)),
        Kind::Choices(_) | Kind::Texts => match text.trim_start() {
            list if list.starts_with('[') => json(),
            "" => Ok(Value::Array(Vec::new())),
            _ => Ok(text.split(',').map(|item| Value::from(item.trim())).collect()),
        },
        Kind::TextMap | Kind::SecretMap => match text.trim_start() {
            map if map.starts_with('{') => json(),
            "" => Ok(Value::Object(serde_json::Map::new())),
            _ => text
                .split(',')
                .map(|pair| {
                    let (name, value) =
                        pair.split_once(':').ok_or_else(|| format!("{}, as k:v,k2:v2", expected()))?;
                    Ok((name.trim().to_owned(), Value::from(value)))
                })
                .collect::<Result<serde_json::Map<_, _>, String>>()
                .map(Value::Object),
        },
        Kind::Rows(_) | Kind::Tree => json(),
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.trim() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" | "" => Some(false),
        _ => None,
    }
}

/// A number, or a time such as `1m30s` (in seconds).
fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::from(whole));
    }
    if let Ok(number) = text.parse::<f64>() {
        return serde_json::Number::from_f64(number).map(Value::Number);
    }
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let amount: f64 = rest[..unit_at].parse().ok()?;
        let unit_end = rest[unit_at..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |n| unit_at + n);
        seconds += amount
            * match &rest[unit_at..unit_end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    serde_json::Number::from_f64(seconds).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_follow_the_rule_and_its_exceptions() {
        for (path, name) in [
            ("storage.host", "TYK_GW_STORAGE_HOST"),
            ("listen_port", "TYK_GW_LISTENPORT"),
            (
                "http_server_options.enable_path_prefix_matching",
                "TYK_GW_HTTPSERVEROPTIONS_ENABLEPATHPREFIXMATCHING",
            ),
            ("http_server_options.ssl_ciphers", "TYK_GW_HTTPSERVEROPTIONS_CIPHERS"),
            (
                "local_session_cache.disable_cached_session_state",
                "TYK_GW_LOCALSESSIONCACHE_DISABLECACHESESSIONSTATE",
            ),
            ("max_idle_connections_per_host", "TYK_GW_MAXIDLECONNSPERHOST"),
            ("storage.optimisation_max_idle", "TYK_GW_STORAGE_MAXIDLE"),
        ] {
            assert_eq!(name_of(path), name);
        }
    }

    #[test]
    fn no_two_keys_share_a_variable() {
        let names: BTreeMap<_, _> = table::all().map(|key| (name_of(key.path), key.path)).collect();
        assert_eq!(names.len(), table::all().count());
        assert!(
            RENAMED.iter().all(|(path, _)| {
                let below = format!("{path}.");
                table::all().any(|key| key.path == *path || key.path.starts_with(&below))
            }),
            "a renamed key that the table lacks"
        );
    }

    #[test]
    fn values_are_read_by_kind() {
        let cases = [
            (Kind::Bool, "1", json!(true)),
            (Kind::Bool, "False", json!(false)),
            (Kind::Integer { min: 0, max: 9 }, "7", json!(7)),
            (Kind::Seconds, "2.5", json!(2.5)),
            (Kind::Seconds, "1m30s", json!(90.0)),
            (Kind::Texts, "a, b,c", json!(["a", "b", "c"])),
            (Kind::Texts, r#"["a,b"]"#, json!(["a,b"])),
            (Kind::TextMap, "k:v,url:http://x", json!({"k": "v", "url": "http://x"})),
            (Kind::Rows(&["a"]), r#"[{"a": "b"}]"#, json!([{"a": "b"}])),
        ];
        for (kind, text, value) in cases {
            assert_eq!(parse(kind, text), Ok(value), "{text}");
        }
        for (kind, text) in [(Kind::Bool, "yes"), (Kind::Seconds, "5 apples"), (Kind::TextMap, "novalue")] {
            assert!(parse(kind, text).is_err(), "{text}");
        }
    }

    #[test]
    fn wrong_values_and_unknown_names_are_told() {
        let variables = Variables::from(
            [
                ("TYK_GW_LISTENPORT", "abc"),
                ("TYK_GW_LISTENPROT", "1"),
                ("TYK_GW_SLAVEOPTIONS_USERPC", "true"),
                ("TYK_GW_TRACER_OPTIONS_X", "y"),
                ("TYK_LOGLEVEL", "DEBUG"),
                ("PATH", "/bin"),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned())),
        );
        let mut given = Given::new();
        let findings = overlay(&variables, &mut given);
        assert_eq!(
            findings.errors,
            ["environment variable TYK_GW_LISTENPORT: expected a whole number from 0 to 65535"]
        );
        assert_eq!(findings.warnings.len(), 1);
        assert!(findings.warnings[0].contains("did you mean TYK_GW_LISTENPORT?"), "{:?}", findings.warnings);
        assert_eq!(findings.pending, ["TYK_GW_SLAVEOPTIONS_USERPC"]);
        assert_eq!(given.get("log_level"), Some(&json!("debug")));
    }
}
