//! Which of its versions serves a request to an API (contract 8.1).

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use apidef::{VersionLocation, Versioning};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode, Uri};
use regex::Regex;

use crate::query;
use crate::respond::Refusal;
use crate::snapshot::RunningApi;

/// How often one API may hand a request on to the next.
const HANDED_ON: usize = 5;
/// The flag of refusals.
const FLAG: &str = "VNF";

/// The versions of an API, ready to be chosen from.
#[derive(Debug)]
pub(crate) struct Versions {
    versioning: Versioning,
    /// Where the name is looked for, if that is a header.
    header: Option<HeaderName>,
    /// What a version in a path looks like.
    pattern: Option<Regex>,
    /// The shapes of an API that serves its versions itself.
    own: Option<Vec<Arc<RunningApi>>>,
}

/// What serves a request.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) api: Arc<RunningApi>,
    /// The request named no version, and the API serves several itself: which one it was.
    pub(crate) by_default: Option<HeaderValue>,
    /// Where in the path the version stands that was chosen by it and left there.
    pub(crate) in_path: Option<Range<usize>>,
}

type Apis = HashMap<Arc<str>, Arc<RunningApi>>;

/// The API that serves a request to `base`, whose listen path covers `matched` bytes of the path. Takes the name of the
/// version off the request if the definition says so.
pub(crate) fn choose(
    apis: &Apis,
    base: &Arc<RunningApi>,
    uri: &mut Uri,
    headers: &mut HeaderMap,
    matched: usize,
) -> Result<Chosen, Refusal> {
    let mut chosen = Chosen { api: Arc::clone(base), by_default: None, in_path: None };
    for _ in 0..HANDED_ON {
        let api = Arc::clone(&chosen.api);
        let Some(versions) = &api.versions else { return Ok(chosen) };
        let before = chosen.in_path.take();
        chosen = versions.choose(apis, &api, uri, headers, matched)?;
        chosen.in_path = chosen.in_path.or(before);
        if Arc::ptr_eq(&chosen.api, &api) {
            return Ok(chosen);
        }
    }
    Err(Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, FLAG, "Internal Server Error")
        .detail("versions lead from one API to the next without end"))
}

impl Versions {
    /// What the definition says; `own` are the shapes of an API that serves its versions itself.
    pub(crate) fn compile(
        versioning: &Versioning,
        own: Option<Vec<Arc<RunningApi>>>,
    ) -> Result<Box<Self>, String> {
        let header = match &versioning.location {
            VersionLocation::Header(name) => Some(
                HeaderName::try_from(&**name)
                    .map_err(|_| format!("`{name}` is no name of a header that could hold a version"))?,
            ),
            _ => None,
        };
        let pattern = versioning.url_pattern.as_deref().map(Regex::new).transpose();
        let pattern =
            pattern.map_err(|error| format!("the pattern of versions in paths is no regex: {error}"))?;
        Ok(Box::new(Self { versioning: versioning.clone(), header, pattern, own }))
    }

    fn choose(
        &self,
        apis: &Apis,
        base: &Arc<RunningApi>,
        uri: &mut Uri,
        headers: &mut HeaderMap,
        matched: usize,
    ) -> Result<Chosen, Refusal> {
        let asked = self.asked(uri, headers, matched);
        let mut chosen = match &self.own {
            Some(own) => self.among_own(own, &asked)?,
            None => Chosen { api: self.among_others(apis, base, &asked)?, by_default: None, in_path: None },
        };
        if self.versioning.strip && !asked.is_empty() {
            self.strip(&asked, uri, headers, matched);
        } else if matches!(self.versioning.location, VersionLocation::Path) && self.names(&asked) {
            chosen.in_path = Some(self.segment(uri.path(), matched));
        }
        Ok(chosen)
    }

    /// The name of the version that a request asks for; empty when it names none.
    fn asked(&self, uri: &Uri, headers: &HeaderMap, matched: usize) -> String {
        match &self.versioning.location {
            VersionLocation::Header(_) => {
                let value = self.header.as_ref().and_then(|name| headers.get(name));
                // What is no text names no version that exists.
                value
                    .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
                    .unwrap_or_default()
            }
            VersionLocation::Query(name) => {
                query::value(uri.query().unwrap_or_default(), name).unwrap_or_default().into_owned()
            }
            VersionLocation::Path => {
                let segment = self.segment(uri.path(), matched);
                query::decode_path(&uri.path()[segment]).into_owned()
            }
        }
    }

    /// Where in a path a version would be: the first segment that is not empty, behind the slug if that stands there.
    fn segment(&self, path: &str, matched: usize) -> Range<usize> {
        let next = |from: usize| {
            let rest = path.get(from..).unwrap_or_default();
            let start = path.len() - rest.trim_start_matches('/').len();
            let end = path[start..].find('/').map_or(path.len(), |at| start + at);
            start..end
        };
        let first = next(matched);
        if !self.versioning.slug.is_empty() && path[first.clone()] == *self.versioning.slug {
            return next(first.end);
        }
        first
    }

    fn among_own(&self, own: &[Arc<RunningApi>], asked: &str) -> Result<Chosen, Refusal> {
        let (name, by_default) = match (asked, &*self.versioning.default) {
            ("", "") => return Err(unnamed()),
            ("", default) => (default, HeaderValue::try_from(default).ok()),
            (asked, _) => (asked, None),
        };
        match own.iter().find(|api| *api.model.version == *name) {
            Some(api) => Ok(Chosen { api: Arc::clone(api), by_default, in_path: None }),
            None => Err(unknown(StatusCode::FORBIDDEN)),
        }
    }

    fn among_others(
        &self,
        apis: &Apis,
        base: &Arc<RunningApi>,
        asked: &str,
    ) -> Result<Arc<RunningApi>, Refusal> {
        let Versioning { name, default, fallback_to_default, .. } = &self.versioning;
        let child = |version: &str| {
            let others = self.versioning.others().iter();
            let id = others.into_iter().find(|(known, _)| **known == *version).map(|(_, id)| &**id)?;
            apis.get(id).cloned()
        };
        let default = || match &**default {
            "" => Err(unnamed()),
            default if self.versioning.is_base(default) => Ok(Arc::clone(base)),
            default => child(default).ok_or_else(|| {
                Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, FLAG, "Internal Server Error")
                    .detail("the default version names an API that is not loaded")
            }),
        };
        if asked.is_empty() {
            return default();
        }
        if !name.is_empty() && *asked == **name {
            return Ok(Arc::clone(base));
        }
        match child(asked) {
            Some(api) => Ok(api),
            None if *fallback_to_default => default(),
            None => Err(unknown(StatusCode::NOT_FOUND)),
        }
    }

    fn strip(&self, asked: &str, uri: &mut Uri, headers: &mut HeaderMap, matched: usize) {
        match &self.versioning.location {
            VersionLocation::Header(_) => {
                if let Some(name) = &self.header {
                    headers.remove(name);
                }
            }
            VersionLocation::Query(name) => strip_query(uri, name),
            VersionLocation::Path => {
                // What only stands where a version might is a part of the path.
                let is_version = match &self.pattern {
                    Some(pattern) => pattern.is_match(asked),
                    None => self.names(asked),
                };
                if is_version {
                    let segment = self.segment(uri.path(), matched);
                    strip_segment(uri, segment);
                }
            }
        }
    }

    fn names(&self, version: &str) -> bool {
        *version == *self.versioning.name
            || self.versioning.others().iter().any(|(name, _)| **name == *version)
            || self.own.iter().flatten().any(|api| *api.model.version == *version)
    }
}

fn unnamed() -> Refusal {
    Refusal::client(StatusCode::FORBIDDEN, FLAG, "Version information not found")
}

fn unknown(status: StatusCode) -> Refusal {
    Refusal::client(status, FLAG, "This API version does not seem to exist")
}

fn strip_query(uri: &mut Uri, name: &str) {
    let kept: Vec<&str> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| query::decode(pair.split('=').next().unwrap_or_default()) != name)
        .collect();
    let kept = kept.join("&");
    let path = uri.path();
    let target = if kept.is_empty() { path.to_owned() } else { format!("{path}?{kept}") };
    replace(uri, &target);
}

/// Takes a segment off the path, with the slash behind it.
fn strip_segment(uri: &mut Uri, segment: Range<usize>) {
    let path = uri.path();
    let (before, after) = (&path[..segment.start], &path[segment.end..]);
    // What the listen path covers stays whole.
    let path = format!("{before}{}", after.trim_start_matches('/'));
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    replace(uri, &target);
}

fn replace(uri: &mut Uri, target: &str) {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = target.parse().ok();
    if let Ok(replaced) = Uri::from_parts(parts) {
        *uri = replaced;
    }
}

#[cfg(test)]
mod tests;
