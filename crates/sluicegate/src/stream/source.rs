//! Configurations as they lie in files: variables replaced, resources put beside them, fields set from the command
//! line; and the way back from a fault to the file and line that somebody wrote.

use std::path::{Path, PathBuf};

use document::{Document, Fault, Format, pointer_join};
use serde_json::{Map, Value as Json};
use streams::{Expanded, Sort};

use super::cli::With;
use super::environment::{Given, look_up};
use crate::config;
use crate::lint::{Kind, Report};

/// One file as it was read.
pub(super) struct Source {
    path: String,
    written: String,
    expanded: Expanded,
    pub(super) document: Document,
}

/// Why there is no configuration.
pub(super) enum Unread {
    /// The file cannot be read.
    Gone { path: String, error: String },
    /// Its text says nothing.
    Faulty(Box<Report>),
}

impl From<Report> for Unread {
    fn from(report: Report) -> Unread {
        Unread::Faulty(Box::new(report))
    }
}

/// A file as text. Blocking.
///
/// # Errors
/// Why it cannot be read, without its name.
#[expect(clippy::disallowed_methods, reason = "a tool without async threads")]
pub(super) fn text(path: &Path) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

impl Source {
    /// Reads a file and replaces its variables.
    ///
    /// # Errors
    /// When there is no such file, or its text is no YAML or JSON.
    pub(super) fn read(path: &Path, given: &Given) -> Result<Source, Unread> {
        let name = path.display().to_string();
        match text(path) {
            Ok(written) => {
                Source::parse(name, config::format_of(path, &written), written, given).map_err(Unread::from)
            }
            Err(error) => Err(Unread::Gone { path: name, error }),
        }
    }

    /// As [`Source::read`], of a text that was read.
    ///
    /// # Errors
    /// When the text is no YAML or JSON.
    pub(super) fn parse(
        path: String,
        format: Format,
        written: String,
        given: &Given,
    ) -> Result<Source, Report> {
        let alone = |path: &str, written: &str, fault| Report {
            path: path.to_owned(),
            kind: Kind::Stream,
            text: written.to_owned(),
            faults: vec![fault],
        };
        let expanded = match streams::expand(&written, &|name| look_up(given, name)) {
            Ok(expanded) => expanded,
            Err(fault) => return Err(alone(&path, &written, Fault::error("", fault))),
        };
        match Document::parse(expanded.text.as_str(), format) {
            Ok(document) => Ok(Source { path, written, expanded, document }),
            Err(mut fault) => {
                fault.place = fault.place.map(|place| expanded.origin(&written, place));
                Err(alone(&path, &written, fault))
            }
        }
    }

    /// A fault for each variable that is set nowhere.
    pub(super) fn missing(&self) -> Vec<Fault> {
        (self.expanded.missing.iter())
            .map(|(name, place)| {
                Fault::error("", format!("the variable `{name}` is not set"))
                    .at(*place)
                    .hint(format!("set it, or write a default: `${{{name}:…}}`"))
            })
            .collect()
    }

    /// What is to be told of this file: faults whose places, where they have any, are those of the text as written;
    /// the others are placed by their pointers.
    pub(super) fn report(&self, faults: Vec<Fault>) -> Report {
        let (mut placed, mut faults): (Vec<Fault>, Vec<Fault>) =
            faults.into_iter().partition(|fault| fault.place.is_some());
        faults.extend(self.document.repeated_keys());
        streams::locate(&self.document, &mut faults);
        for fault in &mut faults {
            fault.place = fault.place.map(|place| self.expanded.origin(&self.written, place));
        }
        placed.extend(faults);
        placed.sort_by_key(|fault| fault.place.map(|place| (place.line, place.column)));
        Report { path: self.path.clone(), kind: Kind::Stream, text: self.written.clone(), faults: placed }
    }
}

/// A configuration with the resources of other files.
pub(super) struct Merged {
    pub(super) value: Json,
    /// The configuration itself, then the files of resources.
    pub(super) sources: Vec<Source>,
    /// Resources that came from other files: where they stand now, in which source, and where there.
    moved: Vec<(String, usize, String)>,
}

impl Merged {
    /// A configuration as it is in its file.
    pub(super) fn of(source: Source) -> Merged {
        Merged { value: source.document.value().clone(), sources: vec![source], moved: Vec::new() }
    }

    /// Puts resources beside a configuration, and sets fields.
    ///
    /// # Errors
    /// Everything that cannot be read, and what cannot be set.
    pub(super) fn read(source: Source, with: &With, given: &Given) -> Result<Merged, Vec<Unread>> {
        let mut merged = Merged::of(source);
        let mut unread = Vec::new();
        for path in resource_files(&with.resources, &mut unread) {
            match Source::read(&path, given) {
                Ok(source) => unread.extend(merged.add(source).map(Unread::from)),
                Err(fault) => unread.push(fault),
            }
        }
        for set in &with.set {
            if let Err(error) = self::set(&mut merged.value, set) {
                unread.push(Unread::Gone { path: format!("--set {set}"), error });
            }
        }
        if unread.is_empty() { Ok(merged) } else { Err(unread) }
    }

    /// Adds the resources of a file; tells what else stands in it.
    fn add(&mut self, source: Source) -> Option<Report> {
        let number = self.sources.len();
        let mut faults = Vec::new();
        let empty = Map::new();
        for (key, list) in source.document.value().as_object().unwrap_or(&empty) {
            let is_list = Sort::ALL.iter().any(|sort| sort.resources() == Some(key));
            match list {
                Json::Array(items) if is_list => {
                    for (index, item) in items.iter().enumerate() {
                        let from = pointer_join(&pointer_join("", key), &index.to_string());
                        if let Some(to) = append(&mut self.value, key, item.clone()) {
                            self.moved.push((to, number, from));
                        }
                    }
                }
                Json::Null => {}
                _ if key == "tests" => {}
                _ => faults.push(
                    Fault::error(
                        pointer_join("", key),
                        format!("`{key}` cannot stand in a file of resources"),
                    )
                    .on_key()
                    .hint("it holds lists such as `cache_resources`"),
                ),
            }
        }
        if !source.document.value().is_object() && !source.document.value().is_null() {
            faults.push(Fault::error(
                "",
                "a file of resources is an object of lists such as `cache_resources`",
            ));
        }
        let report = (!faults.is_empty()).then(|| source.report(faults));
        self.sources.push(source);
        report
    }

    /// Faults of the whole, each told of the file in which it was written.
    pub(super) fn reports(&self, faults: Vec<Fault>) -> Vec<Report> {
        let mut sorted: Vec<Vec<Fault>> = self.sources.iter().map(Source::missing).collect();
        for mut fault in faults {
            let moved = self.moved.iter().find_map(|(to, source, from)| {
                let rest = fault.pointer.strip_prefix(to.as_str())?;
                (rest.is_empty() || rest.starts_with('/')).then(|| (*source, format!("{from}{rest}")))
            });
            let (source, pointer) = moved.unwrap_or((0, fault.pointer));
            fault.pointer = pointer;
            sorted[source].push(fault);
        }
        self.sources.iter().zip(sorted).map(|(source, faults)| source.report(faults)).collect()
    }
}

/// Appends to a list of the configuration; gives the pointer to what was appended.
fn append(value: &mut Json, key: &str, item: Json) -> Option<String> {
    if value.is_null() {
        *value = Json::Object(Map::new());
    }
    let list = value.as_object_mut()?.entry(key).or_insert(Json::Null);
    if list.is_null() {
        *list = Json::Array(Vec::new());
    }
    let list = list.as_array_mut()?;
    list.push(item);
    Some(pointer_join(&pointer_join("", key), &(list.len() - 1).to_string()))
}

/// The files that the patterns mean, in the order of the patterns, each once.
fn resource_files(patterns: &[String], unread: &mut Vec<Unread>) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for pattern in patterns {
        let found = matching(pattern);
        match found {
            Ok(found) if found.is_empty() => {
                unread
                    .push(Unread::Gone { path: pattern.clone(), error: "there is no such file".to_owned() });
            }
            Ok(found) => {
                for file in found {
                    if !files.contains(&file) {
                        files.push(file);
                    }
                }
            }
            Err(error) => unread.push(Unread::Gone { path: pattern.clone(), error }),
        }
    }
    files
}

/// The files that a pattern means, in order.
///
/// # Errors
/// When it is no pattern, or a folder cannot be listed.
pub(super) fn matching(pattern: &str) -> Result<Vec<PathBuf>, String> {
    let paths = glob::glob(pattern).map_err(|error| error.to_string())?;
    paths.map(|path| path.map_err(|error| error.to_string())).collect()
}

/// Sets a field: `input.generate.count=5`. A number in the path is a place in a list, `-` the place behind its last.
/// The value is read as YAML.
fn set(value: &mut Json, text: &str) -> Result<(), String> {
    let (path, new) = text.split_once('=').ok_or("write PATH=VALUE")?;
    let new = match Document::parse(new, Format::Yaml) {
        Ok(document) => document.into_value(),
        Err(_) => Json::from(new),
    };
    let mut at = value;
    for segment in path.split('.') {
        let segment = segment.replace("~1", ".").replace("~0", "~");
        if segment.is_empty() {
            return Err(format!("`{path}` names no field"));
        }
        if at.is_null() {
            *at = if segment == "-" { Json::Array(Vec::new()) } else { Json::Object(Map::new()) };
        }
        at = match at {
            Json::Object(members) => members.entry(segment).or_insert(Json::Null),
            Json::Array(items) => {
                let index = if segment == "-" { Some(items.len()) } else { segment.parse().ok() };
                let index = index.filter(|index| *index <= items.len());
                let index = index.ok_or_else(|| format!("`{segment}` is no place in the list"))?;
                if index == items.len() {
                    items.push(Json::Null);
                }
                &mut items[index]
            }
            _ => return Err(format!("`{segment}` stands in something that has no fields")),
        };
    }
    *at = new;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_set_by_their_paths() {
        let before = json!({"input": {"generate": {"count": 1}}, "list": [1, {"a": 2}]});
        for (text, expected) in [
            (
                "input.generate.count=5",
                Ok(json!({"input": {"generate": {"count": 5}}, "list": [1, {"a": 2}]})),
            ),
            (
                "output.drop={}",
                Ok(
                    json!({"input": {"generate": {"count": 1}}, "list": [1, {"a": 2}], "output": {"drop": {}}}),
                ),
            ),
            ("list.1.a=x=y", Ok(json!({"input": {"generate": {"count": 1}}, "list": [1, {"a": "x=y"}]}))),
            ("list.-=[3]", Ok(json!({"input": {"generate": {"count": 1}}, "list": [1, {"a": 2}, [3]]}))),
            (
                "a~1b=${! x }",
                Ok(json!({"input": {"generate": {"count": 1}}, "list": [1, {"a": 2}], "a.b": "${! x }"})),
            ),
            ("list.7=1", Err("`7` is no place in the list")),
            ("list.0.a=1", Err("`a` stands in something that has no fields")),
            ("a..b=1", Err("`a..b` names no field")),
            ("a", Err("write PATH=VALUE")),
        ] {
            let mut value = before.clone();
            let done = set(&mut value, text);
            match expected {
                Ok(expected) => assert_eq!((done, value), (Ok(()), expected), "{text}"),
                Err(fault) => assert_eq!(done, Err(fault.to_owned()), "{text}"),
            }
        }
    }
}
