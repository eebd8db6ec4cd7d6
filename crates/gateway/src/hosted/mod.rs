//! Streams that stand in no catalog: what a process serves that runs streams and nothing else (streams contract 5.11).
//!
//! Their endpoints are served by the same road as those of APIs. Before it stand the server's own rules (password,
//! cross-origin), and the paths that tell how the streams are.

mod api;
mod defined;
mod own;
mod page;
mod password;
mod resources;
mod streams;
mod users;

use std::sync::Arc;

use document::Fault;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};

use serde_json::Value as Json;

pub(crate) use self::api::{Kept, Refused, perform};
pub(crate) use self::page::ready;
pub use self::streams::Place;

use self::password::Guard;
use crate::body::{Body, RequestBody};
use crate::exchange::Peer;
use crate::gate::Gate;
use crate::respond;
use crate::serve;

/// How streams without a catalog are served.
#[derive(Debug)]
pub struct Service {
    root_path: Box<str>,
    origins: Option<Vec<String>>,
    guard: Option<Guard>,
    /// Streams come and go beside each other; otherwise there is one.
    many: bool,
}

impl Service {
    /// A service by the section `http` of a configuration, for one stream or for many.
    pub fn new(http: &::streams::Http, many: bool) -> Service {
        Service {
            root_path: http.root_path.as_str().into(),
            origins: http.origins.clone(),
            guard: http.password.clone().map(Guard::new),
            many,
        }
    }

    /// Whether streams come and go beside each other.
    pub(crate) fn hosts_many(&self) -> bool {
        self.many
    }

    /// What a browser must be told so that the page of another origin may read the answer.
    fn allowed_origin(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        let (allowed, origin) = (self.origins.as_ref()?, origin?);
        let fits = |known: &String| known == "*" || known.as_bytes() == origin.as_bytes();
        allowed.iter().any(fits).then(|| origin.clone())
    }
}

/// Answers one request to a process that runs streams and nothing else.
pub(crate) async fn serve(
    gate: &Arc<Gate>,
    service: &Service,
    peer: &Arc<Peer>,
    mut request: Request<RequestBody>,
) -> Response<Body> {
    if let Some(own) = &peer.own {
        return own::answer(gate, &gate.hosted.own, own, peer, request).await;
    }
    let origin = service.allowed_origin(request.headers().get(header::ORIGIN));
    let mut response = if origin.is_some() && is_preflight(&request) {
        preflight(&request)
    } else {
        match refused(service, &request).await {
            Some(refused) => refused,
            None => {
                below_root(&service.root_path, &mut request);
                answer(gate, service, peer, request).await
            }
        }
    };
    if let Some(origin) = origin {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

/// The API of streams mode, a page about the streams, or an endpoint of theirs.
async fn answer(
    gate: &Arc<Gate>,
    service: &Service,
    peer: &Arc<Peer>,
    request: Request<RequestBody>,
) -> Response<Body> {
    if service.many && api::is_addressed(request.uri().path()) {
        return api::answer(gate, peer, request).await;
    }
    match page::answer(gate, &request).await {
        Some(page) => page,
        None => serve::serve_apis(gate, peer, request).await,
    }
}

impl Gate {
    /// Starts a stream of streams mode, in spite of faults that lint finds where it is `lenient`. Its mappings read what is
    /// beside `file`.
    ///
    /// # Errors
    /// Every fault, with its pointer in the configuration.
    pub async fn add_stream(
        self: &Arc<Self>,
        id: &str,
        config: Json,
        lenient: bool,
        file: Option<&str>,
    ) -> Result<(), Vec<Fault>> {
        api::add(self, &self.hosted, id, config, lenient, file).await
    }

    /// Keeps a resource of streams mode, which streams that are added later share by its label. `field` is where
    /// configurations list those of its sort; what lint finds in a `lenient` one is no fault of theirs.
    pub fn add_resource(&self, field: &'static str, label: &str, config: Json, lenient: bool) {
        resources::add_resource(&self.hosted, field, label, config, lenient);
    }
}

/// A question of a browser about another request. It bears no password.
fn is_preflight(request: &Request<RequestBody>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight(request: &Request<RequestBody>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    for (asked, allowed) in [
        (header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_ALLOW_METHODS),
        (header::ACCESS_CONTROL_REQUEST_HEADERS, header::ACCESS_CONTROL_ALLOW_HEADERS),
    ] {
        if let Some(value) = request.headers().get(asked) {
            response.headers_mut().insert(allowed, value.clone());
        }
    }
    response
}

async fn refused(service: &Service, request: &Request<RequestBody>) -> Option<Response<Body>> {
    let guard = service.guard.as_ref()?;
    if guard.admits(request.headers().get(header::AUTHORIZATION)).await {
        return None;
    }
    let mut response = respond::text(StatusCode::UNAUTHORIZED, "Unauthorized");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, guard.challenge.clone());
    Some(response)
}

/// What is asked below the root path is asked without it.
fn below_root(root: &str, request: &mut Request<RequestBody>) {
    let asked = request.uri().path_and_query().map(|asked| asked.as_str());
    let Some(rest) = asked.and_then(|asked| asked.strip_prefix(root)).filter(|_| !root.is_empty()) else {
        return;
    };
    if !rest.starts_with('/') {
        return;
    }
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = rest.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}
