//! Plugins on records on their way from one format to the other: one in classic definitions, which had another place for it
//! before, and a list in OpenAPI ones.

use super::value::{is_blank, put, take};
use serde_json::{Map, Value};

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

const OAS: &str = "/x-tyk-api-gateway/middleware/global/trafficLogs/plugins";
const RECORDS: &str = "/custom_middleware/traffic_logs";
const OLDER_RECORDS: &str = "/analytics_plugin";

pub(super) fn to_oas(rest: &mut Value, out: &mut Value) {
    for (from, keys, switch) in [(RECORDS, &KEYS[..], "disabled"), (OLDER_RECORDS, &OLDER_KEYS[..], "enable")]
    {
        // One that says nothing is none.
        let hook = rest.pointer(from).filter(|hook| !is_blank(hook));
        let hooks = hook.and_then(|hook| oas_hook(hook, keys, switch)).map(|hook| vec![hook]);
        moved(rest, from, out, OAS, hooks.map(Value::Array));
    }
}

pub(super) fn to_classic(rest: &mut Value, out: &mut Value) {
    // Classic definitions have place for one.
    let hook = match rest.pointer(OAS).and_then(Value::as_array).map(Vec::as_slice) {
        Some([only]) => classic_hook(only),
        _ => None,
    };
    moved(rest, OAS, out, RECORDS, hook);
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
