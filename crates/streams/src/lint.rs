//! Every fault of a stream's configuration, found with the same field tables that build it.

use std::collections::HashMap;

use document::{Document, Fault, Severity, nearest, pointer_join};
use serde_json::Value as Json;

use crate::barred::barred;
use crate::bloblangs;
use crate::build::{RESERVED, type_beside, type_of};
use crate::mapping_caches::checked;
use crate::node::scalar_text;
use crate::registry::{Default, Field, Kind};
use crate::resources::{unknown_hint, unknown_text};
use crate::settings::Settings;
use crate::sort::Sort;
use crate::stream_fields::stream_fields;
use crate::units;

/// Deepest nesting of components.
const DEPTH: usize = 64;

/// Every fault in the configuration of one stream, which stands at `base_pointer` of its document.
pub fn lint(value: &Json, base_pointer: &str, settings: &Settings) -> Vec<Fault> {
    let (value, mut faults) = settings.expand(value, base_pointer);
    faults.extend(lint_expanded(&value, base_pointer, settings));
    faults
}

/// As [`lint`], of a configuration whose variables are expanded.
pub(crate) fn lint_expanded(value: &Json, base_pointer: &str, settings: &Settings) -> Vec<Fault> {
    Linter::new(settings, None).run(value, base_pointer)
}

/// As [`lint`], with the places of faults, also of those inside of mappings.
pub fn lint_document(document: &Document, base_pointer: &str, settings: &Settings) -> Vec<Fault> {
    let missing = Json::Null;
    let value = document.value().pointer(base_pointer).unwrap_or(&missing);
    let (value, mut faults) = settings.expand(value, base_pointer);
    faults.extend(Linter::new(settings, Some(document)).run(&value, base_pointer));
    document.locate(&mut faults);
    faults
}

/// Finds the places of faults in the text that they were found in; those of mappings inside of the mapping's text.
pub fn locate(document: &Document, faults: &mut [Fault]) {
    for fault in faults.iter_mut().filter(|fault| fault.place.is_none()) {
        let Some((line, column)) = place_in_mapping(&fault.message) else { continue };
        fault.place = document.place_in_string(&fault.pointer, line, column, 1);
    }
    document.locate(faults);
}

/// `bloblang, line 2 column 5: ...`
fn place_in_mapping(message: &str) -> Option<(u32, u32)> {
    let (place, _) = message.strip_prefix("bloblang, line ")?.split_once(':')?;
    let (line, column) = place.split_once(" column ")?;
    Some((line.parse().ok()?, column.parse().ok()?))
}

/// What stands in place of a secret when a configuration is shown.
const SCRUBBED: &str = "!!!SECRET_SCRUBBED!!!";

/// The configuration of a stream as it may be shown: without what its fields mark as secret.
pub fn scrubbed(config: &Json, settings: &Settings) -> Json {
    let mut linter = Linter::new(settings, None);
    linter.walk(config, "");
    let mut shown = config.clone();
    for pointer in linter.secrets {
        if let Some(secret) = shown.pointer_mut(&pointer) {
            *secret = Json::from(SCRUBBED);
        }
    }
    shown
}

/// The faults of a document that holds these fields, with their places.
pub(crate) fn lint_section(
    fields: &'static [Field],
    what: &str,
    document: &Document,
    settings: &Settings,
) -> Vec<Fault> {
    let mut linter = Linter::new(settings, Some(document));
    linter.fields(fields, document.value(), "", what);
    let mut faults = linter.found();
    document.locate(&mut faults);
    faults
}

struct Linter<'a> {
    settings: &'a Settings,
    document: Option<&'a Document>,
    faults: Vec<Fault>,
    labels: HashMap<&'a str, String>,
    resources: HashMap<Sort, Vec<&'a str>>,
    paths: HashMap<String, String>,
    depth: usize,
    /// Somewhere it is too deep to be built.
    too_deep: bool,
    /// Where secrets are written.
    secrets: Vec<String>,
}

impl<'a> Linter<'a> {
    fn new(settings: &'a Settings, document: Option<&'a Document>) -> Linter<'a> {
        let (faults, labels, resources) = (Vec::new(), HashMap::new(), HashMap::new());
        let (paths, secrets) = (HashMap::new(), Vec::new());
        Linter { settings, document, faults, labels, resources, paths, depth: 0, too_deep: false, secrets }
    }

    fn run(mut self, value: &'a Json, pointer: &str) -> Vec<Fault> {
        self.walk(value, pointer);
        self.found()
    }

    /// What was found. Where lint refuses nothing, all of it are warnings, but for what building has no bound against.
    fn found(mut self) -> Vec<Fault> {
        if self.settings.lenient && !self.too_deep {
            self.faults.iter_mut().for_each(|fault| fault.severity = Severity::Warning);
        }
        self.faults
    }

    fn walk(&mut self, value: &'a Json, pointer: &str) {
        for sort in Sort::ALL {
            let list = sort.resources().and_then(|field| value.get(field)).and_then(Json::as_array);
            let labels = list.into_iter().flatten().filter_map(|item| item.get("label")?.as_str());
            self.resources.insert(sort, labels.collect());
        }
        self.fields(stream_fields(self.settings.alone), value, pointer, "stream");
    }

    fn error(&mut self, pointer: &str, message: impl Into<String>) -> &mut Fault {
        self.faults.push(Fault::error(pointer, message));
        let last = self.faults.len() - 1;
        &mut self.faults[last]
    }

    /// The members of an object against its table. `what` names the object for people.
    fn fields(&mut self, fields: &'static [Field], value: &'a Json, pointer: &str, what: &str) {
        let Some(members) = value.as_object() else {
            if !value.is_null() {
                self.error(pointer, format!("`{what}` must be an object, not {}", type_name(value)));
            } else {
                self.missing(fields, pointer, what, |_| false);
            }
            return;
        };
        for (key, member) in members {
            let at = pointer_join(pointer, key);
            match fields.iter().find(|field| field.name == key) {
                Some(field) if member.is_null() && field.default != Default::Required => {}
                Some(field) => {
                    if field.secret && member.as_str().is_some_and(|text| !text.is_empty()) {
                        self.secrets.push(at.clone());
                    }
                    self.deprecated(field, &at, what);
                    if let Some(instead) = field.alone.filter(|_| !self.settings.alone && !is_empty(member)) {
                        self.error(&at, format!("`{}` is not supported here", field.name)).hint =
                            Some(instead.to_owned());
                    }
                    self.value(field.kind, member, &at, field.name);
                }
                None => {
                    let near = nearest(key, fields.iter().map(|field| field.name)).map(str::to_owned);
                    let fault = self.error(&at, format!("unknown field `{key}` in `{what}`"));
                    fault.at_key = true;
                    fault.hint = near.map(|near| format!("did you mean `{near}`?"));
                }
            }
        }
        self.missing(fields, pointer, what, |name| members.contains_key(name));
    }

    fn deprecated(&mut self, field: &Field, pointer: &str, what: &str) {
        let Some(instead) = field.deprecated.filter(|_| self.settings.strictness.deprecated) else { return };
        let fault = self.error(pointer, format!("`{}` of `{what}` is deprecated", field.name));
        fault.at_key = true;
        fault.hint = Some(instead.to_owned());
    }

    fn missing(&mut self, fields: &[Field], pointer: &str, what: &str, written: impl Fn(&str) -> bool) {
        for field in fields.iter().filter(|field| field.default == Default::Required) {
            if !written(field.name) {
                self.error(pointer, format!("`{what}` needs the field `{}`", field.name));
            }
        }
    }

    fn value(&mut self, kind: Kind, value: &'a Json, pointer: &str, name: &str) {
        match kind {
            Kind::Any => {}
            Kind::Bool => self.expect(value.is_boolean(), "true or false", value, pointer, name),
            Kind::Int => {
                let whole = value.as_i64().is_some();
                self.expect(whole, "a whole number", value, pointer, name);
            }
            Kind::Float => self.expect(value.is_number(), "a number", value, pointer, name),
            Kind::Text | Kind::Template | Kind::Bloblang | Kind::Duration | Kind::Size | Kind::Choice(_) => {
                match scalar_text(value) {
                    Some(text) => self.text(kind, &text, pointer, name),
                    None => self.expect(false, "text", value, pointer, name),
                }
            }
            Kind::List(kind) => match value.as_array() {
                Some(items) => {
                    for (index, item) in items.iter().enumerate() {
                        self.value(*kind, item, &pointer_join(pointer, &index.to_string()), name);
                    }
                }
                None => self.expect(false, "a list", value, pointer, name),
            },
            Kind::Map(kind) => match value.as_object() {
                Some(members) => {
                    for (key, member) in members {
                        self.value(*kind, member, &pointer_join(pointer, key), key);
                    }
                }
                None => self.expect(false, "an object", value, pointer, name),
            },
            Kind::Object(fields) => self.fields(fields, value, pointer, name),
            Kind::Input => self.component(Sort::Input, value, pointer),
            Kind::Processor => self.component(Sort::Processor, value, pointer),
            Kind::Output => self.component(Sort::Output, value, pointer),
            Kind::Buffer => self.component(Sort::Buffer, value, pointer),
            Kind::Scanner => self.component(Sort::Scanner, value, pointer),
            Kind::Metrics => self.component(Sort::Metrics, value, pointer),
            Kind::Tracer => self.component(Sort::Tracer, value, pointer),
            Kind::Cache if value.as_str() == Some("") => {}
            Kind::RateLimit if value.as_str() == Some("") => {}
            Kind::Cache => self.resource_label(Sort::Cache, value, pointer, name),
            Kind::RateLimit => self.resource_label(Sort::RateLimit, value, pointer, name),
            Kind::Label(sort) => self.resource_label(sort, value, pointer, name),
            Kind::Resources(sort) => self.resource_list(sort, value, pointer, name),
            // Written as it would be anyway: nothing is expected of it.
            Kind::Ignored(_) if is_empty(value) || value == &Json::Bool(false) => {}
            Kind::Ignored(why) => {
                self.faults.push(Fault::warning(pointer, format!("`{name}` has no effect here: {why}")));
            }
            Kind::Refused(instead) => {
                if !is_empty(value) {
                    self.error(pointer, format!("`{name}` is not supported here")).hint =
                        Some(instead.to_owned());
                }
            }
        }
    }

    /// A label that must be that of a resource.
    fn resource_label(&mut self, sort: Sort, value: &Json, pointer: &str, name: &str) {
        let Some(label) = value.as_str() else {
            return self.expect(false, "the label of a resource", value, pointer, name);
        };
        let known = self.resources.get(&sort).map_or(&[][..], Vec::as_slice);
        if !known.contains(&label) {
            let hint = match nearest(label, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => unknown_hint(sort),
            };
            self.error(pointer, unknown_text(sort, label)).hint = Some(hint);
        }
    }

    fn resource_list(&mut self, sort: Sort, value: &'a Json, pointer: &str, name: &str) {
        let Some(items) = value.as_array() else {
            return self.expect(false, "a list", value, pointer, name);
        };
        for (index, item) in items.iter().enumerate() {
            let at = pointer_join(pointer, &index.to_string());
            let label = item.get("label").and_then(Json::as_str).unwrap_or_default();
            // Where every component needs one, that is told below.
            if item.is_object() && label.is_empty() && !self.settings.strictness.labels {
                self.error(&at, format!("a {} resource needs a `label`", sort.as_str())).hint =
                    Some("others refer to it by its label".to_owned());
            }
            self.component(sort, item, &at);
        }
    }

    fn expect(&mut self, right: bool, what: &str, value: &Json, pointer: &str, name: &str) {
        if !right {
            self.error(pointer, format!("`{name}` must be {what}, not {}", type_name(value)));
        }
    }

    fn text(&mut self, kind: Kind, text: &str, pointer: &str, name: &str) {
        // Which caches there are is seen when a mapping runs.
        let environment = || checked(&self.settings.environment);
        match kind {
            Kind::Duration if !text.is_empty() => {
                if let Err(fault) = units::duration(text) {
                    self.error(pointer, format!("`{name}`: {fault}"));
                }
            }
            Kind::Size if !text.is_empty() => {
                if let Err(fault) = units::size(text) {
                    self.error(pointer, format!("`{name}`: {fault}"));
                }
            }
            Kind::Choice(words) if !words.contains(&text) => {
                let near = nearest(text, words.iter().copied());
                let hint = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("write one of `{}`", words.join("`, `")),
                };
                self.error(pointer, format!("`{text}` is no option of `{name}`")).hint = Some(hint);
            }
            Kind::Template => {
                if let Err(faults) = bloblangs::template(&environment(), text, pointer) {
                    self.place(faults, pointer);
                }
            }
            Kind::Bloblang => {
                if let Err(faults) = bloblangs::mapping(&environment(), text, pointer) {
                    self.place(faults, pointer);
                }
            }
            _ => {}
        }
    }

    /// Places faults inside of a text in the document, where there is one.
    fn place(&mut self, faults: Vec<bloblangs::Placed>, pointer: &str) {
        for placed in faults {
            let place = self.document.and_then(|document| {
                document.place_in_string(pointer, placed.line, placed.column, placed.length)
            });
            self.faults.push(Fault { place, ..placed.fault });
        }
    }

    fn component(&mut self, sort: Sort, value: &'a Json, pointer: &str) {
        if self.depth >= DEPTH {
            self.error(pointer, format!("components are nested deeper than {DEPTH}"));
            self.too_deep = true;
            return;
        }
        self.depth += 1;
        self.component_members(sort, value, pointer);
        self.depth -= 1;
    }

    fn component_members(&mut self, sort: Sort, value: &'a Json, pointer: &str) {
        let named = if sort == Sort::Metrics { type_beside(value, &["mapping"]) } else { type_of(value) };
        let name = match named {
            Ok(name) => name,
            Err(text) => {
                let known = self.settings.registry.names(sort).join("`, `");
                self.error(pointer, text).hint =
                    Some(format!("a component has exactly one type key, one of `{known}`"));
                return;
            }
        };
        let at = pointer_join(pointer, name);
        let Some(members) = value.as_object() else { return };
        self.reserved(sort, name, members, pointer);
        if self.settings.strictness.labels && sort.has_labels() && !is_labelled(members) {
            self.error(pointer, format!("the {} `{name}` has no label", sort.as_str())).hint =
                Some(format!("write `label` beside `{name}`"));
        }
        let config = self.settings.registry.config(sort, name);
        if let Some(barred) = barred(sort, name, self.settings) {
            self.faults.push(Fault { pointer: at, at_key: members.contains_key(name), ..barred });
            return;
        }
        let Some(config) = config else {
            let near = nearest(name, self.settings.registry.names(sort).into_iter()).map(str::to_owned);
            let known = self.settings.registry.names(sort).join("`, `");
            let fault = self.error(&at, format!("there is no {} `{name}`", sort.as_str()));
            fault.at_key = true;
            fault.hint = Some(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are `{known}`"),
            });
            return;
        };
        let missing = &Json::Null;
        let written = members.get(name).unwrap_or(missing);
        match config {
            Kind::Object(fields) => self.fields(fields, written, &at, name),
            kind => self.value(kind, written, &at, name),
        }
        self.endpoints(name, config, written, &at);
    }

    /// What stands beside the type key.
    fn reserved(
        &mut self,
        sort: Sort,
        name: &str,
        members: &'a serde_json::Map<String, Json>,
        pointer: &str,
    ) {
        for (key, member) in members {
            let at = pointer_join(pointer, key);
            match key.as_str() {
                "label" => self.label(member, &at),
                "processors" if matches!(sort, Sort::Input | Sort::Output) && name != "processors" => {
                    self.value(Kind::List(&Kind::Processor), member, &at, "processors");
                }
                "type" => {}
                "mapping" if sort == Sort::Metrics => self.value(Kind::Bloblang, member, &at, "mapping"),
                key if key == name => {}
                key => {
                    let beside = RESERVED[..2].iter().copied();
                    let near = nearest(key, beside).map(|near| format!("did you mean `{near}`?"));
                    let fault = self.error(&at, format!("unknown field `{key}` beside `{name}`"));
                    fault.at_key = true;
                    fault.hint = near;
                }
            }
        }
    }

    fn label(&mut self, value: &'a Json, pointer: &str) {
        let Some(label) = value.as_str() else {
            return self.expect(value.is_null(), "text", value, pointer, "label");
        };
        if label.is_empty() {
            return;
        }
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if label.starts_with('_') || !label.chars().all(legal) {
            self.error(pointer, format!("`{label}` cannot be a label")).hint =
                Some("labels are lower-case letters, digits and `_`, and do not begin with `_`".to_owned());
        } else if let Some(first) = self.labels.insert(label, pointer.to_owned()) {
            self.error(pointer, format!("the label `{label}` is already taken at {first}"));
        }
    }

    /// Two endpoints on one path would hide one another.
    fn endpoints(&mut self, name: &str, config: Kind, written: &Json, pointer: &str) {
        let Kind::Object(fields) = config else { return };
        if name != "http_server" {
            return;
        }
        for field in fields.iter().filter(|field| matches!(field.name, "path" | "ws_path" | "stream_path")) {
            // Defaults that are taken are left out when the stream is built.
            let Some(path) = written.get(field.name).and_then(Json::as_str) else { continue };
            if path.is_empty() {
                continue;
            }
            let at = pointer_join(pointer, field.name);
            let path = format!("/{}", path.trim_start_matches('/'));
            if let Some(first) = self.paths.insert(path.clone(), at.clone()) {
                self.error(&at, format!("the path `{path}` is already taken at {first}")).hint =
                    Some(format!("give `{}` a path of its own, or an empty one", field.name));
            }
        }
    }
}

fn is_labelled(members: &serde_json::Map<String, Json>) -> bool {
    members.get("label").and_then(scalar_text).is_some_and(|label| !label.is_empty())
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        // `buffer: { none: {} }` is the same as no buffer.
        Json::Object(members) => members.iter().all(|(key, value)| key == "none" && is_empty(value)),
        _ => false,
    }
}

fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
