//! What records say of operations of GraphQL (contract 10, "Analytics").

use std::sync::Arc;

use analytics::{Graph, Operation};
use graphql::{Checked, ErrorsIn, Kind, Shape, messages_of};
use http::{Response, header};
use serde_json::{Map, Value};

use crate::body::Body;

/// Bytes of variables that are recorded; more of them are left out.
const LARGEST: usize = 16 << 10;

/// What is known of one operation before it is over.
#[derive(Debug)]
pub(crate) struct OfGraph {
    schema: Arc<str>,
    shape: Option<Arc<Shape>>,
    variables: Box<str>,
    /// Known where the gate itself has answered.
    errors: Option<Vec<String>>,
    /// Looks at what an upstream sends.
    passing: Option<ErrorsIn>,
}

impl OfGraph {
    /// `schema`: in Base64.
    pub(crate) fn new(schema: &Arc<str>) -> Self {
        let schema = Arc::clone(schema);
        Self { schema, shape: None, variables: Box::default(), errors: None, passing: None }
    }

    pub(crate) fn asks(&mut self, checked: &Checked, variables: &Map<String, Value>) {
        self.shape = checked.shape();
        if !variables.is_empty()
            && let Ok(text) = serde_json::to_string(variables)
            && text.len() <= LARGEST
        {
            self.variables = text.into();
        }
    }

    /// The gate has the answer.
    pub(crate) fn answered(&mut self, answer: &Value) {
        self.errors = messages_of(&answer["errors"]);
        self.passing = None;
    }

    /// An answer begins. One that the gate cannot read on its way says by its status alone whether it failed.
    pub(crate) fn begins(&mut self, response: &Response<Body>) {
        let headers = response.headers();
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let readable = kind.contains("json") && !headers.contains_key(header::CONTENT_ENCODING);
        if self.errors.is_none() && readable {
            self.passing = Some(ErrorsIn::default());
        }
    }

    /// A part of the answer goes to the client.
    pub(super) fn passes(&mut self, data: &[u8]) {
        if let Some(passing) = &mut self.passing {
            passing.read(data);
        }
    }

    pub(super) fn finish(self, status: u16) -> Graph {
        let errors = self.errors.or_else(|| self.passing.and_then(|passing| passing.messages()));
        let (operation, root_fields, types) = match self.shape.as_deref() {
            None => (Operation::Unknown, Vec::new(), Default::default()),
            Some(shape) => {
                let operation = match shape.kind {
                    Kind::Query => Operation::Query,
                    Kind::Mutation => Operation::Mutation,
                    Kind::Subscription => Operation::Subscription,
                };
                (operation, shape.roots.clone(), shape.types.clone())
            }
        };
        Graph {
            operation,
            root_fields,
            types,
            variables: self.variables,
            failed: errors.is_some() || status >= 400,
            errors: errors.unwrap_or_default(),
            schema: self.schema,
        }
    }
}
