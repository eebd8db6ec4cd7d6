//! Graphs out of parts that know each other's entities (contract 2.7, `supergraph`).

use super::SubscriptionProtocol;
use crate::Fields;
use crate::at_path::entries;
use crate::fields::{Field, acts, each, kept};
use crate::section::Section;
use document::Fault;
use serde_json::{Map, Value, json};

/// `supergraph`.
pub(crate) const FIELDS: &[Field] = &[
    kept("updated_at"),
    each(
        "subgraphs",
        &[
            acts("api_id"),
            acts("name"),
            acts("url"),
            acts("sdl"),
            acts("headers"),
            acts("subscription_type"),
            acts("sse_use_post"),
        ],
    ),
    acts("merged_sdl"),
    acts("global_headers"),
    acts("disable_query_batching"),
];

/// A supergraph.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SuperGraph {
    /// In the order written.
    pub parts: Box<[SubGraph]>,
    /// Sent with every call.
    pub headers: Fields,
    /// Each object is asked for by a call of its own.
    pub alone: bool,
}

/// A part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SubGraph {
    /// Its place in the definition.
    pub at: Box<str>,
    /// For errors.
    pub name: Box<str>,
    /// Whole; `tyk://` for an API of the gate.
    pub url: Box<str>,
    /// In the definition language.
    pub sdl: Box<str>,
    /// Sent with a call.
    pub headers: Fields,
    /// How it is asked for events; `None`: over a WebSocket, in the protocol that it chooses.
    pub subscriptions: Option<SubscriptionProtocol>,
}

impl SuperGraph {
    pub(crate) fn read(at: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let mut parts = Vec::new();
        for entry in entries(at, "subgraphs") {
            let (id, name, url) =
                (entry.text("api_id", faults), entry.text("name", faults), entry.text("url", faults));
            let url = match (url, id) {
                ("", "") => {
                    faults.push(Fault::error(entry.at("url"), "`url` is missing: where is the part?"));
                    continue;
                }
                ("", id) => format!("tyk://{id}/"),
                (url, _) => url.to_owned(),
            };
            let sdl = entry.text("sdl", faults);
            if sdl.trim().is_empty() {
                let text = "`sdl` is missing: what can the part be asked for?";
                faults.push(Fault::error(entry.at("sdl"), text));
                continue;
            }
            parts.push(SubGraph {
                at: entry.pointer.as_str().into(),
                name: if name.is_empty() { url.as_str().into() } else { name.into() },
                url: url.into(),
                sdl: sdl.into(),
                headers: headers(&entry, "headers", faults),
                subscriptions: SubscriptionProtocol::read(&entry, faults),
            });
        }
        if parts.is_empty() {
            faults.push(Fault::error(at.at("subgraphs"), "a supergraph needs parts"));
        }
        Self {
            parts: parts.into(),
            headers: headers(at, "global_headers", faults),
            alone: at.flag("disable_query_batching", faults),
        }
    }

    pub(crate) fn write(&self) -> Value {
        let map = |fields: &Fields| -> Map<String, Value> {
            fields.iter().map(|(name, value)| (name.to_string(), Value::from(&**value))).collect()
        };
        let part = |part: &SubGraph| {
            let mut written =
                json!({"name": part.name, "url": part.url, "sdl": part.sdl, "headers": map(&part.headers)});
            SubscriptionProtocol::write(part.subscriptions, &mut written);
            written
        };
        json!({
            "subgraphs": self.parts.iter().map(part).collect::<Vec<_>>(),
            "global_headers": map(&self.headers),
            "disable_query_batching": self.alone,
        })
    }
}

fn headers(at: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Fields {
    let named = at.section(key, faults);
    let mut headers = Vec::new();
    for name in named.object.into_iter().flat_map(Map::keys) {
        super::check_name(name, &named, faults);
        headers.push((name.as_str().into(), named.text(name, faults).into()));
    }
    headers.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c2_7_row_6_parts_are_read_and_written_again() {
        let value = json!({"subgraphs": [
            {"api_id": "a", "name": "one", "sdl": "type Query { a: Int }", "headers": {"X-A": "1"}},
            {"url": "http://b/", "sdl": "type Query { b: Int }", "subscription_type": "sse", "sse_use_post": true},
        ], "global_headers": {"X-All": "2"}, "disable_query_batching": true});
        let read = |value: &Value| {
            let mut faults = Vec::new();
            let root = Section::root(value, &mut faults);
            let read = SuperGraph::read(&root, &mut faults);
            (read, faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>())
        };
        let (first, faults) = read(&value);
        assert!(faults.is_empty() && first.alone, "{faults:?}");
        assert_eq!((&*first.parts[0].url, &*first.parts[1].name), ("tyk://a/", "http://b/"));
        let (again, _) = read(&first.write());
        assert_eq!(again.parts.len(), 2);
        assert_eq!((&again.headers, again.alone), (&first.headers, first.alone));
        let asked =
            |graph: &SuperGraph| graph.parts.iter().map(|part| part.subscriptions).collect::<Vec<_>>();
        assert_eq!(asked(&first), [None, Some(SubscriptionProtocol::Events { post: true })]);
        assert_eq!(asked(&again), asked(&first));
        let bad = json!({"subgraphs": [{"sdl": "x"}, {"url": "http://a/"},
            {"url": "http://a/", "sdl": "x", "subscription_type": "mail"}], "global_headers": {"a b": "1"}});
        let places =
            ["/subgraphs/0/url", "/subgraphs/1/sdl", "/subgraphs/2/subscription_type", "/global_headers/a b"];
        assert_eq!(read(&bad).1, places);
    }
}
