//! Who is told of what happens: handlers by event, or a list of them (contract 2.6, 3.2, 8.12).

use super::To;
use super::table::{How, Pair};
use super::value::{is_blank, move_pairs, put, take, text};
use How::{Named, Not, Said, Same, Seconds};
use document::pointer_join;
use serde_json::{Value, json};

const CLASSIC: &str = "/event_handlers/events";
const OWN: &str = "/x-sluicegate/event_handlers/events";
const OAS: &str = "/x-tyk-api-gateway/server/eventHandlers";

/// A kind of handler: its names in both formats, and its keys.
pub(super) struct Kind(&'static str, &'static str, pub(super) &'static [Pair]);

pub(super) const KINDS: &[Kind] = &[
    Kind("eh_log_handler", "log", &[Pair("/prefix", "/logPrefix", Said), Pair("/disabled", "/enabled", Not)]),
    Kind(
        "eh_web_hook_handler",
        "webhook",
        &[
            Pair("/id", "/id", Said),
            Pair("/name", "/name", Said),
            Pair("/target_path", "/url", Same),
            Pair("/method", "/method", Said),
            Pair("/template_path", "/bodyTemplate", Said),
            Pair("/header_map", "/headers", Named("name", "value")),
            Pair("/event_timeout", "/cooldownPeriod", Seconds),
            Pair("/signing_secret", "/signingSecret", Said),
            Pair("/disabled", "/enabled", Not),
        ],
    ),
    Kind(
        "eh_dynamic_handler",
        "custom",
        &[
            Pair("/name", "/functionName", Same),
            Pair("/path", "/path", Said),
            Pair("/id", "/id", Said),
            Pair("/disabled", "/enabled", Not),
        ],
    ),
];

fn as_it_is(pointer: &str) -> String {
    pointer.to_owned()
}

/// What has no counterpart goes into our extension: handlers in the server of plugins.
pub(super) fn to_oas(from: &mut Value, out: &mut Value) {
    let mut written = Vec::new();
    for (event, entries) in from.pointer_mut(CLASSIC).and_then(Value::as_object_mut).into_iter().flatten() {
        for entry in entries.as_array_mut().into_iter().flatten() {
            let named = text(entry, "/handler_name");
            let Some(Kind(_, kind, pairs)) = KINDS.iter().find(|known| known.0 == named) else {
                if !is_blank(entry) {
                    add(out, &pointer_join(OWN, event), entry.take());
                }
                continue;
            };
            take(entry, "/handler_name");
            let mut meta = take(entry, "/handler_meta").unwrap_or_else(|| json!({}));
            let mut one = json!({"enabled": true, "trigger": event, "type": kind});
            move_pairs(pairs, To::Oas, (&mut meta, &as_it_is), (&mut one, &as_it_is));
            put(entry, "/handler_meta", meta);
            written.push(one);
        }
    }
    if !written.is_empty() {
        put(out, OAS, written.into());
    }
}

pub(super) fn to_classic(from: &mut Value, out: &mut Value) {
    for entry in from.pointer_mut(OAS).and_then(Value::as_array_mut).into_iter().flatten() {
        let named = text(entry, "/type");
        let Some(Kind(name, _, pairs)) = KINDS.iter().find(|known| known.1 == named) else { continue };
        take(entry, "/type");
        let Some(Value::String(event)) = take(entry, "/trigger") else { continue };
        let mut meta = json!({});
        move_pairs(pairs, To::Classic, (entry, &as_it_is), (&mut meta, &as_it_is));
        let one = json!({"handler_name": name, "handler_meta": meta});
        add(out, &pointer_join(CLASSIC, &event), one);
    }
    let own = take(from, "/x-sluicegate/event_handlers");
    let events = own.as_ref().and_then(|own| own.get("events")).and_then(Value::as_object);
    for (event, entries) in events.into_iter().flatten() {
        for entry in entries.as_array().into_iter().flatten() {
            add(out, &pointer_join(CLASSIC, event), entry.clone());
        }
    }
}

/// Adds to a list, which begins with it where there is none.
fn add(out: &mut Value, list: &str, entry: Value) {
    match out.pointer_mut(list).and_then(Value::as_array_mut) {
        Some(entries) => entries.push(entry),
        None => put(out, list, json!([entry])),
    }
}
