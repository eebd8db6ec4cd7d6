//! The paths of an event API, as its stream graph asked for them.

use std::sync::Arc;

use http::Method;
use parking_lot::Mutex;
use streams::placeholders::SAMPLE;
use streams::{Endpoint, EndpointPort, Role};

/// Collects endpoints while streams are built.
#[derive(Debug, Default)]
pub(super) struct Port(Mutex<Vec<Endpoint>>);

impl EndpointPort for Port {
    fn offer(&self, endpoint: Endpoint) -> Result<(), String> {
        let mut endpoints = self.0.lock();
        let clash = endpoints.iter().find(|other| {
            address(other) == address(&endpoint)
                && same_path(&other.path, &endpoint.path)
                && is_socket(&other.role) == is_socket(&endpoint.role)
                && (is_socket(&endpoint.role) || other.verbs.iter().any(|verb| endpoint.verbs.contains(verb)))
        });
        if let Some(other) = clash {
            return Err(format!("path `{}` is already served by stream `{}`", endpoint.path, other.stream));
        }
        endpoints.push(endpoint);
        Ok(())
    }
}

/// The same for a stream that is looked at with samples for what requests fill in. Which stream a request is for is found
/// by its path, so no path can depend on the request.
#[derive(Debug)]
pub(super) struct SampledPort(pub(super) Arc<Port>);

impl EndpointPort for SampledPort {
    fn offer(&self, endpoint: Endpoint) -> Result<(), String> {
        if endpoint.path.contains(SAMPLE) {
            return Err("no request can fill in a path, for which one it is is known by the path".to_owned());
        }
        self.0.offer(endpoint)
    }
}

impl Port {
    /// How many endpoints were offered so far.
    pub(super) fn count(&self) -> usize {
        self.0.lock().len()
    }

    pub(super) fn routes(&self) -> Routes {
        let mut endpoints = std::mem::take(&mut *self.0.lock());
        // Exact paths before those with captures, and long prefixes before short ones.
        endpoints.sort_by_key(|endpoint| {
            (endpoint.path.contains('{'), endpoint.path.ends_with('/'), usize::MAX - endpoint.path.len())
        });
        Routes { endpoints: endpoints.into() }
    }
}

/// The endpoints of one API.
#[derive(Debug)]
pub(super) struct Routes {
    endpoints: Box<[Endpoint]>,
}

/// An endpoint and what its path captured.
pub(super) struct Found<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) captures: Vec<(String, String)>,
}

/// Why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Miss {
    NoPath,
    WrongMethod,
    NeedsUpgrade,
}

impl Routes {
    pub(super) fn all(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The endpoint at a path of the server that all share, or of the own listener with this address.
    pub(super) fn find(
        &self,
        path: &str,
        method: &Method,
        upgrade: bool,
        own: Option<&str>,
    ) -> Result<Found<'_>, Miss> {
        let mut miss = Miss::NoPath;
        for endpoint in self.endpoints.iter().filter(|endpoint| address(endpoint) == own) {
            let Some(captures) = captured(&endpoint.path, path) else { continue };
            match (is_socket(&endpoint.role), upgrade) {
                (true, true) => return Ok(Found { endpoint, captures }),
                (true, false) if miss == Miss::NoPath => miss = Miss::NeedsUpgrade,
                (false, false) if endpoint.verbs.iter().any(|verb| verb == method.as_str()) => {
                    return Ok(Found { endpoint, captures });
                }
                (false, false) => miss = Miss::WrongMethod,
                _ => {}
            }
        }
        Err(miss)
    }
}

fn address(endpoint: &Endpoint) -> Option<&str> {
    endpoint.listener.as_ref().map(|listener| listener.address.as_str())
}

fn is_socket(role: &Role) -> bool {
    matches!(role, Role::IngestSocket(_) | Role::Socket(_))
}

fn same_path(one: &str, other: &str) -> bool {
    one.trim_start_matches('/') == other.trim_start_matches('/')
}

/// The values of the pattern's `{name}` segments, if the path fits it. A pattern that ends in `/` fits everything
/// below it.
fn captured(pattern: &str, path: &str) -> Option<Vec<(String, String)>> {
    let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
    let path = path.strip_prefix('/').unwrap_or(path);
    if !pattern.contains('{') {
        // `/` alone is a prefix of everything, too.
        let prefix = pattern.is_empty() || pattern.ends_with('/');
        let fits = path == pattern || (prefix && path.starts_with(pattern));
        return fits.then(Vec::new);
    }
    let prefix = pattern.ends_with('/');
    let mut captures = Vec::new();
    let mut segments = path.split('/');
    for part in pattern.trim_end_matches('/').split('/') {
        let segment = segments.next()?;
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) if !segment.is_empty() => captures.push((name.to_owned(), segment.to_owned())),
            _ if part == segment => {}
            _ => return None,
        }
    }
    (prefix || segments.next().is_none()).then_some(captures)
}

#[cfg(test)]
mod tests {
    use super::captured;

    #[test]
    fn c3_7_row_3_paths_fit_patterns() {
        type Case<'a> = (&'a str, &'a str, Option<&'a [(&'a str, &'a str)]>);
        let cases: &[Case<'_>] = &[
            ("/post", "/post", Some(&[])),
            ("post", "/post", Some(&[])),
            ("/post", "/post/", None),
            ("/post", "/posts", None),
            ("/all/", "/all/x/y", Some(&[])),
            ("/all/", "/all", None),
            ("/", "/", Some(&[])),
            ("/", "/x/y", Some(&[])),
            ("/u/{id}/x", "/u/7/x", Some(&[("id", "7")])),
            ("/u/{id}/x", "/u//x", None),
            ("/u/{id}", "/u/7/x", None),
            ("/u/{id}/", "/u/7/x", Some(&[("id", "7")])),
        ];
        for (pattern, path, expected) in cases {
            let expected = expected.map(|pairs| {
                pairs
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect::<Vec<_>>()
            });
            assert_eq!(captured(pattern, path), expected, "{pattern} {path}");
        }
    }
}
