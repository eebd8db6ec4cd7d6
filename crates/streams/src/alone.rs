//! Processors and scanners without a stream around them: for tests of configurations and of components.

use std::sync::Arc;

use document::Fault;
use serde_json::Value as Json;

use crate::build::{BuildContext, Stage};
use crate::mapping_caches::MappingCaches;
use crate::message::Batch;
use crate::node::Node;
use crate::pipeline::run_stages;
use crate::registry::Kind;
use crate::resources::Resources;
use crate::scanner::Scanner;
use crate::settings::Settings;
use crate::stream_fields::stream_fields;

/// A list of processors.
#[derive(Debug)]
pub struct Processors(Vec<Stage>);

impl Processors {
    /// Builds a list of processors that was linted before, at this pointer of its document. There are no resources beside them, so
    /// mappings have no caches.
    ///
    /// # Errors
    /// The first fault in it.
    pub fn build(list: &Json, pointer: &str, settings: &Settings) -> Result<Processors, Fault> {
        let mut context = BuildContext::new(settings, "", pointer);
        context.stages(&Node::new(list, Kind::List(&Kind::Processor), pointer)).map(Processors)
    }

    /// Builds what stands at this pointer of a configuration that was linted before, a list of processors or one of them, with the
    /// stream's resources beside it.
    ///
    /// # Errors
    /// What the configuration lacks, or the first fault in what was found.
    pub fn of_config(config: &Json, pointer: &str, settings: &Settings) -> Result<Processors, Fault> {
        let caches = Arc::new(MappingCaches::default());
        let settings = &caches.granted_in(settings);
        let (config, _) = settings.expand(config, "");
        let config = &*config;
        let Some(found) = config.pointer(pointer) else {
            return Err(Fault::error("", format!("the configuration has nothing at `{pointer}`")));
        };
        let one = match found {
            Json::Array(_) => None,
            _ => Some(Json::Array(vec![found.clone()])),
        };
        let list = one.as_ref().unwrap_or(found);
        let mut context = BuildContext::new(settings, "", "");
        let root = Node::new(config, Kind::Object(stream_fields(settings.alone)), "");
        context.resources = Resources::read(&root);
        let stages = context.stages(&Node::new(list, Kind::List(&Kind::Processor), pointer))?;
        caches.bind(&mut context)?;
        Ok(Processors(stages))
    }

    /// As [`Processors::build`], as if they stood in a stream of this name.
    ///
    /// # Errors
    /// The first fault in it.
    #[cfg(test)]
    pub(crate) fn of_stream(stream: &str, list: &Json, settings: &Settings) -> Result<Processors, Fault> {
        let mut context = BuildContext::new(settings, stream, "");
        context.stages(&Node::new(list, Kind::List(&Kind::Processor), "")).map(Processors)
    }

    /// Runs one batch through all of them.
    pub async fn run(&self, batch: Batch) -> Vec<Batch> {
        run_stages(&self.0, batch).await
    }
}

/// Builds a scanner that was linted before, at this pointer of its document.
///
/// # Errors
/// The first fault in it.
pub fn scanner(config: &Json, pointer: &str, settings: &Settings) -> Result<Arc<dyn Scanner>, Fault> {
    let mut context = BuildContext::new(settings, "", pointer);
    context.scanner(&Node::new(config, Kind::Scanner, pointer), "lines")
}
