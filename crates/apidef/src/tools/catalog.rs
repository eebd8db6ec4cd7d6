//! The catalog: the tools that an OpenAPI document gives, and what a definition says of them.

use super::arguments::{asked, essence, is_json, members};
use super::names::{NO_NAME, is_name, of_place};
use super::paths::normal;
use super::read::duplicate;
use super::shown::Shown;
use super::{Place, Tool, ToolEntry, ToolHints, ToolOperation, ToolSource};
use crate::at_path::id_of_place;
use crate::fields::in_use;
use crate::oas::{EXTENSION, Written, operations, resolve};
use crate::section::Section;
use document::Fault;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Tools of one API at most.
const MOST: usize = 2000;

/// The tools that the OpenAPI document of an API gives, in its order; their faults are at places of the definition that asks
/// for them. Those that refuse nothing are told beside them.
///
/// # Errors
/// An operation that is named is not there, two tools or two arguments have one name, and the like.
pub fn catalog(document: &Value, wanted: &ToolSource) -> Result<(Vec<Tool>, Vec<Fault>), Vec<Fault>> {
    let root = Section { object: document.as_object(), pointer: String::new() };
    let mut faults = Vec::new();
    let path = "/mcp";
    if !wanted.apart && document.get("paths").and_then(|paths| paths.get(path)).is_some() {
        let text =
            format!("the API `{}` has a path `{path}` itself, which this is the address of", wanted.api);
        let hint = format!("write `tyk://{}__mcp-server` for tools made of it", wanted.api);
        faults.push(Fault::error(&*wanted.at.0, text).hint(hint));
    }
    let all: Vec<Written<'_>> = operations(&root).filter(|operation| operation.method != "trace").collect();
    let entries = entries(wanted, &all, &mut faults);
    let doors = Doors::of(&root);
    let beside = Beside::of(&all);
    let mut found: Vec<(Written<'_>, Option<usize>)> = Vec::new();
    for operation in all {
        let entry =
            entries.iter().find(|(_, at)| at.as_deref() == Some(&*operation.pointer)).map(|(at, _)| *at);
        let allowed = entry.is_some_and(|entry| wanted.entries[entry].allowed);
        match doors.door(&operation) {
            _ if wanted.is_list() && !allowed => {}
            Door::Closed => {
                if let Some(entry) = entry.filter(|_| allowed) {
                    let text = "the API closes this operation (`allow`, `block`), so that it is no tool";
                    let at = &wanted.entries[entry].at.0;
                    faults.push(Fault::warning(format!("{at}/allow"), text).on_key());
                }
            }
            // What is there for the gate alone is shown to nobody who is not meant.
            Door::Inner if !allowed => {}
            Door::Inner | Door::Open => found.push((operation, entry)),
        }
    }
    if found.len() > MOST {
        let text = format!(
            "the API `{}` has {} operations, and an API of MCP at most {MOST} tools",
            wanted.api,
            found.len()
        );
        faults.push(
            Fault::error(&*wanted.at.0, text).hint("say `\"allow\": true` of those that are to be tools"),
        );
        return Err(faults);
    }
    let names = names(wanted, &found, &mut faults);
    let mut tools = Vec::with_capacity(found.len());
    for ((operation, entry), name) in found.iter().zip(names) {
        let said = entry.map(|entry| &wanted.entries[entry]);
        match tool(&root, operation, said, name, &wanted.at.0, doors.checks(operation)) {
            Ok(tool) => tools.push(Tool {
                entry: *entry,
                beside: beside.to(&tool),
                inner: doors.door(operation) == Door::Inner,
                ..tool
            }),
            Err(found) => faults.extend(found),
        }
    }
    match faults.iter().any(Fault::is_error) {
        true => Err(faults),
        false => Ok((tools, faults)),
    }
}

/// The paths of all operations, by method.
struct Beside<'v>(HashMap<&'v str, Arc<[Box<str>]>>);

impl<'v> Beside<'v> {
    fn of(all: &[Written<'v>]) -> Self {
        let mut paths: HashMap<&str, Vec<Box<str>>> = HashMap::new();
        for operation in all {
            // One that cannot be read in one way is that of no request that is let through.
            let Some(path) = normal(operation.path) else { continue };
            paths.entry(operation.method).or_default().push(path.clone());
            // Who asks for a head gets that of the answer to GET.
            if operation.method == "get" {
                paths.entry("head").or_default().push(path);
            }
        }
        Self(paths.into_iter().map(|(method, paths)| (method, paths.into())).collect())
    }

    /// Those that a tool might be filled in to.
    fn to(&self, tool: &Tool) -> Arc<[Box<str>]> {
        let is_filled = tool.arguments.iter().any(|argument| argument.place == Place::Path);
        let paths = self.0.get(&*tool.method.to_ascii_lowercase()).filter(|_| is_filled);
        paths.map(Arc::clone).unwrap_or_default()
    }
}

/// The entries with the places of the operations that they are about.
fn entries(
    wanted: &ToolSource,
    all: &[Written<'_>],
    faults: &mut Vec<Fault>,
) -> Vec<(usize, Option<String>)> {
    let mut found: Vec<(usize, Option<String>)> = Vec::with_capacity(wanted.entries.len());
    for (index, entry) in wanted.entries.iter().enumerate() {
        let about = |operation: &&Written<'_>| match &entry.operation {
            ToolOperation::Id(id) => operation.id() == Some(id),
            ToolOperation::Place(method, path) => {
                operation.path == &**path && operation.method.eq_ignore_ascii_case(method)
            }
        };
        let mut matching = all.iter().filter(about);
        let place = matching.next().map(|operation| operation.pointer.clone());
        let at = &entry.at.0;
        match (&place, matching.next()) {
            (None, _) => faults.push(unknown(entry, &wanted.api, all)),
            (Some(_), Some(_)) => {
                let text = format!("the API `{}` has more than one operation of this id", wanted.api);
                let hint = "write `method` and `path` of the one that is meant";
                faults.push(Fault::error(format!("{at}/source"), text).hint(hint));
            }
            (Some(place), None) => {
                if found.iter().any(|(_, other)| other.as_ref() == Some(place)) {
                    let text = "there is an entry for this operation already";
                    faults.push(Fault::error(format!("{at}/source"), text));
                }
            }
        }
        found.push((index, place));
    }
    found
}

fn unknown(entry: &ToolEntry, api: &str, all: &[Written<'_>]) -> Fault {
    let at = &entry.at.0;
    match &entry.operation {
        ToolOperation::Id(id) => {
            let text = format!("the API `{api}` has no operation with the id `{id}`");
            let fault = Fault::error(format!("{at}/source/operationId"), text);
            match document::nearest(id, all.iter().filter_map(Written::id)) {
                Some(near) => fault.hint(format!("did you mean `{near}`?")),
                None => fault.hint("operations without an id are named by `method` and `path`"),
            }
        }
        ToolOperation::Place(method, path) => {
            let text = format!("the API `{api}` has no operation {method} {path}");
            let fault = Fault::error(format!("{at}/source"), text);
            match document::nearest(path, all.iter().map(|operation| operation.path)) {
                Some(near) if near != &**path => fault.hint(format!("did you mean the path `{near}`?")),
                _ => fault
                    .hint("write the path as the document of the API has it, with `{name}` for parameters"),
            }
        }
    }
}

/// What tools are called: as entries say, else by the ids of their operations, else by method and path.
fn names(
    wanted: &ToolSource,
    found: &[(Written<'_>, Option<usize>)],
    faults: &mut Vec<Fault>,
) -> Vec<Box<str>> {
    let mut taken: HashSet<Box<str>> = HashSet::new();
    let mut names: Vec<Option<Box<str>>> = Vec::with_capacity(found.len());
    for (operation, entry) in found {
        let said = entry.and_then(|entry| wanted.entries[entry].name.clone());
        let at = match entry {
            Some(entry) => wanted.entries[*entry].at.0.to_string(),
            None => wanted.at.0.to_string(),
        };
        let id = operation.id().filter(|id| !id.is_empty());
        let by_id = || id.map(Into::into);
        let name: Option<Box<str>> = said.or_else(by_id);
        if let Some(name) = &name {
            const HINT: &str = "give the operation another name: `name` in an entry of `primitives`";
            if !is_name(name) {
                let text = format!("`{name}`, {}, is no name of a tool: {NO_NAME}", told(operation));
                faults.push(Fault::error(at, text).hint(HINT));
            } else if !taken.insert(name.clone()) {
                let fault = Fault::error(at, format!("{}, of {}", duplicate(name), told(operation)));
                faults.push(fault.hint(HINT));
            }
        }
        names.push(name);
    }
    let name = |(name, (operation, _)): (Option<Box<str>>, &(Written<'_>, Option<usize>))| {
        name.unwrap_or_else(|| {
            let name = of_place(operation.method, operation.path, &taken);
            taken.insert(name.clone());
            name
        })
    };
    names.into_iter().zip(found).map(name).collect()
}

/// An operation as faults name it.
fn told(operation: &Written<'_>) -> String {
    format!("{} {}", operation.method.to_ascii_uppercase(), operation.path)
}

fn tool(
    root: &Section<'_>,
    operation: &Written<'_>,
    said: Option<&ToolEntry>,
    name: Box<str>,
    at: &str,
    answers_checked: bool,
) -> Result<Tool, Vec<Fault>> {
    let item = root.get("paths").and_then(|paths| paths.get(operation.path)).and_then(Value::as_object);
    let named = said.map(|said| &*said.arguments).unwrap_or_default();
    let at = said.map_or(at, |said| &said.at.0);
    let asked = asked(root, item, operation.object, named, at, &told(operation))?;
    let answers = answers(root, operation.object);
    Ok(Tool {
        name,
        description: said.and_then(|said| said.description.clone()).unwrap_or_else(|| description(operation)),
        hints: hints(operation.method, said.map(|said| &said.hints)),
        method: operation.method.to_ascii_uppercase().into(),
        path: operation.path.into(),
        beside: Arc::default(),
        inner: false,
        arguments: asked.arguments.into(),
        body: asked.body,
        input: asked.schema,
        answers_json: answers.is_some(),
        output: answers.and_then(|schema| output(root, schema?)),
        answers_checked,
        entry: None,
    })
}

fn description(operation: &Written<'_>) -> Box<str> {
    let text = |key: &str| {
        let text = operation.object.get(key).and_then(Value::as_str).map(str::trim);
        text.filter(|text| !text.is_empty())
    };
    match (text("summary"), text("description")) {
        (Some(summary), Some(description)) if summary != description => {
            format!("{summary}\n\n{description}").into()
        }
        (Some(text), _) | (None, Some(text)) => text.into(),
        (None, None) => told(operation).into(),
    }
}

/// How a tool behaves: as is said, else as its method does (RFC 9110 section 9.2).
fn hints(method: &str, said: Option<&ToolHints>) -> ToolHints {
    let said = said.cloned().unwrap_or_default();
    let safe = matches!(method, "get" | "head" | "options");
    ToolHints {
        read_only: said.read_only.or(safe.then_some(true)),
        idempotent: said.idempotent.or(matches!(method, "put" | "delete").then_some(true)),
        destructive: said.destructive.or((method == "delete").then_some(true)),
        ..said
    }
}

/// What is answered where all is well, if that is JSON: its schema, if there is one.
fn answers<'v>(root: &Section<'v>, operation: &'v Map<String, Value>) -> Option<Option<&'v Value>> {
    let all = operation.get("responses").and_then(Value::as_object)?;
    let well = |status: &str| status.len() == 3 && status.starts_with('2');
    let of_status = all
        .iter()
        .filter(|(status, _)| well(status))
        .chain(all.iter().filter(|(status, _)| *status == "default"));
    of_status
        .filter_map(|(_, answer)| resolve(root, answer)?.get("content")?.as_object())
        .find_map(|content| content.iter().find(|(kind, _)| is_json(&essence(kind))))
        .map(|(_, media)| media.get("schema"))
}

/// The schema of answers that are objects.
fn output(root: &Section<'_>, schema: &Value) -> Option<Value> {
    members(root, schema)?;
    let mut shown = Shown::new(root, "writeOnly");
    let mut made = shown.schema(schema);
    made.as_object_mut()?.insert("type".to_owned(), "object".into());
    if let Some(kept) = shown.finish() {
        made["$defs"] = kept;
    }
    Some(made)
}

/// What an API says of who may ask for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    /// The gate alone may.
    Inner,
    Closed,
}

/// What the gateway's part of a document says of its operations.
struct Doors<'v> {
    operations: Option<&'v Map<String, Value>>,
    /// Only those are open that are listed.
    listed: bool,
}

impl<'v> Doors<'v> {
    fn of(root: &Section<'v>) -> Self {
        let operations = root
            .get(EXTENSION)
            .and_then(|extension| extension.pointer("/middleware/operations"))
            .and_then(Value::as_object);
        let listed = operations.into_iter().flat_map(Map::values).any(|operation| is_on(operation, "allow"));
        Self { operations, listed }
    }

    fn said(&self, operation: &Written<'_>) -> Option<&'v Value> {
        let operations = self.operations?;
        match operation.id().filter(|id| !id.is_empty()) {
            Some(id) => operations.get(id),
            None => operations.get(&id_of_place(operation.method, operation.path)),
        }
    }

    fn door(&self, operation: &Written<'_>) -> Door {
        let said = |key: &str| self.said(operation).is_some_and(|said| is_on(said, key));
        if said("block") || self.listed && !said("allow") {
            Door::Closed
        } else if said("internal") {
            Door::Inner
        } else {
            Door::Open
        }
    }

    /// Whether answers are held to their schema.
    fn checks(&self, operation: &Written<'_>) -> bool {
        self.said(operation).is_some_and(|said| is_on(said, "validateResponse"))
    }
}

fn is_on(operation: &Value, key: &str) -> bool {
    operation.get(key).and_then(|said| said.get("enabled")).is_some_and(in_use)
}

impl Tool {
    /// What a document is told of a tool where it is asked for with all that its tools are.
    pub fn expanded(&self) -> Value {
        let of = |told: &dyn Fn(&super::Argument) -> Value| -> Value {
            self.arguments.iter().map(|one| (one.name.to_string(), told(one))).collect::<Map<_, _>>().into()
        };
        let place = |one: &super::Argument| match one.place {
            super::Place::Member => format!("body.{}", one.source).into(),
            place => place.word().into(),
        };
        let mut all = json!({
            "inputSchema": self.input,
            "parameterLocations": of(&place),
            "parameterSourceNames": of(&|one| (*one.source).into()),
            "parameterOrder": self.arguments.iter().map(|one| &*one.name).collect::<Vec<_>>(),
        });
        if let Some(output) = &self.output {
            all["outputSchema"] = output.clone();
        }
        if let Some(body) = &self.body {
            all["requestBodyContentType"] = (*body.kind).into();
        }
        all
    }
}
