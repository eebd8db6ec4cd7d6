//! GraphQL (contract 2.7): `graphql` of a classic definition, and the same below `x-sluicegate` in both formats.

mod engine;
mod first;
mod persisted;
mod supergraph;

pub use engine::{GraphEngine, GraphField, GraphSource, GraphSourceKind, TypeNames};
pub use persisted::PersistedOperation;
pub(crate) use persisted::{PERSISTED, persisted, write_persisted};
pub use supergraph::{SubGraph, SuperGraph};

use crate::Fields;
use crate::at_path::entries;
use crate::fields::{Field, acts, each, kept, section};
use crate::limits::OWN;
use crate::section::Section;
use document::{Fault, pointer_join};
use serde_json::{Map, Value, json};

/// `graphql`.
pub(crate) const FIELDS: &[Field] = &[
    acts("enabled"),
    acts("execution_mode"),
    acts("version"),
    acts("schema"),
    kept("last_schema_update"),
    each(first::KEY, first::FIELDS),
    section("playground", &[acts("enabled"), acts("path")]),
    section("engine", engine::FIELDS),
    section(
        "proxy",
        &[
            section("features", &[acts("use_immutable_headers")]),
            acts("auth_headers"),
            acts("subscription_type"),
            acts("sse_use_post"),
            acts("request_headers"),
            section("use_response_extensions", &[acts("on_error_forwarding")]),
            acts("request_headers_rewrite"),
        ],
    ),
    section("subgraph", &[acts("sdl")]),
    section("supergraph", supergraph::FIELDS),
    section("introspection", &[acts("disabled")]),
];

/// The same in our extension, with limits.
pub(crate) const OWN_FIELDS: &[Field] = &[
    acts("enabled"),
    acts("execution_mode"),
    acts("schema"),
    section("playground", &[acts("enabled"), acts("path")]),
    section("engine", engine::FIELDS),
    section(
        "proxy",
        &[
            section("features", &[acts("use_immutable_headers")]),
            acts("auth_headers"),
            acts("subscription_type"),
            acts("sse_use_post"),
            acts("request_headers"),
            section("use_response_extensions", &[acts("on_error_forwarding")]),
            acts("request_headers_rewrite"),
        ],
    ),
    section("subgraph", &[acts("sdl")]),
    section("supergraph", supergraph::FIELDS),
    section("introspection", &[acts("disabled")]),
    section(
        "limits",
        &[acts("depth"), acts("fields"), acts("aliases"), acts("tokens"), acts("nesting"), acts("bytes")],
    ),
];

/// How an API serves GraphQL.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphQl {
    /// Whether the upstream is a part of a larger graph, which is asked for entities, too.
    pub subgraph: bool,
    /// In the definition language.
    pub schema: Box<str>,
    /// Pointer of the text of the schema.
    pub at: Box<str>,
    /// Below the listen path, where people may try queries.
    pub playground: Option<Box<str>>,
    /// Where its data come from, if not from an upstream.
    pub engine: Option<GraphEngine>,
    /// The parts that it consists of, if it is not served by an upstream.
    pub supergraph: Option<SuperGraph>,
    /// Nobody may ask for the schema.
    pub no_introspection: bool,
    /// What requests to the upstream get.
    pub forwarding: Forwarding,
    /// How the upstream is asked for events, if not in what the client speaks.
    pub subscriptions: Option<SubscriptionProtocol>,
    /// Clients are told what sources say of errors beside their message; an upstream's answers are passed on as they are.
    pub error_extensions: bool,
    /// Limits of one request; `None` = the gate's own.
    pub limits: GraphQlLimits,
}

/// A protocol of subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionProtocol {
    /// `graphql-ws`, the older one.
    Old,
    /// `graphql-transport-ws`.
    Transport,
    /// Requests that are answered by server-sent events.
    Events {
        /// They are sent by POST, and not by GET.
        post: bool,
    },
}

/// Header fields of requests to an upstream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Forwarding {
    /// They are set.
    pub set: Fields,
    /// Clients cannot change what is set.
    pub immutable: bool,
    /// What becomes of fields of clients.
    pub rewrites: Box<[HeaderRewrite]>,
}

/// What becomes of one header field.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderRewrite {
    /// Name.
    pub name: Box<str>,
    /// It gets this …
    pub value: Box<str>,
    /// … or goes.
    pub remove: bool,
}

/// Limits of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GraphQlLimits {
    /// Levels of fields.
    pub depth: Option<u64>,
    /// Fields that an operation selects, its fragments put in.
    pub fields: Option<u64>,
    /// Fields under another name.
    pub aliases: Option<u64>,
    /// Tokens of the query.
    pub tokens: Option<u64>,
    /// Levels of braces.
    pub nesting: Option<u64>,
    /// Bytes of the query.
    pub bytes: Option<u64>,
}

const MODES: &str = "use `proxyOnly`, `executionEngine`, `subgraph` or `supergraph`";

/// Sources of version 1 in the words of version 2; `None` where they are not meant.
pub(crate) fn engine_of_first(graph: &Value) -> Option<Value> {
    let mut ignored = Vec::new();
    let at = Section::root(graph, &mut ignored);
    first::is_meant(&at, &mut ignored).then(|| first::read(&at, &mut ignored).write())
}

/// What a definition says of GraphQL; `None` where it is off.
pub(crate) fn read(root: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Box<GraphQl>> {
    let own = root.section(OWN, faults).section("graphql", faults);
    let classic = root.section("graphql", faults);
    let on = |section: &Section<'_>, faults: &mut Vec<Fault>| section.flag("enabled", faults);
    let (first, second) = (on(&classic, faults), on(&own, faults));
    if first && second {
        let text = "GraphQL is defined twice: keep `graphql` or the one of the extension";
        faults.push(Fault::error(own.at("enabled"), text));
        return None;
    }
    let at = match (first, second) {
        (true, _) => &classic,
        (_, true) => &own,
        _ => return None,
    };
    let (subgraph, engine) = match at.text("execution_mode", faults) {
        "" | "proxyOnly" => (false, None),
        "subgraph" => (true, None),
        "executionEngine" => {
            let engine = at.section("engine", faults);
            if first && first::is_meant(at, faults) {
                (false, Some(first::read(at, faults)))
            } else {
                first::refuse(at, &engine, faults);
                (false, Some(GraphEngine::read(&engine, faults)))
            }
        }
        "supergraph" => (false, None),
        other => {
            let fault = Fault::error(at.at("execution_mode"), format!("there is no mode `{other}`"));
            faults.push(fault.hint(MODES));
            return None;
        }
    };
    let parts = at.section("supergraph", faults);
    let federated = at.text("execution_mode", faults) == "supergraph";
    let supergraph = federated.then(|| SuperGraph::read(&parts, faults));
    let (schema, place) = match (at.text("schema", faults), at.section("subgraph", faults)) {
        ("", part) if subgraph => (part.text("sdl", faults), part.at("sdl")),
        // What the parts were put together to; without either they are put together here.
        (_, _) if federated && !parts.text("merged_sdl", faults).is_empty() => {
            (parts.text("merged_sdl", faults), parts.at("merged_sdl"))
        }
        (schema, _) => (schema, at.at("schema")),
    };
    let playground = at.section("playground", faults);
    let playground = playground.flag("enabled", faults).then(|| match playground.text("path", faults) {
        "" => "/playground".into(),
        path => format!("/{}", path.trim_matches('/')).into(),
    });
    let proxy = at.section("proxy", faults);
    let subscriptions = SubscriptionProtocol::read(&proxy, faults);
    Some(Box::new(GraphQl {
        subgraph,
        engine,
        supergraph,
        schema: schema.into(),
        at: place.into(),
        playground,
        no_introspection: at.section("introspection", faults).flag("disabled", faults),
        forwarding: Forwarding::read(&proxy, faults),
        subscriptions,
        error_extensions: proxy
            .section("use_response_extensions", faults)
            .flag("on_error_forwarding", faults),
        limits: limits(&own.section("limits", faults), faults),
    }))
}

impl SubscriptionProtocol {
    /// `subscription_type` and `sse_use_post` of a section.
    fn read(at: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        match at.text("subscription_type", faults) {
            "" => None,
            "graphql-ws" => Some(Self::Old),
            "graphql-transport-ws" => Some(Self::Transport),
            "sse" => Some(Self::Events { post: at.flag("sse_use_post", faults) }),
            other => {
                let fault =
                    Fault::error(at.at("subscription_type"), format!("there is no protocol `{other}`"));
                faults.push(fault.hint("use `graphql-ws`, `graphql-transport-ws`, `sse` or nothing"));
                None
            }
        }
    }

    fn write(all: Option<Self>, section: &mut Value) {
        section["subscription_type"] = match all {
            None => "",
            Some(Self::Old) => "graphql-ws",
            Some(Self::Transport) => "graphql-transport-ws",
            Some(Self::Events { .. }) => "sse",
        }
        .into();
        section["sse_use_post"] = matches!(all, Some(Self::Events { post: true })).into();
    }
}

impl GraphQl {
    /// Whether its data come from elsewhere than from the upstream of the API.
    pub(crate) fn gathers(&self) -> bool {
        self.engine.is_some() || self.supergraph.is_some()
    }
}

impl Forwarding {
    fn read(proxy: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let mut set = Vec::new();
        for key in ["auth_headers", "request_headers"] {
            let named = proxy.section(key, faults);
            for name in named.object.into_iter().flat_map(Map::keys) {
                let value = named.text(name, faults);
                check_name(name, &named, faults);
                set.push((name.as_str().into(), value.into()));
            }
        }
        let named = proxy.section("request_headers_rewrite", faults);
        let mut rewrites = Vec::new();
        for name in named.object.into_iter().flat_map(Map::keys) {
            let one = named.section(name, faults);
            check_name(name, &named, faults);
            rewrites.push(HeaderRewrite {
                name: name.as_str().into(),
                value: one.text("value", faults).into(),
                remove: one.flag("remove", faults),
            });
        }
        Self {
            set: set.into(),
            immutable: proxy.section("features", faults).flag("use_immutable_headers", faults),
            rewrites: rewrites.into(),
        }
    }
}

fn check_name(name: &str, named: &Section<'_>, faults: &mut Vec<Fault>) {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(fits) {
        faults.push(Fault::error(named.at(name), format!("`{name}` is no name of a header")));
    }
}

fn limits(at: &Section<'_>, faults: &mut Vec<Fault>) -> GraphQlLimits {
    let mut number = |key: &str| {
        at.get(key)?;
        let number = at.number(key, faults);
        if number < 1.0 || number.fract() != 0.0 || number > f64::from(u32::MAX) {
            faults.push(Fault::error(at.at(key), format!("`{key}` must be a whole number above 0")));
            return None;
        }
        Some(number as u64)
    };
    GraphQlLimits {
        depth: number("depth"),
        fields: number("fields"),
        aliases: number("aliases"),
        tokens: number("tokens"),
        nesting: number("nesting"),
        bytes: number("bytes"),
    }
}

/// What a classic definition is to say, below `graphql` and our extension.
pub(crate) fn write(graphql: &GraphQl, definition: &mut Value) {
    let map = |fields: &Fields| -> Map<String, Value> {
        fields.iter().map(|(name, value)| (name.to_string(), Value::from(&**value))).collect()
    };
    let rewrites: Map<String, Value> = graphql
        .forwarding
        .rewrites
        .iter()
        .map(|one| (one.name.to_string(), json!({"value": one.value, "remove": one.remove})))
        .collect();
    let mode = match (&graphql.engine, graphql.subgraph) {
        _ if graphql.supergraph.is_some() => "supergraph",
        (Some(_), _) => "executionEngine",
        (None, true) => "subgraph",
        (None, false) => "proxyOnly",
    };
    definition["graphql"] = json!({
        "enabled": true,
        "execution_mode": mode,
        "version": "2",
        "schema": graphql.schema,
        "playground": {"enabled": graphql.playground.is_some(), "path": graphql.playground.as_deref().unwrap_or_default()},
        "proxy": {
            "features": {"use_immutable_headers": graphql.forwarding.immutable},
            "request_headers": map(&graphql.forwarding.set),
            "request_headers_rewrite": rewrites,
            "use_response_extensions": {"on_error_forwarding": graphql.error_extensions},
        },
        "introspection": {"disabled": graphql.no_introspection},
    });
    SubscriptionProtocol::write(graphql.subscriptions, &mut definition["graphql"]["proxy"]);
    if let Some(engine) = &graphql.engine {
        definition["graphql"]["engine"] = engine.write();
    }
    if let Some(supergraph) = &graphql.supergraph {
        definition["graphql"]["supergraph"] = supergraph.write();
    }
    let limits = graphql.limits;
    let numbers = [
        ("depth", limits.depth),
        ("fields", limits.fields),
        ("aliases", limits.aliases),
        ("tokens", limits.tokens),
        ("nesting", limits.nesting),
        ("bytes", limits.bytes),
    ];
    for (key, number) in numbers {
        if let Some(number) = number {
            definition[OWN]["graphql"]["limits"][key] = number.into();
        }
    }
}

/// GraphQL data sources have names of their own, whatever their case and spaces (contract 2.8).
pub(crate) fn data_sources(graphql: &Section<'_>, faults: &mut Vec<Fault>) {
    let engine = graphql.section("engine", faults);
    let mut seen = std::collections::HashSet::new();
    for (index, source) in entries(&engine, "data_sources").enumerate() {
        let name = source.get("name").and_then(Value::as_str).unwrap_or_default();
        let name: String = name.to_lowercase().split_whitespace().collect();
        if !seen.insert(name) {
            let at = pointer_join(&engine.at("data_sources"), &index.to_string());
            faults.push(Fault::error(at, "duplicate data source names are not allowed"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(root: &Value) -> (Option<Box<GraphQl>>, Vec<String>) {
        let mut faults = Vec::new();
        let read = read(&Section::root(root, &mut faults), &mut faults);
        (read, faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn c10_the_version_says_which_sources_count() {
        let graph = |mode: &str, version: Value, sources: Value| {
            json!({"graphql": {
                "enabled": true, "execution_mode": mode, "schema": "type Query { a: Int }", "version": version,
                "type_field_configurations": [{"type_name": "Query", "field_name": "a",
                    "data_source": {"kind": "HTTPJSONDataSource", "data_source_config": {"url": "http://first/"}}}],
                "engine": {"data_sources": sources},
            }})
        };
        let rest = json!([{"kind": "REST", "name": "r", "root_fields": [{"type": "Query", "fields": ["a"]}],
            "config": {"url": "http://second/", "method": "GET"}}]);
        let refused = &["/graphql/type_field_configurations"][..];
        for (mode, version, sources, url, expected) in [
            ("executionEngine", json!("1"), json!([]), Some("http://first/"), &[][..]),
            ("executionEngine", json!(null), rest.clone(), Some("http://first/"), &[]),
            ("executionEngine", json!("2"), rest, Some("http://second/"), &[]),
            ("executionEngine", json!("2"), json!([]), None, refused),
            // Dashboards leave them there.
            ("proxyOnly", json!("2"), json!([]), None, &[]),
        ] {
            let (read, places) = of(&graph(mode, version.clone(), sources));
            assert_eq!(places, expected, "{mode} {version}");
            let engine = read.and_then(|read| read.engine);
            let first = engine.as_ref().and_then(|engine| engine.sources.first());
            assert_eq!(first.map(|source| &*source.url), url, "{mode} {version}");
        }
    }

    #[test]
    fn c2_7_row_1_what_is_on_is_read_and_written_again() {
        let root = json!({
            "graphql": {
                "enabled": true, "execution_mode": "proxyOnly", "schema": "type Query { a: Int }",
                "playground": {"enabled": true, "path": "try/"}, "introspection": {"disabled": true},
                "proxy": {
                    "features": {"use_immutable_headers": true}, "subscription_type": "graphql-ws",
                    "use_response_extensions": {"on_error_forwarding": true},
                    "auth_headers": {"X-Key": "k"}, "request_headers": {"X-A": "1"},
                    "request_headers_rewrite": {"X-B": {"value": "2", "remove": true}},
                },
            },
            "x-sluicegate": {"graphql": {"limits": {"depth": 7, "bytes": 1000}}},
        });
        let (read, faults) = of(&root);
        let read = read.unwrap();
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(
            (read.playground.as_deref(), read.no_introspection, read.subgraph),
            (Some("/try"), true, false)
        );
        assert_eq!(read.subscriptions, Some(SubscriptionProtocol::Old));
        assert!(read.error_extensions);
        assert_eq!((read.limits.depth, read.limits.bytes, read.limits.fields), (Some(7), Some(1000), None));
        assert_eq!(read.forwarding.set.len(), 2);
        let mut written = json!({});
        write(&read, &mut written);
        let (again, faults) = of(&written);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(again, Some(read));
    }

    #[test]
    fn c2_7_upstreams_that_send_events() {
        for post in [false, true] {
            let proxy = json!({"subscription_type": "sse", "sse_use_post": post});
            let (read, faults) = of(&json!({"graphql": {"enabled": true, "proxy": proxy}}));
            let read = read.unwrap();
            assert!(faults.is_empty(), "{faults:?}");
            assert_eq!(read.subscriptions, Some(SubscriptionProtocol::Events { post }));
            let mut written = json!({});
            write(&read, &mut written);
            assert_eq!(of(&written).0, Some(read));
        }
    }

    #[test]
    fn c2_7_what_cannot_be_is_told_with_its_place() {
        for (root, places) in [
            (json!({}), &[][..]),
            (json!({"graphql": {"enabled": false, "execution_mode": "strange"}}), &[]),
            (
                json!({"graphql": {"enabled": true, "execution_mode": "strange"}}),
                &["/graphql/execution_mode"],
            ),
            (
                json!({"graphql": {"enabled": true, "execution_mode": "supergraph"}}),
                &["/graphql/supergraph/subgraphs"],
            ),
            (
                json!({"graphql": {"enabled": true, "proxy": {"subscription_type": "carrier-pigeon"}}}),
                &["/graphql/proxy/subscription_type"],
            ),
            (
                json!({"graphql": {"enabled": true, "proxy": {"request_headers": {"a b": "1"}}}}),
                &["/graphql/proxy/request_headers/a b"],
            ),
            (
                json!({"graphql": {"enabled": true}, "x-sluicegate": {"graphql": {"enabled": true}}}),
                &["/x-sluicegate/graphql/enabled"],
            ),
            (
                json!({"x-sluicegate": {"graphql": {"enabled": true, "limits": {"depth": 0, "fields": 1.5}}}}),
                &["/x-sluicegate/graphql/limits/depth", "/x-sluicegate/graphql/limits/fields"],
            ),
        ] {
            assert_eq!(of(&root).1, places, "{root}");
        }
    }
}
