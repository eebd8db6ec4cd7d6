//! All that changes requests and answers of one API, compiled from its definition.

use apidef::{Api, Backend};
use document::Fault;

use super::bodies::Bodies;
use super::headers::{AnswerHeaders, RequestHeaders};
use super::method::Methods;
use super::rewrite::Rewrites;
use super::text::Secrets;
use super::variables::Variables;
use crate::backend::graph::{Graph, Persisted};
use crate::route::Collector;

/// Each part where the definition asks for it, and for the guards of the chain.
#[derive(Debug, Default)]
pub(crate) struct Transforms {
    pub(crate) variables: Option<Variables>,
    pub(crate) headers: Option<RequestHeaders>,
    pub(crate) rewrites: Option<Rewrites>,
    pub(crate) methods: Option<Methods>,
    pub(crate) answers: Option<AnswerHeaders>,
    pub(crate) bodies: Bodies,
    pub(crate) persisted: Option<Persisted>,
    pub(crate) graph: Option<Graph>,
}

impl Transforms {
    pub(crate) fn compile(api: &Api, patterns: &Collector, secrets: &Secrets) -> Result<Self, Fault> {
        let model = &*api.transforms;
        if matches!(api.backend, Backend::Streams(_)) {
            // Streams answer before any of it has a turn (contract 4.4 row 27).
            return Ok(Self::default());
        }
        let mut seen = Variables::default();
        let mut see = |variable: &_| seen.see(variable);
        let headers = RequestHeaders::new(&model.headers, patterns, secrets, &mut see)?;
        let rewrites = Rewrites::new(&model.rewrites, patterns, secrets, &mut see)?;
        let answers = AnswerHeaders::new(&model.headers, patterns, secrets, &mut see)?;
        let bodies = Bodies::compile(&model.bodies, patterns, secrets, &mut see)?;
        let persisted = Persisted::new(&api.paths.persisted, patterns, secrets, &mut see)?;
        let graph =
            api.graphql.as_deref().map(|model| Graph::compile(model, secrets, &mut see)).transpose()?;
        let methods = Methods::new(&model.methods, patterns);
        let mut noted = if model.context { seen } else { Variables::default() };
        // They go on to the upstream before the record is written.
        api.recording.tag_headers.iter().for_each(|name| noted.see_header(name));
        let variables = noted.some();
        Ok(Self { variables, headers, rewrites, methods, answers, bodies, persisted, graph })
    }
}
