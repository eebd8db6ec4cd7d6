//! Header fields that requests and answers lose and get (contract 8.3): those of all of them, and those of single paths.

use crate::at_path;
use crate::fields::{Field, acts, each, ignored};
use crate::section::Section;
use crate::{AtPath, WrittenAt};
use document::{Fault, pointer_join};
use serde_json::{Map, Value, json};

/// `extended_paths.transform_headers` and `transform_response_headers`.
pub(crate) const CLASSIC: &[Field] = &[
    acts("path"),
    acts("method"),
    acts("disabled"),
    acts("delete_headers"),
    acts("add_headers"),
    ignored("act_on"),
];
/// `response_processors`.
pub(crate) const CLASSIC_PROCESSORS: &[Field] = &[acts("name"), acts("options")];
/// `transformRequestHeaders` and `transformResponseHeaders`, of operations and of all of them.
pub(crate) const OAS: &[Field] =
    &[acts("enabled"), acts("remove"), each("add", &[acts("name"), acts("value")])];

/// Fields that say where a message ends, or concern one connection only: the gate writes them itself.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Fields that a message loses, and then gets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeaderChange {
    /// Names, as written.
    pub remove: Box<[Box<str>]>,
    /// Names and values, in which variables may stand; each takes the place of what was there.
    pub add: Box<[(Box<str>, Box<str>)]>,
    /// Where it stands.
    pub at: WrittenAt,
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeaderChanges {
    /// Of every request, before those of its path.
    pub of_requests: Option<HeaderChange>,
    /// Of requests to single paths.
    pub of_request_paths: Box<[AtPath<HeaderChange>]>,
    /// Of every answer, after those of its path.
    pub of_answers: Option<HeaderChange>,
    /// Of answers from single paths.
    pub of_answer_paths: Box<[AtPath<HeaderChange>]>,
    /// Of every answer, after all others (`response_processors`).
    pub last_of_answers: Option<HeaderChange>,
}

/// Whether a field is one that no definition changes: it says where a message ends, or concerns one connection only.
pub fn is_framing(name: &str) -> bool {
    FRAMING.iter().any(|framing| framing.eq_ignore_ascii_case(name))
}

impl HeaderChange {
    /// `None` where nothing changes. `off`: only types are checked.
    fn some(self, off: bool) -> Option<Self> {
        (!off && (!self.remove.is_empty() || !self.add.is_empty())).then_some(self)
    }
}

impl HeaderChanges {
    pub(super) fn classic(
        version: &Section<'_>,
        extended: Option<&Section<'_>>,
        ignore_case: bool,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let mut changes = Self {
            of_requests: classic_of_all(version, "global_headers", faults),
            of_answers: classic_of_all(version, "global_response_headers", faults),
            ..Self::default()
        };
        if let Some(extended) = extended {
            let mut of_paths = |key| {
                at_path::classic(extended, key, ignore_case, faults, |entry, faults| {
                    classic(entry, ["delete_headers", "add_headers"], faults).some(false)
                })
            };
            changes.of_request_paths = of_paths("transform_headers");
            changes.of_answer_paths = of_paths("transform_response_headers");
        }
        changes
    }

    pub(super) fn oas(
        root: &Section<'_>,
        middleware: &Section<'_>,
        global: &Section<'_>,
        faults: &mut Vec<Fault>,
    ) -> Self {
        const REQUESTS: &str = "transformRequestHeaders";
        const ANSWERS: &str = "transformResponseHeaders";
        let mut of_all = |key| {
            let section = global.section(key, faults);
            let on = section.flag("enabled", faults);
            on.then(|| oas(&section, faults)).and_then(|change| change.some(false))
        };
        let (of_requests, of_answers) = (of_all(REQUESTS), of_all(ANSWERS));
        let mut of_paths =
            |key| at_path::oas(root, middleware, key, faults, |entry, faults| oas(entry, faults).some(false));
        Self {
            of_requests,
            of_answers,
            of_request_paths: of_paths(REQUESTS),
            of_answer_paths: of_paths(ANSWERS),
            last_of_answers: None,
        }
    }

    pub(super) fn write_classic(&self, version: &mut Value) {
        for (key, change) in
            [("global_headers", &self.of_requests), ("global_response_headers", &self.of_answers)]
        {
            version[format!("{key}_disabled")] = change.is_none().into();
            if let Some(change) = change {
                version[key] = object(&change.add);
                version[format!("{key}_remove")] = json!(change.remove);
            }
        }
        for (key, list) in [
            ("transform_headers", &self.of_request_paths),
            ("transform_response_headers", &self.of_answer_paths),
        ] {
            at_path::write_classic(list, key, version, |change, entry| {
                entry["add_headers"] = object(&change.add);
                entry["delete_headers"] = json!(change.remove);
            });
        }
    }
}

fn object(add: &[(Box<str>, Box<str>)]) -> Value {
    let members: Map<String, Value> =
        add.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
    Value::Object(members)
}

fn classic_of_all(version: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<HeaderChange> {
    let off = version.flag(&format!("{key}_disabled"), faults);
    let change = classic(version, [&format!("{key}_remove"), key], faults);
    // It stands in two places; the one that may hold variables is told.
    HeaderChange { at: version.at(key).into(), ..change }.some(off)
}

/// `response_processors`: those that change header fields.
pub(super) fn processors(root: &Section<'_>, faults: &mut Vec<Fault>) -> Option<HeaderChange> {
    let all = root.get("response_processors").and_then(Value::as_array);
    let mut last: Option<HeaderChange> = None;
    for (index, entry) in all.into_iter().flatten().enumerate() {
        let pointer = pointer_join(&root.at("response_processors"), &index.to_string());
        let entry = Section { object: entry.as_object(), pointer };
        match entry.text("name", faults) {
            "header_injector" => {
                let options = entry.section("options", faults);
                let Some(change) = classic(&options, ["remove_headers", "add_headers"], faults).some(false)
                else {
                    continue;
                };
                if last.is_some() {
                    let text = "there is a `header_injector` already; this one has no effect";
                    faults.push(Fault::warning(entry.pointer.clone(), text).hint("put both into one"));
                    continue;
                }
                last = Some(change);
            }
            // What it does is asked for elsewhere, and done without it.
            "response_body_transform" | "response_body_transform_jq" | "custom_mw_res_hook" | "" => {}
            other => {
                let text = format!("the response processor `{other}` is not supported; it has no effect");
                faults.push(Fault::warning(entry.at("name"), text));
            }
        }
    }
    last
}

fn classic(holder: &Section<'_>, [remove, add]: [&str; 2], faults: &mut Vec<Fault>) -> HeaderChange {
    let removed = holder.texts(remove, faults);
    let section = holder.section(add, faults);
    let mut added = Vec::new();
    for key in section.object.into_iter().flat_map(Map::keys) {
        added.push((key.as_str().into(), section.text(key, faults).into(), section.at(key)));
    }
    change(removed, holder.at(remove), added, holder.pointer.clone(), faults)
}

fn oas(section: &Section<'_>, faults: &mut Vec<Fault>) -> HeaderChange {
    let removed = section.texts("remove", faults);
    let mut added = Vec::new();
    for (index, entry) in section.get("add").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let pointer = pointer_join(&section.at("add"), &index.to_string());
        let entry = Section { object: entry.as_object(), pointer };
        let (name, value) = (entry.text("name", faults).into(), entry.text("value", faults).into());
        added.push((name, value, entry.at("name")));
    }
    change(removed, section.at("remove"), added, section.pointer.clone(), faults)
}

/// What of it can be done.
fn change(
    removed: Box<[Box<str>]>,
    removed_at: String,
    added: Vec<(Box<str>, Box<str>, String)>,
    at: String,
    faults: &mut Vec<Fault>,
) -> HeaderChange {
    let mut remove = Vec::with_capacity(removed.len());
    for (index, name) in removed.into_iter().enumerate() {
        // Nothing has such a name, so that nothing is lost by it.
        if !name.is_empty() && may_change(&name, || pointer_join(&removed_at, &index.to_string()), faults) {
            remove.push(name);
        }
    }
    let mut add = Vec::with_capacity(added.len());
    for (name, value, at) in added {
        if may_change(&name, || at.clone(), faults) {
            if value.chars().any(|c| c.is_control() && c != '\t') {
                let text = format!("the value of `{name}` holds control characters, which no header can");
                faults.push(Fault::error(at, text));
                continue;
            }
            add.push((name, value));
        }
    }
    HeaderChange { remove: remove.into(), add: add.into(), at: at.into() }
}

fn may_change(name: &str, at: impl Fn() -> String, faults: &mut Vec<Fault>) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        faults.push(Fault::error(at(), format!("`{name}` is no name of a header")));
        return false;
    }
    if is_framing(name) {
        let text = format!("`{name}` is written by the gate itself; this has no effect");
        faults.push(Fault::warning(at(), text).on_key());
        return false;
    }
    true
}
