//! What changes requests on their way to the backend, and answers on theirs back (contract 2.5, 3.2, 8.2, 8.3); one a file:
//! its model, and how both formats write it.

mod bodies;
mod headers;
mod methods;
mod rewrite;

pub use bodies::{Bodies, BodyTemplate, TemplateSource};
pub use headers::{HeaderChange, HeaderChanges, is_framing};
pub use rewrite::{Rewrite, Rule, RulePlace, Trigger};

pub(crate) use bodies::{CLASSIC_JQ, CLASSIC_TEMPLATE, OAS_TEMPLATE};
pub(crate) use headers::{CLASSIC as CLASSIC_HEADERS, CLASSIC_PROCESSORS, OAS as OAS_HEADERS};
pub(crate) use methods::{CLASSIC as CLASSIC_METHOD, OAS as OAS_METHOD};
pub(crate) use rewrite::{CLASSIC as CLASSIC_REWRITE, OAS as OAS_REWRITE};

use crate::AtPath;
use crate::beyond::add;
use crate::limits::OWN;
use crate::section::Section;
use document::Fault;
use serde_json::Value;

/// What changes requests and answers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transforms {
    /// What is known of a request can be named (`$tyk_context.NAME`).
    pub context: bool,
    /// Header fields.
    pub headers: HeaderChanges,
    /// Methods with which the backend is asked, as they are written.
    pub methods: Box<[AtPath<Box<str>>]>,
    /// Where the backend is asked.
    pub rewrites: Box<[AtPath<Rewrite>]>,
    /// Bodies.
    pub bodies: Bodies,
}

impl Transforms {
    /// What one version says; `extended` counts only where it is used.
    pub(crate) fn classic(
        version: &Section<'_>,
        extended: Option<&Section<'_>>,
        ignore_case: bool,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let mut transforms = Self {
            headers: HeaderChanges::classic(version, extended, ignore_case, faults),
            ..Self::default()
        };
        if let Some(extended) = extended {
            transforms.methods = methods::classic(extended, ignore_case, faults);
            transforms.rewrites = rewrite::classic(extended, ignore_case, faults);
            transforms.bodies = Bodies::classic(extended, ignore_case, faults);
        }
        transforms
    }

    /// What is said beside versions, put into what one version says.
    pub(crate) fn with_root(mut self, root: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        self.context = root.flag("enable_context_vars", faults);
        self.headers.last_of_answers = headers::processors(root, faults);
        self
    }

    /// The same, where that was read already.
    pub(crate) fn beside(mut self, base: &Self) -> Self {
        self.context = base.context;
        self.headers.last_of_answers.clone_from(&base.headers.last_of_answers);
        self
    }

    pub(crate) fn oas(root: &Section<'_>, middleware: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let global = middleware.section("global", faults);
        Self {
            context: global.section("contextVariables", faults).flag("enabled", faults),
            headers: HeaderChanges {
                last_of_answers: headers::processors(&root.section(OWN, faults), faults),
                ..HeaderChanges::oas(root, middleware, &global, faults)
            },
            methods: methods::oas(root, middleware, faults),
            rewrites: rewrite::oas(root, middleware, faults),
            bodies: Bodies::oas(root, middleware, faults),
        }
    }

    /// Adds what is said of single paths beside operations.
    pub(crate) fn add(&mut self, more: Self) {
        add(&mut self.headers.of_request_paths, more.headers.of_request_paths);
        add(&mut self.headers.of_answer_paths, more.headers.of_answer_paths);
        add(&mut self.methods, more.methods);
        add(&mut self.rewrites, more.rewrites);
        add(&mut self.bodies.requests, more.bodies.requests);
        add(&mut self.bodies.answers, more.bodies.answers);
        add(&mut self.bodies.request_programs, more.bodies.request_programs);
        add(&mut self.bodies.answer_programs, more.bodies.answer_programs);
    }

    /// The same in a classic definition, whose only version is `version`.
    pub(crate) fn write_classic(&self, version: &mut Value) {
        self.headers.write_classic(version);
        methods::write_classic(&self.methods, version);
        rewrite::write_classic(&self.rewrites, version);
        self.bodies.write_classic(version);
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.headers == HeaderChanges::default()
            && self.methods.is_empty()
            && self.rewrites.is_empty()
            && self.bodies == Bodies::default()
    }
}
