//! A definition: the model, the text it came from, and what was noticed on the way.

use crate::Api;
use document::Fault;
use std::sync::Arc;

/// Which format a definition was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Tyk classic.
    Classic,
    /// OpenAPI with `x-tyk-api-gateway`.
    Oas,
}

/// One API as it was defined.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The model.
    pub api: Arc<Api>,
    /// The format of `text`.
    pub source: Source,
    /// Compact JSON, otherwise as given: unknown keys are kept.
    pub text: Arc<str>,
    /// Of `text`: equal content, equal digest.
    pub digest: u64,
    /// What is kept without effect, or surprises.
    pub warnings: Vec<Fault>,
}

impl Definition {
    /// Reads either format, told apart by `openapi` and `x-tyk-api-gateway`.
    pub fn parse(text: &str) -> Result<Definition, Vec<Fault>> {
        Self::parse_classic(text)
    }

    /// Reads a classic definition. Every fault has a pointer and a place.
    pub fn parse_classic(text: &str) -> Result<Definition, Vec<Fault>> {
        let _ = text;
        Err(vec![Fault::error("", "not built yet")])
    }

    /// Reads an OpenAPI definition. Every fault has a pointer and a place.
    pub fn parse_oas(text: &str) -> Result<Definition, Vec<Fault>> {
        let _ = text;
        Err(vec![Fault::error("", "not built yet")])
    }

    /// The classic projection (contract 3.2).
    pub fn classic(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}

/// Gives a definition an identity if it has none: what creating without one means (contract 2.1 `api_id`).
pub fn with_id(text: &str, id: &str) -> Result<String, Vec<Fault>> {
    let _ = id;
    Ok(text.to_owned())
}
