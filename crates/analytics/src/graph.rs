//! What is known of an operation of GraphQL (contract 10, "Analytics").

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// An operation that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Graph {
    /// What it does.
    pub operation: Operation,
    /// Fields at its root.
    pub root_fields: Vec<String>,
    /// Types below the root, and the fields of them.
    pub types: BTreeMap<String, Vec<String>>,
    /// Values of its variables in JSON; empty where there are none, or too many.
    pub variables: Box<str>,
    /// Whether something failed.
    pub failed: bool,
    /// What did, as far as it is known.
    pub errors: Vec<String>,
    /// The schema of the API in Base64. Every record has the same, and the store has none.
    #[serde(skip)]
    pub schema: Arc<str>,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Nothing: there was none.
    #[default]
    Unknown,
    /// It reads.
    Query,
    /// It changes.
    Mutation,
    /// It asks for events.
    Subscription,
}

impl Graph {
    /// As `graphql_stats` of contract 11.1.
    pub fn named(&self) -> Value {
        let operation = match self.operation {
            Operation::Unknown => 0,
            Operation::Query => 1,
            Operation::Mutation => 2,
            Operation::Subscription => 3,
        };
        json!({
            "is_graphql": true,
            "graph_errors": self.errors,
            "has_errors": self.failed,
            "types": self.types,
            "root_fields": self.root_fields,
            "variables": self.variables,
            "operation_type": operation,
        })
    }

    /// Puts all that contract 11.1 has of it.
    pub(crate) fn put(&self, shown: &mut Map<String, Value>) {
        shown.insert("graphql_stats".to_owned(), self.named());
        shown.insert("api_schema".to_owned(), (&*self.schema).into());
    }
}
