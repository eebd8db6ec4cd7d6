//! OpenAPI definitions with `x-tyk-api-gateway` and `x-tyk-streaming` (contract 3): read into the model.

mod import;
mod json_schema;
mod operations;
mod read;
mod references;
mod schema;
mod stated;
pub(crate) mod table;

pub use import::{Authentication, Import, import};
pub use json_schema::SCHEMAS;
pub(crate) use json_schema::{Converter, LIST, NAMED, NEWER, SCHEMA, Side, old_limits};
pub use operations::Operation;
pub(crate) use operations::{Written, ignores_case, operations};
pub(crate) use read::{one_credential, read, streams};
pub(crate) use references::{follow, pointed, resolve};
pub use schema::schema;
pub use stated::{Stated, StatedKinds, StatedValue, stated};

/// The extension that makes an OpenAPI document a definition.
pub(crate) const EXTENSION: &str = "x-tyk-api-gateway";
/// The extension that puts streams behind it.
pub(crate) const STREAMING: &str = "x-tyk-streaming";
