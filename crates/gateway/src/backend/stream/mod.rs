//! The backend of an event API: its streams, and the endpoints that their `http_server` components asked for.
//!
//! Streams start once for each definition and run until it is replaced or removed, whoever is connected or not.

mod cors;
mod encoding;
pub(crate) mod hook;
mod ingest;
mod metadata;
mod routes;
mod shown;
mod socket;
mod subscribe;
mod turns;
mod variants;
mod watched;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use document::Fault;
use http::{Response, StatusCode};
use parking_lot::Mutex;
use serde_json::Value as Json;
use streams::placeholders;
use streams::{Built, CloseReason, OwnListener, Probe, Role, RunningStream, Topics, Watcher};

pub(crate) use self::socket::accept_socket;
pub(crate) use self::subscribe::{LAST_WORDS, explain, farewell};
pub(crate) use self::watched::{Subscription, Watched, watch};

use self::routes::{Miss, Port, Routes, SampledPort};
use self::variants::{Chosen, Family};
use crate::body::Body;
use crate::exchange::Exchange;
use crate::limits::at_once::{self, Kind};
use crate::respond::{self, Refusal};
use crate::settings::Settings;

/// Streams of one API and the paths at which they are reached.
pub struct StreamBackend {
    routes: Routes,
    streams: Mutex<Vec<Stream>>,
    api: Box<str>,
    started: OnceLock<Instant>,
    /// Streams of which one runs for each set of values that requests bring.
    families: Vec<Arc<Family>>,
}

struct Stream {
    name: Arc<str>,
    life: Life,
}

enum Life {
    Built(Box<Built>),
    Running(RunningStream),
    /// It ends or has ended: what it counted is told still.
    Ending(Watcher),
    Over,
}

impl Life {
    /// Ends it; what runs is for the caller to stop.
    fn end(&mut self) -> Option<RunningStream> {
        match std::mem::replace(self, Life::Over) {
            Life::Running(running) => {
                *self = Life::Ending(running.watcher());
                Some(running)
            }
            Life::Ending(watcher) => {
                *self = Life::Ending(watcher);
                None
            }
            Life::Built(_) | Life::Over => None,
        }
    }
}

impl std::fmt::Debug for StreamBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamBackend").field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl StreamBackend {
    /// Builds every stream, or tells every fault of all of them. Connects and starts nothing.
    pub(crate) fn build(
        model: &apidef::Streams,
        settings: &Settings,
        shared: &streams::Settings,
    ) -> Result<Self, Vec<Fault>> {
        if !settings.streaming {
            let fault = Fault::error(&*model.pointer, "streams are switched off on this gate");
            return Err(vec![fault.hint("set `streaming.enabled` to true in the configuration")]);
        }
        let settings = streams::Settings {
            // What streams of one process say to each other is nobody else's, what those of one API say is theirs.
            topics: if shared.alone { shared.topics.clone() } else { Topics::default() },
            allow_unsafe: settings.allow_unsafe.clone(),
            ..shared.clone()
        };
        Self::of(model, &settings)
    }

    /// As [`StreamBackend::build`], with settings that are those of the API.
    fn of(model: &apidef::Streams, settings: &streams::Settings) -> Result<Self, Vec<Fault>> {
        let port = Arc::new(Port::default());
        let settings = streams::Settings { port: port.clone(), ..settings.clone() };
        let mut built = Vec::new();
        let mut families = Vec::new();
        let mut faults = Vec::new();
        for (name, value) in &model.streams {
            let pointer = document::pointer_join(&model.pointer, name);
            match one(name, value, &pointer, &settings, &port) {
                Ok(One::Stream(stream)) => {
                    built.push(Stream { name: (**name).into(), life: Life::Built(stream) });
                }
                Ok(One::Family(family)) => families.push(family),
                Err(more) => faults.extend(more),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            routes: port.routes(),
            streams: Mutex::new(built),
            api: Box::default(),
            started: OnceLock::new(),
            families,
        })
    }

    pub(crate) fn name_api(&mut self, api: &str) {
        self.api = api.into();
    }

    /// Starts what was built.
    pub(crate) fn start(&self) {
        self.started.get_or_init(Instant::now);
        self.families.iter().for_each(Family::start);
        for stream in self.streams.lock().iter_mut() {
            stream.life = match std::mem::replace(&mut stream.life, Life::Over) {
                Life::Built(built) => Life::Running(built.start()),
                other => other,
            };
        }
    }

    /// Says that everything will be stopped: streams that claim the same, and start from now on, begin only then.
    pub(crate) fn leave(&self) {
        self.families.iter().for_each(|family| family.leave());
        for stream in self.streams.lock().iter() {
            if let Life::Running(running) = &stream.life {
                running.leave();
            }
        }
    }

    /// Stops everything: inputs first, then what is under way is delivered, then subscribers are told `reason`.
    pub(crate) async fn stop(&self, deadline: Duration, reason: CloseReason) {
        let families = self.families.iter().map(|family| family.stop(deadline, reason));
        let families = futures_util::future::join_all(families);
        tokio::join!(families, self.stop_own(deadline, reason));
    }

    /// Stops what runs by itself.
    async fn stop_own(&self, deadline: Duration, reason: CloseReason) {
        let running: Vec<_> = self.streams.lock().iter_mut().filter_map(|stream| stream.life.end()).collect();
        futures_util::future::join_all(running.into_iter().map(|stream| stream.stop(deadline, reason))).await;
    }

    /// Whether some of its streams wait for requests to fill them in.
    pub(crate) fn waits_for_requests(&self) -> bool {
        !self.families.is_empty()
    }

    /// The counters of all components.
    pub(crate) fn probes(&self) -> Vec<(Arc<str>, Arc<Probe>)> {
        let streams = self.streams.lock();
        let running = streams.iter().filter_map(|stream| match &stream.life {
            Life::Running(running) => Some((&stream.name, running.status().components)),
            Life::Built(_) | Life::Ending(_) | Life::Over => None,
        });
        let own =
            running.flat_map(|(name, probes)| probes.into_iter().map(|probe| (Arc::clone(name), probe)));
        own.chain(self.families.iter().flat_map(|family| family.probes())).collect()
    }

    pub(crate) fn samples(&self, own: bool) -> Vec<(Arc<str>, streams::Sample)> {
        let streams = self.streams.lock();
        let running = streams.iter().filter_map(|stream| match &stream.life {
            Life::Running(running) if own => Some((&stream.name, running.own_samples())),
            Life::Running(running) => Some((&stream.name, running.samples())),
            Life::Ending(watcher) => Some((&stream.name, watcher.counted(own))),
            Life::Built(_) | Life::Over => None,
        });
        running
            .flat_map(|(name, samples)| samples.into_iter().map(|sample| (Arc::clone(name), sample)))
            .chain(self.families.iter().flat_map(|family| family.samples(own)))
            .collect()
    }

    /// Looks at those that run, or ran until their input ended.
    pub(crate) fn watchers(&self) -> Vec<Watcher> {
        let streams = self.streams.lock();
        let running = streams.iter().filter_map(|stream| match &stream.life {
            Life::Running(running) => Some(running.watcher()),
            Life::Built(_) | Life::Ending(_) | Life::Over => None,
        });
        running.chain(self.families.iter().flat_map(|family| family.watchers())).collect()
    }

    /// The same by their names, and since when they run.
    pub(crate) fn named_watchers(&self) -> (Vec<(Arc<str>, Watcher)>, Duration) {
        let streams = self.streams.lock();
        let running = streams.iter().filter_map(|stream| match &stream.life {
            Life::Running(running) => Some((Arc::clone(&stream.name), running.watcher())),
            Life::Built(_) | Life::Ending(_) | Life::Over => None,
        });
        let variants = self.families.iter().flat_map(|family| {
            family.watchers().into_iter().map(|watcher| (Arc::clone(family.name()), watcher))
        });
        (running.chain(variants).collect(), self.started.get().map(Instant::elapsed).unwrap_or_default())
    }

    /// Every endpoint: its path below the listen path, or on its own listener.
    pub(crate) fn endpoints(&self) -> &[streams::Endpoint] {
        self.routes.all()
    }

    /// The listeners that its components open for themselves, each once.
    ///
    /// # Errors
    /// When two of one address differ.
    pub(crate) fn own_listeners(&self) -> Result<Vec<Arc<OwnListener>>, String> {
        let mut all: Vec<Arc<OwnListener>> = Vec::new();
        for listener in self.routes.all().iter().filter_map(|endpoint| endpoint.listener.as_ref()) {
            match all.iter().find(|other| other.address == listener.address) {
                Some(other) if other == listener => {}
                Some(_) => {
                    return Err(format!(
                        "two components open `{}` with different certificates",
                        listener.address
                    ));
                }
                None => all.push(Arc::clone(listener)),
            }
        }
        Ok(all)
    }

    /// Serves the endpoint that the request names.
    pub(crate) async fn call(&self, exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
        let upgrade = socket::wanted(exchange);
        let path = exchange.path_in_api();
        let own = exchange.peer.own.as_deref();
        if let Some(asked) = cors::asked_method(exchange)
            && let Ok(found) = self.routes.find(path, &asked, upgrade, own)
            && found.endpoint.cors.enabled
        {
            return Ok(cors::preflight(&found.endpoint.cors, exchange));
        }
        let found = match self.routes.find(path, &exchange.head.method, upgrade, own) {
            Ok(found) => found,
            Err(miss) => return missed(&miss),
        };
        let family = self.families.iter().find(|family| **family.name() == *found.endpoint.stream);
        let chosen = match family {
            Some(family) => Some(family.choose(exchange).await?),
            None => None,
        };
        let routes = chosen.as_ref().map_or(&self.routes, |chosen| &chosen.backend.routes);
        let found = match routes.find(exchange.path_in_api(), &exchange.head.method, upgrade, own) {
            Ok(found) => found,
            Err(miss) => return missed(&miss),
        };
        let rules = &found.endpoint.cors;
        let input = matches!(found.endpoint.role, Role::IngestSocket(_));
        if upgrade && !cors::may_open_socket(rules, exchange, input) {
            return Err(Refusal::client(
                StatusCode::FORBIDDEN,
                "UPG",
                "WebSockets may not be opened from this origin",
            ));
        }
        if matches!(found.endpoint.role, Role::Next(_) | Role::Stream(_) | Role::Socket(_)) {
            // From here on it is no request but a subscriber.
            exchange.held = at_once::enter(exchange, Kind::Subscribers)?;
        }
        let shared = cors::headers(rules, exchange);
        let role = found.endpoint.role.clone();
        let captures = found.captures;
        if let Some(Chosen { held, .. }) = chosen {
            exchange.held.push(held);
        }
        let mut response = match role {
            Role::Ingest(ingest) => ingest::post(exchange, &ingest, captures).await,
            Role::Next(feed) => return subscribe::next(exchange, &feed, shared).await,
            Role::Stream(feed) => return subscribe::stream(exchange, &feed, shared).await,
            Role::Socket(feed) => socket::feed(exchange, &feed).await,
            Role::IngestSocket(ingest) => socket::ingest(exchange, ingest, captures).await,
        }?;
        response.headers_mut().extend(shared);
        Ok(response)
    }
}

/// A stream that was built, or what builds it for requests.
enum One {
    Stream(Box<Built>),
    Family(Arc<Family>),
}

fn one(
    name: &str,
    config: &Json,
    pointer: &str,
    settings: &streams::Settings,
    port: &Arc<Port>,
) -> Result<One, Vec<Fault>> {
    let build = |config: &Json| streams::build(name, config, pointer, settings).map(Box::new);
    if settings.alone {
        return build(config).map(One::Stream);
    }
    let wanted = variants::wanted(config, pointer, settings)?;
    let config = placeholders::with_secrets(config, pointer, settings)?;
    let Some(first) = wanted.first() else { return build(&config).map(One::Stream) };
    let offered = port.count();
    let looked_at = streams::Settings { port: Arc::new(SampledPort(port.clone())), ..settings.clone() };
    drop(streams::build(name, &placeholders::sampled(&config, settings), pointer, &looked_at)?);
    if port.count() == offered {
        let fault =
            Fault::error(pointer, format!("`{first}` is known of requests, and this stream has no endpoint"));
        return Err(vec![fault.hint("add an `http_server` input or output, or write the value itself")]);
    }
    Ok(One::Family(Family::new(name, config, pointer, wanted, settings.clone())))
}

/// The answer where no endpoint fits (streams contract 1.11).
fn missed(miss: &Miss) -> Result<Response<Body>, Refusal> {
    match miss {
        Miss::NoPath => Err(Refusal::client(StatusCode::NOT_FOUND, "NRH", "not found")),
        Miss::WrongMethod => Ok(respond::text(StatusCode::METHOD_NOT_ALLOWED, "Incorrect method")),
        Miss::NeedsUpgrade => Err(Refusal::client(
            StatusCode::UPGRADE_REQUIRED,
            "UPG",
            "this path is a WebSocket: connect with an upgrade request",
        )),
    }
}
