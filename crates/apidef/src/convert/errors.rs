//! What is answered instead of errors: rules by status in both formats, with other keys (contract 2.1, 3.2, 4.2).

use super::To;
use super::table::{How, Pair};
use super::value::{each, put};
use How::{Named, Said};
use serde_json::{Map, Value};

const CLASSIC: &str = "/error_overrides";
const OAS: &str = "/x-tyk-api-gateway/errorOverrides/value";

pub(super) const RULE: &[Pair] = &[
    Pair("/match/flag", "/match/flag", Said),
    Pair("/match/message_pattern", "/match/messagePattern", Said),
    Pair("/match/body_field", "/match/bodyField", Said),
    Pair("/match/body_value", "/match/bodyValue", Said),
    Pair("/response/status_code", "/response/statusCode", Said),
    Pair("/response/headers", "/response/headers", Named("name", "value")),
    Pair("/response/body", "/response/body", Said),
    Pair("/response/message", "/response/message", Said),
    Pair("/response/template", "/response/template", Said),
];

/// Moves the rules; what is left of one stays there.
pub(super) fn convert(to: To, from: &mut Value, out: &mut Value) {
    let (source, target) = match to {
        To::Oas => (CLASSIC, OAS),
        To::Classic => (OAS, CLASSIC),
    };
    let Some(by_status) = from.pointer_mut(source).and_then(Value::as_object_mut) else { return };
    let mut written = Map::new();
    for (status, rules) in by_status {
        if let Some(rules) = each(rules, RULE, to) {
            written.insert(status.clone(), rules);
        }
    }
    if !written.is_empty() {
        put(out, target, Value::Object(written));
    }
}
