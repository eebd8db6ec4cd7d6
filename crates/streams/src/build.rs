//! From configuration to components: dry, nothing is connected or started.

use std::cell::Cell;
use std::sync::Arc;

use document::{Fault, pointer_join};

use crate::backoff::REPLAY;
use crate::barred::barred;
use crate::batching::Policy;
use crate::buffer::Buffer;
use crate::cache::Cache;
use crate::component::{Input, Output, Processor};
use crate::endpoint::Endpoint;
use crate::exporter::Exporter;
use crate::feed::Feed;
use crate::flight::Flight;
use crate::ingest::Ingest;
use crate::metered::Metered;
use crate::metrics::{ComponentKind, Probe};
use crate::node::{Node, scalar_text};
use crate::rate_limit::RateLimit;
use crate::registry::Kind;
use crate::replay::Replay;
use crate::resources::Resources;
use crate::samples::Relabel;
use crate::scanner::Scanner;
use crate::settings::Settings;
use crate::sort::Sort;
use crate::spans::{Maps, Spans};
use crate::watch::Watch;

/// A processor with its counters.
pub struct Stage {
    pub(crate) processor: Box<dyn Processor>,
    pub(crate) probe: Arc<Probe>,
    pub(crate) spans: Option<Spans>,
    /// Whether it, or one inside of it, adds keys for messages.
    pub(crate) adds_keys: bool,
}

/// An input with the processors under it.
pub struct InputNode {
    pub(crate) input: Box<dyn Input>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) batching: Option<Policy>,
    pub(crate) probe: Arc<Probe>,
    pub(crate) spans: Option<Spans>,
    /// Whether something asks for the ids of flows.
    pub(crate) flow_ids: bool,
    /// The batches of its stream that are under way.
    pub(crate) flight: Arc<Flight>,
}

/// An output with the processors and the batching before it.
pub struct OutputNode {
    pub(crate) output: Box<dyn Output>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) batching: Option<Policy>,
    pub(crate) probe: Arc<Probe>,
    pub(crate) spans: Option<Spans>,
}

/// A buffer with the batching behind it.
pub(crate) struct BufferNode {
    pub(crate) buffer: Box<dyn Buffer>,
    pub(crate) batching: Option<Policy>,
    pub(crate) probe: Arc<Probe>,
}

/// What the setting `metrics` says.
#[derive(Default)]
pub(crate) struct Export {
    pub(crate) exporter: Option<Arc<dyn Exporter>>,
    pub(crate) relabel: Option<Relabel>,
}

macro_rules! opaque {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.probe).finish()
            }
        }
    )*};
}
opaque!(Stage, InputNode, OutputNode, BufferNode);

/// What building gathers beside the components themselves.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) endpoints: Vec<(String, Endpoint)>,
    pub(crate) feeds: Vec<Arc<Feed>>,
    pub(crate) ingests: Vec<Arc<Ingest>>,
    pub(crate) probes: Vec<Arc<Probe>>,
    pub(crate) claims: Vec<String>,
}

/// What a component may use while it is built.
pub struct BuildContext<'a> {
    /// The settings of the whole gate.
    pub settings: &'a Settings,
    /// The stream's name.
    pub stream: Arc<str>,
    /// The counters of the component that is being built.
    pub probe: Arc<Probe>,
    pub(crate) base: &'a str,
    pub(crate) gathered: Gathered,
    pub(crate) batching: Option<Policy>,
    pub(crate) resources: Resources<'a>,
    /// Processors of the batches that the input which is being built makes itself.
    pub(crate) batch_stages: Vec<Stage>,
    pub(crate) batches_unseen: bool,
    pub(crate) watch: Watch,
    /// Whether an input that was built keeps failed batches itself, see [`BuildContext::with_replay`].
    pub(crate) replays: Cell<bool>,
    /// How many processors that add keys for messages were built.
    pub(crate) adding: usize,
    /// Counters of components that are made again.
    pub(crate) counted: Vec<Arc<Probe>>,
    /// Components that are being built several times from one text, from outside to inside.
    pub(crate) copied: Vec<Copied>,
}

/// A component that is one of several made from one text: its counters are those of a place of its own.
#[derive(Debug, Clone)]
pub(crate) struct Copied {
    /// Where it is written.
    pointer: String,
    /// Where it would be written if all were.
    place: String,
}

impl std::fmt::Debug for BuildContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BuildContext")
            .field("stream", &self.stream)
            .field("probe", &self.probe)
            .finish_non_exhaustive()
    }
}

impl<'a> BuildContext<'a> {
    pub(crate) fn new(settings: &'a Settings, stream: &str, base: &'a str) -> BuildContext<'a> {
        BuildContext {
            settings,
            stream: stream.into(),
            probe: Arc::new(Probe::new(ComponentKind::Input, "", String::new(), None)),
            base,
            gathered: Gathered::default(),
            batching: None,
            resources: Resources::default(),
            batch_stages: Vec::new(),
            batches_unseen: false,
            watch: Watch::default(),
            replays: Cell::new(false),
            adding: 0,
            counted: Vec::new(),
            copied: Vec::new(),
        }
    }

    /// Whether nothing of the stream can tell how messages are batched, so that an input may put together what it has.
    pub fn batches_unseen(&self) -> bool {
        self.batches_unseen
    }

    /// Runs these processors on every batch of the input that is being built, before its own: for inputs that follow a
    /// batching policy themselves, whose `processors` these are.
    ///
    /// # Errors
    /// The first fault in them.
    pub fn after_batching(&mut self, list: &Node<'_>) -> Result<(), Fault> {
        self.batch_stages = self.stages(list)?;
        Ok(())
    }

    /// Wraps an input so that failed batches come again before new ones, where its field `auto_replay_nacks` says so
    /// (streams contract 5.3).
    ///
    /// # Errors
    /// When the field is not a boolean.
    pub fn with_replay<I: Input + 'static>(
        &self,
        node: &Node<'_>,
        input: I,
    ) -> Result<Box<dyn Input>, Fault> {
        Ok(if node.boolean("auto_replay_nacks")? {
            self.replays.set(true);
            Box::new(Replay::with_backoff(input, REPLAY, Some(self.probe.clone()), self.watch.stall.clone()))
        } else {
            Box::new(input)
        })
    }

    /// Puts the batching policy of the field `batching` before the output, or behind the input, that is being built
    /// (5.4).
    ///
    /// # Errors
    /// When the policy cannot be read.
    pub fn with_batching(&mut self, node: &Node<'_>) -> Result<(), Fault> {
        self.batching = Policy::build(&node.get("batching"), self)?;
        Ok(())
    }

    /// Offers an endpoint. Faults of the port are told for the field at `pointer`.
    pub fn offer(&mut self, pointer: impl Into<String>, endpoint: Endpoint) {
        self.gathered.endpoints.push((pointer.into(), endpoint));
    }

    /// Registers a feed, so that it is finished when the stream stops.
    pub fn feed(&mut self, feed: Arc<Feed>) {
        self.gathered.feeds.push(feed);
    }

    /// Registers an ingest, so that it refuses when the stream stops.
    pub fn ingest(&mut self, ingest: Arc<Ingest>) {
        self.gathered.ingests.push(ingest);
    }

    /// Says that only one stream at a time can have this: the name under which a broker knows a client, a file, a port.
    /// The stream begins when those that it replaces and that claimed the same are over. The claim begins with what sort
    /// of thing it is, and leaves out what may change while the thing stays the same (an address, a password): waiting
    /// once too often costs less than a place that two fight for.
    pub fn claim(&mut self, claim: String) {
        if !self.gathered.claims.contains(&claim) {
            self.gathered.claims.push(claim);
        }
    }

    /// Builds an input component.
    ///
    /// # Errors
    /// The first fault in it.
    pub fn input(&mut self, node: &Node<'_>) -> Result<InputNode, Fault> {
        let (name, label) = self.identify(Sort::Input, node)?;
        let Some(spec) = self.settings.registry.inputs.get(&*name).copied() else {
            return Err(node.fault(format!("there is no input `{name}`")));
        };
        let config = component_config(node, &name, spec.config);
        let (input, probe, batching) =
            self.within(ComponentKind::Input, spec.name, node, label, |context| {
                (spec.build)(&config, context)
            })?;
        let mut stages = std::mem::take(&mut self.batch_stages);
        stages.extend(self.stages(&node.get("processors"))?);
        let spans = self.spans(&probe, &config)?;
        let (flow_ids, flight) = (self.watch.flow_ids, self.watch.flight.clone());
        Ok(InputNode { input, stages, batching, probe, spans, flow_ids, flight })
    }

    /// Builds an output component.
    ///
    /// # Errors
    /// The first fault in it.
    pub fn output(&mut self, node: &Node<'_>) -> Result<OutputNode, Fault> {
        let (name, label) = self.identify(Sort::Output, node)?;
        let Some(spec) = self.settings.registry.outputs.get(&*name).copied() else {
            return Err(node.fault(format!("there is no output `{name}`")));
        };
        let config = component_config(node, &name, spec.config);
        let (output, probe, batching) =
            self.within(ComponentKind::Output, spec.name, node, label, |context| {
                (spec.build)(&config, context)
            })?;
        let stages = self.stages(&node.get("processors"))?;
        let spans = self.spans(&probe, &config)?;
        Ok(OutputNode { output, stages, batching, probe, spans })
    }

    /// Builds a processor component.
    ///
    /// # Errors
    /// The first fault in it.
    pub fn processor(&mut self, node: &Node<'_>) -> Result<Stage, Fault> {
        let (name, label) = self.identify(Sort::Processor, node)?;
        let Some(spec) = self.settings.registry.processors.get(&*name).copied() else {
            return Err(node.fault(format!("there is no processor `{name}`")));
        };
        let config = component_config(node, &name, spec.config);
        let adding = self.adding;
        let (processor, probe, _) =
            self.within(ComponentKind::Processor, spec.name, node, label, |context| {
                (spec.build)(&config, context)
            })?;
        let spans = self.spans(&probe, &config)?;
        // What a label names may have been built before.
        let adds_keys = self.adding > adding || spec.name == "resource";
        Ok(Stage { processor, probe, spans, adds_keys })
    }

    /// What makes the spans of the component with this configuration; `None` without a tracer. Inputs and outputs
    /// whose other side carries metadata have fields for the traces of others.
    fn spans(&self, probe: &Probe, config: &Node<'_>) -> Result<Option<Spans>, Fault> {
        let Some(tracer) = &self.watch.tracer else { return Ok(None) };
        let mut maps = Maps::default();
        match probe.kind {
            ComponentKind::Input => {
                maps.extract = config.mapping("extract_tracing_map", self)?;
                maps.link = config.boolean("new_root_span_with_link")?;
            }
            ComponentKind::Output => maps.inject = config.mapping("inject_tracing_map", self)?,
            _ => {}
        }
        Ok(Some(Spans::new(tracer.clone(), probe, maps)))
    }

    /// Builds the tracer at `node`; none when nothing is written there. What is built from now on makes spans.
    pub(crate) fn trace_with(&mut self, node: &Node<'_>) -> Result<(), Fault> {
        if node.value().is_null() {
            return Ok(());
        }
        let (name, _) = self.identify(Sort::Tracer, node)?;
        let Some(spec) = self.settings.registry.tracers.get(&*name).copied() else {
            return Err(self.no_such(Sort::Tracer, &name, node));
        };
        self.watch.tracer = (spec.build)(&component_config(node, &name, spec.config), self)?.map(Arc::from);
        Ok(())
    }

    /// Builds a list of processors; none when it is not written.
    ///
    /// # Errors
    /// The first fault in them.
    pub fn stages(&mut self, list: &Node<'_>) -> Result<Vec<Stage>, Fault> {
        list.members().iter().map(|node| self.processor(node)).collect()
    }

    /// Builds a cache component; components that only use one ask for [`BuildContext::cache`].
    pub(crate) fn cache_component(&mut self, node: &Node<'_>) -> Result<Arc<dyn Cache>, Fault> {
        let (name, label) = self.identify(Sort::Cache, node)?;
        let Some(spec) = self.settings.registry.caches.get(&*name).copied() else {
            return Err(self.no_such(Sort::Cache, &name, node));
        };
        let config = component_config(node, &name, spec.config);
        let (cache, probe, _) = self
            .within(ComponentKind::Cache, spec.name, node, label, |context| (spec.build)(&config, context))?;
        Ok(Arc::new(Metered { inner: cache, probe }))
    }

    /// Builds a rate limit component; components that only use one ask for [`BuildContext::rate_limit`].
    pub(crate) fn rate_limit_component(&mut self, node: &Node<'_>) -> Result<Arc<dyn RateLimit>, Fault> {
        let (name, label) = self.identify(Sort::RateLimit, node)?;
        let Some(spec) = self.settings.registry.rate_limits.get(&*name).copied() else {
            return Err(self.no_such(Sort::RateLimit, &name, node));
        };
        let config = component_config(node, &name, spec.config);
        let (limit, probe, _) = self.within(ComponentKind::RateLimit, spec.name, node, label, |context| {
            (spec.build)(&config, context)
        })?;
        Ok(Arc::new(Metered { inner: limit, probe }))
    }

    /// Builds the buffer at `node`; `None` when nothing is written there, or one that buffers nothing.
    pub(crate) fn buffer(&mut self, node: &Node<'_>) -> Result<Option<BufferNode>, Fault> {
        if node.value().is_null() {
            return Ok(None);
        }
        let (name, label) = self.identify(Sort::Buffer, node)?;
        let Some(spec) = self.settings.registry.buffers.get(&*name).copied() else {
            return Err(self.no_such(Sort::Buffer, &name, node));
        };
        let config = component_config(node, &name, spec.config);
        let (buffer, probe, batching) =
            self.within(ComponentKind::Buffer, spec.name, node, label, |context| {
                (spec.build)(&config, context)
            })?;
        Ok(buffer.map(|buffer| BufferNode { buffer, batching, probe }))
    }

    /// Builds the exporter at `node` and its mapping; none when nothing is written there.
    pub(crate) fn exporter(&mut self, node: &Node<'_>) -> Result<Export, Fault> {
        if node.value().is_null() {
            return Ok(Export::default());
        }
        let name = type_beside(node.value(), &["mapping"]).map_err(|text| node.fault(text))?.to_owned();
        let Some(spec) = self.settings.registry.metrics.get(&*name).copied() else {
            return Err(self.no_such(Sort::Metrics, &name, node));
        };
        let exporter = (spec.build)(&component_config(node, &name, spec.config), self)?;
        let relabel = node.mapping("mapping", self)?.map(Relabel::new);
        Ok(Export { exporter: Some(Arc::from(exporter)), relabel })
    }

    /// Builds the scanner at `node`, or the one of this name with its defaults when nothing is written there.
    ///
    /// # Errors
    /// The first fault in it.
    pub fn scanner(&mut self, node: &Node<'_>, default: &'static str) -> Result<Arc<dyn Scanner>, Fault> {
        let name =
            if node.value().is_null() { default.to_owned() } else { self.identify(Sort::Scanner, node)?.0 };
        let Some(spec) = self.settings.registry.scanners.get(&*name).copied() else {
            return Err(self.no_such(Sort::Scanner, &name, node));
        };
        Ok(Arc::from((spec.build)(&component_config(node, &name, spec.config), self)?))
    }

    fn no_such(&self, sort: Sort, name: &str, node: &Node<'_>) -> Fault {
        node.fault(format!("there is no {} `{name}`", sort.as_str()))
    }

    /// Builds the members of a list so many times, as if the list had all of them.
    pub(crate) fn copies<T>(
        &mut self,
        list: &[Node<'_>],
        copies: usize,
        build: impl Fn(&mut BuildContext<'a>, &Node<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut built = Vec::new();
        for number in 0..copies * list.len() {
            let node = &list[number % list.len()];
            let own = self.place_of(node.pointer());
            let above = own.rsplit_once('/').map_or("", |(above, _)| above);
            self.copied
                .push(Copied { pointer: node.pointer().to_owned(), place: format!("{above}/{number}") });
            let made = build(self, node);
            self.copied.pop();
            built.push(made?);
        }
        Ok(built)
    }

    /// Where what is written at this pointer would be written if every copy was.
    fn place_of(&self, pointer: &str) -> String {
        let inside = |copied: &&Copied| {
            pointer
                .strip_prefix(&*copied.pointer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match self.copied.iter().rev().find(inside) {
            Some(copied) => format!("{}{}", copied.place, &pointer[copied.pointer.len()..]),
            None => pointer.to_owned(),
        }
    }

    /// Runs `build` with the counters of the component at `node` in place.
    fn within<T>(
        &mut self,
        kind: ComponentKind,
        type_name: &'static str,
        node: &Node<'_>,
        label: Option<String>,
        build: impl FnOnce(&mut BuildContext<'a>) -> Result<T, Fault>,
    ) -> Result<(T, Arc<Probe>, Option<Policy>), Fault> {
        let place = self.place_of(node.pointer());
        let path = place.strip_prefix(self.base).unwrap_or(&place).replace('/', ".");
        let path = format!("root{path}");
        let known = self.counted.iter().find(|known| known.path == path).cloned();
        let probe = known.unwrap_or_else(|| Arc::new(Probe::new(kind, type_name, path, label)));
        self.gathered.probes.push(probe.clone());
        let outer = std::mem::replace(&mut self.probe, probe.clone());
        let outer_batching = self.batching.take();
        let built = build(self);
        self.probe = outer;
        let batching = std::mem::replace(&mut self.batching, outer_batching);
        Ok((built?, probe, batching))
    }

    /// The type and the label of the component at `node`; a fault when it is one that may not be used.
    fn identify(&self, sort: Sort, node: &Node<'_>) -> Result<(String, Option<String>), Fault> {
        let name = type_of(node.value()).map_err(|text| node.fault(text))?;
        if let Some(barred) = barred(sort, name, self.settings) {
            return Err(Fault { pointer: pointer_join(node.pointer(), name), ..barred });
        }
        let label = node.value().get("label").and_then(scalar_text).filter(|label| !label.is_empty());
        Ok((name.to_owned(), label.map(std::borrow::Cow::into_owned)))
    }
}

/// Keys that stand beside the type key of a component (streams contract 5.7).
pub(crate) const RESERVED: [&str; 4] = ["label", "processors", "type", "plugin"];

/// The type of a component: its `type`, or its only key that is not reserved.
pub(crate) fn type_of(component: &serde_json::Value) -> Result<&str, String> {
    type_beside(component, &[])
}

/// As [`type_of`], of a sort whose components have these keys beside the type key, too.
pub(crate) fn type_beside<'v>(component: &'v serde_json::Value, beside: &[&str]) -> Result<&'v str, String> {
    let Some(members) = component.as_object() else {
        return Err("a component is expected: an object with one type key".to_owned());
    };
    if let Some(name) = members.get("type").and_then(serde_json::Value::as_str) {
        return Ok(name);
    }
    let mut keys =
        members.keys().map(String::as_str).filter(|key| !RESERVED.contains(key) && !beside.contains(key));
    match (keys.next(), keys.next()) {
        (Some(name), None) => Ok(name),
        // The processor that is a list of processors is called as what may stand beside other components.
        (None, _) if members.contains_key("processors") => Ok("processors"),
        (None, _) => Err("unable to infer component type: there is no type key".to_owned()),
        (Some(first), Some(second)) => Err(format!(
            "unable to infer component type: there are several type keys, such as `{first}` and `{second}`"
        )),
    }
}

/// What stands under the type key.
pub(crate) fn component_config<'n>(node: &Node<'n>, name: &str, kind: Kind) -> Node<'n> {
    let config = node.get(name);
    Node::new(config.value(), kind, pointer_join(node.pointer(), name))
}
