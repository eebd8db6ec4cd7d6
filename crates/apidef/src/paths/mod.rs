//! What an API says of its paths (contract 2.5, 3.2, 4.3): which may be called, which are answered here, how much may be
//! sent to them, what is recorded of them; one a file.

mod example;
mod hooks;
mod lists;
mod mock;
mod parameters;
mod reply;
mod schemas;
mod sizes;
mod texts;
mod tracking;
mod validation;
mod virtuals;

pub use lists::Lists;
pub use mock::{ExampleAnswer, ExampleMedia, Examples, Mock};
pub use parameters::{Parameter, ParameterPlace, ParameterStyle};
pub use reply::{Fields, Reply};
pub use schemas::BodySchema;
pub use sizes::Sizes;
pub use tracking::Tracking;
pub use validation::{AnswerRules, BodyRules, OperationRules, RequestRules, Validation};
pub use virtuals::Virtual;

pub(crate) use hooks::{CLASSIC as CLASSIC_HOOK, OAS as OAS_HOOK};
pub(crate) use lists::{CLASSIC_LIST, OAS_INTERNAL, OAS_LIST};
pub(crate) use mock::OAS as OAS_MOCK;
pub(crate) use mock::read as mocks;
pub(crate) use reply::CLASSIC as CLASSIC_REPLY;
pub(crate) use schemas::{CLASSIC as CLASSIC_SCHEMA, refusal};
pub(crate) use sizes::{CLASSIC as CLASSIC_SIZE, OAS as OAS_SIZE};
pub(crate) use tracking::{CLASSIC as CLASSIC_TRACKED, OAS as OAS_TRACKED};
pub(crate) use validation::{
    OAS_ANSWER as OAS_VALIDATE_ANSWER, OAS_REQUEST as OAS_VALIDATE_REQUEST, read as validation,
};
pub(crate) use virtuals::{CLASSIC as CLASSIC_VIRTUAL, OAS as OAS_VIRTUAL};

use crate::beyond::add;
use crate::graphql::{PersistedOperation, persisted, write_persisted};
use crate::section::Section;
use crate::{AtPath, Plugin};
use document::Fault;
use serde_json::Value;

/// What an API says of its paths.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Paths {
    /// Which may be called, and which are answered at once.
    pub lists: Lists,
    /// How much may be sent.
    pub sizes: Sizes,
    /// What is recorded.
    pub tracking: Tracking,
    /// What bodies have to be.
    pub bodies: Box<[AtPath<BodySchema>]>,
    /// Operations of GraphQL that paths stand for.
    pub persisted: Box<[AtPath<PersistedOperation>]>,
    /// Answers that stand for the backend's.
    pub mocks: Box<[AtPath<Mock>]>,
    /// What the document says of requests and answers.
    pub validation: Option<Box<Validation>>,
    /// What scripts answer.
    pub virtuals: Box<[AtPath<Virtual>]>,
    /// Scripts before the backend.
    pub hooks: Box<[AtPath<Plugin>]>,
}

impl Paths {
    /// Of a version of a classic definition.
    pub(crate) fn classic(version: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let used = version.flag("use_extended_paths", faults);
        let none = Section { object: None, pointer: version.at("extended_paths") };
        let extended = if used { version.section("extended_paths", faults) } else { none };
        let ignore_case = version.flag("ignore_endpoint_case", faults);
        let mut lists = Lists::classic(&extended, ignore_case, faults);
        if !used {
            lists.plain(&version.section("paths", faults), ignore_case, faults);
        }
        Self {
            lists,
            sizes: Sizes::classic(version, &extended, ignore_case, faults),
            tracking: Tracking::classic(&extended, ignore_case, faults),
            bodies: schemas::classic(&extended, ignore_case, faults),
            persisted: persisted(&extended, ignore_case, faults),
            mocks: Box::default(),
            validation: None,
            virtuals: virtuals::classic(&extended, ignore_case, faults),
            hooks: hooks::classic(&extended, ignore_case, faults),
        }
    }

    pub(crate) fn oas(root: &Section<'_>, middleware: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        Self {
            lists: Lists::oas(root, middleware, faults),
            sizes: Sizes::oas(root, middleware, faults),
            tracking: Tracking::oas(root, middleware, faults),
            bodies: Box::default(),
            persisted: Box::default(),
            mocks: mock::read(root, middleware, faults),
            validation: validation::read(root, middleware, faults),
            virtuals: virtuals::oas(root, middleware, faults),
            hooks: hooks::oas(root, middleware, faults),
        }
    }

    /// Adds what is said beside operations.
    pub(crate) fn add(&mut self, more: Self) {
        let (lists, others) = (&mut self.lists, more.lists);
        add(&mut lists.internal, others.internal);
        add(&mut lists.replies, others.replies);
        add(&mut lists.ignored, others.ignored);
        add(&mut lists.blocked, others.blocked);
        add(&mut lists.allowed, others.allowed);
        add(&mut self.sizes.endpoints, more.sizes.endpoints);
        add(&mut self.tracking.tracked, more.tracking.tracked);
        add(&mut self.tracking.untracked, more.tracking.untracked);
        add(&mut self.bodies, more.bodies);
        add(&mut self.persisted, more.persisted);
        add(&mut self.virtuals, more.virtuals);
        add(&mut self.hooks, more.hooks);
    }

    /// What a version of a classic definition is to say.
    pub(crate) fn write_classic(&self, version: &mut Value) {
        self.lists.write_classic(version);
        self.sizes.write_classic(version);
        self.tracking.write_classic(version);
        schemas::write(&self.bodies, version);
        write_persisted(&self.persisted, version);
        virtuals::write(&self.virtuals, version);
        hooks::write(&self.hooks, version);
    }
}
