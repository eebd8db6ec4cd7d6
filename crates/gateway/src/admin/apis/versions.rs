//! Versions of APIs (contract 7.3, 8.1): a new API becomes a version of another, and leaves it when it is deleted.

use std::sync::Arc;

use apidef::versioning::{NewVersion, SELF, with_version, without_version, write_date};
use apidef::{Definition, Versioning, Versions};
use document::Fault;
use http::{Response, StatusCode};
use serde::Serialize;

use super::super::Call;
use super::super::reply::{error, json};
use super::write::checked;
use super::{find, not_found};
use crate::body::Body;
use crate::gate::Gate;
use crate::snapshot::RunningApi;

/// What an API becomes a version of.
pub(super) struct Wanted {
    pub(super) base: Arc<RunningApi>,
    base_name: Option<String>,
    name: String,
    default: bool,
}

/// Parameters that say something only beside `base_api_id`.
const BESIDE_BASE: [&str; 3] = ["base_api_version_name", "new_version_name", "set_default"];

/// Reads what a call says of versions; `None` if it says nothing.
pub(super) fn wanted(gate: &Gate, call: &Call) -> Result<Option<Wanted>, Box<Response<Body>>> {
    let refuse = |status, text: String| Err(Box::new(error(status, &text)));
    let Some(id) = call.parameter("base_api_id") else {
        return match BESIDE_BASE.iter().find(|name| call.parameter(name).is_some()) {
            None => Ok(None),
            Some(name) => {
                let text = format!("The parameter {name} needs base_api_id: of which API is it a version?");
                refuse(StatusCode::UNPROCESSABLE_ENTITY, text)
            }
        };
    };
    let Some(name) = call.parameter("new_version_name") else {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "The new version name is required".to_owned());
    };
    let Some(base) = find(gate, id) else {
        return refuse(StatusCode::BAD_REQUEST, format!("{id} is not a valid Base API version"));
    };
    let base_name = call.parameter("base_api_version_name");
    let versions = versioning(&base);
    if base_name.is_none() && versions.is_none_or(|versions| versions.name.is_empty()) {
        let text = format!("you need to provide a version name for the new Base API: {id}");
        return refuse(StatusCode::BAD_REQUEST, text);
    }
    // Another API would be left without a version that leads to it.
    let taken = name == SELF
        || versions.is_some_and(|versions| {
            *versions.name == *name || versions.others().iter().any(|(known, _)| **known == *name)
        })
        || base_name == Some(name);
    if taken {
        return refuse(StatusCode::BAD_REQUEST, format!("{id} has a version {name} already"));
    }
    Ok(Some(Wanted {
        base_name: base_name.map(str::to_owned),
        name: name.to_owned(),
        default: call.flag("set_default"),
        base,
    }))
}

/// The base's definition with the new version in it.
pub(super) async fn linked(
    gate: &Arc<Gate>,
    wanted: &Wanted,
    api: &str,
) -> Result<Arc<Definition>, Response<Body>> {
    let base = &wanted.base.definition;
    if *base.api.id == *api {
        return Err(error(StatusCode::BAD_REQUEST, &format!("{api} is not a valid Base API version")));
    }
    let new = NewVersion {
        base_name: wanted.base_name.as_deref(),
        name: &wanted.name,
        api,
        default: wanted.default,
    };
    checked(gate, with_version(base, &new).as_bytes(), base.source).await
}

/// The definitions of APIs that name this one among their versions, as they are and without it.
pub(super) fn unlinked(gate: &Gate, id: &str) -> Result<Vec<(Arc<Definition>, Definition)>, Vec<Fault>> {
    let snapshot = gate.snapshot();
    let bases = snapshot.apis.values().filter(|api| *api.identity.id != *id && has_version(api, id));
    let without = |base: &Arc<RunningApi>| {
        let definition = Definition::read(&without_version(&base.definition, id), None, &*gate.stores).0?;
        Ok((Arc::clone(&base.definition), definition))
    };
    bases.map(without).collect()
}

fn versioning(api: &RunningApi) -> Option<&Versioning> {
    api.model.versioning.as_deref()
}

fn has_version(api: &RunningApi, id: &str) -> bool {
    versioning(api).is_some_and(|versioning| versioning.others().iter().any(|(_, other)| **other == *id))
}

/// The API of which this one is a version.
pub(super) fn base_of(gate: &Gate, id: &str) -> Option<Arc<RunningApi>> {
    let snapshot = gate.snapshot();
    // By id, so that two bases of one API do not take turns.
    let bases = snapshot.apis.values().filter(|api| *api.identity.id != *id && has_version(api, id));
    bases.min_by(|one, other| one.identity.id.cmp(&other.identity.id)).cloned()
}

#[derive(Serialize)]
struct Listing {
    status: &'static str,
    apis: Vec<Version>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    id: String,
    name: String,
    version_name: String,
    internal: bool,
    expiration_date: String,
    is_default_version: bool,
}

impl Version {
    fn of(api: &RunningApi, name: &str, is_default: bool) -> Self {
        Self {
            id: api.model.id.to_string(),
            name: api.model.name.to_string(),
            version_name: name.to_owned(),
            internal: api.model.internal,
            expiration_date: api.model.expires.and_then(write_date).unwrap_or_default(),
            is_default_version: is_default,
        }
    }

    fn holds(&self, text: &str) -> bool {
        [&self.id, &self.name, &self.version_name].iter().any(|held| held.to_lowercase().contains(text))
    }
}

/// `GET …/versions`: of a base, or of the base that an API is a version of. The base first, the others by their names.
pub(crate) fn list(gate: &Arc<Gate>, call: &Call, id: &str) -> Response<Body> {
    let Some(api) = find(gate, id) else { return not_found() };
    let base = base_of(gate, id).unwrap_or(api);
    let mut apis = all(gate, &base);
    if let Some(text) = call.parameter("searchText").map(str::to_lowercase) {
        apis.retain(|version| version.holds(&text));
    }
    match call.parameter("accessType") {
        Some("internal") => apis.retain(|version| version.internal),
        Some("external") => apis.retain(|version| !version.internal),
        _ => {}
    }
    json(StatusCode::OK, &Listing { status: "success", apis })
}

fn all(gate: &Gate, base: &RunningApi) -> Vec<Version> {
    let Some(versioning) = versioning(base) else { return vec![Version::of(base, "", true)] };
    if let Versions::Own(own) = &versioning.versions {
        let id = base.model.id.to_string();
        let of = |shape: &apidef::Api| Version {
            id: id.clone(),
            expiration_date: shape.version_expires.and_then(write_date).unwrap_or_default(),
            ..Version::of(base, &shape.version, shape.version == versioning.default)
        };
        return own.iter().map(of).collect();
    }
    let mut apis = vec![Version::of(base, &versioning.name, versioning.is_base(&versioning.default))];
    let mut named: Vec<_> = versioning.others().iter().collect();
    named.sort();
    for (name, id) in named {
        if let Some(api) = find(gate, id) {
            apis.push(Version::of(&api, name, *name == versioning.default));
        }
    }
    apis
}
