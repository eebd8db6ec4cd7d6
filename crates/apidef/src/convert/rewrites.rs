//! Triggers of rewrites: rules by place and name, or one after the other (contract 2.5, 3.2, 8.2).

use super::To;
use super::value::text;
use serde_json::{Map, Value, json};

/// What both formats call places.
const PLACES: &[(&str, &str)] = &[
    ("header_matches", "header"),
    ("query_val_matches", "query"),
    ("path_part_matches", "path"),
    ("session_meta_matches", "sessionMetadata"),
    ("request_context_matches", "requestContext"),
];
const PAYLOAD: &str = "payload_matches";
const BODY: &str = "requestBody";

pub(super) fn triggers(given: &Value, to: To) -> Option<Value> {
    let convert = match to {
        To::Oas => to_oas,
        To::Classic => to_classic,
    };
    given.as_array()?.iter().map(convert).collect()
}

fn to_oas(trigger: &Value) -> Option<Value> {
    has_only(trigger, &["on", "options", "rewrite_to"])?;
    let mut rules = Vec::new();
    let rule = |place: &str, name: &str, rule: &Value| {
        has_only(rule, &["match_rx", "reverse"])?;
        Some(json!({
            "in": place, "name": name, "pattern": text(rule, "/match_rx"),
            "negate": rule.get("reverse") == Some(&Value::Bool(true)),
        }))
    };
    for (key, held) in trigger.get("options").and_then(Value::as_object).into_iter().flatten() {
        if key == PAYLOAD {
            // It is written where nothing is looked for, too.
            if !text(held, "/match_rx").is_empty() {
                rules.push(rule(BODY, "", held)?);
            }
            continue;
        }
        let (_, place) = PLACES.iter().find(|(group, _)| group == key)?;
        for (name, held) in held.as_object().into_iter().flatten() {
            rules.push(rule(place, name, held)?);
        }
    }
    let condition = if text(trigger, "/on") == "any" { "any" } else { "all" };
    Some(json!({"condition": condition, "rules": rules, "rewriteTo": text(trigger, "/rewrite_to")}))
}

fn to_classic(trigger: &Value) -> Option<Value> {
    has_only(trigger, &["condition", "rules", "rewriteTo"])?;
    let mut options = Map::new();
    for rule in trigger.get("rules").and_then(Value::as_array).into_iter().flatten() {
        has_only(rule, &["in", "name", "pattern", "negate"])?;
        let negate = rule.get("negate") == Some(&Value::Bool(true));
        let written = json!({"match_rx": text(rule, "/pattern"), "reverse": negate});
        let place = text(rule, "/in");
        if place == BODY {
            if options.insert(PAYLOAD.to_owned(), written).is_some() {
                return None; // classic looks once at a body
            }
            continue;
        }
        let (group, _) = PLACES.iter().find(|(_, known)| *known == place)?;
        let group = options.entry(*group).or_insert_with(|| json!({})).as_object_mut()?;
        if group.insert(text(rule, "/name").to_owned(), written).is_some() {
            return None; // and once at a name
        }
    }
    let on = if text(trigger, "/condition") == "any" { "any" } else { "all" };
    Some(json!({"on": on, "options": options, "rewrite_to": text(trigger, "/rewriteTo")}))
}

/// Whether an object says nothing that would be lost.
fn has_only(object: &Value, known: &[&str]) -> Option<()> {
    object.as_object()?.keys().all(|key| known.contains(&key.as_str())).then_some(())
}
