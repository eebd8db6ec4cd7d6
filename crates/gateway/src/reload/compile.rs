//! From a definition to an API that can run, or to its faults.

use std::collections::BTreeMap;
use std::sync::Arc;

use apidef::{Definition, Source};
use document::{Document, Fault, Format};

use crate::backend::Backend;
use crate::backend::graph::GraphBackend;
use crate::backend::stream::StreamBackend;
use crate::backend::tools::Tools;
use crate::backend::upstream::Upstream;
use crate::chain::{Chain, Prepared};
use crate::events::{Followed, Handlers};
use crate::gate::Gate;
use crate::pass_through::PassThrough;
use crate::plugins::Plugins;
use crate::respond::Overrides;
use crate::route::{Collector, Listens, Versions};
use crate::snapshot::{Identity, RunningApi};
use crate::transform::Transforms;
use crate::validation::Checks;

/// Compiles a definition into a running API, or tells every fault, without its place. Connects and starts nothing.
pub(crate) fn compile(
    gate: &Gate,
    definition: &Arc<Definition>,
    before: Option<&Arc<RunningApi>>,
    streams: &streams::Settings,
) -> Result<Arc<RunningApi>, Vec<Fault>> {
    let own;
    let streams = match definition.secrets() {
        None => streams,
        Some(secrets) => {
            own = with_secrets(streams, secrets);
            &own
        }
    };
    assemble(gate, definition, before, streams).map_err(|mut faults| {
        faults.iter_mut().for_each(|fault| definition.cover(fault));
        faults
    })
}

/// What streams and texts of a definition are built with that names secrets of its own.
fn with_secrets(
    streams: &streams::Settings,
    secrets: &BTreeMap<String, apidef::Secret>,
) -> streams::Settings {
    let mut all = BTreeMap::clone(&streams.secrets);
    all.extend(secrets.iter().map(|(name, secret)| (name.clone(), secret.0.clone())));
    streams::Settings { secrets: Arc::new(all), ..streams.clone() }
}

fn assemble(
    gate: &Gate,
    definition: &Arc<Definition>,
    before: Option<&Arc<RunningApi>>,
    streams: &streams::Settings,
) -> Result<Arc<RunningApi>, Vec<Fault>> {
    let api = build(gate, definition, Arc::clone(&definition.api), before, streams)?;
    let Some(versioning) = api.model.versioning.as_deref().filter(|versioning| versioning.enabled) else {
        return Ok(Arc::new(api));
    };
    let own = match &versioning.versions {
        apidef::Versions::Others(_) => None,
        apidef::Versions::Own(shapes) => {
            let mut own = Vec::with_capacity(shapes.len());
            for shape in shapes {
                let shape = build(gate, definition, Arc::new(shape.clone()), before, streams)?;
                // All of them are one API.
                own.push(Arc::new(RunningApi { metrics: Arc::clone(&api.metrics), ..shape }));
            }
            Some(own)
        }
    };
    let versions = Versions::compile(versioning, own).map_err(|text| vec![Fault::error("", text)])?;
    Ok(Arc::new(RunningApi { versions: Some(versions), ..api }))
}

/// An API without its versions.
fn build(
    gate: &Gate,
    definition: &Arc<Definition>,
    model: Arc<apidef::Api>,
    before: Option<&Arc<RunningApi>>,
    streams: &streams::Settings,
) -> Result<RunningApi, Vec<Fault>> {
    let plugins = Plugins::compile(&model, gate)?;
    if !plugins.as_ref().is_some_and(|plugins| plugins.identifies()) {
        gate.authenticators.check(definition)?;
    }
    let limits = crate::limits::Context::of(gate);
    let matching = gate.settings.path_matching;
    let patterns = if model.mcp { Collector::with_calls(matching) } else { Collector::new(matching) };
    let transforms = Transforms::compile(&model, &patterns, &streams.secrets).map_err(|fault| vec![fault])?;
    let schema = transforms.graph.as_ref().map(|graph| Arc::clone(graph.schema()));
    let checks = Checks::new(&model.paths, &patterns, gate.settings.path_matching.ignore_case)?;
    let errors = Overrides::new(&model.errors, &gate.settings.template_path).map_err(|fault| vec![fault])?;
    let prepared = Prepared { transforms, checks, plugins: plugins.clone(), errors };
    let chain = Chain::compile(&model, &limits, &gate.key_sets, &gate.settings, &patterns, prepared)
        .map_err(|text| vec![Fault::error("", text)])?;
    let backend = match &model.backend {
        apidef::Backend::Upstream(upstream) if model.pass_through.is_some() => {
            let passed = PassThrough::new(&model, upstream, gate);
            Backend::PassThrough(passed.map_err(|fault| vec![fault])?)
        }
        apidef::Backend::Upstream(upstream @ apidef::Upstream { inner: Some(url), .. }) => match &model.tools
        {
            Some(tools) => Backend::Tools(Tools::new(tools, upstream, url, gate, &patterns)),
            None => Backend::Api(url.clone()),
        },
        apidef::Backend::Upstream(upstream) => {
            let upstream = Upstream::new(upstream, gate, &patterns);
            Backend::Upstream(upstream.map_err(|text| vec![Fault::error("", text)])?)
        }
        apidef::Backend::Graph => match (schema, model.graphql.as_deref()) {
            (Some(schema), Some(model)) => {
                let engine = GraphBackend::compile(model, &schema, &gate.settings, streams)?;
                Backend::Graph(engine.named(&definition.api.id))
            }
            _ => return Err(vec![Fault::error("/graphql", "the graph has no sources")]),
        },
        apidef::Backend::Streams(streaming) => {
            let happenings = Followed { gate: gate.me(), org: (*model.org_id).into() };
            let streams = streams::Settings { happenings: Arc::new(happenings), ..streams.clone() };
            let mut backend = StreamBackend::build(streaming, &gate.settings, &streams)?;
            backend.name_api(&definition.api.id);
            Backend::Stream(backend)
        }
    };
    let own_port = gate.settings.ports.of(&model, definition.source).map_err(|fault| vec![fault])?;
    Ok(RunningApi {
        own_port,
        listens: Listens::of(&model).map_err(|text| vec![Fault::error("", text)])?,
        identity: before
            .map_or_else(|| Identity::of(&model), |before| Identity::of_again(&model, &before.identity)),
        metrics: before.map(|before| Arc::clone(&before.metrics)).unwrap_or_default(),
        definition: Arc::clone(definition),
        oauth: crate::oauth::Server::of(&model),
        events: Handlers::compile(&model.events, &model.id, gate)?,
        model,
        plugins,
        chain,
        patterns: patterns.finish().map_err(|text| vec![Fault::error("", text)])?,
        versions: None,
        backend,
        hosted: false,
    })
}

/// Reads a definition, with what it refers to.
pub(crate) async fn read(gate: &Gate, text: &str, source: Option<Source>) -> Result<Definition, Vec<Fault>> {
    let (read, seal) = Definition::read(text, source, &*gate.stores);
    if !seal.references.is_empty() && gate.stores.fetch_new().await {
        return Definition::read(text, source, &*gate.stores).0;
    }
    read
}

/// Fetches what a definition names elsewhere, so that it can be compiled.
pub(crate) async fn fetch(gate: &Gate, definition: &Definition) {
    let bundle = definition.api.plugins.as_deref().and_then(|plugins| plugins.bundle.as_deref());
    if let Some(bundle) = bundle {
        gate.bundles.fetch(bundle, &gate.settings.plugins, &gate.upstream).await;
    }
}

/// The faults for which a gate would not run a definition, without their places. Nothing is connected or started, and no
/// bundle of plugins is looked into.
pub fn check(gate: &Gate, mut definition: Definition) -> Vec<Fault> {
    if let Some(plugins) = Arc::make_mut(&mut definition.api).plugins.as_deref_mut() {
        plugins.bundle = None;
    }
    compile(gate, &Arc::new(definition), None, &gate.streams).err().unwrap_or_default()
}

/// The faults with their places in the text that they were found in.
pub(crate) fn located(text: &str, mut faults: Vec<Fault>) -> Vec<Fault> {
    if let Ok(document) = Document::parse(text, Format::Json) {
        streams::locate(&document, &mut faults);
    }
    faults
}
