//! What requests have to be: schemas of bodies (contract 4.4 row 30), and what an OpenAPI document says of requests (row 31)
//! and of answers.

mod answers;
mod compile;
mod content;
mod effort;
mod json;
mod message;
mod parameters;
mod requests;
mod schemas;
mod shape;
mod stated;
mod told;

pub(crate) use answers::Answers;
pub(crate) use compile::compile;
pub(crate) use json::Bodies;
pub(crate) use message::violations;
pub(crate) use requests::Requests;
pub(crate) use stated::check as check_stated;

use crate::route::Collector;
use document::Fault;

/// What the requests and answers of one API have to be.
#[derive(Debug)]
pub(crate) struct Checks {
    pub(crate) bodies: Option<Bodies>,
    pub(crate) requests: Option<Requests>,
    pub(crate) answers: Option<Answers>,
}

impl Checks {
    /// `ignore_case`: upper and lower case of paths are the same, whatever the definition says.
    pub(crate) fn new(
        model: &apidef::Paths,
        patterns: &Collector,
        ignore_case: bool,
    ) -> Result<Self, Vec<Fault>> {
        let bodies = Bodies::new(&model.bodies, patterns)?;
        let (requests, answers) = match model.validation.as_deref() {
            None => (None, None),
            Some(model) => (Requests::new(model, ignore_case, patterns)?, Answers::new(model, ignore_case)?),
        };
        Ok(Self { bodies, requests, answers })
    }
}

/// Memory that one pattern of a schema may take, in bytes.
const MAX_PATTERN: usize = 1 << 20;
