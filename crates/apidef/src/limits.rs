//! Limits that an API declares for its paths, and for what may be under way at once.

use crate::at_path::Operations;
use crate::fields::{Field, LEFT_OPEN, acts, in_use, section};
use crate::mcp::{self, CallKind};
use crate::section::Section;
use crate::{Rate, classic::rate};
use document::{Fault, pointer_join};
use serde_json::{Value, json};

/// The extension of our own, in definitions of both formats.
pub(crate) const OWN: &str = "x-sluicegate";

/// What it holds in definitions of both formats.
pub(crate) const COMMON: [Field; 6] = [
    section(
        "concurrency",
        &[
            acts("requests"),
            acts("requests_per_key"),
            acts("requests_per_ip"),
            acts("subscribers"),
            acts("subscribers_per_key"),
            acts("subscribers_per_ip"),
        ],
    ),
    section("compression", crate::compression::FIELDS),
    section("upstream", crate::upstream::OWN_FIELDS),
    section("graphql", crate::graphql::OWN_FIELDS),
    section("mcp", crate::mcp::OWN_FIELDS),
    section("pass_through", crate::pass_through::OWN_FIELDS),
];

/// How a rate of an API moves: as sessions say it for theirs.
pub(crate) const SMOOTHING: &[Field] =
    &[acts("enabled"), acts("threshold"), acts("trigger"), acts("step"), acts("delay")];

/// The rate of one path and method, over all callers together. It counts instead of the API's own.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointRate {
    /// Method, upper case.
    pub method: Box<str>,
    /// Pattern of the path below the listen path (contract 4.3).
    pub path: Box<str>,
    /// Upper and lower case of the path are the same.
    pub ignore_case: bool,
    /// The limit.
    pub rate: Rate,
}

/// How much of an API may be under way at once on one node; 0 = any number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AtOnce {
    /// Requests that are being answered.
    pub requests: u32,
    /// The same, of one key.
    pub requests_per_key: u32,
    /// The same, from one address.
    pub requests_per_ip: u32,
    /// Subscribers that are connected.
    pub subscribers: u32,
    /// The same, with one key.
    pub subscribers_per_key: u32,
    /// The same, from one address.
    pub subscribers_per_ip: u32,
}

pub(crate) fn at_once(root: &Section<'_>, faults: &mut Vec<Fault>) -> AtOnce {
    let at = root.section(OWN, faults).section("concurrency", faults);
    let mut number = |key: &str| {
        let number = at.number(key, faults);
        if number < 0.0 || number > f64::from(u32::MAX) || number.fract() != 0.0 {
            let message = format!("`{key}` must be a whole number, 0 for any number");
            faults.push(Fault::error(at.at(key), message));
            return 0;
        }
        number as u32
    };
    AtOnce {
        requests: number("requests"),
        requests_per_key: number("requests_per_key"),
        requests_per_ip: number("requests_per_ip"),
        subscribers: number("subscribers"),
        subscribers_per_key: number("subscribers_per_key"),
        subscribers_per_ip: number("subscribers_per_ip"),
    }
}

/// The part of the extension that says this; none where nothing is limited.
pub(crate) fn write_at_once(at_once: &AtOnce) -> Option<Value> {
    (*at_once != AtOnce::default()).then(|| {
        json!({
            "requests": at_once.requests,
            "requests_per_key": at_once.requests_per_key,
            "requests_per_ip": at_once.requests_per_ip,
            "subscribers": at_once.subscribers,
            "subscribers_per_key": at_once.subscribers_per_key,
            "subscribers_per_ip": at_once.subscribers_per_ip,
        })
    })
}

/// `extended_paths.rate_limit` of a classic version.
pub(crate) fn classic_endpoints(
    extended: &Section<'_>,
    ignore_case: bool,
    endpoints: &mut Vec<EndpointRate>,
    faults: &mut Vec<Fault>,
) {
    let entries = extended.get("rate_limit").and_then(Value::as_array);
    for (index, entry) in entries.into_iter().flatten().enumerate() {
        let pointer = pointer_join(&extended.at("rate_limit"), &index.to_string());
        let entry = Section { object: entry.as_object(), pointer };
        let on = !entry.flag("disabled", faults);
        let (requests, per) = (entry.number("rate", faults), entry.seconds("per", faults));
        let (method, path) = (entry.text("method", faults), entry.text("path", faults));
        if let Some(rate) = rate(on, requests, per, &entry, faults) {
            if method.is_empty() {
                let message = format!(
                    "this rate limit names no `method`, so that no request is counted: its path is {LEFT_OPEN}"
                );
                faults.push(Fault::error(entry.pointer.clone(), message));
                continue;
            }
            let method = method.to_uppercase().into();
            endpoints.push(EndpointRate { method, path: path.into(), ignore_case, rate });
        }
    }
}

/// `middleware.operations.*.rateLimit` of an OpenAPI definition; path and method are those of the operation.
pub(crate) fn oas_endpoints(
    root: &Section<'_>,
    middleware: &Section<'_>,
    faults: &mut Vec<Fault>,
) -> Box<[EndpointRate]> {
    let ignore_case = middleware.section("global", faults).section("ignoreCase", faults);
    let ignore_case = ignore_case.get("enabled").is_some_and(in_use);
    let operations = middleware.section("operations", faults);
    let known = Operations::of(root);
    let calls = mcp::speaks(root, faults);
    let mut endpoints = Vec::new();
    for id in operations.object.into_iter().flat_map(serde_json::Map::keys) {
        let Some(rate) = of_operation(&operations.section(id, faults), faults) else { continue };
        if calls && let Some(method) = mcp::method_of(id, known.get(id)) {
            endpoints.push(of_call(CallKind::Method, method, rate));
            continue;
        }
        match known.get(id) {
            Some(operation) => {
                let (path, method) = (operation.path.as_ref().into(), operation.method.to_uppercase().into());
                endpoints.push(EndpointRate { method, path, ignore_case, rate });
            }
            None => {
                let message =
                    format!("no operation in `paths` has the id `{id}`; its rate limit is {LEFT_OPEN}");
                faults.push(Fault::error(operations.at(id), message).on_key());
            }
        }
    }
    let primitives = if calls { mcp::primitives(middleware, faults) } else { Vec::new() };
    for one in primitives {
        let rate = of_operation(&one.section, faults);
        endpoints.extend(rate.map(|rate| of_call(one.kind, one.name, rate)));
    }
    endpoints.into()
}

fn of_operation(operation: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Rate> {
    let limit = operation.section("rateLimit", faults);
    let enabled = limit.flag("enabled", faults);
    let (requests, per) = (limit.number("rate", faults), limit.duration("per", faults));
    rate(enabled, requests, per, &limit, faults)
}

fn of_call(kind: CallKind, name: &str, rate: Rate) -> EndpointRate {
    let path = mcp::operation(kind, name).path.into();
    EndpointRate { method: "POST".into(), path, ignore_case: false, rate }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn endpoint(method: &str, path: &str, requests: f64, seconds: u64) -> EndpointRate {
        let rate = Rate { requests, per: Duration::from_secs(seconds), smoothing: Default::default() };
        EndpointRate { method: method.into(), path: path.into(), ignore_case: false, rate }
    }

    #[test]
    fn classic() {
        let value = json!({"rate_limit": [
            {"path": "/a", "method": "get", "rate": 3, "per": 60},
            {"path": "/b", "method": "POST", "rate": 1, "per": 1, "disabled": true},
            {"path": "/c", "method": "POST", "rate": 5},
            {"path": "/d", "method": "PUT", "rate": 0.5, "per": 2},
            {"path": "/e", "rate": 5, "per": 60},
            {"path": "/f", "method": "", "rate": 5, "per": 60},
            {"path": "/g", "rate": 5, "per": 60, "disabled": true},
        ]});
        let (mut endpoints, mut faults) = (Vec::new(), Vec::new());
        let extended = Section::root(&value, &mut faults);
        classic_endpoints(&extended, false, &mut endpoints, &mut faults);
        assert_eq!(endpoints, [endpoint("GET", "/a", 3.0, 60), endpoint("PUT", "/d", 0.5, 2)]);
        let places: Vec<&str> = faults.iter().map(|fault| &*fault.pointer).collect();
        assert_eq!(places, ["/rate_limit/2", "/rate_limit/4", "/rate_limit/5"]);
    }

    #[test]
    fn c6_5_rates_are_smoothed_by_rules_that_can_work() {
        let rated = |smoothing: Value| {
            let value = json!({"rate_limit": [{"path": "/a", "method": "GET", "rate": 9, "per": 60, "smoothing": smoothing}]});
            let (mut endpoints, mut faults) = (Vec::new(), Vec::new());
            let extended = Section::root(&value, &mut faults);
            classic_endpoints(&extended, false, &mut endpoints, &mut faults);
            let places: Vec<String> = faults.into_iter().map(|fault| fault.pointer).collect();
            (endpoints.remove(0).rate.smoothing, places)
        };
        let rule = json!({"enabled": true, "threshold": 2, "trigger": 0.5, "step": 3, "delay": 30});
        let (read, faults) = rated(rule.clone());
        assert_eq!((serde_json::to_value(&read).unwrap(), faults), (rule, Vec::new()));
        let at = |key: &str| format!("/rate_limit/0/smoothing{key}");
        for (smoothing, expected) in [
            (json!({"enabled": false}), Vec::new()),
            (json!({"enabled": true, "threshold": 2}), vec![at("")]),
            (json!({"enabled": true, "step": 2}), vec![at("")]),
            (json!({"enabled": true, "threshold": 2.5, "step": 1}), vec![at("/threshold"), at("")]),
            (json!({"enabled": true, "threshold": 2, "step": 1, "delay": -1}), vec![at("/delay")]),
            (json!({"enabled": true, "threshold": 2, "step": 1, "trigger": -0.5}), vec![at("/trigger")]),
        ] {
            assert_eq!(rated(smoothing.clone()).1, expected, "{smoothing}");
        }
    }

    #[test]
    fn oas() {
        let value = json!({
            "paths": {"/users/{id}": {"parameters": [], "get": {"operationId": "user"}, "put": {"operationId": "change"}}},
            "middleware": {"operations": {
                "change": {"rateLimit": {"enabled": true, "rate": 2, "per": "1m"}},
                "user": {"rateLimit": {"enabled": false, "rate": 2, "per": "1m"}},
                "gone": {"rateLimit": {"enabled": true, "rate": 2, "per": "1m"}},
                "other": {},
            }},
        });
        let mut faults = Vec::new();
        let root = Section::root(&value, &mut faults);
        let middleware = root.section("middleware", &mut faults);
        let endpoints = oas_endpoints(&root, &middleware, &mut faults);
        assert_eq!(*endpoints, [endpoint("PUT", "/users/{id}", 2.0, 60)]);
        let places: Vec<&str> = faults.iter().map(|fault| &*fault.pointer).collect();
        assert_eq!(places, ["/middleware/operations/gone"]);
    }

    #[test]
    fn numbers_at_once() {
        for (value, requests, fault) in [
            (json!({}), 0, false),
            (json!({"x-sluicegate": {"concurrency": {"requests": 7}}}), 7, false),
            (json!({"x-sluicegate": {"concurrency": {"requests": -1}}}), 0, true),
            (json!({"x-sluicegate": {"concurrency": {"requests": 1.5}}}), 0, true),
            (json!({"x-sluicegate": {"concurrency": {"requests": "1"}}}), 0, true),
        ] {
            let mut faults = Vec::new();
            let root = Section::root(&value, &mut faults);
            assert_eq!(at_once(&root, &mut faults).requests, requests, "{value}");
            assert_eq!(!faults.is_empty(), fault, "{value}");
        }
    }
}
