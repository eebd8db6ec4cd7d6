//! APIs of MCP whose tools are made of a REST API of the same gate: `x-tyk-mcp-server` and what is made of it, the catalog of
//! tools, out of the OpenAPI document of that API.

mod arguments;
mod catalog;
mod names;
mod paths;
mod read;
mod shown;

pub use self::catalog::catalog;
pub use self::paths::{has_separator, steps_away};
pub(crate) use self::read::{EXTENSION, FIELDS};

use serde_json::Value;
use std::sync::Arc;

/// The API that tools are made of, and what is said of them.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSource {
    /// Its id.
    pub api: Box<str>,
    /// The address is one that can be nothing else; otherwise it is that of a path of the API, where the API has it.
    pub certain: bool,
    /// The address says so with a name of its own, so that the API may have the path of the other one.
    pub apart: bool,
    /// What is said of single operations.
    pub entries: Box<[ToolEntry]>,
    /// Where the address stands.
    pub at: crate::WrittenAt,
}

/// What is said of one operation.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolEntry {
    /// Which.
    pub operation: ToolOperation,
    /// What the tool is called; `None`: as its operation.
    pub name: Option<Box<str>>,
    /// What it is for; `None`: as its operation says.
    pub description: Option<Box<str>>,
    /// How it behaves.
    pub hints: ToolHints,
    /// What its arguments are called.
    pub arguments: Box<[ToolArgument]>,
    /// It is a tool; where one is said to be, those that are not are none.
    pub allowed: bool,
    /// Where it stands.
    pub at: crate::WrittenAt,
}

/// Names an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolOperation {
    /// By its id.
    Id(Box<str>),
    /// By method, upper case, and path.
    Place(Box<str>, Box<str>),
}

/// How a tool behaves, as far as that is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolHints {
    /// A name for people.
    pub title: Option<Box<str>>,
    /// It changes nothing.
    pub read_only: Option<bool>,
    /// It may destroy something.
    pub destructive: Option<bool>,
    /// Used again it does nothing more.
    pub idempotent: Option<bool>,
    /// It reaches others.
    pub open_world: Option<bool>,
}

/// What is said of one argument.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolArgument {
    /// What it is called without this.
    pub of: Box<str>,
    /// What it is called.
    pub name: Option<Box<str>>,
    /// What it is for.
    pub description: Option<Box<str>>,
    /// Where it stands.
    pub at: crate::WrittenAt,
}

/// One tool: a request to the API that it is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// What it is called.
    pub name: Box<str>,
    /// What it is for.
    pub description: Box<str>,
    /// How it behaves.
    pub hints: ToolHints,
    /// Method, upper case.
    pub method: Box<str>,
    /// Path below the listen path, with `{name}` for parameters.
    pub path: Box<str>,
    /// The paths of all operations that are asked for in the same way, in a form to be compared; none where nothing is filled in.
    pub beside: Arc<[Box<str>]>,
    /// The API has the operation for the gate alone.
    pub inner: bool,
    /// Its arguments, in the order in which they are told.
    pub arguments: Box<[Argument]>,
    /// The body of the request, where it has one.
    pub body: Option<ToolBody>,
    /// JSON schema of its arguments, version 2020-12.
    pub input: Value,
    /// JSON schema of its answers, where these are objects.
    pub output: Option<Value>,
    /// Its answers are JSON, as far as the document says.
    pub answers_json: bool,
    /// The API holds its answers to their schema.
    pub answers_checked: bool,
    /// The entry that is about it, among those of the definition.
    pub entry: Option<usize>,
}

/// One argument of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    /// What callers call it.
    pub name: Box<str>,
    /// What the API calls it.
    pub source: Box<str>,
    /// Where it goes.
    pub place: Place,
    /// It has to be there.
    pub required: bool,
    /// How it is written there.
    pub style: Style,
    /// Several values are several parts.
    pub explode: bool,
    /// In a path: `/` and `\` may stand in it, escaped.
    pub reserved: bool,
}

/// Where an argument goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Into the path.
    Path,
    /// Into the query.
    Query,
    /// Into a field of the head.
    Header,
    /// Into a cookie.
    Cookie,
    /// It is a member of the body.
    Member,
    /// It is the body.
    Body,
}

/// How a value is written that is no text (OpenAPI 3.0, "Style Values").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `a,b`: in paths and fields, and, as pairs, in queries.
    Plain,
    /// `;name=a`.
    Matrix,
    /// `.a`.
    Label,
    /// `a b`.
    Spaces,
    /// `a|b`.
    Pipes,
    /// `name[a]=b`.
    Deep,
    /// As JSON.
    Json,
}

/// The body of a request that a tool is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolBody {
    /// Its media type.
    pub kind: Box<str>,
    /// It is a form and not JSON.
    pub form: bool,
    /// It is there in any case.
    pub required: bool,
    /// Arguments that nothing is said of are members of it …
    pub free: bool,
    /// … but for those that go the other way only (`readOnly`).
    pub left_out: Box<[Box<str>]>,
}
