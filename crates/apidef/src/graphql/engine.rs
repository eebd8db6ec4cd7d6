//! Graphs out of several sources (contract 2.7, `engine`).

use super::SubscriptionProtocol;
use crate::Fields;
use crate::at_path::entries;
use crate::fields::{Field, acts, each, kept, section};
use crate::section::Section;
use document::Fault;
use serde_json::{Map, Value, json};

/// `engine`.
pub(crate) const FIELDS: &[Field] = &[
    each(
        "field_configs",
        &[acts("type_name"), acts("field_name"), acts("disable_default_mapping"), acts("path")],
    ),
    each(
        "data_sources",
        &[
            acts("kind"),
            acts("name"),
            kept("internal"),
            each("root_fields", &[acts("type"), acts("fields")]),
            section(
                "config",
                &[
                    acts("url"),
                    acts("method"),
                    acts("headers"),
                    each("query", &[acts("name"), acts("value")]),
                    acts("body"),
                    acts("subscription_type"),
                    acts("sse_use_post"),
                    acts("has_operation"),
                    acts("operation"),
                    acts("variables"),
                    acts("default_type_name"),
                    each("status_code_type_name_mappings", &[acts("status_code"), acts("type_name")]),
                    acts("input"),
                    acts("processors"),
                    acts("broker_addresses"),
                    acts("topics"),
                    acts("group_id"),
                    acts("client_id"),
                    // The client asks brokers which versions of the protocol they speak.
                    kept("kafka_version"),
                    acts("start_consuming_latest"),
                    acts("balance_strategy"),
                    acts("isolation_level"),
                    section("sasl", &[acts("enable"), acts("user"), acts("password")]),
                ],
            ),
        ],
    ),
    each("global_headers", &[acts("key"), acts("value")]),
];

/// A graph out of several sources.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GraphEngine {
    /// In the order written.
    pub sources: Box<[GraphSource]>,
    /// Where in answers values are.
    pub fields: Box<[GraphField]>,
    /// Sent with every call.
    pub headers: Fields,
}

/// A type, and fields of it.
pub(crate) type RootFields = (Box<str>, Box<[Box<str>]>);

/// A source. Its texts may hold `{{.arguments.name}}`, `{{.object.name}}`, `{{.request.headers.Name}}`.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphSource {
    /// Its place in the definition.
    pub at: Box<str>,
    /// For errors.
    pub name: Box<str>,
    /// Types, each with fields of it that the source is asked for.
    pub roots: Box<[RootFields]>,
    /// Whole; `tyk://` for an API of the gate.
    pub url: Box<str>,
    /// Upper case.
    pub method: Box<str>,
    /// Sent with a call.
    pub headers: Fields,
    /// What its answers are, where they do not say so.
    pub types: TypeNames,
    /// How it is asked.
    pub kind: GraphSourceKind,
    /// How it is asked for events, where it is asked in GraphQL; `None`: over a WebSocket, in the protocol that it chooses.
    pub subscriptions: Option<SubscriptionProtocol>,
}

/// The types of objects that a source asked by a URL answers without `__typename`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeNames {
    /// Of every answer; empty for none.
    pub usual: Box<str>,
    /// By status, which is no failure then.
    pub by_status: Box<[(u16, Box<str>)]>,
}

impl TypeNames {
    pub(super) fn read(config: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let mut by_status = Vec::new();
        for entry in entries(config, "status_code_type_name_mappings") {
            let (status, name) = (entry.number("status_code", faults), entry.text("type_name", faults));
            // Dashboards write one without a name, which says nothing.
            if name.is_empty() {
                continue;
            }
            if status.fract() != 0.0 || !(100.0..=999.0).contains(&status) {
                faults.push(Fault::error(entry.at("status_code"), "a status has three digits"));
                continue;
            }
            by_status.push((status as u16, name.into()));
        }
        Self { usual: config.text("default_type_name", faults).into(), by_status: by_status.into() }
    }

    fn write(&self, config: &mut Value) {
        if !self.usual.is_empty() {
            config["default_type_name"] = json!(self.usual);
        }
        if !self.by_status.is_empty() {
            let all = self.by_status.iter();
            let all = all.map(|(status, name)| json!({"status_code": status, "type_name": name}));
            config["status_code_type_name_mappings"] = all.collect();
        }
    }
}

/// How a source is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum GraphSourceKind {
    /// By a URL and a body.
    Rest {
        /// Pairs for the query string.
        query: Fields,
        /// Empty where there is none.
        body: Box<str>,
    },
    /// In GraphQL, for what clients select.
    Graph,
    /// In GraphQL, for this.
    Operation {
        /// A document.
        operation: Box<str>,
        /// Values of its variables.
        variables: Map<String, Value>,
    },
    /// It sends events: what a stream reads.
    Events {
        /// An input of a stream.
        input: Value,
        /// Processors of it.
        processors: Value,
    },
}

/// Where in an answer the value of a field is.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphField {
    /// The type.
    pub kind: Box<str>,
    /// Its field.
    pub field: Box<str>,
    /// Without a path it is the answer itself, and not what the field's name stands for in it.
    pub whole: bool,
    /// Names on the way.
    pub path: Box<[Box<str>]>,
}

impl GraphEngine {
    pub(crate) fn read(at: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let fields = entries(at, "field_configs").map(|entry| GraphField {
            kind: entry.text("type_name", faults).into(),
            field: entry.text("field_name", faults).into(),
            whole: entry.flag("disable_default_mapping", faults),
            path: entry.texts("path", faults).into_iter().filter(|part| !part.is_empty()).collect(),
        });
        let fields = fields.collect();
        let mut headers = Vec::new();
        for entry in entries(at, "global_headers") {
            let (name, value) = (entry.text("key", faults), entry.text("value", faults));
            super::check_name(name, &entry, faults);
            headers.push((name.into(), value.into()));
        }
        let mut sources = Vec::new();
        for entry in entries(at, "data_sources") {
            sources.extend(GraphSource::read(&entry, faults));
        }
        Self { sources: sources.into(), fields, headers: headers.into() }
    }

    pub(crate) fn write(&self) -> Value {
        let map = |fields: &Fields| -> Map<String, Value> {
            fields.iter().map(|(name, value)| (name.to_string(), Value::from(&**value))).collect()
        };
        let source = |source: &GraphSource| {
            let roots: Vec<Value> =
                source.roots.iter().map(|(kind, fields)| json!({"type": kind, "fields": fields})).collect();
            let mut config =
                json!({"url": source.url, "method": source.method, "headers": map(&source.headers)});
            let kind = match &source.kind {
                GraphSourceKind::Rest { query, body } => {
                    let pairs = query.iter().map(|(name, value)| json!({"name": name, "value": value}));
                    (config["query"], config["body"]) = (pairs.collect(), json!(body));
                    "REST"
                }
                GraphSourceKind::Graph => "GraphQL",
                GraphSourceKind::Operation { operation, variables } => {
                    config["has_operation"] = true.into();
                    (config["operation"], config["variables"]) = (json!(operation), json!(variables));
                    "GraphQL"
                }
                GraphSourceKind::Events { input, processors } => {
                    (config["input"], config["processors"]) = (input.clone(), processors.clone());
                    "Stream"
                }
            };
            source.types.write(&mut config);
            if source.subscriptions.is_some() {
                SubscriptionProtocol::write(source.subscriptions, &mut config);
            }
            json!({"kind": kind, "name": source.name, "root_fields": roots, "config": config})
        };
        let field = |field: &GraphField| {
            json!({"type_name": field.kind, "field_name": field.field,
                "disable_default_mapping": field.whole, "path": field.path})
        };
        let header = |(name, value): &(Box<str>, Box<str>)| json!({"key": name, "value": value});
        json!({
            "data_sources": self.sources.iter().map(source).collect::<Vec<_>>(),
            "field_configs": self.fields.iter().map(field).collect::<Vec<_>>(),
            "global_headers": self.headers.iter().map(header).collect::<Vec<_>>(),
        })
    }
}

impl GraphSource {
    fn read(entry: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        let config = entry.section("config", faults);
        let mut roots = Vec::new();
        for root in entries(entry, "root_fields") {
            roots.push((root.text("type", faults).into(), root.texts("fields", faults)));
        }
        let named = config.section("headers", faults);
        let mut headers = Vec::new();
        for name in named.object.into_iter().flat_map(Map::keys) {
            super::check_name(name, &named, faults);
            headers.push((name.as_str().into(), named.text(name, faults).into()));
        }
        let url = config.text("url", faults);
        let (kind, usual) = match entry.text("kind", faults) {
            "REST" => {
                let mut query = Vec::new();
                for pair in entries(&config, "query") {
                    query.push((pair.text("name", faults).into(), pair.text("value", faults).into()));
                }
                let body = config.text("body", faults).into();
                (GraphSourceKind::Rest { query: query.into(), body }, "GET")
            }
            "GraphQL" if config.flag("has_operation", faults) => {
                let variables = config.section("variables", faults).object.cloned().unwrap_or_default();
                let operation = config.text("operation", faults).into();
                (GraphSourceKind::Operation { operation, variables }, "POST")
            }
            "GraphQL" => (GraphSourceKind::Graph, "POST"),
            "Kafka" => {
                let input = kafka(&config, entry.text("name", faults), faults);
                (GraphSourceKind::Events { input, processors: json!([]) }, "GET")
            }
            "Stream" => {
                let input = config.get("input").cloned().unwrap_or_default();
                let processors = config.get("processors").cloned().unwrap_or_else(|| json!([]));
                if !input.is_object() {
                    let text = "`input` is missing: what does the source read?";
                    faults.push(Fault::error(config.at("input"), text));
                    return None;
                }
                (GraphSourceKind::Events { input, processors }, "GET")
            }
            other => {
                let fault =
                    Fault::error(entry.at("kind"), format!("there is no source of the kind `{other}`"));
                faults.push(fault.hint("use `REST`, `GraphQL`, `Kafka` or `Stream`"));
                return None;
            }
        };
        if url.is_empty() && !matches!(kind, GraphSourceKind::Events { .. }) {
            faults.push(Fault::error(config.at("url"), "`url` is missing: where is the source?"));
            return None;
        }
        let method = match config.text("method", faults) {
            "" => usual.to_owned(),
            method => method.to_uppercase(),
        };
        let name = entry.text("name", faults);
        let name = if name.is_empty() { "unnamed" } else { name };
        Some(Self {
            at: entry.pointer.as_str().into(),
            name: name.into(),
            roots: roots.into(),
            url: url.into(),
            method: method.into(),
            headers: headers.into(),
            types: TypeNames::read(&config, faults),
            subscriptions: SubscriptionProtocol::read(&config, faults),
            kind,
        })
    }
}

/// How the consumers of a group share partitions, and what the input calls that.
const BALANCERS: &[(&str, &str)] = &[
    ("BalanceStrategyRange", "range"),
    ("BalanceStrategySticky", "cooperative_sticky"),
    ("BalanceStrategyRoundRobin", "round_robin"),
];
/// Which messages are read.
const ISOLATION: &[(&str, &str)] =
    &[("ReadUncommitted", "read_uncommitted"), ("ReadCommitted", "read_committed")];

/// What one of these names means; `None` where nothing is written.
fn chosen(
    config: &Section<'_>,
    key: &str,
    names: &'static [(&str, &str)],
    faults: &mut Vec<Fault>,
) -> Option<&'static str> {
    let name = config.text(key, faults);
    let found = names.iter().find(|(known, _)| *known == name).map(|(_, means)| *means);
    if found.is_none() && !name.is_empty() {
        let known: Vec<String> = names.iter().map(|(known, _)| format!("`{known}`")).collect();
        let fault = Fault::error(config.at(key), format!("`{key}` cannot be `{name}`"));
        faults.push(fault.hint(format!("use {} or nothing", known.join(", "))));
    }
    found
}

/// The input of a stream that reads topics.
fn kafka(config: &Section<'_>, name: &str, faults: &mut Vec<Fault>) -> Value {
    let group = match config.text("group_id", faults) {
        "" => format!("graphql-{name}"),
        group => group.to_owned(),
    };
    let mut input = json!({
        "addresses": config.texts("broker_addresses", faults),
        "topics": config.texts("topics", faults),
        "consumer_group": group,
        "start_from_oldest": !config.flag("start_consuming_latest", faults),
    });
    // Names that other clients have for them.
    if let Some(balancer) = chosen(config, "balance_strategy", BALANCERS, faults) {
        input["group"] = json!({"balancers": [balancer]});
    }
    if let Some(isolation) = chosen(config, "isolation_level", ISOLATION, faults) {
        input["transaction_isolation_level"] = isolation.into();
    }
    let client = config.text("client_id", faults);
    if !client.is_empty() {
        input["client_id"] = client.into();
    }
    let sasl = config.section("sasl", faults);
    if sasl.flag("enable", faults) {
        let (user, password) = (sasl.text("user", faults), sasl.text("password", faults));
        input["sasl"] = json!({"mechanism": "PLAIN", "user": user, "password": password});
    }
    json!({"kafka": input})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &Value) -> (GraphEngine, Vec<String>) {
        let mut faults = Vec::new();
        let root = Section::root(value, &mut faults);
        let read = GraphEngine::read(&root, &mut faults);
        (read, faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn c2_7_row_4_sources_are_read_and_written_again() {
        let value = json!({
            "field_configs": [{"type_name": "Query", "field_name": "a", "disable_default_mapping": true, "path": [""]}],
            "data_sources": [
                {"kind": "REST", "name": "r", "root_fields": [{"type": "Query", "fields": ["a"]}], "config": {
                    "url": "http://a/{{.arguments.id}}", "method": "post", "headers": {"X": "1"},
                    "query": [{"name": "q", "value": "v"}], "body": "{}"}},
                {"kind": "GraphQL", "name": "g", "root_fields": [{"type": "Query", "fields": ["b", "c"]}],
                    "config": {"url": "http://g/", "subscription_type": "graphql-transport-ws"}},
                {"kind": "GraphQL", "name": "o", "root_fields": [], "config": {"url": "tyk://g/", "has_operation": true,
                    "operation": "{ a }", "variables": {"x": 1}}},
                {"kind": "Stream", "name": "s", "root_fields": [], "config": {"input": {"generate": {"mapping": "root = 1"}}}},
            ],
            "global_headers": [{"key": "X-All", "value": "1"}],
        });
        let (read, faults) = of(&value);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!((&*read.sources[0].method, &*read.sources[1].method), ("POST", "POST"));
        assert_eq!(read.sources[1].subscriptions, Some(SubscriptionProtocol::Transport));
        assert!(read.fields[0].whole && read.fields[0].path.is_empty());
        let (again, faults) = of(&read.write());
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(again, read);
    }

    #[test]
    fn c2_7_row_8_topics_are_inputs_of_streams() {
        let value = json!({"data_sources": [{"kind": "Kafka", "name": "k", "root_fields": [], "config": {
            "broker_addresses": ["a:9092"], "topics": ["t"], "client_id": "c", "start_consuming_latest": true,
            "sasl": {"enable": true, "user": "u", "password": "p"}}}]});
        let (read, faults) = of(&value);
        assert!(faults.is_empty(), "{faults:?}");
        let GraphSourceKind::Events { input, .. } = &read.sources[0].kind else { panic!("{read:?}") };
        let expected = json!({"kafka": {
            "addresses": ["a:9092"], "topics": ["t"], "consumer_group": "graphql-k", "start_from_oldest": false,
            "client_id": "c", "sasl": {"mechanism": "PLAIN", "user": "u", "password": "p"}}});
        assert_eq!(*input, expected);
    }

    #[test]
    fn c2_7_consumers_share_topics_as_other_clients_call_it() {
        let with = |strategy: &str, isolation: &str| {
            let config = json!({"topics": ["t"], "balance_strategy": strategy, "isolation_level": isolation,
                "kafka_version": "V2_8_0_0"});
            let (read, faults) =
                of(&json!({"data_sources": [{"kind": "Kafka", "name": "k", "config": config}]}));
            let GraphSourceKind::Events { input, .. } = &read.sources[0].kind else { panic!("{read:?}") };
            (input["kafka"].clone(), faults)
        };
        for (name, means) in BALANCERS {
            let (input, faults) = with(name, "");
            assert!(faults.is_empty(), "{faults:?}");
            assert_eq!(input["group"], json!({"balancers": [means]}), "{name}");
            assert!(input.get("transaction_isolation_level").is_none());
        }
        for (name, means) in ISOLATION {
            let (input, faults) = with("", name);
            assert!(faults.is_empty() && input.get("group").is_none(), "{faults:?}");
            assert_eq!(input["transaction_isolation_level"], *means, "{name}");
        }
        let at = "/data_sources/0/config";
        let (_, faults) = with("range", "read_committed");
        assert_eq!(faults, [format!("{at}/balance_strategy"), format!("{at}/isolation_level")]);
    }

    #[test]
    fn c2_7_sources_that_cannot_be() {
        let value = json!({"data_sources": [
            {"kind": "Stream", "config": {}},
            {"kind": "Pigeon"},
            {"kind": "REST", "config": {}},
            {"kind": "REST", "config": {"url": "http://a/", "headers": {"a b": "1"}}},
        ]});
        let expected = [
            "/data_sources/0/config/input",
            "/data_sources/1/kind",
            "/data_sources/2/config/url",
            "/data_sources/3/config/headers/a b",
        ];
        assert_eq!(of(&value).1, expected);
    }
}
