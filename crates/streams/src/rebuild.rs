//! Inputs that are made again when they have ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use document::Fault;
use serde_json::Value as Json;

use crate::build::{BuildContext, Copied, InputNode};
use crate::metrics::Probe;
use crate::node::Node;
use crate::registry::Kind;
use crate::resources::{Resource, Resources};
use crate::settings::Settings;
use crate::sort::Sort;
use crate::watch::Watch;

/// How an input was made, so that it can be made again: with the same resources and the same counters.
pub(crate) struct Blueprint {
    settings: Settings,
    stream: Arc<str>,
    base: String,
    config: Json,
    pointer: String,
    resources: BTreeMap<(Sort, String), Resource>,
    /// Processor resources as they are written: by label, with their pointers.
    processors: Vec<(String, Json, String)>,
    copied: Vec<Copied>,
    probes: Vec<Arc<Probe>>,
    watch: Watch,
}

impl Blueprint {
    /// Of the input at `node`, which was just built.
    pub(crate) fn of(node: &Node<'_>, context: &BuildContext<'_>) -> Blueprint {
        Blueprint {
            settings: context.settings.clone(),
            stream: context.stream.clone(),
            base: context.base.to_owned(),
            config: node.value().clone(),
            pointer: node.pointer().to_owned(),
            resources: context.resources.built(),
            processors: context.resources.written_processors(),
            copied: context.copied.clone(),
            probes: context.gathered.probes.clone(),
            watch: context.watch.clone(),
        }
    }

    /// Makes it again.
    pub(crate) fn build(&self) -> Result<InputNode, Fault> {
        let mut context = BuildContext::new(&self.settings, &self.stream, &self.base);
        context.resources = Resources::of_built(&self.resources, &self.processors);
        context.copied = self.copied.clone();
        context.watch = self.watch.clone();
        context.counted = self.probes.clone();
        context.input(&Node::new(&self.config, Kind::Input, self.pointer.clone()))
    }
}
