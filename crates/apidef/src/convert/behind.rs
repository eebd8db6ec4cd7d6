//! What is behind the gate in ways that not every API needs (contract 2.1, 2.3, 3.2): who tells the targets, who probes
//! them, and who the gate is to them.

use super::table::BEHIND;
use super::value::{move_pairs, put, take};
use super::{EXTENSION_AT, To};
use serde_json::Value;

fn is_on(definition: &Value, pointer: &str) -> bool {
    definition.pointer(pointer) == Some(&Value::Bool(true))
}

pub(super) fn to_oas(from: &mut Value, out: &mut Value) {
    // One switch for credentials and signatures, where classic has two.
    let credentials = is_on(from, "/upstream_auth/enabled");
    if credentials || is_on(from, "/request_signing/is_enabled") {
        take(from, "/upstream_auth/enabled");
        put(out, &format!("{EXTENSION_AT}/upstream/authentication/enabled"), true.into());
        if !credentials {
            take(from, "/upstream_auth/basic_auth/enabled");
            take(from, "/upstream_auth/oauth/enabled");
        }
    }
    move_pairs(BEHIND, To::Oas, (from, &as_it_is), (out, &|pointer| format!("{EXTENSION_AT}{pointer}")));
}

pub(super) fn to_classic(from: &mut Value, out: &mut Value) {
    let authentication = format!("{EXTENSION_AT}/upstream/authentication");
    let on = is_on(from, &format!("{authentication}/enabled"));
    take(from, &format!("{authentication}/enabled"));
    if on {
        let has = |key: &str| from.pointer(&format!("{authentication}/{key}")).is_some();
        put(out, "/upstream_auth/enabled", (has("basicAuth") || has("oauth")).into());
    } else {
        take(from, &format!("{authentication}/requestSigning/enabled"));
    }
    move_pairs(BEHIND, To::Classic, (from, &|pointer| format!("{EXTENSION_AT}{pointer}")), (out, &as_it_is));
}

fn as_it_is(pointer: &str) -> String {
    pointer.to_owned()
}
