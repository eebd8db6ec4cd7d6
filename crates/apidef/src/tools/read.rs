//! `x-tyk-mcp-server`, and the address that makes tools of an API.

use super::names::{NO_NAME, is_name};
use super::{ToolArgument, ToolEntry, ToolHints, ToolOperation, ToolSource};
use crate::at_path::entries;
use crate::fields::{Field, acts, each, in_use, kept, section};
use crate::section::Section;
use crate::{Backend, Target, Upstream};
use document::Fault;
use serde_json::Value;

/// What is said of tools, beside the extension that makes a document a definition.
pub(crate) const EXTENSION: &str = "x-tyk-mcp-server";

pub(crate) const FIELDS: &[Field] = &[each("primitives", ENTRY)];

const ENTRY: &[Field] = &[
    section("source", &[acts("operationId"), acts("path"), acts("method")]),
    acts("name"),
    acts("allow"),
    acts("description"),
    section(
        "annotations",
        &[
            acts("title"),
            acts("readOnlyHint"),
            acts("destructiveHint"),
            acts("idempotentHint"),
            acts("openWorldHint"),
        ],
    ),
    each("parameters", &[acts("param"), acts("name"), acts("description")]),
    // What is told where a document is asked for with all that its tools are, and never read.
    kept("inputSchema"),
    kept("outputSchema"),
    kept("parameterLocations"),
    kept("parameterSourceNames"),
    kept("parameterSerializations"),
    kept("parameterOrder"),
    kept("requestBodyContentType"),
];

/// The path that stands for the tools of an API.
const PATH: &str = "/mcp";
/// What stands behind its id where the API has such a path itself.
const SUFFIX: &str = "__mcp-server";

/// The API that an address makes tools of, and whether it says so with a name of its own.
fn adapted(url: &str) -> Option<(&str, bool)> {
    let inner = Target::inner(url).ok()?;
    if inner.query.is_some() {
        return None;
    }
    match inner.name.strip_suffix(SUFFIX) {
        Some(api) if !api.is_empty() && &*inner.path == "/" => Some((api, true)),
        _ if inner.path.trim_end_matches('/') == PATH => Some((inner.name, false)),
        _ => None,
    }
}

impl ToolSource {
    /// What a document says of tools that its API makes of another one. `url`: where its address stands.
    pub(crate) fn read(
        root: &Section<'_>,
        mcp: bool,
        backend: Option<&Backend>,
        url: String,
        faults: &mut Vec<Fault>,
    ) -> Option<Box<Self>> {
        let said = root.get(EXTENSION).is_some();
        let inner = match backend {
            Some(Backend::Upstream(Upstream { inner: Some(inner), .. })) if mcp => Some(&**inner),
            _ => None,
        };
        let Some((api, apart)) = inner.and_then(adapted) else {
            if said {
                let text =
                    format!("{EXTENSION} is valid only for MCP proxies targeting a REST-as-MCP adapter");
                let fault = Fault::error(root.at(EXTENSION), text).on_key();
                faults.push(fault.hint(
                    "write `tyk://<id of the API>/mcp` as `upstream.url`, or take this out where a server speaks MCP",
                ));
            }
            return None;
        };
        if api.eq_ignore_ascii_case("self") {
            faults.push(Fault::error(
                url,
                "an API cannot make tools of itself: name the API that they are made of",
            ));
            return None;
        }
        let entries = read_entries(&root.section(EXTENSION, faults), faults);
        Some(Box::new(Self { api: api.into(), certain: said || apart, apart, entries, at: url.into() }))
    }

    /// Whether only those operations are tools that are said to be.
    pub(crate) fn is_list(&self) -> bool {
        self.entries.iter().any(|entry| entry.allowed)
    }
}

impl ToolEntry {
    /// What it stands in stands in something else.
    pub(crate) fn moved(&mut self, within: &str) {
        let arguments = self.arguments.iter_mut().map(|argument| &mut argument.at);
        for at in arguments.chain([&mut self.at]) {
            at.0 = format!("{within}{}", at.0).into();
        }
    }
}

fn read_entries(extension: &Section<'_>, faults: &mut Vec<Fault>) -> Box<[ToolEntry]> {
    if extension.get("primitives").is_some_and(|list| !list.is_array()) {
        faults.push(Fault::error(extension.at("primitives"), "`primitives` must be an array"));
    }
    let all: Vec<ToolEntry> =
        entries(extension, "primitives").filter_map(|entry| read_entry(&entry, faults)).collect();
    for (index, entry) in all.iter().enumerate() {
        if all[..index].iter().any(|other| other.operation == entry.operation) {
            let text = "there is an entry for this operation already";
            faults.push(Fault::error(format!("{}/source", entry.at.0), text));
        }
    }
    let list = all.iter().any(|entry| entry.allowed);
    let told = || all.iter().filter(|entry| !list || entry.allowed);
    for (index, entry) in told().enumerate() {
        if let Some(name) = &entry.name
            && told().take(index).any(|other| other.name.as_ref() == Some(name))
        {
            faults.push(Fault::error(format!("{}/name", entry.at.0), duplicate(name)));
        }
    }
    all.into()
}

/// What is said of a name that two tools have.
pub(super) fn duplicate(name: &str) -> String {
    format!("duplicate tool name \"{name}\"")
}

fn read_entry(entry: &Section<'_>, faults: &mut Vec<Fault>) -> Option<ToolEntry> {
    let operation = operation(&entry.section("source", faults), faults);
    let name = text(entry, "name", faults);
    if let Some(name) = name.as_deref().filter(|name| !is_name(name)) {
        faults.push(Fault::error(entry.at("name"), format!("`{name}` is no name of a tool: {NO_NAME}")));
    }
    let hints = entry.section("annotations", faults);
    let mut hint = |key: &str| {
        let flag = hints.flag(key, faults);
        hints.get(key).and_then(Value::as_bool).map(|_| flag)
    };
    let [read_only, destructive, idempotent, open_world] =
        ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"].map(&mut hint);
    let title = text(&hints, "title", faults);
    Some(ToolEntry {
        operation: operation?,
        name,
        description: text(entry, "description", faults),
        hints: ToolHints { title, read_only, destructive, idempotent, open_world },
        arguments: arguments(entry, faults),
        allowed: entry.flag("allow", faults),
        at: entry.pointer.clone().into(),
    })
}

/// A text that says nothing where it is empty.
fn text(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<Box<str>> {
    Some(holder.text(key, faults)).filter(|text| !text.is_empty()).map(Into::into)
}

fn operation(source: &Section<'_>, faults: &mut Vec<Fault>) -> Option<ToolOperation> {
    let [id, method, path] = ["operationId", "method", "path"].map(|key| source.text(key, faults));
    if !id.is_empty() {
        for key in ["method", "path"] {
            if source.get(key).is_some_and(in_use) {
                let text = format!("`{key}` has no effect: `operationId` says which operation is meant");
                faults.push(Fault::warning(source.at(key), text).on_key());
            }
        }
        return Some(ToolOperation::Id(id.into()));
    }
    if method.is_empty() || path.is_empty() {
        let fault = Fault::error(source.pointer.clone(), "which operation of the API is this about?");
        faults
            .push(fault.hint("write its `operationId`, or its `method` and `path` as its document has them"));
        return None;
    }
    Some(ToolOperation::Place(method.to_ascii_uppercase().into(), path.into()))
}

fn arguments(entry: &Section<'_>, faults: &mut Vec<Fault>) -> Box<[ToolArgument]> {
    let mut all: Vec<ToolArgument> = Vec::new();
    for argument in entries(entry, "parameters") {
        let of = argument.text("param", faults);
        let name = text(&argument, "name", faults);
        let description = text(&argument, "description", faults);
        if of.is_empty() {
            faults
                .push(Fault::error(argument.at("param"), "which parameter of the operation is this about?"));
            continue;
        }
        if all.iter().any(|other| &*other.of == of) {
            faults.push(Fault::error(argument.at("param"), format!("there is an entry for `{of}` already")));
        }
        if let Some(name) = &name
            && all.iter().any(|other| other.name.as_ref() == Some(name))
        {
            faults.push(Fault::error(argument.at("name"), format!("two parameters are called `{name}`")));
        }
        all.push(ToolArgument { of: of.into(), name, description, at: argument.pointer.clone().into() });
    }
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_make_tools() {
        for (url, expected) in [
            ("tyk://orders/mcp", Some(("orders", false))),
            ("TYK://orders/mcp/", Some(("orders", false))),
            ("tyk://orders__mcp-server", Some(("orders", true))),
            ("tyk://orders__mcp-server/", Some(("orders", true))),
            ("tyk://orders__mcp-server/mcp", Some(("orders__mcp-server", false))),
            ("tyk://orders", None),
            ("tyk://orders/mcp/x", None),
            ("tyk://orders/mcp?method=GET", None),
            ("tyk://__mcp-server", None),
            ("http://orders/mcp", None),
        ] {
            assert_eq!(adapted(url), expected, "{url}");
        }
    }
}
