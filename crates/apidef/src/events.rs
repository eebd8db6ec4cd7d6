//! What happens at a gate, and who is to be told of it (contract 2.6, 3.2 "eventHandlers", 8.12).

use std::time::Duration;

use document::{Fault, nearest, pointer_join};
use serde_json::{Map, Value, json};

use crate::fields::{Field, acts};
use crate::section::Section;
use crate::{Secret, Target};

/// Declares the kinds of events with their names.
macro_rules! events {
    ($($name:ident: $what:literal,)*) => {
        /// What may happen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Event {
            $(#[doc = $what] $name,)*
        }

        impl Event {
            /// All kinds.
            pub const ALL: &'static [Event] = &[$(Event::$name,)*];

            /// The name that definitions and payloads have for it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Event::$name => stringify!($name),)*
                }
            }

            /// When it happens, in one sentence.
            pub fn means(self) -> &'static str {
                match self {
                    $(Event::$name => $what,)*
                }
            }
        }
    };
}

events! {
    QuotaExceeded: "A key has used up its quota.",
    RatelimitExceeded: "A key, or all callers of an API together, sent more requests than their rate.",
    RateLimitSmoothingUp: "Smoothing allows a key more requests.",
    RateLimitSmoothingDown: "Smoothing allows a key fewer requests.",
    AuthFailure: "A caller could not be told, may not call from where it is, or has no right to what it asked for.",
    KeyExpired: "A key was used that has expired, or that is inactive.",
    VersionFailure: "A version was asked for that is not served, or a path that its version does not allow.",
    OrgQuotaExceeded: "An organisation has used up its quota.",
    OrgRateLimitExceeded: "An organisation sent more requests than its rate.",
    TriggerExceeded: "A monitor: so many percent of a quota are used.",
    BreakerTriggered: "A circuit breaker tripped or was reset.",
    BreakerTripped: "A circuit breaker tripped: the upstream is left alone.",
    BreakerReset: "A circuit breaker was reset: the upstream is asked again.",
    HostDown: "Probes find a host of an upstream down.",
    HostUp: "Probes find a host up again.",
    TokenCreated: "A key was made.",
    TokenUpdated: "A key was changed.",
    TokenDeleted: "A key was deleted.",
    CertificateExpiringSoon: "A certificate will expire soon.",
    CertificateExpired: "A certificate has expired.",
    UpstreamOAuthError: "The gate got no token for an upstream.",
    OAuth2ScopeCheckFailed: "A token lacks a scope that its request needs.",
    OAuth2ExchangeSucceeded: "A caller's token was exchanged for another.",
    OAuth2ExchangeFailed: "A caller's token could not be exchanged.",
}

impl Event {
    /// The kind of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.name() == name)
    }
}

/// Who is told of one kind of event.
#[derive(Debug, Clone, PartialEq)]
pub struct EventHandler {
    /// The kind.
    pub event: Event,
    /// How.
    pub way: EventWay,
    /// Where it stands in the definition.
    pub pointer: Box<str>,
}

/// How somebody is told.
#[derive(Debug, Clone, PartialEq)]
pub enum EventWay {
    /// A line of the log.
    Log {
        /// What the line begins with.
        prefix: Box<str>,
    },
    /// A request to a receiver.
    Webhook(Box<Webhook>),
    /// A handler in JavaScript.
    Script {
        /// Its name.
        name: Box<str>,
        /// Its file.
        path: Box<str>,
    },
    /// A handler in the server of plugins.
    Server {
        /// Its name.
        name: Box<str>,
    },
}

/// A request that tells of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Its id, where it was made elsewhere.
    pub id: Box<str>,
    /// Name for humans.
    pub name: Box<str>,
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// Where it goes.
    pub target: Target,
    /// File of the template; empty = the one that is built in.
    pub template: Box<str>,
    /// Header fields that it has beside.
    pub headers: Box<[(Box<str>, Box<str>)]>,
    /// The same is not told again for so long.
    pub silence: Duration,
    /// What it is signed with; empty = it is not signed.
    pub secret: Secret,
}

/// One entry of `eventHandlers`.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    acts("trigger"),
    acts("type"),
    acts("id"),
    acts("name"),
    acts("url"),
    acts("method"),
    acts("cooldownPeriod"),
    acts("bodyTemplate"),
    acts("headers"),
    acts("signingSecret"),
    acts("functionName"),
    acts("path"),
    acts("logPrefix"),
];

/// `event_handlers` of a definition.
pub(crate) fn read_classic(root: &Section<'_>, faults: &mut Vec<Fault>) -> Box<[EventHandler]> {
    let handlers = root.section("event_handlers", faults);
    let events = handlers.section("events", faults);
    let mut read = Vec::new();
    for (name, entries) in events.object.into_iter().flatten() {
        let at = events.at(name);
        let Some(event) = known(name, &at, faults) else { continue };
        let entries = match entries {
            Value::Null => continue,
            Value::Array(entries) => entries,
            _ => {
                faults.push(Fault::error(at, "the handlers of an event must be an array"));
                continue;
            }
        };
        for (index, entry) in entries.iter().enumerate() {
            let pointer = pointer_join(&at, &index.to_string());
            let Some(object) = entry.as_object() else {
                faults.push(Fault::error(pointer, "a handler must be an object"));
                continue;
            };
            let section = Section { object: Some(object), pointer: pointer.clone() };
            let way = classic_way(&section, faults);
            read.extend(way.map(|way| EventHandler { event, way, pointer: pointer.into() }));
        }
    }
    read.into()
}

fn classic_way(section: &Section<'_>, faults: &mut Vec<Fault>) -> Option<EventWay> {
    let meta = section.section("handler_meta", faults);
    if meta.flag("disabled", faults) {
        return None;
    }
    let needed = |key: &str, faults: &mut Vec<Fault>| -> Option<Box<str>> {
        let text = meta.text(key, faults);
        if text.is_empty() {
            faults.push(Fault::error(meta.at(key), format!("`{key}` is missing: what is to be called?")));
        }
        (!text.is_empty()).then(|| text.into())
    };
    match section.text("handler_name", faults) {
        "eh_log_handler" => Some(EventWay::Log { prefix: meta.text("prefix", faults).into() }),
        "eh_web_hook_handler" => Some(EventWay::Webhook(Box::new(classic_webhook(&meta, faults)?))),
        "eh_dynamic_handler" => {
            Some(EventWay::Script { name: needed("name", faults)?, path: meta.text("path", faults).into() })
        }
        "cp_dynamic_handler" => Some(EventWay::Server { name: needed("name", faults)? }),
        other => {
            let fault = Fault::error(section.at("handler_name"), format!("`{other}` handles no events"));
            faults.push(fault.hint(
                "use `eh_log_handler`, `eh_web_hook_handler`, `eh_dynamic_handler` or `cp_dynamic_handler`",
            ));
            None
        }
    }
}

fn classic_webhook(meta: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Webhook> {
    let headers = meta.section("header_map", faults);
    let pairs = headers.object.into_iter().flatten().filter_map(|(name, value)| match value.as_str() {
        Some(text) => Some((name.as_str().into(), text.into())),
        None => {
            faults.push(Fault::error(headers.at(name), "the value of a header field must be a string"));
            None
        }
    });
    let headers = pairs.collect();
    Some(Webhook {
        id: meta.text("id", faults).into(),
        name: meta.text("name", faults).into(),
        method: method(meta, faults),
        target: target(meta, "target_path", faults)?,
        template: meta.text("template_path", faults).into(),
        headers,
        silence: meta.seconds("event_timeout", faults).unwrap_or_default(),
        secret: Secret(meta.text("signing_secret", faults).to_owned()),
    })
}

/// `server.eventHandlers` of a definition.
pub(crate) fn read_oas(server: &Section<'_>, faults: &mut Vec<Fault>) -> Box<[EventHandler]> {
    let entries = match server.get("eventHandlers") {
        None | Some(Value::Null) => return Box::default(),
        Some(Value::Array(entries)) => entries,
        Some(_) => {
            faults.push(Fault::error(server.at("eventHandlers"), "event handlers must be an array"));
            return Box::default();
        }
    };
    let mut read = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let pointer = pointer_join(&server.at("eventHandlers"), &index.to_string());
        let section = Section { object: entry.as_object(), pointer: pointer.clone() };
        if section.object.is_none() {
            faults.push(Fault::error(pointer, "a handler must be an object"));
            continue;
        }
        if !section.flag("enabled", faults) {
            continue;
        }
        let Some(event) = known(section.text("trigger", faults), &section.at("trigger"), faults) else {
            continue;
        };
        let way = oas_way(&section, faults);
        read.extend(way.map(|way| EventHandler { event, way, pointer: pointer.into() }));
    }
    read.into()
}

fn oas_way(section: &Section<'_>, faults: &mut Vec<Fault>) -> Option<EventWay> {
    match section.text("type", faults) {
        "log" => Some(EventWay::Log { prefix: section.text("logPrefix", faults).into() }),
        "custom" => {
            let name = section.text("functionName", faults);
            if name.is_empty() {
                let text = "`functionName` is missing: what is to be called?";
                faults.push(Fault::error(section.at("functionName"), text));
                return None;
            }
            Some(EventWay::Script { name: name.into(), path: section.text("path", faults).into() })
        }
        "webhook" => {
            let headers = section.get("headers").and_then(Value::as_array).into_iter().flatten();
            let text = |header: &Value, key: &str| header.get(key).and_then(Value::as_str).map(Into::into);
            let headers = headers.filter_map(|header| {
                let read = text(header, "name").zip(text(header, "value"));
                if read.is_none() {
                    let told = "a header field needs `name` and `value`";
                    faults.push(Fault::error(section.at("headers"), told));
                }
                read
            });
            let headers = headers.collect();
            Some(EventWay::Webhook(Box::new(Webhook {
                id: section.text("id", faults).into(),
                name: section.text("name", faults).into(),
                method: method(section, faults),
                target: target(section, "url", faults)?,
                template: section.text("bodyTemplate", faults).into(),
                headers,
                silence: section.duration("cooldownPeriod", faults).unwrap_or_default(),
                secret: Secret(section.text("signingSecret", faults).to_owned()),
            })))
        }
        other => {
            let fault = Fault::error(section.at("type"), format!("`{other}` is no kind of event handler"));
            faults.push(fault.hint("use `webhook`, `custom` or `log`"));
            None
        }
    }
}

/// The event of this name; one that never happens is worth a warning.
fn known(name: &str, at: &str, faults: &mut Vec<Fault>) -> Option<Event> {
    let event = Event::of(name);
    if event.is_none() {
        let fault = Fault::warning(at, format!("no event is called `{name}`; its handlers are never called"));
        faults.push(match nearest(name, Event::ALL.iter().map(|event| event.name())) {
            Some(meant) => fault.hint(format!("did you mean `{meant}`?")),
            None => fault,
        });
    }
    event
}

fn method(section: &Section<'_>, faults: &mut Vec<Fault>) -> &'static str {
    let written = section.text("method", faults);
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    if written.is_empty() {
        return "GET";
    }
    methods.into_iter().find(|method| method.eq_ignore_ascii_case(written)).unwrap_or_else(|| {
        let fault = Fault::warning(section.at("method"), format!("webhooks are not sent by `{written}`"));
        faults.push(fault.hint("use GET, POST, PUT, PATCH or DELETE; it is sent by GET"));
        "GET"
    })
}

fn target(section: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<Target> {
    let written = section.text(key, faults);
    if written.is_empty() {
        let fault = Fault::warning(section.at(key), "a webhook without a receiver is never sent");
        faults.push(fault.hint(format!("write its URL into `{key}`")));
        return None;
    }
    match Target::parse(written) {
        Ok(target) => Some(target),
        Err(why) => {
            faults.push(Fault::error(section.at(key), format!("the URL {why}")));
            None
        }
    }
}

/// Handlers, and what is odd about them.
pub(crate) type HandlersAndWarnings = (Box<[EventHandler]>, Vec<Fault>);

/// The handlers of a configuration: an object such as `event_handlers` of a definition; and warnings.
///
/// # Errors
/// What is wrong with it.
pub fn handlers_of(written: &Value) -> Result<HandlersAndWarnings, Vec<Fault>> {
    let mut faults = Vec::new();
    let root = json!({ "event_handlers": written });
    let read = read_classic(&Section::root(&root, &mut faults), &mut faults);
    if faults.iter().any(Fault::is_error) { Err(faults) } else { Ok((read, faults)) }
}

/// A webhook of a configuration: an object such as `handler_meta` of a definition.
///
/// # Errors
/// What is wrong with it.
pub fn webhook_of(written: &Value) -> Result<Option<Webhook>, Vec<Fault>> {
    let mut faults = Vec::new();
    let read = classic_webhook(&Section::root(written, &mut faults), &mut faults);
    faults.retain(|fault| fault.is_error());
    if faults.is_empty() { Ok(read) } else { Err(faults) }
}

pub(crate) fn write_classic(handlers: &[EventHandler], definition: &mut Value) {
    if handlers.is_empty() {
        return;
    }
    let mut events: Map<String, Value> = Map::new();
    for handler in handlers {
        let (name, meta) = match &handler.way {
            EventWay::Log { prefix } => ("eh_log_handler", json!({ "prefix": prefix })),
            EventWay::Script { name, path } => ("eh_dynamic_handler", json!({"name": name, "path": path})),
            EventWay::Server { name } => ("cp_dynamic_handler", json!({ "name": name })),
            EventWay::Webhook(webhook) => ("eh_web_hook_handler", write_webhook(webhook)),
        };
        let entry = json!({"handler_name": name, "handler_meta": meta});
        match events.entry(handler.event.name()).or_insert_with(|| json!([])) {
            Value::Array(entries) => entries.push(entry),
            other => *other = json!([entry]),
        }
    }
    definition["event_handlers"] = json!({ "events": events });
}

fn write_webhook(webhook: &Webhook) -> Value {
    let headers: Map<String, Value> =
        webhook.headers.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
    let mut meta = json!({
        "disabled": false,
        "id": webhook.id,
        "name": webhook.name,
        "method": webhook.method,
        "target_path": webhook.target.written(),
        "template_path": webhook.template,
        "header_map": headers,
        "event_timeout": webhook.silence.as_secs_f64(),
    });
    if !webhook.secret.0.is_empty() {
        meta["signing_secret"] = json!(webhook.secret.0);
    }
    meta
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(written: Value) -> (Box<[EventHandler]>, Vec<Fault>) {
        let mut faults = Vec::new();
        let root = json!({"event_handlers": {"events": written}});
        let read = read_classic(&Section::root(&root, &mut faults), &mut faults);
        (read, faults)
    }

    #[test]
    fn c8_12_row_10_both_formats_say_the_same() {
        let (classic, faults) = read(json!({
            "AuthFailure": [
                {"handler_name": "eh_log_handler", "handler_meta": {"prefix": "p"}},
                {"handler_name": "eh_web_hook_handler", "handler_meta": {"method": "post", "target_path": "http://h/x",
                    "template_path": "t.json", "header_map": {"X-A": "b"}, "event_timeout": 90, "signing_secret": "s",
                    "id": "i", "name": "n"}},
                {"handler_name": "eh_web_hook_handler", "handler_meta": {"disabled": true, "target_path": "?"}},
                {"handler_name": "eh_dynamic_handler", "handler_meta": {"name": "f", "path": "f.js"}},
            ],
        }));
        assert_eq!(faults, []);
        let mut faults = Vec::new();
        let server = json!({"eventHandlers": [
            {"enabled": true, "trigger": "AuthFailure", "type": "log", "logPrefix": "p"},
            {"enabled": true, "trigger": "AuthFailure", "type": "webhook", "url": "http://h/x", "method": "POST",
                "bodyTemplate": "t.json", "headers": [{"name": "X-A", "value": "b"}], "cooldownPeriod": "1m30s",
                "signingSecret": "s", "id": "i", "name": "n"},
            {"enabled": false, "trigger": "?", "type": "?"},
            {"enabled": true, "trigger": "AuthFailure", "type": "custom", "functionName": "f", "path": "f.js"},
        ]});
        let oas = read_oas(&Section::root(&server, &mut faults), &mut faults);
        assert_eq!(faults, []);
        let ways = |handlers: &[EventHandler]| {
            handlers.iter().map(|handler| (handler.event, handler.way.clone())).collect::<Vec<_>>()
        };
        assert_eq!(ways(&classic), ways(&oas));
        let mut written = json!({});
        write_classic(&oas, &mut written);
        let again = read(written["event_handlers"]["events"].clone()).0;
        assert_eq!(ways(&again), ways(&classic));
    }

    #[test]
    fn c8_12_what_cannot_work_is_told_at_its_place() {
        for (written, at, is_error) in [
            (json!({"AuthFail": []}), "/event_handlers/events/AuthFail", false),
            (json!({"AuthFailure": {}}), "/event_handlers/events/AuthFailure", true),
            (json!({"HostUp": [1]}), "/event_handlers/events/HostUp/0", true),
            (
                json!({"HostUp": [{"handler_name": "x", "handler_meta": {}}]}),
                "/event_handlers/events/HostUp/0/handler_name",
                true,
            ),
            (
                json!({"HostUp": [{"handler_name": "eh_dynamic_handler", "handler_meta": {}}]}),
                "/event_handlers/events/HostUp/0/handler_meta/name",
                true,
            ),
            (
                json!({"HostUp": [{"handler_name": "eh_web_hook_handler", "handler_meta": {"target_path": "a b"}}]}),
                "/event_handlers/events/HostUp/0/handler_meta/target_path",
                true,
            ),
            (
                json!({"HostUp": [{"handler_name": "eh_web_hook_handler", "handler_meta": {"id": "x"}}]}),
                "/event_handlers/events/HostUp/0/handler_meta/target_path",
                false,
            ),
        ] {
            let (_, faults) = read(written.clone());
            let told: Vec<_> = faults.iter().map(|fault| (&*fault.pointer, fault.is_error())).collect();
            assert_eq!(told, [(at, is_error)], "{written}");
        }
    }
}
