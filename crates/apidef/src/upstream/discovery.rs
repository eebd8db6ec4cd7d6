//! Targets that another server tells (`proxy.service_discovery`, `upstream.serviceDiscovery`; contract 2.3, 4.6).

use crate::Target;
use crate::fields::{Field, acts, section};
use crate::section::Section;
use document::Fault;
use serde_json::{Value, json};
use std::time::Duration;

/// `proxy.service_discovery`.
pub(crate) const CLASSIC: &[Field] = &[
    acts("use_discovery_service"),
    acts("query_endpoint"),
    acts("use_nested_query"),
    acts("parent_data_path"),
    acts("data_path"),
    acts("port_data_path"),
    acts("target_path"),
    acts("use_target_list"),
    acts("cache_disabled"),
    acts("cache_timeout"),
    acts("endpoint_returns_list"),
];
/// `upstream.serviceDiscovery`.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    acts("queryEndpoint"),
    acts("useNestedQuery"),
    acts("parentDataPath"),
    acts("dataPath"),
    acts("portDataPath"),
    acts("targetPath"),
    acts("useTargetList"),
    section("cache", &[acts("enabled"), acts("timeout")]),
    acts("cacheTimeout"),
    acts("endpointReturnsList"),
];

/// Most targets that are taken from one answer.
const MOST: usize = 1000;

/// Where targets are told, and how an answer is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovery {
    /// Who is asked.
    pub endpoint: Target,
    /// The answer is an array, not an object that holds one.
    pub returns_list: bool,
    /// What holds the targets is JSON in a string.
    pub nested: bool,
    /// Where that is; empty: the answer itself.
    pub parent_path: Box<str>,
    /// Where the address is in it.
    pub data_path: Box<str>,
    /// Where the port is in it; empty: it is part of the address.
    pub port_path: Box<str>,
    /// What is added to each address.
    pub target_path: Box<str>,
    /// All of them count, not only the first.
    pub all: bool,
    /// How long an answer counts.
    pub kept: Kept,
}

/// How long an answer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// As the gate has it.
    Usual,
    /// For so long.
    For(Duration),
    /// For the request that asked.
    Not,
}

/// What the formats call the same.
struct Names([&'static str; 9]);

const CLASSIC_NAMES: Names = Names([
    "query_endpoint",
    "endpoint_returns_list",
    "use_nested_query",
    "parent_data_path",
    "data_path",
    "port_data_path",
    "target_path",
    "use_target_list",
    "use_discovery_service",
]);
const OAS_NAMES: Names = Names([
    "queryEndpoint",
    "endpointReturnsList",
    "useNestedQuery",
    "parentDataPath",
    "dataPath",
    "portDataPath",
    "targetPath",
    "useTargetList",
    "enabled",
]);

impl Discovery {
    /// `service_discovery` of a classic definition; `None` where it is off.
    pub(crate) fn classic(at: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        let kept = match (at.flag("cache_disabled", faults), at.seconds("cache_timeout", faults)) {
            (true, _) => Kept::Not,
            (false, Some(time)) => Kept::For(time),
            (false, None) => Kept::Usual,
        };
        Self::read(at, &CLASSIC_NAMES, kept, faults)
    }

    /// The same of an OpenAPI definition.
    pub(crate) fn oas(at: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        let cache = at.section("cache", faults);
        let before = at.seconds("cacheTimeout", faults);
        let time = cache.seconds("timeout", faults).or(before);
        let kept = match time {
            _ if cache.get("enabled").is_some() && !cache.flag("enabled", faults) => Kept::Not,
            Some(time) => Kept::For(time),
            None => Kept::Usual,
        };
        Self::read(at, &OAS_NAMES, kept, faults)
    }

    fn read(at: &Section<'_>, names: &Names, kept: Kept, faults: &mut Vec<Fault>) -> Option<Self> {
        let [endpoint, list, nested, parent, data, port, path, all, on] = names.0;
        if !at.flag(on, faults) {
            return None;
        }
        let url = at.text(endpoint, faults);
        let target = Target::parse(url);
        if let Err(why) = &target {
            let fault = Fault::error(at.at(endpoint), format!("the address `{url}` {why}"));
            faults.push(fault.hint("name the URL that tells the targets"));
        }
        let mut path_of = |key: &str| -> Box<str> { at.text(key, faults).into() };
        let (parent_path, data_path) = (path_of(parent), path_of(data));
        let (port_path, target_path) = (path_of(port), path_of(path));
        Some(Self {
            endpoint: target.ok()?,
            returns_list: at.flag(list, faults),
            nested: at.flag(nested, faults),
            parent_path,
            data_path,
            port_path,
            target_path,
            all: at.flag(all, faults),
            kept,
        })
    }

    pub(crate) fn write_classic(&self) -> Value {
        let (disabled, timeout) = match self.kept {
            Kept::Usual => (false, 0),
            Kept::For(time) => (false, time.as_secs().max(1)),
            Kept::Not => (true, 0),
        };
        json!({
            "use_discovery_service": true,
            "query_endpoint": self.endpoint.written(),
            "endpoint_returns_list": self.returns_list,
            "use_nested_query": self.nested,
            "parent_data_path": self.parent_path,
            "data_path": self.data_path,
            "port_data_path": self.port_path,
            "target_path": self.target_path,
            "use_target_list": self.all,
            "cache_disabled": disabled,
            "cache_timeout": timeout,
        })
    }

    /// The URLs that an answer tells, in its order.
    ///
    /// # Errors
    /// What is missing.
    pub fn targets(&self, answer: &[u8]) -> Result<Vec<String>, String> {
        let answer: Value =
            serde_json::from_slice(answer).map_err(|error| format!("the answer is not JSON: {error}"))?;
        let parents = if self.returns_list {
            answer.as_array().ok_or("the answer is no array")?.iter().collect()
        } else {
            at(&answer, &self.parent_path)
        };
        let mut targets = Vec::new();
        for parent in parents {
            let inner = match parent.as_str() {
                Some(text) if self.nested => Some(
                    serde_json::from_str::<Value>(text)
                        .map_err(|error| format!("what is in the answer is not JSON: {error}"))?,
                ),
                _ => None,
            };
            for holder in spread(inner.as_ref().unwrap_or(parent)) {
                self.add(holder, &mut targets);
                if !self.all && !targets.is_empty() {
                    targets.truncate(1);
                    return Ok(targets);
                }
                if targets.len() > MOST {
                    return Err(format!("there are more than {MOST} targets"));
                }
            }
        }
        if targets.is_empty() {
            return Err("there is no target in the answer".to_owned());
        }
        Ok(targets)
    }

    /// Addresses with their ports, one by one; of several ports for one address the first counts.
    fn add(&self, holder: &Value, targets: &mut Vec<String>) {
        let hosts: Vec<String> = at(holder, &self.data_path).into_iter().filter_map(text).collect();
        let ports: Vec<String> = if self.port_path.is_empty() {
            Vec::new()
        } else {
            at(holder, &self.port_path).into_iter().filter_map(text).collect()
        };
        for (number, host) in hosts.iter().enumerate() {
            let scheme = if host.contains("://") { "" } else { "http://" };
            let port = ports.get(number).map(|port| format!(":{port}")).unwrap_or_default();
            let host = if port.is_empty() { host } else { host.trim_end_matches('/') };
            targets.push(format!("{scheme}{host}{port}{}", self.target_path));
        }
    }
}

/// What is at a path of names with dots; arrays on the way count with all their elements.
fn at<'v>(value: &'v Value, path: &str) -> Vec<&'v Value> {
    let mut found = vec![value];
    for name in path.split('.').filter(|name| !name.is_empty()) {
        found = found.into_iter().flat_map(spread).filter_map(|value| value.get(name)).collect();
    }
    found.into_iter().flat_map(spread).collect()
}

fn spread(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        _ => vec![value],
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discovery(more: Value) -> Discovery {
        let mut value = json!({"use_discovery_service": true, "query_endpoint": "http://d/x"});
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut faults = Vec::new();
        let read = Discovery::classic(&Section::root(&value, &mut faults), &mut faults).unwrap();
        assert!(faults.is_empty(), "{faults:?}");
        let written = read.write_classic();
        assert_eq!(Discovery::classic(&Section::root(&written, &mut faults), &mut faults).unwrap(), read);
        read
    }

    /// The shapes that etcd, Mesosphere, Eureka, ZooREST and Consul answer with.
    #[test]
    fn c4_6_row_17_targets_are_found_in_answers() {
        for (settings, answer, expected) in [
            (
                json!({"data_path": "node.value"}),
                json!({"action": "get", "node": {"value": "http://a.example:6000"}}),
                &["http://a.example:6000"][..],
            ),
            (
                json!({"data_path": "data.path", "target_path": "/v1"}),
                json!({"data": {"path": "a"}}),
                &["http://a/v1"],
            ),
            (
                json!({"use_nested_query": true, "parent_data_path": "node.value", "data_path": "hostname", "port_data_path": "port"}),
                json!({"node": {"value": "{\"hostname\": \"http://a\", \"port\": \"80\"}"}}),
                &["http://a:80"],
            ),
            (
                json!({"use_nested_query": true, "parent_data_path": "node.value", "data_path": "array.hostname",
                    "port_data_path": "array.port", "use_target_list": true, "target_path": "/p/"}),
                json!({"node": {"value": "{\"array\": [{\"hostname\": \"a\", \"port\": 1}, {\"hostname\": \"b\", \"port\": 2}]}"}}),
                &["http://a:1/p/", "http://b:2/p/"],
            ),
            (
                json!({"use_nested_query": true, "parent_data_path": "node.nodes.value", "data_path": "h", "use_target_list": true}),
                json!({"node": {"nodes": [{"value": "{\"h\": \"a\"}"}, {"value": "{\"h\": \"b\"}"}]}}),
                &["http://a", "http://b"],
            ),
            (
                json!({"use_target_list": true, "parent_data_path": "tasks", "data_path": "host", "port_data_path": "ports"}),
                json!({"tasks": [{"host": "a", "ports": [31000, 31001]}, {"host": "b", "ports": [31002]}]}),
                &["http://a:31000", "http://b:31002"],
            ),
            (
                json!({"use_target_list": true, "parent_data_path": "application.instance", "data_path": "hostName", "port_data_path": "port.$"}),
                json!({"application": {"instance": [{"hostName": "a", "port": {"$": 8080}}]}}),
                &["http://a:8080"],
            ),
            (
                json!({"use_target_list": true, "endpoint_returns_list": true, "data_path": "Address", "port_data_path": "ServicePort"}),
                json!([{"Address": "10.0.0.1", "ServicePort": 8000}, {"Address": "10.0.0.2", "ServicePort": 8001}]),
                &["http://10.0.0.1:8000", "http://10.0.0.2:8001"],
            ),
            (json!({"endpoint_returns_list": true}), json!(["a:1", "b:2"]), &["http://a:1"]),
            (
                json!({"use_target_list": true, "parent_data_path": "hosts"}),
                json!({"hosts": ["a:1", "b:2"]}),
                &["http://a:1", "http://b:2"],
            ),
        ] {
            let found = discovery(settings.clone()).targets(answer.to_string().as_bytes());
            assert_eq!(
                found.as_deref(),
                Ok(&expected.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>()[..]),
                "{settings}"
            );
        }
    }

    #[test]
    fn what_holds_no_target_says_so() {
        let many = Value::Array((0..1001).map(|number| json!({"h": number})).collect()).to_string();
        for (settings, answer, expected) in [
            (json!({"data_path": "a"}), "<html>", "not JSON"),
            (json!({"data_path": "a"}), "{}", "no target"),
            (json!({"data_path": "a"}), r#"{"a": {"b": 1}}"#, "no target"),
            (json!({"endpoint_returns_list": true}), "{}", "no array"),
            (
                json!({"use_nested_query": true, "parent_data_path": "a"}),
                r#"{"a": "{"}"#,
                "in the answer is not JSON",
            ),
            (
                json!({"endpoint_returns_list": true, "use_target_list": true, "data_path": "h"}),
                &many,
                "more than 1000",
            ),
        ] {
            let why = discovery(settings).targets(answer.as_bytes()).unwrap_err();
            assert!(why.contains(expected), "{answer:.20}: {why}");
        }
    }

    #[test]
    fn answers_are_kept_as_the_definition_says() {
        for (oas, expected) in [
            (json!({}), Kept::Usual),
            (json!({"cache": {"enabled": true, "timeout": 5}}), Kept::For(Duration::from_secs(5))),
            (json!({"cache": {"enabled": true}, "cacheTimeout": 6}), Kept::For(Duration::from_secs(6))),
            (json!({"cache": {"enabled": false, "timeout": 5}}), Kept::Not),
        ] {
            let mut value = json!({"enabled": true, "queryEndpoint": "http://d"});
            value.as_object_mut().unwrap().extend(oas.as_object().unwrap().clone());
            let mut faults = Vec::new();
            let read = Discovery::oas(&Section::root(&value, &mut faults), &mut faults).unwrap();
            assert_eq!((read.kept, &*faults), (expected, &[][..]), "{oas}");
        }
        let mut faults = Vec::new();
        let value = json!({"enabled": true, "queryEndpoint": ""});
        assert_eq!(Discovery::oas(&Section::root(&value, &mut faults), &mut faults), None);
        assert_eq!(faults[0].pointer, "/queryEndpoint");
    }
}
