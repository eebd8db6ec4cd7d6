//! A stream as a whole: build, start, stop.

mod drive;
mod watcher;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::Duration;

use document::Fault;
use futures_util::FutureExt;
use serde_json::Value as Json;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::build::{BufferNode, BuildContext, Export, Gathered, InputNode, OutputNode, Stage};
use crate::claims::Claims;
use crate::error_handling;
use crate::exporter::{Exporter, Sample};
use crate::feed::{CloseReason, Feed};
use crate::ingest::Ingest;
use crate::lint::lint_expanded;
use crate::mapping_caches::MappingCaches;
use crate::metrics::Probe;
use crate::node::Node;
use crate::registry::Kind;
use crate::resources::Resources;
use crate::samples::StreamSamples;
use crate::settings::Settings;
use crate::stream_fields::stream_fields;
use crate::watch::Watch;
use drive::drive;
pub use watcher::{Status, Watcher};

/// Checks a stream's configuration and makes its components; connects and starts nothing. Endpoints are offered to
/// the port of the settings once everything else is right.
///
/// # Errors
/// Every fault that can be found, warnings among them.
pub fn build(name: &str, value: &Json, base_pointer: &str, settings: &Settings) -> Result<Built, Vec<Fault>> {
    let caches = Arc::new(MappingCaches::default());
    let settings = &caches.granted_in(settings);
    let (value, mut faults) = settings.expand(value, base_pointer);
    let value = &*value;
    faults.extend(lint_expanded(value, base_pointer, settings));
    if faults.iter().any(Fault::is_error) {
        return Err(faults);
    }
    let mut context = BuildContext::new(settings, name, base_pointer);
    context.watch.flow_ids = crate::unseen::flow_ids_seen(value);
    context.batches_unseen = crate::unseen::batches_unseen(value);
    let root = Node::new(value, Kind::Object(stream_fields(settings.alone)), base_pointer);
    context.resources = Resources::read(&root);
    let built = parts(&root, &mut context).and_then(|parts| {
        caches.bind(&mut context)?;
        context.build_unused()?;
        Ok((parts, context.exporter(&root.get("metrics"))?))
    });
    match built {
        Ok((parts, Export { exporter, relabel })) => {
            offer(&mut context, &mut faults);
            if faults.iter().any(Fault::is_error) {
                return Err(faults);
            }
            let samples = StreamSamples {
                probes: context.gathered.probes.clone(),
                customs: context.watch.customs.clone(),
                stream: Some(name.into()),
                relabel,
            };
            Ok(Built {
                warnings: faults,
                name: name.to_owned(),
                parts,
                gathered: context.gathered,
                samples: Arc::new(samples),
                exporter,
                watch: context.watch,
                claims: settings.claims.clone(),
            })
        }
        Err(fault) => {
            faults.push(fault);
            Err(faults)
        }
    }
}

/// Offers what was gathered: first the paths that somebody wrote, then the defaults that are still free.
fn offer(context: &mut BuildContext<'_>, faults: &mut Vec<Fault>) {
    let mut endpoints = std::mem::take(&mut context.gathered.endpoints);
    endpoints.sort_by_key(|(_, endpoint)| endpoint.implied);
    let mut taken: HashMap<String, String> = HashMap::new();
    for (pointer, endpoint) in endpoints {
        let own = endpoint.listener.as_ref().map_or("", |listener| &listener.address);
        let (path, implied) = (format!("{own}{}", endpoint.path), endpoint.implied);
        let offered = match taken.get(&path) {
            Some(first) => Err(format!("the path `{path}` is already taken at {first}")),
            None => context.settings.port.offer(endpoint),
        };
        match offered {
            Ok(()) => drop(taken.insert(path, pointer)),
            Err(text) if implied => {
                let text = format!("nothing is served on the default path: {text}");
                faults.push(Fault::warning(pointer, text).hint("write a path, or an empty one"));
            }
            Err(text) => faults.push(Fault::error(pointer, text).hint("write another path, or an empty one")),
        }
    }
}

fn parts(root: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Parts, Fault> {
    let pipeline = root.get("pipeline");
    let threads = match pipeline.integer("threads")? {
        count if count > 0 => usize::try_from(count).unwrap_or(1),
        _ => std::thread::available_parallelism().map_or(1, usize::from),
    };
    context.trace_with(&root.get("tracer"))?;
    let handling = root.get("error_handling");
    let input = context.input(&root.get("input"))?;
    let buffer = context.buffer(&root.get("buffer"))?;
    let mut stages = context.stages(&pipeline.get("processors"))?;
    error_handling::log(&handling, &mut stages, context)?;
    let before = context.gathered.probes.len();
    let output = context.output(&root.get("output"))?;
    let parts_of_output = context.gathered.probes.get(before..).unwrap_or_default();
    Ok(Parts {
        input,
        buffer,
        threads,
        stages,
        output: error_handling::guard(&handling, output, parts_of_output, context)?,
        delay: root.duration("shutdown_delay")?.unwrap_or_default(),
    })
}

#[derive(Debug)]
struct Parts {
    input: InputNode,
    buffer: Option<BufferNode>,
    threads: usize,
    stages: Vec<Stage>,
    output: OutputNode,
    delay: Duration,
}

/// A stream that was built and not started. Dropping it leaves nothing behind.
pub struct Built {
    /// Faults that do not refuse it.
    pub warnings: Vec<Fault>,
    name: String,
    parts: Parts,
    gathered: Gathered,
    samples: Arc<StreamSamples>,
    exporter: Option<Arc<dyn Exporter>>,
    watch: Watch,
    claims: Claims,
}

impl std::fmt::Debug for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Built").field("name", &self.name).field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl Built {
    /// The feeds of its `http_server` outputs.
    pub fn feeds(&self) -> &[Arc<Feed>] {
        &self.gathered.feeds
    }

    /// Starts it. Must be called within a tokio runtime; returns at once, connecting goes on behind. Where it claims
    /// what streams that leave have ([`RunningStream::leave`]), it begins when those are over; producers and subscribers
    /// wait meanwhile.
    pub fn start(self) -> RunningStream {
        let Built { name, parts, gathered, samples, exporter, watch, claims, .. } = self;
        // From now on: what producers hand in waits in the queue until the input reads it.
        gathered.ingests.iter().for_each(|ingest| ingest.set_open(true));
        let shared = Arc::new(Shared {
            name,
            probes: gathered.probes,
            feeds: gathered.feeds,
            ingests: gathered.ingests,
            samples,
            exporter,
            watch,
            ended: watch::Sender::new(false),
            broken: AtomicBool::new(false),
            leaving: Arc::default(),
        });
        let before = claims.enter(gathered.claims, shared.leaving.clone(), shared.ended.subscribe());
        let (stop, stopped) = oneshot::channel();
        let driver = tokio::spawn(drive(before, parts, shared.clone(), stopped));
        RunningStream { shared, driver, stop }
    }
}

struct Shared {
    name: String,
    watch: Watch,
    probes: Vec<Arc<Probe>>,
    feeds: Vec<Arc<Feed>>,
    ingests: Vec<Arc<Ingest>>,
    samples: Arc<StreamSamples>,
    exporter: Option<Arc<dyn Exporter>>,
    ended: watch::Sender<bool>,
    // Something broke down: its end is no proof that everything was delivered.
    broken: AtomicBool,
    /// It will be stopped: who claims the same waits for its end.
    leaving: Arc<AtomicBool>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("name", &self.name)
            .field("probes", &self.probes)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Runs a part of the stream to its end; false when it broke down.
    async fn whole(&self, what: &str, part: impl Future<Output = ()>) -> bool {
        let whole = AssertUnwindSafe(part).catch_unwind().await.is_ok();
        if !whole {
            tracing::error!(stream = %self.name, "{what} broke down, the stream ends");
            self.broken.store(true, Relaxed);
        }
        whole
    }
}

#[derive(Debug)]
struct Stop {
    deadline: Duration,
    reason: CloseReason,
}

/// A stream that runs. Dropping it cuts it: what is under way is nacked.
#[derive(Debug)]
pub struct RunningStream {
    shared: Arc<Shared>,
    driver: JoinHandle<()>,
    stop: oneshot::Sender<Stop>,
}

impl RunningStream {
    /// How it is now.
    pub fn status(&self) -> Status {
        self.watcher().status()
    }

    /// Looks at it from elsewhere. It does not keep the stream running.
    pub fn watcher(&self) -> Watcher {
        Watcher(self.shared.clone())
    }

    /// What its components count: the settings of `metrics` change nothing about it. In no order.
    pub fn samples(&self) -> Vec<Sample> {
        self.shared.samples.counted()
    }

    /// What its `metric` processors count, in the same way.
    pub fn own_samples(&self) -> Vec<Sample> {
        self.shared.samples.customs.samples()
    }

    /// Waits until its input has ended and everything was delivered (true), or a part of it broke down (false).
    pub async fn ended(&mut self) -> bool {
        (&mut self.driver).await.is_ok() && !self.shared.broken.load(Relaxed)
    }

    /// Says that it will be stopped: streams that start from now on and claim what it has wait for its end.
    pub fn leave(&self) {
        self.shared.leaving.store(true, Release);
    }

    /// Stops it: inputs take nothing new, what is under way is delivered, outputs close, inputs leave their sources.
    /// After three quarters of `deadline` what is left is nacked (streams contract 5.10); at `deadline` the rest is
    /// dropped. Subscribers are told the reason.
    pub async fn stop(self, deadline: Duration, reason: CloseReason) {
        self.leave();
        let RunningStream { shared, mut driver, stop } = self;
        for ingest in &shared.ingests {
            ingest.set_open(false);
        }
        let _ = stop.send(Stop { deadline, reason });
        if tokio::time::timeout(deadline, &mut driver).await.is_err() {
            tracing::warn!(stream = %shared.name, "stream did not stop in time, the rest is dropped");
            driver.abort();
            let _ = driver.await;
        }
        for feed in &shared.feeds {
            feed.cut(reason);
        }
    }
}
