//! What a stream is given by whoever runs it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use bloblang::Environment;
use document::Fault;
use serde_json::Value as Json;

use crate::claims::Claims;
use crate::clock::Clock;
use crate::egress::Egress;
use crate::endpoint::{EndpointPort, NoEndpoints};
use crate::happenings::{Happenings, Quiet};
use crate::registry::Registry;
use crate::templates::{Templates, expand};
use crate::topics::Topics;
use crate::variables::{Variables, expand_value};

/// Where lines of the `stdout` output go.
pub trait Lines: Send + Sync {
    /// Writes these bytes whole. May block for as long as the receiver does: it is called on a blocking thread.
    ///
    /// # Errors
    /// When they could not be written.
    fn write_all(&self, bytes: &[u8]) -> io::Result<()>;
}

/// What lint tells beside what is wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Strictness {
    /// Fields that should not be written any more are faults.
    pub deprecated: bool,
    /// Components without a label are faults, where they can have one.
    pub labels: bool,
}

/// Everything outside of a stream's own configuration.
#[derive(Clone)]
pub struct Settings {
    /// The components there are.
    pub registry: Arc<Registry>,
    /// What mappings may read from outside of their message.
    pub environment: Environment,
    /// Who serves the endpoints.
    pub port: Arc<dyn EndpointPort>,
    /// What happens around streams.
    pub happenings: Arc<dyn Happenings>,
    /// Unsafe components (streams contract 1.8) that are allowed nevertheless, by name.
    pub allow_unsafe: Vec<String>,
    /// The in-process topics that `inproc` components meet on.
    pub topics: Topics,
    /// What the streams that run claim for themselves alone.
    pub claims: Claims,
    /// Where the `stdout` output writes.
    pub lines: Arc<dyn Lines>,
    /// Where components may connect to.
    pub egress: Arc<Egress>,
    /// What time of day it is.
    pub clock: Clock,
    /// Which environment variables a configuration may read.
    pub variables: Variables,
    /// The stream is all that its process does: no gate stands around it. It brings its own settings for what a gate
    /// would decide (`http`, `logger`, `shutdown_timeout`), and unsafe components are allowed: whoever starts the process
    /// could do the same without it.
    pub alone: bool,
    /// Components that are made of others.
    pub templates: Arc<Templates>,
    /// Secrets that configurations inside of a gate name: `conf.NAME` those of its configuration, `env.NAME` those of its
    /// environment (streams contract 1.6).
    pub secrets: Arc<BTreeMap<String, String>>,
    /// What else is a fault.
    pub strictness: Strictness,
    /// Faults that lint finds are told as warnings, and the stream is built in spite of them. What cannot be built is
    /// refused all the same, and so is what is not allowed.
    pub lenient: bool,
}

impl Settings {
    /// Safe settings: pure mappings, no unsafe components, endpoints that nobody serves, lines that go nowhere.
    pub fn new(registry: Registry) -> Settings {
        Settings {
            registry: Arc::new(registry),
            environment: Environment::pure(),
            port: Arc::new(NoEndpoints),
            happenings: Arc::new(Quiet),
            allow_unsafe: Vec::new(),
            topics: Topics::default(),
            claims: Claims::default(),
            lines: Arc::new(NoLines),
            egress: Arc::default(),
            clock: Clock::default(),
            variables: Variables::default(),
            alone: false,
            templates: Arc::default(),
            secrets: Arc::default(),
            strictness: Strictness::default(),
            lenient: false,
        }
    }

    /// The configuration with its variables and templates replaced, and what is wrong with them.
    pub(crate) fn expand<'v>(&self, value: &'v Json, pointer: &str) -> (Cow<'v, Json>, Vec<Fault>) {
        let (mut value, mut faults) =
            expand_value(value, pointer, &self.variables, &|name| std::env::var(name).ok());
        if !self.templates.is_empty() {
            faults.extend(expand(&self.templates, &self.registry, self.alone, value.to_mut(), pointer));
        }
        (value, faults)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("allow_unsafe", &self.allow_unsafe).finish_non_exhaustive()
    }
}

struct NoLines;

impl Lines for NoLines {
    fn write_all(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}
