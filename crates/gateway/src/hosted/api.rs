//! Streams mode: streams come and go over HTTP (streams contract 5.12), in a process that runs nothing else and, below
//! `/tyk`, inside of a gate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use document::{Document, Fault};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use parking_lot::Mutex;
use serde_json::{Map, Value as Json, json};
use streams::Watcher;

use super::resources::{Resource, is_inside, set_resource, with_resources};
use super::streams::{Place, beside};
use super::{defined, own};
use crate::body::{Body, RequestBody};
use crate::exchange::Peer;
use crate::gate::Gate;
use crate::respond;

/// Largest configuration that is taken.
const BODY_LIMIT: usize = 16 << 20;
/// Names below `/tyk/streams` that are no ids.
const NO_IDS: [&str; 3] = ["components", "schema.json", "ready"];
/// How long a stream that is stopped may take to deliver what is under way.
const PATIENCE: Duration = Duration::from_secs(20);
/// First segments of paths that are the server's own.
const OWN: [&str; 8] = ["ping", "ready", "version", "metrics", "stats", "endpoints", "streams", "resources"];

/// The streams there are, and the resources that they share by name.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(super) streams: Mutex<BTreeMap<String, Stream>>,
    pub(super) resources: Mutex<BTreeMap<(&'static str, String), Resource>>,
    /// Listeners that they opened for themselves.
    pub(super) own: own::Open,
    /// Held over a change, so that what is kept and what runs agree.
    pub(super) changing: tokio::sync::Mutex<()>,
}

/// Where a stream comes from, and how it is looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Origin {
    /// It was made with `chilled`.
    pub(super) lenient: bool,
    /// The file that it stands in, for what its mappings read beside it.
    pub(super) file: Option<String>,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) config: Json,
    pub(super) origin: Origin,
    since: Instant,
    watcher: Watcher,
}

/// Why something was not done.
pub(crate) enum Refused {
    Faults(Vec<(String, Vec<Fault>)>),
    Text(StatusCode, String),
}

impl Refused {
    /// The faults as programs that read lints expect them: `(line,col) text`.
    pub(crate) fn lints(faults: &[(String, Vec<Fault>)]) -> Vec<String> {
        let each = |(id, faults): &(String, Vec<Fault>)| {
            faults.iter().map(|fault| line(id, fault)).collect::<Vec<_>>()
        };
        faults.iter().flat_map(each).collect()
    }
}

/// Adds a stream that was read when the process started.
pub(super) async fn add(
    gate: &Arc<Gate>,
    kept: &Kept,
    id: &str,
    config: Json,
    lenient: bool,
    file: Option<&str>,
) -> Result<(), Vec<Fault>> {
    check_id(gate, id).map_err(|text| vec![Fault::error("", text)])?;
    let _changing = kept.changing.lock().await;
    put(gate, kept, id, config, Origin { lenient, file: file.map(str::to_owned) }).await
}

/// Whether a path is answered here.
pub(super) fn is_addressed(path: &str) -> bool {
    path == "/streams" || path.starts_with("/streams/") || path.starts_with("/resources/")
}

/// Answers a request to the API.
pub(super) async fn answer(gate: &Arc<Gate>, peer: &Peer, request: Request<RequestBody>) -> Response<Body> {
    if let Some(refused) = forbidden(gate, peer, &request) {
        return refused;
    }
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return respond::text(
            StatusCode::PAYLOAD_TOO_LARGE,
            "a configuration of at most 16 MiB is expected\n",
        );
    };
    let body = body.to_bytes();
    let path: Vec<String> = head
        .uri
        .path()
        .split('/')
        .skip(1)
        .filter(|segment| !segment.is_empty())
        .map(|segment| crate::query::decode_path(segment).into_owned())
        .collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let query = crate::query::pairs(head.uri.query().unwrap_or_default());
    let lenient = query.into_iter().any(|(name, value)| name == "chilled" && value == "true");
    match perform(gate, &head.method, path.as_slice(), &body, lenient).await {
        Ok(value) => respond::json(StatusCode::OK, &value),
        Err(Refused::Text(status, text)) => respond::text(status, text + "\n"),
        Err(Refused::Faults(faults)) => {
            respond::json(StatusCode::BAD_REQUEST, &json!({ "lint_errors": Refused::lints(&faults) }))
        }
    }
}

/// Does what is asked of the API, by whoever may.
pub(crate) async fn perform(
    gate: &Arc<Gate>,
    method: &Method,
    path: &[&str],
    body: &[u8],
    lenient: bool,
) -> Result<Json, Refused> {
    let kept = &gate.hosted;
    match (method, path) {
        (&Method::GET, ["streams"]) => Ok(list(gate, kept)),
        (&Method::POST, ["streams"]) => replace_all(gate, kept, body, lenient).await,
        (&Method::GET, ["streams", id]) => show(gate, kept, id),
        (&Method::POST, ["streams", id]) => create(gate, kept, id, body, lenient).await,
        (&Method::PUT, ["streams", id]) => replace(gate, kept, id, body, lenient).await,
        (&Method::PATCH, ["streams", id]) => patch(gate, kept, id, body, lenient).await,
        (&Method::DELETE, ["streams", id]) => delete(gate, kept, id).await,
        (&Method::GET, ["streams", id, "stats"]) => stats(gate, kept, id),
        (&Method::POST, ["resources", sort, label]) => {
            set_resource(gate, kept, (sort, label), body, lenient).await
        }
        (_, ["streams" | "resources", ..]) if path.len() <= 3 => {
            Err(Refused::Text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed".to_owned()))
        }
        _ => Err(Refused::Text(StatusCode::NOT_FOUND, "Not Found".to_owned())),
    }
}

/// Whoever may change streams may do all that the process may. Without a secret only this machine may.
fn forbidden(gate: &Gate, peer: &Peer, request: &Request<RequestBody>) -> Option<Response<Body>> {
    let text = match &gate.settings.secret {
        Some(_) if crate::admin::authorised(gate, request.headers()) => return None,
        Some(_) => "the header `x-tyk-authorization` does not hold the secret\n",
        None if peer.address.is_loopback() && !by_a_page(request) => return None,
        None => "set a secret (TYK_GW_SECRET) to change streams from another machine or from a browser\n",
    };
    Some(respond::text(StatusCode::FORBIDDEN, text))
}

/// Whether a page of some other site asks, in a browser on this machine: it bears an origin, or a name that was made to
/// lead here.
fn by_a_page(request: &Request<RequestBody>) -> bool {
    let host = crate::serve::host(request).trim_matches(['[', ']']);
    let local = host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok();
    request.headers().contains_key(http::header::ORIGIN) || !local
}

/// `(line,col) text`, as programs that read lints expect it.
fn line(id: &str, fault: &Fault) -> String {
    let place = fault.place.map(|place| format!("({},{}) ", place.line, place.column)).unwrap_or_default();
    let pointer = if fault.pointer.is_empty() { String::new() } else { format!("{}: ", fault.pointer) };
    let hint = fault.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    let stream = if id.is_empty() { String::new() } else { format!("stream `{id}`: ") };
    format!("{place}{stream}{pointer}{}{hint}", fault.message)
}

pub(super) fn life(watcher: &Watcher, uptime: Duration) -> Map<String, Json> {
    let mut life = Map::new();
    life.insert("active".to_owned(), (!watcher.status().ended).into());
    life.insert("uptime".to_owned(), uptime.as_secs_f64().into());
    life.insert("uptime_str".to_owned(), format!("{:.1?}", uptime).into());
    life
}

impl Stream {
    fn life(&self) -> Map<String, Json> {
        life(&self.watcher, self.since.elapsed())
    }
}

fn list(gate: &Gate, kept: &Kept) -> Json {
    let mut all: BTreeMap<String, Json> =
        defined::all(gate).iter().map(|stream| (stream.id(), Json::Object(stream.life()))).collect();
    let streams = kept.streams.lock();
    all.extend(streams.iter().map(|(id, stream)| (id.clone(), Json::Object(stream.life()))));
    Json::Object(all.into_iter().collect())
}

fn unknown() -> Refused {
    Refused::Text(StatusCode::NOT_FOUND, "Stream not found".to_owned())
}

/// Why a stream that is not kept cannot be changed.
fn unchangeable(gate: &Gate, id: &str) -> Refused {
    match defined::find(gate, id) {
        None => unknown(),
        Some(stream) => {
            let text = format!("the stream belongs to the API `{}`: change its definition", stream.api());
            Refused::Text(StatusCode::CONFLICT, text)
        }
    }
}

fn show(gate: &Gate, kept: &Kept, id: &str) -> Result<Json, Refused> {
    let streams = kept.streams.lock();
    let (mut shown, config) = match streams.get(id) {
        Some(stream) => (stream.life(), stream.config.clone()),
        None => {
            let stream = defined::find(gate, id).ok_or_else(unknown)?;
            (stream.life(), stream.config())
        }
    };
    shown.insert("config".to_owned(), ::streams::scrubbed(&config, &gate.streams));
    Ok(Json::Object(shown))
}

fn stats(gate: &Gate, kept: &Kept, id: &str) -> Result<Json, Refused> {
    let streams = kept.streams.lock();
    let (watcher, uptime) = match streams.get(id) {
        Some(stream) => (stream.watcher.clone(), stream.since.elapsed()),
        None => {
            let stream = defined::find(gate, id).ok_or_else(unknown)?;
            (stream.watcher.clone(), stream.uptime)
        }
    };
    let mut stats = ::streams::exporters::object(&watcher.samples());
    let uptime = u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX);
    stats.insert("uptime_ns".to_owned(), uptime.into());
    Ok(Json::Object(stats))
}

async fn create(
    gate: &Arc<Gate>,
    kept: &Kept,
    id: &str,
    body: &[u8],
    lenient: bool,
) -> Result<Json, Refused> {
    check_id(gate, id).map_err(|text| Refused::Text(StatusCode::BAD_REQUEST, text))?;
    let document = read(body)?;
    let _changing = kept.changing.lock().await;
    if kept.streams.lock().contains_key(id) || defined::find(gate, id).is_some() {
        return Err(Refused::Text(StatusCode::BAD_REQUEST, "Stream already exists".to_owned()));
    }
    put_read(gate, kept, id, &document, lenient).await
}

async fn replace(
    gate: &Arc<Gate>,
    kept: &Kept,
    id: &str,
    body: &[u8],
    lenient: bool,
) -> Result<Json, Refused> {
    let document = read(body)?;
    let _changing = kept.changing.lock().await;
    if !kept.streams.lock().contains_key(id) {
        return Err(unchangeable(gate, id));
    }
    put_read(gate, kept, id, &document, lenient).await
}

async fn patch(gate: &Arc<Gate>, kept: &Kept, id: &str, body: &[u8], lenient: bool) -> Result<Json, Refused> {
    let document = read(body)?;
    let _changing = kept.changing.lock().await;
    let known = kept.streams.lock().get(id).map(|stream| (stream.config.clone(), stream.origin.file.clone()));
    let (mut config, file) = known.ok_or_else(|| unchangeable(gate, id))?;
    ::streams::merge_patch(&mut config, document.value());
    let put = put(gate, kept, id, config, Origin { lenient, file }).await;
    put.map_err(|faults| Refused::Faults(vec![(id.to_owned(), faults)]))?;
    Ok(json!({}))
}

async fn delete(gate: &Arc<Gate>, kept: &Kept, id: &str) -> Result<Json, Refused> {
    let _changing = kept.changing.lock().await;
    if kept.streams.lock().remove(id).is_none() {
        return Err(unchangeable(gate, id));
    }
    gate.dismiss(id, PATIENCE).await;
    Ok(json!({}))
}

/// Makes the streams be those of the body and no others. Nothing is changed when one of them is at fault.
async fn replace_all(gate: &Arc<Gate>, kept: &Kept, body: &[u8], lenient: bool) -> Result<Json, Refused> {
    let document = read(body)?;
    let Some(wanted) = document.value().as_object() else {
        return Err(Refused::Text(
            StatusCode::BAD_REQUEST,
            "an object of streams by their ids is expected".to_owned(),
        ));
    };
    let origin = Origin { lenient, file: None };
    let _changing = kept.changing.lock().await;
    let mut faults = Vec::new();
    for (id, config) in wanted {
        if let Err(text) = check_id(gate, id) {
            faults.push((id.clone(), vec![Fault::error("", text)]));
            continue;
        }
        let mut found = check(gate, kept, config, &origin);
        for fault in &mut found {
            fault.pointer.insert_str(0, &document::pointer_join("", id));
        }
        ::streams::locate(&document, &mut found);
        if found.iter().any(Fault::is_error) {
            faults.push((id.clone(), found));
        }
    }
    if !faults.is_empty() {
        return Err(Refused::Faults(faults));
    }
    let gone: Vec<String> =
        kept.streams.lock().keys().filter(|id| !wanted.contains_key(*id)).cloned().collect();
    for id in gone {
        kept.streams.lock().remove(&id);
        gate.dismiss(&id, PATIENCE).await;
    }
    for (id, config) in wanted {
        let same = kept.streams.lock().get(id).is_some_and(|stream| stream.config == *config);
        if !same {
            let put = put(gate, kept, id, config.clone(), origin.clone()).await;
            put.map_err(|faults| Refused::Faults(vec![(id.clone(), faults)]))?;
        }
    }
    Ok(json!({}))
}

pub(super) fn read(body: &[u8]) -> Result<Document, Refused> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Refused::Text(StatusCode::BAD_REQUEST, "the body is not UTF-8 text".to_owned()))?;
    ::streams::read_body(text).map_err(|fault| Refused::Faults(vec![(String::new(), vec![fault])]))
}

/// Starts a stream of a text that was read; its faults are told with their places in it.
async fn put_read(
    gate: &Arc<Gate>,
    kept: &Kept,
    id: &str,
    document: &Document,
    lenient: bool,
) -> Result<Json, Refused> {
    let mut faults = document.repeated_keys();
    faults.retain(Fault::is_error);
    if faults.is_empty() {
        let origin = Origin { lenient, file: None };
        match put(gate, kept, id, document.value().clone(), origin).await {
            Ok(()) => return Ok(json!({})),
            Err(found) => faults = found,
        }
    }
    ::streams::locate(document, &mut faults);
    Err(Refused::Faults(vec![(id.to_owned(), faults)]))
}

pub(super) async fn put(
    gate: &Arc<Gate>,
    kept: &Kept,
    id: &str,
    config: Json,
    origin: Origin,
) -> Result<(), Vec<Fault>> {
    let faults = check(gate, kept, &config, &origin);
    if faults.iter().any(Fault::is_error) {
        return Err(faults);
    }
    let path = format!("/{id}/");
    let (whole, lenient_ones) = with_resources(kept, config.clone());
    // What of it must not be lenient has been looked at just now.
    let lenient = origin.lenient || !lenient_ones.is_empty();
    let place = Place { id, path: &path, lenient, file: origin.file.as_deref() };
    let watcher = gate.host(place, whole).await?;
    let stream = Stream { config, origin, since: Instant::now(), watcher };
    kept.streams.lock().insert(id.to_owned(), stream);
    Ok(())
}

/// The faults of a configuration, as lint tells them: building tells the others.
fn check(gate: &Gate, kept: &Kept, config: &Json, origin: &Origin) -> Vec<Fault> {
    let (whole, lenient_ones) = with_resources(kept, config.clone());
    let inside = |fault: &Fault| lenient_ones.iter().any(|at| is_inside(&fault.pointer, at));
    let mut faults = ::streams::lint(&whole, "", &settings(gate, origin));
    if !origin.lenient && faults.iter().any(inside) {
        faults.retain(|fault| !inside(fault));
        let lenient = Origin { lenient: true, ..origin.clone() };
        let more = ::streams::lint(&whole, "", &settings(gate, &lenient));
        faults.extend(more.into_iter().filter(inside));
    }
    faults
}

pub(super) fn settings(gate: &Gate, origin: &Origin) -> ::streams::Settings {
    let settings = ::streams::Settings { lenient: origin.lenient, ..gate.streams.clone() };
    beside(settings, origin.file.as_deref())
}

/// Why an id cannot be one.
fn check_id(gate: &Gate, id: &str) -> Result<(), String> {
    well_formed(id)?;
    if gate.settings.service.is_some() {
        return Ok(());
    }
    if NO_IDS.contains(&id) {
        return Err(format!("`{id}` is no id: the admin API itself answers at `/tyk/streams/{id}`"));
    }
    let names = [&*gate.settings.health_name, &*gate.settings.ready_name, "tyk"];
    if names.contains(&id) {
        return Err(format!("`{id}` is no id: the gate itself answers at `/{id}`"));
    }
    Ok(())
}

fn well_formed(id: &str) -> Result<(), String> {
    let usual = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if id.is_empty() || id.len() > 200 || !id.chars().all(usual) || id.starts_with('.') {
        return Err(format!("`{id}` is no id: use 1 to 200 of A-Z a-z 0-9 _ - ."));
    }
    if OWN.contains(&id) {
        return Err(format!("`{id}` is no id: the server itself answers below `/{id}`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_paths_that_are_nobody_elses() {
        for id in ["a", "a-b_c.d", "Ready"] {
            assert_eq!(well_formed(id), Ok(()));
        }
        for id in ["", "a/b", "a b", "ä", "..", "streams", "ready", &"x".repeat(201)] {
            assert!(well_formed(id).is_err(), "{id}");
        }
    }
}
