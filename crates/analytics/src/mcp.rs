//! What is known of a call of MCP (contract 11.1, "mcp_stats").

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Letters of a name that are kept: what clients call is up to them.
const LONGEST: usize = 256;

/// A call that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mcp {
    /// Its method.
    pub method: Box<str>,
    /// `tool`, `resource` or `prompt`; empty where it is for none.
    pub kind: Box<str>,
    /// What it is for.
    pub name: Box<str>,
    /// The error that it was refused with.
    pub error: Option<i32>,
}

impl Mcp {
    /// A call; long names are cut off.
    pub fn new(method: &str, kind: &str, name: &str, error: Option<i32>) -> Self {
        Self { method: short(method), kind: kind.into(), name: short(name), error }
    }

    /// As `mcp_stats` of contract 11.1.
    pub fn named(&self) -> Value {
        json!({
            "is_mcp": true,
            "jsonrpc_method": self.method,
            "primitive_type": self.kind,
            "primitive_name": self.name,
        })
    }
}

fn short(text: &str) -> Box<str> {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => text[..end].into(),
        None => text.into(),
    }
}
