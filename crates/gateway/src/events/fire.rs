//! Where events come from: what is said of each.

use std::sync::Arc;
use std::time::SystemTime;

use apidef::Event;
use serde_json::{Map, Value, json};

use super::request;
use super::told::Told;
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::respond::Refusal;
use crate::snapshot::RunningApi;

pub(super) fn told(api: Option<&RunningApi>, event: Event, meta: Value) -> Told {
    let identity = api.map(|api| &api.identity);
    Told {
        event,
        at: SystemTime::now(),
        api: identity.map(|identity| Arc::clone(&identity.id)),
        org: identity.map(|identity| Arc::clone(&identity.org)).unwrap_or_default(),
        meta: match meta {
            Value::Object(meta) => meta,
            _ => Map::new(),
        },
    }
}

/// A guard refused an exchange.
pub(crate) fn refused(exchange: &Exchange, event: Event, refusal: &Refusal) {
    let api = &*exchange.api;
    exchange.gate.events.fire(Some(api), event, || {
        let mut meta = of_request(exchange, message(event, refusal));
        if matches!(
            event,
            Event::VersionFailure | Event::OAuth2ScopeCheckFailed | Event::OAuth2ExchangeFailed
        ) {
            meta["Reason"] = refusal.message.as_ref().into();
        }
        told(Some(api), event, meta)
    });
}

/// The version that was asked for is not served.
pub(crate) fn version_refused(exchange: &Exchange, refusal: &Refusal) {
    refused(exchange, Event::VersionFailure, refusal);
}

fn of_request(exchange: &Exchange, message: &str) -> Value {
    json!({
        "Message": message,
        "OriginatingRequest": request::originating(exchange),
        "Path": exchange.head.uri.path(),
        "Origin": exchange.client_address().map(|address| address.to_string()).unwrap_or_default(),
        "Key": request::key(exchange),
    })
}

fn message(event: Event, refusal: &Refusal) -> &str {
    match event {
        Event::AuthFailure => "Auth Failure",
        Event::KeyExpired if refusal.flag == "TKI" => "Attempted access from inactive key.",
        Event::KeyExpired => "Attempted access from expired key.",
        Event::VersionFailure => "Attempted access to disallowed version / path.",
        Event::QuotaExceeded => "Key Quota Limit Exceeded",
        Event::RatelimitExceeded if refusal.message.starts_with("API") => "API Rate Limit Exceeded",
        Event::RatelimitExceeded => "Key Rate Limit Exceeded",
        Event::OrgQuotaExceeded => "Organisation quota has been exceeded",
        Event::OrgRateLimitExceeded => "Organisation rate limit has been exceeded",
        Event::OAuth2ScopeCheckFailed => "OAuth2 scope check failed",
        Event::OAuth2ExchangeFailed => "OAuth2 token exchange failed",
        _ => &refusal.message,
    }
}

/// A caller's token was exchanged for another.
pub(crate) fn exchanged(exchange: &Exchange, provider: &str) {
    let (api, event) = (&*exchange.api, Event::OAuth2ExchangeSucceeded);
    exchange.gate.events.fire(Some(api), event, || {
        let mut meta = of_request(exchange, "OAuth2 token exchange succeeded");
        meta["Provider"] = provider.into();
        told(Some(api), event, meta)
    });
}

/// The gate got no token for an upstream.
pub(crate) fn no_upstream_token(exchange: &Exchange, why: &str) {
    let (api, event) = (&*exchange.api, Event::UpstreamOAuthError);
    exchange.gate.events.fire(Some(api), event, || {
        let mut meta = of_request(exchange, "Upstream OAuth error");
        meta["Reason"] = why.into();
        told(Some(api), event, meta)
    });
}

/// Smoothing moved what a key may send.
pub(crate) fn smoothed(exchange: &Exchange, up: bool, allowance: f64) {
    let event = if up { Event::RateLimitSmoothingUp } else { Event::RateLimitSmoothingDown };
    let api = &*exchange.api;
    exchange.gate.events.fire(Some(api), event, || {
        let message = if up { "Rate limit allowance increased" } else { "Rate limit allowance decreased" };
        let mut meta = of_request(exchange, message);
        meta["Allowance"] = allowance.into();
        told(Some(api), event, meta)
    });
}

/// A circuit breaker tripped, or was reset.
pub(crate) fn breaker(exchange: &Exchange, tripped: bool) {
    let api = &*exchange.api;
    let (own, message, number) = match tripped {
        true => (Event::BreakerTripped, "Breaker Tripped", 0),
        false => (Event::BreakerReset, "Breaker Reset", 1),
    };
    for event in [Event::BreakerTriggered, own] {
        exchange.gate.events.fire(Some(api), event, || {
            let meta = json!({
                "Message": message,
                "OriginatingRequest": "",
                "Path": exchange.head.uri.path(),
                "APIID": api.identity.id,
                "CircuitEvent": number,
            });
            told(Some(api), event, meta)
        });
    }
}

/// What a probe found of a host.
#[derive(Debug)]
pub(crate) struct Probed<'a> {
    pub(crate) url: &'a str,
    pub(crate) host: &'a str,
    /// The status of the answer; 0 where there was none.
    pub(crate) status: u16,
    /// There was no answer.
    pub(crate) unreachable: bool,
}

/// Probes find a host down, or up again.
pub(crate) fn host(gate: &Gate, api_id: &str, up: bool, probed: &Probed<'_>) {
    let event = if up { Event::HostUp } else { Event::HostDown };
    let snapshot = gate.snapshot();
    let Some(api) = snapshot.apis.get(api_id) else { return };
    gate.events.fire(Some(api), event, || {
        let meta = json!({
            "Message": if up { "Uptime test succeeded" } else { "Uptime test failed" },
            "OriginatingRequest": "",
            "HostInfo": {
                "CheckURL": probed.url,
                "ResponseCode": probed.status,
                "IsTCPError": probed.unreachable,
                "MetaData": {"target_url": probed.url, "host_name": probed.host, "api_id": api_id},
            },
        });
        told(Some(api), event, meta)
    });
}

/// A key was made, changed or deleted. `name` is what it is stored under.
pub(crate) fn key(gate: &Gate, event: Event, org: &str, name: &str) {
    gate.events.fire(None, event, || {
        let message = match event {
            Event::TokenCreated => "Key generated.",
            Event::TokenUpdated => "Key modified.",
            _ => "Key deleted.",
        };
        let settings = &gate.settings.keys;
        // Where keys are hashed, that is their hash already.
        let key = if settings.hashed { name.to_owned() } else { request::name(settings, name) };
        let meta = json!({"Message": message, "OriginatingRequest": "", "Org": org, "Key": key});
        Told { org: org.into(), ..told(None, event, meta) }
    });
}

/// The code of users says that something happened (contract 9.4): the handlers of the gate are told.
pub(crate) fn triggered(gate: &Gate, event: Event, message: &str) {
    gate.events
        .fire(None, event, || told(None, event, json!({"Message": message, "OriginatingRequest": ""})));
}
