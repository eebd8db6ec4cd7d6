//! A small schema registry that speaks the REST API of Confluent's: schemas by id, versions of subjects, and registering.
//! It knows nothing of the tests beside it; whoever needs a registry can take this file.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

#[derive(Default)]
struct State {
    /// What was registered; the id is the place, from 1.
    schemas: Mutex<Vec<Json>>,
    /// Of each subject the ids of its versions.
    subjects: Mutex<BTreeMap<String, Vec<usize>>>,
    /// Method and path of each request, and its `Authorization`.
    asked: Mutex<Vec<(String, Option<String>)>>,
    down: AtomicBool,
}

/// A registry; it ends with this value.
pub(crate) struct Registry {
    state: Arc<State>,
    address: String,
    task: JoinHandle<()>,
}

impl Registry {
    /// Begins on a free port.
    pub(crate) async fn start() -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let state: Arc<State> = Arc::default();
        let own = state.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = own.clone();
                connections.spawn(async move {
                    let service = service_fn(|request| answer(state.clone(), request));
                    let engine = auto::Builder::new(TokioExecutor::new());
                    drop(engine.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Registry { state, address, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Registers the next version of a subject: `{"schema", "schemaType", "references"}`. Gives its id.
    pub(crate) fn register(&self, subject: &str, schema: Json) -> usize {
        self.state.register(subject, schema)
    }

    /// Whether it answers 503 from now on.
    pub(crate) fn down(&self, down: bool) {
        self.state.down.store(down, Ordering::SeqCst);
    }

    /// Method and path of the requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.asked.lock().iter().map(|(asked, _)| asked.clone()).collect()
    }

    /// `Authorization` of the requests so far.
    pub(crate) fn credentials(&self) -> Vec<Option<String>> {
        self.state.asked.lock().iter().map(|(_, credentials)| credentials.clone()).collect()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn register(&self, subject: &str, schema: Json) -> usize {
        let mut schemas = self.schemas.lock();
        let known = schemas.iter().position(|known| *known == schema);
        let id = known.unwrap_or(schemas.len()) + 1;
        if known.is_none() {
            schemas.push(schema);
        }
        let mut subjects = self.subjects.lock();
        let versions = subjects.entry(subject.to_owned()).or_default();
        if !versions.contains(&id) {
            versions.push(id);
        }
        id
    }

    fn by_id(&self, id: usize) -> Option<Json> {
        self.schemas.lock().get(id.checked_sub(1)?).cloned()
    }

    fn version(&self, subject: &str, version: &str) -> Option<Json> {
        let (version, id) = {
            let subjects = self.subjects.lock();
            let versions = subjects.get(subject)?;
            let version = if version == "latest" { versions.len() } else { version.parse().ok()? };
            (version, *versions.get(version.checked_sub(1)?)?)
        };
        let mut schema = self.by_id(id)?;
        let parts = schema.as_object_mut()?;
        parts.insert("id".into(), json!(id));
        parts.insert("subject".into(), json!(subject));
        parts.insert("version".into(), json!(version));
        Some(schema)
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let credentials = head.headers.get("authorization").and_then(|value| value.to_str().ok());
    let asked = format!("{} {}", head.method, head.uri.path());
    state.asked.lock().push((asked, credentials.map(str::to_owned)));
    let path: Vec<String> = head.uri.path().split('/').skip(1).map(|part| part.replace("%2F", "/")).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let (status, body) = match (&head.method, &path[..]) {
        _ if state.down.load(Ordering::SeqCst) => (503, json!({"error_code": 50003, "message": "not now"})),
        (&Method::GET, ["schemas", "ids", id]) => match id.parse().ok().and_then(|id| state.by_id(id)) {
            Some(schema) => (200, schema),
            None => (404, json!({"error_code": 40403, "message": "Schema not found"})),
        },
        (&Method::GET, ["subjects", subject, "versions", version]) => match state.version(subject, version) {
            Some(schema) => (200, schema),
            None => (404, json!({"error_code": 40401, "message": "Subject not found"})),
        },
        (&Method::GET, ["subjects"]) => (200, json!(state.subjects.lock().keys().collect::<Vec<_>>())),
        (&Method::POST, ["subjects", subject, "versions"]) => match serde_json::from_slice(&body) {
            Ok(schema) => (200, json!({"id": state.register(subject, schema)})),
            Err(_) => (422, json!({"error_code": 42201, "message": "Invalid schema"})),
        },
        _ => (404, json!({"error_code": 404, "message": "HTTP 404 Not Found"})),
    };
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/vnd.schemaregistry.v1+json")
        .body(Full::new(Bytes::from(body.to_string())));
    Ok(response.expect("an answer"))
}
