//! `version_data` of a classic definition: an API that serves its versions itself.

use super::{Versioning, Versions};
use crate::beyond;
use crate::cache;
use crate::limits::{EndpointRate, OWN, classic_endpoints};
use crate::section::Section;
use crate::upstream::Endpoints;
use crate::versioning::date;
use crate::{Api, AtPath, Backend, CachedPath, Paths, Target, Transforms};
use document::{Fault, pointer_join};
use serde_json::{Value, json};
use std::time::Duration;

/// What one version says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Version {
    pub(crate) timeout: Option<Duration>,
    pub(crate) endpoints: Vec<EndpointRate>,
    /// What single paths of the upstream have of their own.
    pub(crate) of_paths: Endpoints,
    pub(crate) paths: Paths,
    /// Which answers of single paths are kept.
    pub(crate) cached: Box<[AtPath<CachedPath>]>,
    /// What changes requests and answers.
    pub(crate) transforms: Transforms,
    target: Option<(Target, Option<Box<str>>)>,
    pub(crate) expires: Option<i64>,
}

/// What the version of an API says that has only one; nothing where it has several.
pub(crate) fn sole(root: &Section<'_>, faults: &mut Vec<Fault>) -> Version {
    let data = root.section("version_data", faults);
    if !data.flag("not_versioned", faults) {
        // They are read for each version.
        return Version::default();
    }
    let versions = data.section("versions", faults);
    let names: Vec<&String> = versions.object.into_iter().flat_map(serde_json::Map::keys).collect();
    let name = match *names.as_slice() {
        [] => return Version::default(),
        [name] => name,
        _ => match names.iter().find(|name| **name == "Default") {
            Some(name) => name,
            None => {
                let text = "Ambiguous default API version for this non-versioned API";
                let fault = Fault::error(versions.pointer.clone(), text);
                faults.push(
                    fault.hint("keep one version, call one `Default`, or set `not_versioned` to false"),
                );
                return Version::default();
            }
        },
    };
    let section = versions.section(name, faults);
    let version = read(root, &section, faults);
    if version.target.is_some() {
        let text = "`override_target` counts only where `not_versioned` is false";
        faults.push(Fault::warning(section.at("override_target"), text).on_key());
    }
    version
}

/// The API in a shape for each of its versions, where it has them; `naming` says where a request names one.
pub(crate) fn read_own(
    root: &Section<'_>,
    naming: Versioning,
    base: &Api,
    faults: &mut Vec<Fault>,
) -> Option<Box<Versioning>> {
    let data = root.section("version_data", faults);
    let versions = data.section("versions", faults);
    let none = versions.object.is_none_or(serde_json::Map::is_empty);
    if data.flag("not_versioned", faults) || none {
        return naming.said();
    }
    if naming.enabled {
        let text = "an API serves its versions itself or lets others serve them, not both";
        let fault = Fault::error(data.at("not_versioned"), text);
        faults
            .push(fault.hint("set `not_versioned` to true, or `enabled` of `definition` to false").on_key());
        return None;
    }
    let mut own = Vec::new();
    for (key, _) in versions.object.into_iter().flatten() {
        let version = read(root, &versions.section(key, faults), faults);
        let mut api = base.clone();
        api.version = key.as_str().into();
        api.version_expires = version.expires;
        api.limits.endpoints = version.endpoints.into();
        *api.paths = version.paths;
        if let Some(cache) = api.cache.as_deref_mut() {
            cache.paths = version.cached;
        }
        *api.transforms = version.transforms.beside(&base.transforms);
        if let Backend::Upstream(upstream) = &mut api.backend {
            upstream.timeout = version.timeout;
            *upstream.endpoints = version.of_paths;
            if let Some((target, inner)) = version.target {
                (upstream.target, upstream.inner) = (target, inner);
                upstream.targets = Box::default();
            }
        }
        own.push(api);
    }
    let default = data.text("default_version", faults);
    if !default.is_empty() && !own.iter().any(|api| *api.version == *default) {
        let fault = Fault::error(data.at("default_version"), format!("there is no version `{default}`"));
        faults.push(fault.hint("name one of `versions`, or nothing"));
    }
    Some(Box::new(Versioning {
        enabled: true,
        name: Box::default(),
        default: default.into(),
        fallback_to_default: false,
        versions: Versions::Own(own.into()),
        ..naming
    }))
}

/// Lists of a classic version that an OpenAPI definition has in our extension.
pub(crate) fn lists_of_oas(
    root: &Section<'_>,
    ignore_case: bool,
    faults: &mut Vec<Fault>,
) -> Option<Version> {
    let own = root.section(OWN, faults);
    let lists = own.section(beyond::LISTS, faults).object?;
    let version = json!({
        "use_extended_paths": true, "ignore_endpoint_case": ignore_case, beyond::LISTS: lists,
    });
    Some(read(root, &Section { object: version.as_object(), pointer: own.pointer }, faults))
}

fn read(root: &Section<'_>, version: &Section<'_>, faults: &mut Vec<Fault>) -> Version {
    let extended = version.section("extended_paths", faults);
    let timeouts = extended.get("hard_timeouts").and_then(Value::as_array);
    for (index, entry) in timeouts.into_iter().flatten().enumerate() {
        if entry.get("timeout").and_then(Value::as_f64).is_some_and(|seconds| seconds < 0.0) {
            let at = pointer_join(&extended.at("hard_timeouts"), &index.to_string());
            faults.push(Fault::error(at, "invalid timeout value"));
        }
    }
    let (mut endpoints, mut of_paths, mut cached) = (Vec::new(), Endpoints::default(), Box::default());
    let ignore_case = version.flag("ignore_endpoint_case", faults);
    let uses_extended = version.flag("use_extended_paths", faults);
    let transforms = Transforms::classic(version, uses_extended.then_some(&extended), ignore_case, faults);
    if uses_extended {
        classic_endpoints(&extended, ignore_case, &mut endpoints, faults);
        of_paths = Endpoints::classic(&extended, ignore_case, faults);
        cached = cache::classic_paths(&extended, ignore_case, faults);
    }
    let text = version.text("global_enforce_timeout", faults);
    let mut timeout = None;
    if text.starts_with('-') {
        // Contract 2.8.
        faults.push(Fault::error(version.at("global_enforce_timeout"), "invalid global timeout value"));
    } else if let Some(limit) = version.duration("global_enforce_timeout", faults)
        && !version.flag("global_enforce_timeout_disabled", faults)
    {
        timeout = Some(limit);
    }
    let target = match version.text("override_target", faults) {
        "" => None,
        url => Target::or_inner(url)
            .map_err(|why| {
                faults.push(Fault::error(version.at("override_target"), format!("the target URL {why}")));
            })
            .ok(),
    };
    let mut paths = Paths::classic(version, faults);
    let lists = uses_extended.then_some(&extended);
    (paths.mocks, paths.validation) = beyond::of_paths(root, lists, ignore_case, faults);
    let expires = date(version, "expires", faults);
    Version { timeout, endpoints, of_paths, paths, cached, transforms, target, expires }
}
