//! Which components there are, and what may be written under each: the one source of lint, building and reference.

use std::collections::BTreeMap;

use document::Fault;

use crate::buffer::Buffer;
use crate::build::BuildContext;
use crate::cache::Cache;
use crate::component::{Input, Output, Processor};
use crate::exporter::Exporter;
use crate::node::Node;
use crate::rate_limit::RateLimit;
use crate::scanner::Scanner;
use crate::sort::Sort;
use crate::tracer::Tracer;

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// Text; numbers and booleans are taken as their text.
    Text,
    /// Text with `${! }` interpolations (contract 4.3).
    Template,
    /// A Bloblang mapping or query.
    Bloblang,
    /// A Go duration such as `1m30s`; empty text where the default is empty.
    Duration,
    /// A size in bytes, as a number or as text such as `64MiB`.
    Size,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of these.
    List(&'static Kind),
    /// Names of the writer's choice, each with one of these.
    Map(&'static Kind),
    /// An object of these fields and no others.
    Object(&'static [Field]),
    /// An input component.
    Input,
    /// A processor component.
    Processor,
    /// An output component.
    Output,
    /// A buffer component.
    Buffer,
    /// A scanner component.
    Scanner,
    /// A metrics exporter component.
    Metrics,
    /// A tracer component.
    Tracer,
    /// The label of a cache resource; empty: none. Read it with [`BuildContext::cache`].
    Cache,
    /// The label of a rate limit resource; empty: none. Read it with [`BuildContext::rate_limit`].
    RateLimit,
    /// The label of a resource of this sort.
    Label(Sort),
    /// A list of labelled components of this sort, to be shared.
    Resources(Sort),
    /// Any value, not looked into.
    Any,
    /// Known from the original, without effect here; the text says why. A warning.
    Ignored(&'static str),
    /// Known from the original, but not offered here; the text says what to do instead. Refused unless empty.
    Refused(&'static str),
}

/// What holds when a field is not written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Default {
    /// It must be written.
    Required,
    /// Nothing.
    Absent,
    /// This boolean.
    Bool(bool),
    /// This whole number.
    Int(i64),
    /// This number.
    Float(f64),
    /// This text.
    Text(&'static str),
    /// These texts.
    Texts(&'static [&'static str]),
    /// These names with these texts.
    Pairs(&'static [(&'static str, &'static str)]),
}

/// One field of a component.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// As it is written.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What holds without it.
    pub default: Default,
    /// One or two sentences for the reference.
    pub doc: &'static str,
    /// Never shown back.
    pub secret: bool,
    /// Seldom needed: small samples leave it out, with all that is in it.
    pub advanced: bool,
    /// Not to be written any more, and what to write instead; strict lint tells it.
    pub deprecated: Option<&'static str>,
    /// Only for a stream that is alone in its process; inside of a gate it must be empty, and this says what to do instead.
    pub alone: Option<&'static str>,
}

impl Field {
    /// A field with a default.
    pub const fn new(name: &'static str, kind: Kind, default: Default, doc: &'static str) -> Field {
        Field { name, kind, default, doc, secret: false, advanced: false, deprecated: None, alone: None }
    }

    /// A field that must be written.
    pub const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Field {
        Field::new(name, kind, Default::Required, doc)
    }

    /// A field without a default.
    pub const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Field {
        Field::new(name, kind, Default::Absent, doc)
    }

    /// An object of fields.
    pub const fn object(name: &'static str, fields: &'static [Field], doc: &'static str) -> Field {
        Field::new(name, Kind::Object(fields), Default::Absent, doc)
    }

    /// The same field, never shown back.
    pub const fn secret(mut self) -> Field {
        self.secret = true;
        self
    }

    /// The same field, for streams that are alone in their process; `instead` says what to do inside of a gate.
    pub const fn alone(mut self, instead: &'static str) -> Field {
        self.alone = Some(instead);
        self
    }

    /// The same field, marked as seldom needed.
    pub const fn advanced(mut self) -> Field {
        self.advanced = true;
        self
    }

    /// The same field, not to be written any more; `instead` says what to write.
    pub const fn deprecated(mut self, instead: &'static str) -> Field {
        self.deprecated = Some(instead);
        self
    }
}

/// One component: its name, its fields, and how it is built.
#[derive(Debug)]
pub struct Spec<B> {
    /// The type key in a configuration.
    pub name: &'static str,
    /// One sentence for the reference.
    pub summary: &'static str,
    /// What stands under the type key: mostly [`Kind::Object`], sometimes bare text.
    pub config: Kind,
    /// Makes the component from linted configuration. Connects and starts nothing.
    pub build: B,
}

/// Builds an input.
pub type BuildInput = fn(&Node<'_>, &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault>;
/// Builds a processor.
pub type BuildProcessor = fn(&Node<'_>, &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault>;
/// Builds an output.
pub type BuildOutput = fn(&Node<'_>, &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault>;

/// Builds a cache.
pub type BuildCache = fn(&Node<'_>, &mut BuildContext<'_>) -> Result<Box<dyn Cache>, Fault>;
/// Builds a rate limit.
pub type BuildRateLimit = fn(&Node<'_>, &mut BuildContext<'_>) -> Result<Box<dyn RateLimit>, Fault>;
/// Builds a buffer; `None`: input and pipeline meet directly.
pub type BuildBuffer = fn(&Node<'_>, &mut BuildContext<'_>) -> Result<Option<Box<dyn Buffer>>, Fault>;
/// Builds a scanner.
pub type BuildScanner = fn(&Node<'_>, &mut BuildContext<'_>) -> Result<Box<dyn Scanner>, Fault>;
/// Builds a metrics exporter.
pub type BuildMetrics = fn(&Node<'_>, &mut BuildContext<'_>) -> Result<Box<dyn Exporter>, Fault>;
/// Builds a tracer; `None`: no spans are made.
pub type BuildTracer = fn(&Node<'_>, &mut BuildContext<'_>) -> Result<Option<Box<dyn Tracer>>, Fault>;

/// An input as the registry knows it.
pub type InputSpec = Spec<BuildInput>;
/// A processor as the registry knows it.
pub type ProcessorSpec = Spec<BuildProcessor>;
/// An output as the registry knows it.
pub type OutputSpec = Spec<BuildOutput>;

/// A cache as the registry knows it.
pub type CacheSpec = Spec<BuildCache>;
/// A rate limit as the registry knows it.
pub type RateLimitSpec = Spec<BuildRateLimit>;
/// A buffer as the registry knows it.
pub type BufferSpec = Spec<BuildBuffer>;
/// A scanner as the registry knows it.
pub type ScannerSpec = Spec<BuildScanner>;
/// A metrics exporter as the registry knows it.
pub type MetricsSpec = Spec<BuildMetrics>;
/// A tracer as the registry knows it.
pub type TracerSpec = Spec<BuildTracer>;

/// Every component that a configuration can name.
#[derive(Debug, Clone, std::default::Default)]
pub struct Registry {
    /// By name.
    pub inputs: BTreeMap<&'static str, &'static InputSpec>,
    /// By name.
    pub processors: BTreeMap<&'static str, &'static ProcessorSpec>,
    /// By name.
    pub outputs: BTreeMap<&'static str, &'static OutputSpec>,
    /// By name.
    pub caches: BTreeMap<&'static str, &'static CacheSpec>,
    /// By name.
    pub rate_limits: BTreeMap<&'static str, &'static RateLimitSpec>,
    /// By name.
    pub buffers: BTreeMap<&'static str, &'static BufferSpec>,
    /// By name.
    pub scanners: BTreeMap<&'static str, &'static ScannerSpec>,
    /// By name.
    pub metrics: BTreeMap<&'static str, &'static MetricsSpec>,
    /// By name.
    pub tracers: BTreeMap<&'static str, &'static TracerSpec>,
    /// How documents are fetched from other servers, where this build can.
    pub fetch: Option<crate::fetch::MakeFetch>,
}

impl Registry {
    /// The components of this crate: all that need no network client.
    pub fn standard() -> Registry {
        let mut registry = <Registry as std::default::Default>::default();
        for spec in crate::inputs::ALL {
            registry.add_input(spec);
        }
        for spec in crate::processors::ALL {
            registry.add_processor(spec);
        }
        for spec in crate::outputs::ALL {
            registry.add_output(spec);
        }
        for spec in crate::caches::ALL {
            registry.add_cache(spec);
        }
        for spec in crate::rate_limits::ALL {
            registry.add_rate_limit(spec);
        }
        for spec in crate::buffers::ALL {
            registry.add_buffer(spec);
        }
        for spec in crate::scanners::ALL {
            registry.add_scanner(spec);
        }
        for spec in crate::exporters::ALL {
            registry.add_metrics(spec);
        }
        for spec in crate::tracers::ALL {
            registry.add_tracer(spec);
        }
        registry
    }

    /// Adds an input.
    pub fn add_input(&mut self, spec: &'static InputSpec) {
        self.inputs.insert(spec.name, spec);
    }

    /// Adds a processor.
    pub fn add_processor(&mut self, spec: &'static ProcessorSpec) {
        self.processors.insert(spec.name, spec);
    }

    /// Adds an output.
    pub fn add_output(&mut self, spec: &'static OutputSpec) {
        self.outputs.insert(spec.name, spec);
    }

    /// Adds a cache.
    pub fn add_cache(&mut self, spec: &'static CacheSpec) {
        self.caches.insert(spec.name, spec);
    }

    /// Adds a rate limit.
    pub fn add_rate_limit(&mut self, spec: &'static RateLimitSpec) {
        self.rate_limits.insert(spec.name, spec);
    }

    /// Adds a buffer.
    pub fn add_buffer(&mut self, spec: &'static BufferSpec) {
        self.buffers.insert(spec.name, spec);
    }

    /// Adds a scanner.
    pub fn add_scanner(&mut self, spec: &'static ScannerSpec) {
        self.scanners.insert(spec.name, spec);
    }

    /// Adds a metrics exporter.
    pub fn add_metrics(&mut self, spec: &'static MetricsSpec) {
        self.metrics.insert(spec.name, spec);
    }

    /// Adds a tracer.
    pub fn add_tracer(&mut self, spec: &'static TracerSpec) {
        self.tracers.insert(spec.name, spec);
    }

    /// The names of all components of a sort.
    pub fn names(&self, sort: Sort) -> Vec<&'static str> {
        match sort {
            Sort::Input => self.inputs.keys().copied().collect(),
            Sort::Processor => self.processors.keys().copied().collect(),
            Sort::Output => self.outputs.keys().copied().collect(),
            Sort::Cache => self.caches.keys().copied().collect(),
            Sort::RateLimit => self.rate_limits.keys().copied().collect(),
            Sort::Buffer => self.buffers.keys().copied().collect(),
            Sort::Scanner => self.scanners.keys().copied().collect(),
            Sort::Metrics => self.metrics.keys().copied().collect(),
            Sort::Tracer => self.tracers.keys().copied().collect(),
        }
    }

    /// What stands under the type key of this component.
    pub fn config(&self, sort: Sort, name: &str) -> Option<Kind> {
        match sort {
            Sort::Input => self.inputs.get(name).map(|spec| spec.config),
            Sort::Processor => self.processors.get(name).map(|spec| spec.config),
            Sort::Output => self.outputs.get(name).map(|spec| spec.config),
            Sort::Cache => self.caches.get(name).map(|spec| spec.config),
            Sort::RateLimit => self.rate_limits.get(name).map(|spec| spec.config),
            Sort::Buffer => self.buffers.get(name).map(|spec| spec.config),
            Sort::Scanner => self.scanners.get(name).map(|spec| spec.config),
            Sort::Metrics => self.metrics.get(name).map(|spec| spec.config),
            Sort::Tracer => self.tracers.get(name).map(|spec| spec.config),
        }
    }

    /// One sentence about this component.
    pub fn summary(&self, sort: Sort, name: &str) -> Option<&'static str> {
        match sort {
            Sort::Input => self.inputs.get(name).map(|spec| spec.summary),
            Sort::Processor => self.processors.get(name).map(|spec| spec.summary),
            Sort::Output => self.outputs.get(name).map(|spec| spec.summary),
            Sort::Cache => self.caches.get(name).map(|spec| spec.summary),
            Sort::RateLimit => self.rate_limits.get(name).map(|spec| spec.summary),
            Sort::Buffer => self.buffers.get(name).map(|spec| spec.summary),
            Sort::Scanner => self.scanners.get(name).map(|spec| spec.summary),
            Sort::Metrics => self.metrics.get(name).map(|spec| spec.summary),
            Sort::Tracer => self.tracers.get(name).map(|spec| spec.summary),
        }
    }
}
