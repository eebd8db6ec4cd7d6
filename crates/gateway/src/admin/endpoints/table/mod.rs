//! The rows: what each path does, takes and answers.

mod definitions;
mod keys;
mod oauth;
mod rest;
mod streams;

use http::Method;

use super::{Action, Endpoint, Holds, Parameter, Shape};

const fn parameter(name: &'static str, holds: Holds, summary: &'static str) -> Parameter {
    Parameter { name, holds, summary }
}

type Replies = &'static [(u16, Shape)];

const fn row(
    method: Method,
    path: &'static str,
    action: Action,
    takes: Option<Shape>,
    summary: &'static str,
    replies: Replies,
) -> Endpoint {
    Endpoint { method, path, action, summary, parameters: &[], takes, replies }
}

const fn get(path: &'static str, action: Action, summary: &'static str, replies: Replies) -> Endpoint {
    row(Method::GET, path, action, None, summary, replies)
}

const fn delete(path: &'static str, action: Action, summary: &'static str, replies: Replies) -> Endpoint {
    row(Method::DELETE, path, action, None, summary, replies)
}

const fn post(
    path: &'static str,
    action: Action,
    takes: Shape,
    summary: &'static str,
    replies: Replies,
) -> Endpoint {
    row(Method::POST, path, action, Some(takes), summary, replies)
}

const fn put(
    path: &'static str,
    action: Action,
    takes: Shape,
    summary: &'static str,
    replies: Replies,
) -> Endpoint {
    row(Method::PUT, path, action, Some(takes), summary, replies)
}

impl Endpoint {
    const fn with(mut self, parameters: &'static [Parameter]) -> Self {
        self.parameters = parameters;
        self
    }
}

const NOT_FOUND: (u16, Shape) = (404, Shape::Refused);
const FAULTY: (u16, Shape) = (400, Shape::Refused);
const CONFLICT: (u16, Shape) = (409, Shape::Refused);
const FAILED: (u16, Shape) = (500, Shape::Refused);
const MODIFIED: (u16, Shape) = (200, Shape::Modified);
const UNPROCESSABLE: (u16, Shape) = (422, Shape::Refused);

/// Every endpoint below `/tyk`.
pub(in crate::admin) fn all() -> impl Iterator<Item = &'static Endpoint> {
    [definitions::ROWS, keys::ROWS, oauth::ROWS, rest::ROWS, streams::ROWS].into_iter().flatten()
}

/// Those that clients of the original do not know.
#[cfg(test)]
pub(in crate::admin) const FOREIGN: &[Action] = &[
    Action::ListStreams,
    Action::SetStreams,
    Action::GetStream,
    Action::AddStream,
    Action::ReplaceStream,
    Action::PatchStream,
    Action::DeleteStream,
    Action::StreamStats,
    Action::SetStreamResource,
    Action::StreamComponents,
    Action::StreamsReady,
    Action::StreamsSchema,
    Action::ListRecords,
    Action::OpenApi,
];
