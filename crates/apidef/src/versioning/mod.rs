//! Versions of an API (contract 2.4, 3.2 `info.versioning`, 8.1): other APIs that serve them, or, in classic definitions,
//! the API itself in several shapes.

mod date;
mod edit;
mod own;

pub(crate) use date::date;
pub use date::write_date;
pub use edit::{NewVersion, with_version, without_version};
pub(crate) use own::{Version, lists_of_oas, read_own, sole};

use crate::Api;
use crate::fields::{Field, acts, section};
use crate::section::Section;
use document::{Fault, pointer_join};
use regex::Regex;
use serde_json::{Map, Value, json};

/// How a base API calls itself among its versions.
pub const SELF: &str = "self";

/// Which API serves which version of requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioning {
    /// Whether requests are told apart by version; else the rest is only kept.
    pub enabled: bool,
    /// What the base is called among its versions.
    pub name: Box<str>,
    /// The version of who names none; [`SELF`] is the base. Empty: there is none.
    pub default: Box<str>,
    /// Where a request names its version.
    pub location: VersionLocation,
    /// What may stand before the version in a path.
    pub slug: Box<str>,
    /// Take the name off before the request goes on.
    pub strip: bool,
    /// What a version in a path looks like: only such a segment is taken off.
    pub url_pattern: Option<Box<str>>,
    /// A version that does not exist is the default one.
    pub fallback_to_default: bool,
    /// What serves them.
    pub versions: Versions,
}

/// What serves the versions.
#[derive(Debug, Clone, PartialEq)]
pub enum Versions {
    /// Other APIs: the name of each version, and the API's id.
    Others(Box<[(Box<str>, Box<str>)]>),
    /// The API itself, in a shape for each version (`version_data`).
    Own(Box<[Api]>),
}

/// Where a request names its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionLocation {
    /// A header of this name.
    Header(Box<str>),
    /// A parameter of this name in the query.
    Query(Box<str>),
    /// The first segment of the path below the listen path.
    Path,
}

impl Versioning {
    /// The APIs that serve versions, by the names of these.
    pub fn others(&self) -> &[(Box<str>, Box<str>)] {
        match &self.versions {
            Versions::Others(others) => others,
            Versions::Own(_) => &[],
        }
    }

    /// Whether a version is the base itself.
    pub fn is_base(&self, version: &str) -> bool {
        version == SELF || (!self.name.is_empty() && *version == *self.name)
    }
}

const HEADER: &str = "header";
const KEY: &str = "x-api-version";

/// `definition` of a classic definition.
pub(crate) const CLASSIC: &[Field] = &[
    acts("enabled"),
    acts("name"),
    acts("default"),
    acts("location"),
    acts("key"),
    acts("strip_versioning_data"),
    acts("strip_path"),
    acts("url_versioning_pattern"),
    acts("fallback_to_default"),
    acts("versions"),
];

/// `info.versioning` of an OAS definition.
pub(crate) const OAS: Field = section(
    "versioning",
    &[
        acts("enabled"),
        acts("name"),
        acts("default"),
        acts("location"),
        acts("key"),
        acts("stripVersioningData"),
        acts("urlVersioningPattern"),
        acts("fallbackToDefault"),
        acts("versions"),
    ],
);

/// How the two formats call what they share.
struct Names {
    pattern: &'static str,
    fallback: &'static str,
}

/// `definition`: versions that are other APIs; without these it says where versions in `version_data` are named.
pub(crate) fn read_classic(root: &Section<'_>, faults: &mut Vec<Fault>) -> Versioning {
    let section = root.section("definition", faults);
    let strip = section.flag("strip_versioning_data", faults) | section.flag("strip_path", faults);
    let mut versions = Vec::new();
    let named = section.section("versions", faults);
    for (name, _) in named.object.into_iter().flatten() {
        versions.push((name.as_str().into(), named.text(name, faults).into()));
    }
    let names = Names { pattern: "url_versioning_pattern", fallback: "fallback_to_default" };
    let read = read(&section, strip, &names, versions, faults);
    Versioning { slug: root.text("slug", faults).trim_matches('/').into(), ..read }
}

/// `info.versioning`.
pub(crate) fn read_oas(info: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Box<Versioning>> {
    let section = info.section("versioning", faults);
    let strip = section.flag("stripVersioningData", faults);
    let mut versions = Vec::new();
    let at = section.at("versions");
    match section.get("versions") {
        None => {}
        Some(Value::Array(entries)) => {
            for (index, entry) in entries.iter().enumerate() {
                let text = |key: &str| entry.get(key).and_then(Value::as_str);
                match (text("name"), text("id")) {
                    (Some(name), Some(id)) => versions.push((name.into(), id.into())),
                    _ => faults.push(Fault::error(
                        pointer_join(&at, &index.to_string()),
                        "a version has a `name` and the `id` of an API",
                    )),
                }
            }
        }
        Some(_) => faults.push(Fault::error(at, "`versions` must be an array")),
    }
    let names = Names { pattern: "urlVersioningPattern", fallback: "fallbackToDefault" };
    read(&section, strip, &names, versions, faults).said()
}

impl Versioning {
    /// Nothing, where nothing is said.
    pub(crate) fn said(self) -> Option<Box<Self>> {
        (self.enabled || !self.others().is_empty()).then(|| Box::new(self))
    }
}

fn read(
    section: &Section<'_>,
    strip: bool,
    names: &Names,
    versions: Vec<(Box<str>, Box<str>)>,
    faults: &mut Vec<Fault>,
) -> Versioning {
    let enabled = section.flag("enabled", faults);
    let key = match section.text("key", faults) {
        "" => KEY,
        key => key,
    };
    let location = match section.text("location", faults) {
        "" | HEADER => VersionLocation::Header(key.into()),
        "url-param" => VersionLocation::Query(key.into()),
        "url" => VersionLocation::Path,
        other => {
            faults.push(
                Fault::error(section.at("location"), format!("there is no place `{other}` for a version"))
                    .hint("use `header`, `url-param` or `url`"),
            );
            VersionLocation::Path
        }
    };
    if matches!(&location, VersionLocation::Header(name) if !is_header_name(name)) {
        faults.push(Fault::error(section.at("key"), format!("`{key}` is no name of a header")));
    }
    let url_pattern = Some(section.text(names.pattern, faults)).filter(|text| !text.is_empty());
    if let Some(Err(error)) = url_pattern.map(Regex::new) {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default().trim();
        let at = section.at(names.pattern);
        faults.push(Fault::error(at, format!("this is no usable regular expression: {why}")));
    }
    Versioning {
        enabled,
        name: section.text("name", faults).into(),
        default: section.text("default", faults).into(),
        location,
        slug: Box::default(),
        strip,
        url_pattern: url_pattern.map(Into::into),
        fallback_to_default: section.flag(names.fallback, faults),
        versions: Versions::Others(versions.into()),
    }
}

fn is_header_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The `definition` of a classic projection.
pub(crate) fn write_classic(versioning: &Versioning) -> Value {
    let (location, key) = match &versioning.location {
        VersionLocation::Header(key) => (HEADER, &**key),
        VersionLocation::Query(key) => ("url-param", &**key),
        VersionLocation::Path => ("url", ""),
    };
    let versions: Map<String, Value> =
        versioning.others().iter().map(|(name, id)| (name.to_string(), json!(id))).collect();
    json!({
        "enabled": versioning.enabled,
        "name": versioning.name,
        "default": versioning.default,
        "location": location,
        "key": key,
        "strip_versioning_data": versioning.strip,
        "url_versioning_pattern": versioning.url_pattern.as_deref().unwrap_or_default(),
        "fallback_to_default": versioning.fallback_to_default,
        "versions": versions,
    })
}

#[cfg(test)]
mod tests;
