//! Plugins on their way from one format to the other: hooks have other names for the same things.

use super::value::{is_blank, put, take};
use crate::Api;
use crate::oas::EXTENSION;
use serde_json::{Map, Value};

/// The lists of hooks: below `custom_middleware`, and below `middleware.global`.
const LISTS: [(&str, &str); 4] = [
    ("pre", "prePlugins"),
    ("post_key_auth", "postAuthenticationPlugins"),
    ("post", "postPlugins"),
    ("response", "responsePlugins"),
];
/// The keys of a hook.
const KEYS: [(&str, &str); 5] = [
    ("name", "functionName"),
    ("path", "path"),
    ("code", "code"),
    ("require_session", "requireSession"),
    ("raw_body_only", "rawBodyOnly"),
];
/// Those of the older form of the plugin on records.
const OLDER_KEYS: [(&str, &str); 2] = [("func_name", "functionName"), ("plugin_path", "path")];

const RECORDS: &str = "/custom_middleware/traffic_logs";
const OLDER_RECORDS: &str = "/analytics_plugin";

fn global(key: &str) -> String {
    format!("/{EXTENSION}/middleware/global/{key}")
}

pub(super) fn to_oas(rest: &mut Value, out: &mut Value) {
    for (classic, oas) in LISTS {
        let from = format!("/custom_middleware/{classic}");
        let hooks = rest.pointer(&from).and_then(Value::as_array);
        let hooks =
            hooks.and_then(|hooks| hooks.iter().map(|hook| oas_hook(hook, &KEYS, "disabled")).collect());
        moved(rest, &from, out, &global(oas), hooks);
    }
    for (from, keys, switch) in [(RECORDS, &KEYS[..], "disabled"), (OLDER_RECORDS, &OLDER_KEYS[..], "enable")]
    {
        // One that says nothing is none.
        let hook = rest.pointer(from).filter(|hook| !is_blank(hook));
        let hooks = hook.and_then(|hook| oas_hook(hook, keys, switch)).map(|hook| vec![hook]);
        moved(rest, from, out, &global("trafficLogs/plugins"), hooks.map(Value::Array));
    }
}

pub(super) fn to_classic(rest: &mut Value, out: &mut Value) {
    for (classic, oas) in LISTS {
        let from = global(oas);
        let hooks = rest.pointer(&from).and_then(Value::as_array);
        let hooks = hooks.and_then(|hooks| hooks.iter().map(classic_hook).collect());
        moved(rest, &from, out, &format!("/custom_middleware/{classic}"), hooks);
    }
    let from = global("trafficLogs/plugins");
    // Classic definitions have place for one.
    let hook = match rest.pointer(&from).and_then(Value::as_array).map(Vec::as_slice) {
        Some([only]) => classic_hook(only),
        _ => None,
    };
    moved(rest, &from, out, RECORDS, hook);
}

/// Puts what a value became where it belongs, and takes it away from where it was; what became nothing stays.
fn moved(rest: &mut Value, from: &str, out: &mut Value, to: &str, value: Option<Value>) {
    if let Some(value) = value {
        take(rest, from);
        put(out, to, value);
    }
}

fn oas_hook(hook: &Value, keys: &[(&str, &str)], switch: &str) -> Option<Value> {
    let mut hook = hook.as_object()?.clone();
    let on = match (switch, hook.remove(switch)) {
        ("disabled", off) => !flag(off)?,
        (_, on) => flag(on)?,
    };
    let mut made = Map::new();
    made.insert("enabled".to_owned(), on.into());
    for (classic, oas) in keys {
        if let Some(value) = hook.remove(*classic) {
            made.insert((*oas).to_owned(), value);
        }
    }
    hook.is_empty().then_some(Value::Object(made))
}

fn classic_hook(hook: &Value) -> Option<Value> {
    let mut hook = hook.as_object()?.clone();
    let mut made = Map::new();
    if !flag(hook.remove("enabled"))? {
        made.insert("disabled".to_owned(), true.into());
    }
    for (classic, oas) in KEYS {
        if let Some(value) = hook.remove(oas) {
            made.insert(classic.to_owned(), value);
        }
    }
    hook.is_empty().then_some(Value::Object(made))
}

fn flag(value: Option<Value>) -> Option<bool> {
    match value {
        None | Some(Value::Null) => Some(false),
        Some(value) => value.as_bool(),
    }
}

/// Forgets where plugins stand: that is another place in the other format.
pub(super) fn without_places(api: &mut Api) {
    let Some(plugins) = api.plugins.as_deref_mut() else { return };
    plugins.bundle_pointer = Box::default();
    plugins.each_mut(|plugin| plugin.pointer = Box::default());
}
