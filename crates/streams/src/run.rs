//! A stream as a whole: build, start, stop, status.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use document::Fault;
use futures_util::FutureExt;
use serde_json::Value as Json;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::build::{BufferNode, BuildContext, Export, Gathered, InputNode, OutputNode, Stage};
use crate::exporter::{Exporter, Page, Sample, Samples};
use crate::exporters::{CONTENT_TYPE, Timings, exposition};
use crate::feed::{CloseReason, Feed};
use crate::ingest::Ingest;
use crate::lint::lint_expanded;
use crate::mapping_caches::MappingCaches;
use crate::metrics::{ComponentKind, Probe};
use crate::node::Node;
use crate::pipeline::Pipeline;
use crate::registry::Kind;
use crate::resources::Resources;
use crate::samples::StreamSamples;
use crate::settings::Settings;
use crate::source::Phase;
use crate::stream_fields::stream_fields;
use crate::task::Task;
use crate::watch::Watch;
use crate::{error_handling, sink, source, store};

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

    /// Starts it. Must be called within a tokio runtime; returns at once, connecting goes on behind.
    pub fn start(self) -> RunningStream {
        let Built { name, parts, gathered, samples, exporter, watch, .. } = self;
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
        });
        let (stop, stopped) = oneshot::channel();
        let driver = tokio::spawn(drive(parts, shared.clone(), stopped));
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

/// How a stream is.
#[derive(Debug, Clone)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Its input has ended and everything was delivered.
    pub ended: bool,
    /// Its components, with live counters.
    pub components: Vec<Arc<Probe>>,
    /// Its feeds, with live counters.
    pub feeds: Vec<Arc<Feed>>,
    /// Its ingests, with the gauge of their queue.
    pub ingests: Vec<Arc<Ingest>>,
}

impl Status {
    /// Whether every input and output that runs reaches its other side.
    pub fn connected(&self) -> bool {
        self.unconnected().next().is_none()
    }

    /// The inputs and outputs that do not reach their other side, without those that rest ([`Probe::rests`]).
    pub fn unconnected(&self) -> impl Iterator<Item = &Arc<Probe>> {
        let ends = |probe: &&Arc<Probe>| matches!(probe.kind, ComponentKind::Input | ComponentKind::Output);
        self.components.iter().filter(ends).filter(|probe| !probe.connected() && !probe.rests())
    }
}

/// Looks at a stream while somebody else runs it, and when it has ended.
#[derive(Debug, Clone)]
pub struct Watcher(Arc<Shared>);

impl Watcher {
    /// How it is now.
    pub fn status(&self) -> Status {
        Status {
            name: self.0.name.clone(),
            ended: *self.0.ended.borrow(),
            components: self.0.probes.clone(),
            feeds: self.0.feeds.clone(),
            ingests: self.0.ingests.clone(),
        }
    }

    /// What its components count, and its `metric` processors: the setting `metrics` changes nothing about it.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = self.0.samples.counted();
        samples.extend(self.0.samples.customs.samples());
        samples
    }

    /// What its components count, or its `metric` processors (`own`).
    pub fn counted(&self, own: bool) -> Vec<Sample> {
        if own { self.0.samples.customs.samples() } else { self.0.samples.counted() }
    }

    /// Waits until its input has ended and everything was delivered (true), or a part of it broke down (false).
    pub async fn ended(&self) -> bool {
        // The sender lives as long as this does.
        drop(self.0.ended.subscribe().wait_for(|ended| *ended).await);
        !self.0.broken.load(Relaxed)
    }

    /// The page for `/metrics` and `/stats`, as the setting `metrics` has it; in the form of Prometheus where it is not
    /// written. `None`: there is none.
    pub async fn page(&self) -> Option<Page> {
        let samples = &*self.0.samples;
        match &self.0.exporter {
            Some(exporter) => exporter.page(samples).await,
            None => {
                let body = exposition(&samples.samples(), &Timings::default());
                Some(Page { content_type: CONTENT_TYPE, body })
            }
        }
    }
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

    /// Stops it: inputs take nothing new, what is under way is delivered, outputs close, inputs leave their sources.
    /// After three quarters of `deadline` what is left is nacked (streams contract 5.10); at `deadline` the rest is
    /// dropped. Subscribers are told the reason.
    pub async fn stop(self, deadline: Duration, reason: CloseReason) {
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

/// How long exporter and tracer may take to send what is left: when the stream is stopped, its deadline is near.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The same when it has come to its end by itself.
const LAST_WORDS_UNHURRIED: Duration = Duration::from_secs(5);

/// Tells that the stream has ended, in whatever way, when it is dropped.
struct Over(Arc<Shared>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.ended.send_replace(true);
    }
}

async fn drive(parts: Parts, shared: Arc<Shared>, mut stopped: oneshot::Receiver<Stop>) {
    let over = Over(shared.clone());
    let pushing = shared.exporter.clone().map(|exporter| {
        let samples = shared.samples.clone();
        Task::spawn(async move { exporter.push(samples).await })
    });
    let sending = shared.watch.tracer.clone().map(|tracer| Task::spawn(async move { tracer.run().await }));
    let (phase, phases) = watch::channel(Phase::Running);
    // Every hand-off holds one batch: the bound of what is under way is threads plus what outputs have in flight.
    let (to_pipeline, from_input) = mpsc::channel(1);
    let (mut buffer, from_input) = match parts.buffer {
        None => (None, from_input),
        Some(node) => {
            let (from_buffer, taken) = mpsc::channel(1);
            let (running, shared) = (store::run(node, from_input, from_buffer), shared.clone());
            (Some(Task::spawn(async move { shared.whole("the buffer", running).await })), taken)
        }
    };
    let processed = Pipeline::new(parts.stages, parts.threads, from_input);
    let input = source::run(parts.input, to_pipeline, phases);
    let output = sink::run(parts.output, processed);
    let (mut flow, mut outcome, cut) = fused(shared.clone(), input, output);

    let stop = tokio::select! {
        _ = &mut outcome => None,
        stop = &mut stopped => Some(stop.ok()),
    };
    let patience = if stop.is_none() { LAST_WORDS_UNHURRIED } else { LAST_WORDS };
    match stop {
        // The input had no more to give, and all of it is delivered.
        None => {
            shared.feeds.iter().for_each(|feed| feed.finish(CloseReason::Ended));
        }
        // The stream was dropped.
        Some(None) => {
            shared.feeds.iter().for_each(|feed| feed.cut(CloseReason::Removed));
            return;
        }
        Some(Some(Stop { deadline, reason })) => {
            shared.feeds.iter().for_each(|feed| feed.ends_with(reason));
            let grace = deadline.mul_f64(0.75);
            // At least half of the time is for delivering what is under way.
            let delay = parts.delay.min(grace / 2);
            if delay < parts.delay {
                tracing::warn!(stream = %shared.name, ?delay, "shutdown_delay is cut short, to deliver what is under way before the deadline");
            }
            tokio::time::sleep(delay).await;
            shared.watch.stops.store(true, Relaxed);
            phase.send_replace(Phase::Stopping);
            if tokio::time::timeout(grace - delay, drained(&shared, &mut outcome)).await.is_err() {
                tracing::warn!(stream = %shared.name, "stream did not drain in time, the rest comes again");
                drop((buffer.take(), cut));
                let _ = outcome.await;
                shared.feeds.iter().for_each(|feed| feed.cut(reason));
                // What runs below other components is stopped behind them: inputs leave their sources only when
                // what all of it held is nacked. Other streams may hold some of it for longer.
                let _ = tokio::time::timeout(deadline / 8, shared.watch.flight.over()).await;
            }
        }
    }
    // A buffer on disk takes note of what was delivered.
    if let Some(buffer) = &mut buffer {
        let _ = buffer.await;
    }
    phase.send_replace(Phase::Drained);
    let _ = (&mut flow).await;
    drop(pushing);
    last_words(&shared, patience).await;
    // Only now: what it is sending is not to be sent twice.
    drop(sending);
    drop(over);
}

/// How long a stream that stops waits for subscribers that are not here.
const ABSENT: Duration = Duration::from_secs(1);

/// Waits until a stream that stops has delivered what it can.
async fn drained(shared: &Shared, outcome: &mut oneshot::Receiver<()>) {
    if tokio::time::timeout(ABSENT, &mut *outcome).await.is_err() {
        shared.feeds.iter().for_each(|feed| feed.hurry());
        let _ = outcome.await;
    }
}

/// What exporter and tracer still have to tell.
async fn last_words(shared: &Shared, patience: Duration) {
    let metrics = async {
        if let Some(exporter) = &shared.exporter {
            exporter.finish(&*shared.samples).await;
        }
    };
    let spans = async {
        if let Some(tracer) = &shared.watch.tracer {
            tracer.finish().await;
        }
    };
    let (metrics, spans) =
        tokio::join!(tokio::time::timeout(patience, metrics), tokio::time::timeout(patience, spans));
    for (what, outcome) in [("metrics", metrics), ("spans", spans)] {
        if outcome.is_err() {
            tracing::warn!(stream = %shared.name, what, "the last ones were not taken in time");
        }
    }
}

/// Input and output in one task: handing a batch to another one, perhaps on another core, costs more than most
/// batches do. Whatever takes long has tasks of its own: connectors, and the pipeline where it is worth it.
///
/// Gives the task, what tells that the output is gone, and what drops the output when it is dropped itself.
fn fused(
    shared: Arc<Shared>,
    input: impl Future<Output = ()> + Send + 'static,
    output: impl Future<Output = ()> + Send + 'static,
) -> (Task<()>, oneshot::Receiver<()>, oneshot::Sender<()>) {
    let (ended, outcome) = oneshot::channel();
    let (cut, is_cut) = oneshot::channel::<()>();
    let both = async move {
        let output = async {
            tokio::select! {
                biased;
                _ = is_cut => {}
                _ = shared.whole("the output", output) => {}
            }
            let _ = ended.send(());
        };
        tokio::join!(shared.whole("the input", input), output);
    };
    (Task::spawn(both), outcome, cut)
}
