//! Components that several others share by their label (streams contract 5.7).

mod branch;
mod input;
mod output;

use std::collections::BTreeMap;
use std::sync::Arc;

use document::{Fault, nearest};
use serde_json::Value as Json;

use crate::build::{BuildContext, Stage};
use crate::cache::Cache;
use crate::node::{Node, scalar_text};
use crate::rate_limit::RateLimit;
use crate::registry::Kind;
use crate::sort::Sort;

pub(crate) use input::SharedInput;
pub(crate) use output::SharedOutput;

/// A resource that was built.
#[derive(Clone)]
pub(crate) enum Resource {
    Input(Arc<SharedInput>),
    Processor(Arc<Stage>),
    Output(Arc<SharedOutput>),
    Cache(Arc<dyn Cache>),
    RateLimit(Arc<dyn RateLimit>),
}

enum Entry<'a> {
    /// Nobody has asked for it yet.
    Written(Node<'a>),
    /// It is being built now: whoever asks for it meanwhile is part of it.
    Building,
    Built(Resource),
}

/// The resources of a stream, built when first asked for.
#[derive(Default)]
pub(crate) struct Resources<'a> {
    entries: BTreeMap<(Sort, String), Entry<'a>>,
    /// Where the processors are written, also when they are built.
    processors: BTreeMap<String, Node<'a>>,
}

impl std::fmt::Debug for Resources<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.entries.keys()).finish()
    }
}

impl<'a> Resources<'a> {
    /// Finds what is written; builds nothing.
    pub(crate) fn read(root: &Node<'a>) -> Resources<'a> {
        let (mut entries, mut processors) = (BTreeMap::new(), BTreeMap::new());
        for sort in Sort::ALL {
            let Some(field) = sort.resources() else { continue };
            for node in root.items(field) {
                if let Some(label) = node.value().get("label").and_then(scalar_text) {
                    if sort == Sort::Processor {
                        processors.insert(label.to_string(), node.clone());
                    }
                    entries.insert((sort, label.into_owned()), Entry::Written(node));
                }
            }
        }
        Resources { entries, processors }
    }

    /// Those that are built, for building more that uses them later.
    pub(crate) fn built(&self) -> BTreeMap<(Sort, String), Resource> {
        let built = |entry: &Entry<'a>| match entry {
            Entry::Built(resource) => Some(resource.clone()),
            _ => None,
        };
        self.entries.iter().filter_map(|(key, entry)| Some((key.clone(), built(entry)?))).collect()
    }

    /// The processors as they are written: each user of some makes its own.
    pub(crate) fn written_processors(&self) -> Vec<(String, Json, String)> {
        (self.processors.iter())
            .map(|(label, node)| (label.clone(), node.value().clone(), node.pointer().to_owned()))
            .collect()
    }

    /// Those that were built before, and the processors as they are written.
    pub(crate) fn of_built(
        built: &BTreeMap<(Sort, String), Resource>,
        processors: &'a [(String, Json, String)],
    ) -> Resources<'a> {
        let entries =
            built.iter().map(|(key, resource)| (key.clone(), Entry::Built(resource.clone()))).collect();
        let processors = (processors.iter())
            .map(|(label, value, pointer)| {
                (label.clone(), Node::new(value, Kind::Processor, pointer.clone()))
            })
            .collect();
        Resources { entries, processors }
    }
}

impl<'a> BuildContext<'a> {
    /// The resource whose label stands at `field`.
    fn resource(&mut self, sort: Sort, field: &Node<'_>) -> Result<Resource, Fault> {
        let key = (sort, field.as_text()?.into_owned());
        self.build_written(&key)?;
        match self.resources.entries.get(&key) {
            Some(Entry::Built(resource)) => Ok(resource.clone()),
            Some(Entry::Building | Entry::Written(_)) => {
                let text = format!("the {} `{}` refers to itself", sort.as_str(), key.1);
                Err(field.fault(text).hint("break the circle"))
            }
            None => Err(self.unknown(sort, &key.1, field)),
        }
    }

    /// Builds a resource, unless somebody asked for it before.
    fn build_written(&mut self, key: &(Sort, String)) -> Result<(), Fault> {
        let Some(Entry::Written(node)) = self.resources.entries.get(key) else { return Ok(()) };
        let node = node.clone();
        self.resources.entries.insert(key.clone(), Entry::Building);
        let built = self.build_resource(key.0, &node)?;
        self.resources.entries.insert(key.clone(), Entry::Built(built));
        Ok(())
    }

    fn unknown(&self, sort: Sort, label: &str, field: &Node<'_>) -> Fault {
        let known =
            self.resources.entries.keys().filter(|(of, _)| *of == sort).map(|(_, label)| label.as_str());
        let fault = field.fault(unknown_text(sort, label));
        match nearest(label, known) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => fault.hint(unknown_hint(sort)),
        }
    }

    fn build_resource(&mut self, sort: Sort, node: &Node<'a>) -> Result<Resource, Fault> {
        Ok(match sort {
            Sort::Input => Resource::Input(Arc::new(SharedInput::new(self.input(node)?))),
            Sort::Processor => Resource::Processor(Arc::new(self.processor(node)?)),
            Sort::Output => Resource::Output(Arc::new(SharedOutput::new(self.output(node)?))),
            Sort::Cache => Resource::Cache(self.cache_component(node)?),
            Sort::RateLimit => Resource::RateLimit(self.rate_limit_component(node)?),
            other => return Err(node.fault(format!("a {} cannot be a resource", other.as_str()))),
        })
    }

    /// Every cache resource by its label, built if it was not.
    pub(crate) fn all_caches(&mut self) -> Result<BTreeMap<String, Arc<dyn Cache>>, Fault> {
        for key in self.labels(|sort| sort == Sort::Cache) {
            self.build_written(&key)?;
        }
        let caches = self.resources.entries.iter().filter_map(|((_, label), entry)| match entry {
            Entry::Built(Resource::Cache(cache)) => Some((label.clone(), cache.clone())),
            _ => None,
        });
        Ok(caches.collect())
    }

    /// Builds, for its faults only, every resource that nothing refers to.
    pub(crate) fn build_unused(&mut self) -> Result<(), Fault> {
        for key in self.labels(|_| true) {
            // Nothing of it is to be served, counted or waited for.
            let gathered = std::mem::take(&mut self.gathered);
            let built = self.build_written(&key);
            self.gathered = gathered;
            built?;
        }
        Ok(())
    }

    fn labels(&self, wanted: impl Fn(Sort) -> bool) -> Vec<(Sort, String)> {
        self.resources.entries.keys().filter(|(sort, _)| wanted(*sort)).cloned().collect()
    }

    /// The cache resource whose label stands at `field`.
    ///
    /// # Errors
    /// When there is none, or it cannot be built.
    pub fn cache(&mut self, field: &Node<'_>) -> Result<Arc<dyn Cache>, Fault> {
        match self.resource(Sort::Cache, field)? {
            Resource::Cache(cache) => Ok(cache),
            _ => Err(field.fault("a cache is expected")),
        }
    }

    /// The rate limit resource whose label stands at `field`; `None` when nothing is written there.
    ///
    /// # Errors
    /// When there is none of this label, or it cannot be built.
    pub fn rate_limit(&mut self, field: &Node<'_>) -> Result<Option<Arc<dyn RateLimit>>, Fault> {
        if field.value().is_null() || field.value().as_str() == Some("") {
            return Ok(None);
        }
        match self.resource(Sort::RateLimit, field)? {
            Resource::RateLimit(limit) => Ok(Some(limit)),
            _ => Err(field.fault("a rate limit is expected")),
        }
    }

    /// The processor resource whose label stands at `field`.
    ///
    /// # Errors
    /// When there is none, or it cannot be built.
    pub fn processor_resource(&mut self, field: &Node<'_>) -> Result<Arc<Stage>, Fault> {
        match self.resource(Sort::Processor, field)? {
            Resource::Processor(stage) => Ok(stage),
            _ => Err(field.fault("a processor is expected")),
        }
    }

    pub(crate) fn input_resource(&mut self, field: &Node<'_>) -> Result<Arc<SharedInput>, Fault> {
        match self.resource(Sort::Input, field)? {
            Resource::Input(input) => Ok(input),
            _ => Err(field.fault("an input is expected")),
        }
    }

    pub(crate) fn output_resource(&mut self, field: &Node<'_>) -> Result<Arc<SharedOutput>, Fault> {
        match self.resource(Sort::Output, field)? {
            Resource::Output(output) => Ok(output),
            _ => Err(field.fault("an output is expected")),
        }
    }
}

/// What is said of a label that no resource has.
pub(crate) fn unknown_text(sort: Sort, label: &str) -> String {
    format!("there is no {} resource `{label}`", sort.as_str())
}

pub(crate) fn unknown_hint(sort: Sort) -> String {
    format!("add one with this label to `{}`", sort.resources().unwrap_or("resources"))
}
