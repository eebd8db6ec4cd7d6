//! GraphQL in front of an upstream (contract 10): requests are checked against the schema of the definition, and against
//! what their callers may ask for, before the upstream sees them.

mod engine;
mod events;
mod forwarding;
mod guard;
mod opening;
mod persisted;
mod playground;
mod sending;
mod served;
mod socket;
mod supergraph;
mod watching;
mod wires;

use std::sync::Arc;

use apidef::{GraphQl, GraphQlLimits, SubscriptionProtocol};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use document::Fault;
use graphql::{Bounds, Checker, Schema};

pub(crate) use engine::{Asked, GraphBackend};
pub(crate) use persisted::Persisted;
pub(crate) use playground::Playground;
pub(crate) use sending::serve as serve_sockets;
pub(crate) use socket::{Watch, bridge};
pub(crate) use watching::watched_over;

use self::forwarding::Forwarding;
use crate::transform::{Secrets, Variable};

/// What one API serves of GraphQL.
#[derive(Debug)]
pub(crate) struct Graph {
    checker: Arc<Checker>,
    no_introspection: bool,
    forwarding: Forwarding,
    /// How the upstream is asked for events, if not in what the client speaks.
    subscriptions: Option<SubscriptionProtocol>,
    /// The data come from several sources, and not from an upstream.
    engine: bool,
    /// The schema in Base64, for records.
    told: Arc<str>,
}

impl Graph {
    /// Reads the schema. `see` gets what the definition names of requests.
    pub(crate) fn compile(
        model: &GraphQl,
        secrets: &Secrets,
        see: &mut dyn FnMut(&Variable),
    ) -> Result<Self, Fault> {
        let fault = |why: String| Fault::error(&*model.at, format!("the schema cannot be used: {why}"));
        let merged = match &model.supergraph {
            Some(graph) if model.schema.is_empty() => Some(supergraph::schema(graph).map_err(fault)?),
            _ => None,
        };
        let text = merged.as_deref().unwrap_or(&model.schema);
        let schema = if model.subgraph { Schema::read_subgraph(text) } else { Schema::read(text) };
        let schema = schema.map_err(fault)?;
        let schema = Arc::new(schema);
        Ok(Self {
            told: BASE64_STANDARD.encode(text).into(),
            engine: model.engine.is_some() || model.supergraph.is_some(),
            checker: Arc::new(Checker::new(schema, bounds(model.limits))),
            no_introspection: model.no_introspection,
            forwarding: Forwarding::compile(&model.forwarding, &model.at, secrets, see)?,
            subscriptions: model.subscriptions,
        })
    }
}

impl Graph {
    pub(crate) fn schema(&self) -> &Arc<Schema> {
        self.checker.schema()
    }
}

fn bounds(limits: GraphQlLimits) -> Bounds {
    let usual = Bounds::default();
    let small =
        |own: Option<u64>, usual: usize| own.map_or(usual, |own| usize::try_from(own).unwrap_or(usize::MAX));
    Bounds {
        bytes: small(limits.bytes, usual.bytes),
        tokens: small(limits.tokens, usual.tokens),
        nesting: small(limits.nesting, usual.nesting),
        aliases: small(limits.aliases, usual.aliases),
        fields: limits.fields.unwrap_or(usual.fields),
        depth: limits.depth.unwrap_or(usual.depth),
    }
}
